//! The routes that create, change and remove listeners, try one out, and show what is written for one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::ask;
use super::change::no_such_listener;
use super::document;
use super::guard::{Standing, Takes};
use super::problem::Problem;
use super::routes::{Name, Routes};
use super::store::{Keys, ListenerStore, NotStored, Trial, WrongKey};
use super::view::View;
use super::write::{self, Client, Done, Write};
use crate::ports::BoxFuture;

/// The routes for listeners that are kept in `listeners_dir`.
pub(super) fn routes(routes: Routes) -> Routes {
    let create = |State(view), peer, cut, request| create(view, (peer, cut), request);
    let check = |State(view), peer, cut, request| check(view, (peer, cut), request);
    let replace = |State(view), Name(name), peer, cut, request| replace(view, name, (peer, cut), request);
    let remove = |State(view), Name(name), peer, cut, request| remove(view, name, (peer, cut), request);
    routes
        .post("/api/v1/listeners", create)
        .post("/api/v1/check", check)
        .put("/api/v1/listeners/{name}", replace)
        .delete("/api/v1/listeners/{name}", remove)
        .get("/api/v1/listeners/{name}/configuration", written)
}

/// A listener is created: 201.
async fn create(view: Arc<View>, client: Client, request: Request) -> Response {
    let write = of_all("create", Takes::Message);
    let make = |view: Arc<View>, _, keys: Keys| async move {
        let done = asked(&view, "", move |store| Box::pin(async move { store.create(keys).await })).await?;
        let name = done.answer.pointer("/listener").and_then(serde_json::Value::as_str).map(str::to_owned);
        Ok(Done { status: StatusCode::CREATED, after: name, ..done })
    };
    write::answer(view, write, client, request, ask::listener, make).await
}

/// A listener gets other keys, all of them.
async fn replace(view: Arc<View>, listener: String, client: Client, request: Request) -> Response {
    let write = Write { action: "replace", listener, takes: Takes::Message };
    let make = |view: Arc<View>, name: String, keys: Keys| async move {
        let listener = name.clone();
        asked(&view, &name, move |store| Box::pin(async move { store.replace(&listener, keys).await })).await
    };
    write::answer(view, write, client, request, ask::listener, make).await
}

/// A listener is drained and removed.
async fn remove(view: Arc<View>, listener: String, client: Client, request: Request) -> Response {
    let write = Write { action: "delete", listener, takes: Takes::Nothing };
    let make = |view: Arc<View>, name: String, ()| async move {
        let listener = name.clone();
        asked(&view, &name, move |store| Box::pin(async move { store.remove(&listener).await })).await
    };
    write::answer(view, write, client, request, ask::nothing, make).await
}

/// A listener is tried out.
async fn check(view: Arc<View>, client: Client, request: Request) -> Response {
    let write = of_all("check", Takes::Message);
    let make = |view: Arc<View>, _, trial: Trial| async move {
        asked(&view, "", move |store| Box::pin(async move { store.try_out(trial).await })).await
    };
    write::answer(view, write, client, request, ask::trial, make).await
}

/// What is written for a listener: all of it for whoever shows the token, else without what may be secret.
async fn written(
    State(view): State<Arc<View>>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let whole = view.guard.standing(&headers).await? == Standing::Allowed;
    let store = view.store.as_ref().ok_or_else(nobody)?;
    let written = store.written(&name, whole).await.map_err(|not| problem_of(&view, &name, not))?;
    Ok(document::json(&written))
}

fn of_all(action: &'static str, takes: Takes) -> Write {
    Write { action, listener: String::new(), takes }
}

/// Asks the store.
async fn asked<F>(view: &View, name: &str, ask: F) -> Result<Done, Problem>
where
    F: FnOnce(Arc<dyn ListenerStore>) -> BoxFuture<'static, Result<serde_json::Value, NotStored>>,
{
    let store = view.store.clone().ok_or_else(nobody)?;
    ask(store).await.map(Done::with).map_err(|not| problem_of(view, name, not))
}

fn nobody() -> Problem {
    let error =
        "this process keeps no listeners: it has neither a configuration file nor a directory of listeners";
    Problem::new(StatusCode::CONFLICT, error, "start it with listeners_dir or --listeners-dir")
}

fn problem_of(view: &View, name: &str, not: NotStored) -> Problem {
    match not {
        NotStored::NoSuchListener => no_such_listener(view, name),
        NotStored::Conflict { why, fix } => Problem::new(StatusCode::CONFLICT, why, fix),
        NotStored::Failed { why, fix } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why, fix),
        NotStored::NotValid(wrong) => {
            let error = match wrong.as_slice() {
                [one] => format!("{}{}", subject(&one.key), one.words),
                many => format!("{} things are wrong with this listener", many.len()),
            };
            let problem = Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error,
                "correct what `problems` names; nothing was changed",
            );
            Problem { problems: wrong.iter().map(wrong_key).collect(), ..problem }
        }
    }
}

fn subject(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

/// One wrong key as a document.
fn wrong_key(WrongKey { key, words, fix }: &WrongKey) -> serde_json::Value {
    json!({ "key": key, "words": words, "fix": fix })
}
