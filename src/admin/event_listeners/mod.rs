//! The routes of the original event-listener API, over the listeners that are kept in `listeners_dir`.
//!
//! Its clients send their key as `Simple KEY`, or as it is; the key is the token of this process. They read with it, too:
//! the original shows nobody the listeners of others. A listener whose owner is not the user of the path is not there.
//! Paths, fields, limits and codes are those of the original as far as they are documented. `docs/event-listeners.md` says
//! what is not, and what was chosen.

mod answer;
mod form;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::guard::Takes;
use super::problem::Problem;
use super::routes::Routes;
use super::store::{Edit, EventListener, Keys, ListenerStore, NotStored};
use super::view::View;
use super::write::{self, Client, Done, Write};
use crate::ports::BoxFuture;
use answer::{failure, not_kept};
use form::Form;

/// The endpoint of the configuration that calls algorithms for the users of these routes.
const ENDPOINT: &str = "algorithmia";
const ALL: &str = "/v1/users/{user}/event-listeners";
const ONE: &str = "/v1/users/{user}/event-listeners/{id}";

/// The routes of the original.
pub(super) fn routes(routes: Routes) -> Routes {
    let create = |State(view), whose, peer, cut, request| create(view, whose, (peer, cut), request);
    let replace = |State(view), whose, peer, cut, request| replace(view, whose, (peer, cut), request);
    let remove = |State(view), whose, peer, cut, request| remove(view, whose, (peer, cut), request);
    routes.get(ALL, list).post(ALL, create).get(ONE, show).put(ONE, replace).delete(ONE, remove)
}

/// A user, and the id of a listener; empty where the path has none. What is no text names nobody.
struct Whose {
    user: String,
    id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Whose {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let named = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let mut named = named.map_or_else(|_| Vec::new(), |Path(named)| named).into_iter();
        let mut next = || named.next().map(|(_, value)| value).unwrap_or_default();
        Ok(Self { user: next(), id: next() })
    }
}

/// All listeners of a user, page by page if a limit is given.
async fn list(
    State(view): State<Arc<View>>,
    whose: Whose,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let page = match form::page(query.as_deref().unwrap_or_default()) {
        Ok(page) => page,
        Err(problem) => return failure(&problem),
    };
    let mut all = match read(&view, &whose.user, headers).await {
        Ok(all) => all,
        Err(problem) => return failure(&problem),
    };
    if let Some(marker) = &page.marker {
        all.retain(|one| one.id > *marker);
    }
    let is_cut = all.len() > page.limit;
    all.truncate(page.limit);
    let marker = all.last().filter(|_| is_cut).map(|last| last.id.clone());
    let next_link = marker.as_ref().map(|marker| next_link(&whose.user, page.limit, marker));
    answer::json(StatusCode::OK, &json!({ "marker": marker, "next_link": next_link, "results": all }))
}

/// The next page, from the root of this address: a proxy knows by which scheme and host it is asked.
fn next_link(user: &str, limit: usize, marker: &str) -> String {
    // Of a form a space is `+`, which a path takes as it is.
    let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let (user, marker) = (escaped(user), escaped(marker));
    format!("/v1/users/{user}/event-listeners?limit={limit}&marker={marker}")
}

/// One listener of a user.
async fn show(State(view): State<Arc<View>>, whose: Whose, headers: HeaderMap) -> Response {
    match read(&view, &whose.user, headers).await.and_then(|all| one_of(all, &whose)) {
        Ok(one) => answer::json(StatusCode::OK, &json!(one)),
        Err(problem) => failure(&problem),
    }
}

/// A listener is created.
async fn create(view: Arc<View>, whose: Whose, client: Client, request: Request) -> Response {
    let write = Write { action: "create", listener: String::new(), takes: Takes::Values };
    let user = whose.user.clone();
    let read = |body: &[u8]| form::read(body, &user, None);
    let make = |view: Arc<View>, _, form: Form| async move {
        let mut keys = Keys::new();
        keys.insert("endpoint".to_owned(), json!(ENDPOINT));
        keys.insert("listener_owner".to_owned(), json!(whose.user));
        form.write_into(&mut keys);
        let kept = asked(&view, move |store| Box::pin(async move { store.create(keys).await })).await?;
        let id = kept.get("listener").and_then(Value::as_str).unwrap_or_default().to_owned();
        let one = one_of(of_user(&view, &whose.user).await?, &Whose { id, ..whose })?;
        Ok(Done { status: StatusCode::CREATED, after: Some(one.id.clone()), ..Done::with(json!(one)) })
    };
    answer::change(write::made(view, write, client, as_bearer(request), read, make).await)
}

/// What the original knows of a listener is replaced; other keys of its file stay.
async fn replace(view: Arc<View>, whose: Whose, client: Client, request: Request) -> Response {
    let write = Write { action: "replace", listener: whose.id.clone(), takes: Takes::Values };
    let (user, id) = (whose.user.clone(), whose.id.clone());
    let read = |body: &[u8]| form::read(body, &user, Some(&id));
    let make = |view: Arc<View>, id: String, form: Form| async move {
        one_of(of_user(&view, &whose.user).await?, &whose)?;
        let edit: Edit = Box::new(move |keys| form.write_into(keys));
        asked(&view, move |store| Box::pin(async move { store.change(&id, edit).await })).await?;
        let one = one_of(of_user(&view, &whose.user).await?, &whose)?;
        Ok(Done::with(json!(one)))
    };
    answer::change(write::made(view, write, client, as_bearer(request), read, make).await)
}

/// A listener is drained and removed.
async fn remove(view: Arc<View>, whose: Whose, client: Client, request: Request) -> Response {
    let write = Write { action: "delete", listener: whose.id.clone(), takes: Takes::Nothing };
    let make = |view: Arc<View>, id: String, ()| async move {
        one_of(of_user(&view, &whose.user).await?, &whose)?;
        let done = asked(&view, move |store| Box::pin(async move { store.remove(&id).await })).await?;
        Ok(Done { status: StatusCode::NO_CONTENT, ..Done::with(done) })
    };
    answer::change(write::made(view, write, client, as_bearer(request), super::ask::nothing, make).await)
}

/// The listeners of a user, for whoever shows the token.
async fn read(view: &Arc<View>, user: &str, mut headers: HeaderMap) -> Result<Vec<EventListener>, Problem> {
    to_bearer(&mut headers);
    view.guard.authenticate(&headers).await?;
    of_user(view, user).await
}

async fn of_user(view: &View, user: &str) -> Result<Vec<EventListener>, Problem> {
    let store = view.store.as_ref().ok_or_else(answer::nobody)?;
    store.event_listeners(user).await.map_err(not_kept)
}

fn one_of(all: Vec<EventListener>, whose: &Whose) -> Result<EventListener, Problem> {
    all.into_iter().find(|one| one.id == whose.id).ok_or_else(|| not_kept(NotStored::NoSuchListener))
}

/// Asks the store.
async fn asked<F>(view: &View, ask: F) -> Result<Value, Problem>
where
    F: FnOnce(Arc<dyn ListenerStore>) -> BoxFuture<'static, Result<Value, NotStored>>,
{
    ask(view.store.clone().ok_or_else(answer::nobody)?).await.map_err(not_kept)
}

fn as_bearer(mut request: Request) -> Request {
    to_bearer(request.headers_mut());
    request
}

/// The key of the original's clients, `Simple KEY` or `KEY` alone, as the guard takes it.
fn to_bearer(headers: &mut HeaderMap) {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (shown.next(), shown.next()) else { return };
    let Ok(text) = only.to_str() else { return };
    let key = match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("simple") => key,
        None => text,
        Some(_) => return,
    };
    if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {key}")) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
}

#[cfg(test)]
mod tests;
