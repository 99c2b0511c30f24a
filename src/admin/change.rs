//! The routes that change something, and what each does (`action.rs` lists them).
//!
//! Pause, resume and workers are told to the listener; they last until a restart, or until the file has another value for
//! it. All else is asked of the operator. What was begun goes on, also when whoever asked has left.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::action::Action;
use super::ask::{self, Ask};
use super::problem::Problem;
use super::routes::{Name, Routes};
use super::write::{self, Client, Done, NAME_MAX, Write};
use super::{ByHand, Refused, View};
use crate::pipeline::Controls;

const LASTS: &str = "until a restart, or until the file has another value for it";

/// The routes that change something.
pub(super) fn routes(routes: Routes) -> Routes {
    let of_listener = |routes: Routes, action: Action| {
        let path = format!("/api/v1/listeners/{{name}}/{}", action.path());
        let handler = move |State(view), Name(name), peer, cut, request| async move {
            answer(view, action, name, (peer, cut), request).await
        };
        routes.post(&path, handler)
    };
    let of_process = |routes: Routes, action: Action| {
        let handler = move |State(view), peer, cut, request| async move {
            answer(view, action, String::new(), (peer, cut), request).await
        };
        routes.post(&format!("/api/v1/{}", action.path()), handler)
    };
    let routes = [Action::Reload, Action::LogLevel].into_iter().fold(routes, of_process);
    Action::OF_LISTENER.into_iter().fold(routes, of_listener)
}

async fn answer(view: Arc<View>, action: Action, name: String, client: Client, request: Request) -> Response {
    let write = Write { action: action.label(), listener: name, takes: action.takes() };
    let make = |view: Arc<View>, name: String, ask| async move { perform(&view, &name, ask).await };
    write::answer(view, write, client, request, |body| read(action, body), make).await
}

async fn perform(view: &View, name: &str, ask: Ask) -> Result<Done, Problem> {
    match ask {
        Ask::Pause => told(view, name, |controls| controls.paused = true).await,
        Ask::Workers(workers) => told(view, name, move |controls| controls.workers = workers).await,
        Ask::Resume => match view.running.listener(name) {
            Some(listener) if !listener.handle.is_stopping() => {
                told(view, name, |controls| controls.paused = false).await
            }
            _ => of_listener(view, name, Wish::Start).await,
        },
        Ask::Drain => of_listener(view, name, Wish::Drain).await,
        Ask::Test(body) => of_listener(view, name, Wish::Test(body)).await,
        Ask::Reload => asked(view, "", Wish::Reload).await,
        Ask::ByHand(what) => {
            let begins = matches!(&what, ByHand::Redrive(redrive) if !redrive.dry_run);
            let done = of_listener(view, name, Wish::ByHand(what)).await?;
            Ok(if begins { Done { status: StatusCode::ACCEPTED, ..done } } else { done })
        }
        Ask::LogLevel(level) => log_level(view, level.as_deref()),
    }
}

/// Logs by another filter, or by the configured one again.
fn log_level(view: &View, level: Option<&str>) -> Result<Done, Problem> {
    let (before, _) = view.log.shown();
    // By the filter that still holds: the new one may show nothing.
    tracing::info!(before, level, "another log level was asked for through the admin port");
    view.log.ask(level).map_err(|error| {
        let fix = "send {\"level\": …} with error, warn, info, debug or trace, with directives as of RUST_LOG, or with null \
             for the configured one";
        Problem::new(StatusCode::BAD_REQUEST, error.to_string(), fix)
    })?;
    let (now, _) = view.log.shown();
    Ok(Done::changed(log_document(view), before, now))
}

/// The filter of the log.
pub(super) fn log_document(view: &View) -> Value {
    let (level, configured) = view.log.shown();
    json!({ "level": level, "configured": configured })
}

fn read(action: Action, body: &[u8]) -> Result<Ask, Problem> {
    match action {
        Action::Pause => ask::nothing(body).map(|()| Ask::Pause),
        Action::Resume => ask::nothing(body).map(|()| Ask::Resume),
        Action::Drain => ask::nothing(body).map(|()| Ask::Drain),
        Action::Reload => ask::nothing(body).map(|()| Ask::Reload),
        Action::Workers => ask::workers(body),
        Action::Test => ask::test(body),
        Action::Send => ask::send(body),
        Action::Peek => ask::peek(body),
        Action::Redrive => ask::redrive(body),
        Action::CancelRedrive => ask::nothing(body).map(|()| Ask::ByHand(ByHand::CancelRedrive)),
        Action::LogLevel => ask::log_level(body),
    }
}

/// Tells a listener by its handle; by the operator while another takes its place.
async fn told(
    view: &View,
    name: &str,
    tell: impl FnOnce(&mut Controls) + Send + 'static,
) -> Result<Done, Problem> {
    let listener = view.running.listener(name).ok_or_else(|| no_such_listener(view, name))?;
    let (before, now) = match &view.operator {
        Some(operator) if listener.handle.is_stopping() => {
            let told = operator.tell(name, Box::new(tell)).await;
            told.map_err(|refused| problem(view, name, refused))?
        }
        _ => listener.handle.tell(tell),
    };
    if now.workers != before.workers {
        view.running.follow_workers();
    }
    let endpoint = view.running.endpoint(&listener.endpoint);
    let answer = json!({
        "listener": listener.name,
        "paused": now.paused,
        "workers": now.workers,
        "endpoint_sessions": endpoint.map(|endpoint| endpoint.limits.sessions.cap()),
        "before": { "paused": before.paused, "workers": before.workers },
        "lasts": LASTS,
    });
    Ok(Done::changed(answer, in_words(&before), in_words(&now)))
}

fn in_words(controls: &Controls) -> String {
    let Controls { paused, workers, .. } = controls;
    format!("{}, {workers} workers", if *paused { "paused" } else { "not paused" })
}

/// What the operator is asked for.
enum Wish {
    Start,
    Drain,
    Test(String),
    ByHand(ByHand),
    Reload,
}

/// Asks the operator about one listener. One that was drained may not be shown any more; the operator knows it.
async fn of_listener(view: &View, name: &str, wish: Wish) -> Result<Done, Problem> {
    if view.operator.is_none() && view.running.listener(name).is_none() {
        return Err(no_such_listener(view, name));
    }
    asked(view, name, wish).await
}

/// Asks the operator.
async fn asked(view: &View, name: &str, wish: Wish) -> Result<Done, Problem> {
    let Some(operator) = view.operator.clone() else {
        let error = "this process cannot do that while it runs";
        let fix = "restart it; a drained or changed listener starts with its configuration";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, error, fix));
    };
    let answer = match wish {
        Wish::Start => operator.start(name).await,
        Wish::Drain => operator.drain(name).await,
        Wish::Test(body) => operator.test(name, body).await,
        Wish::ByHand(what) => operator.by_hand(name, what).await,
        Wish::Reload => operator.reload().await,
    };
    answer.map(Done::with).map_err(|refused| problem(view, name, refused))
}

/// What a refusal of the operator is as an answer.
fn problem(view: &View, name: &str, refused: Refused) -> Problem {
    match refused {
        Refused::NoSuchListener => no_such_listener(view, name),
        Refused::Wrong { why, fix } => Problem::new(StatusCode::BAD_REQUEST, why, fix),
        Refused::Invalid { why, fix } => Problem::new(StatusCode::CONFLICT, why, fix),
        Refused::OfQueue { why, fix } => Problem::new(StatusCode::BAD_GATEWAY, why, fix),
    }
}

/// There is no listener of this name.
pub(super) fn no_such_listener(view: &View, name: &str) -> Problem {
    let known: Vec<String> = view.running.listeners().iter().map(|listener| listener.name.clone()).collect();
    let near = known.iter().map(|known| (strsim::osa_distance(name, known), known)).min();
    let fix = match near {
        Some((distance, near)) if distance <= 1 + near.len() / 5 => format!("did you mean `{near}`?"),
        Some(_) if known.len() <= 10 => format!("it is one of: {}", known.join(", ")),
        _ => "`queuepost status` and GET /api/v1/status list the names".to_owned(),
    };
    let shown: String = name.chars().take(NAME_MAX).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("there is no listener `{shown}`"), fix)
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
