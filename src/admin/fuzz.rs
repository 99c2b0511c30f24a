//! What the fuzzer feeds to the admin port: requests of anybody who reaches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use axum::Router;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::problem::{no_such_method, no_such_path};
use super::server::all;
use super::{
    About, ByHand, Edit, EventListener, Events, Guard, History, Keys, ListenerStore, Live, NotStored,
    Operator, Refused, Running, Tell, Trial, View,
};
use crate::drain::Drain;
use crate::limit::clock::Wall;
use crate::pipeline::Controls;
use crate::ports::BoxFuture;
use crate::secret::{Secret, one_line};
use crate::serve::{self, Hosts, Refusal, fuzz};
use crate::telemetry::log_level::LogLevel;
use crate::telemetry::metrics::Metrics;

/// The token of changes.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Requests of one input.
const REQUESTS_MAX: usize = 4;
/// Failures that an answer may tell of: nobody does this here; not now.
const TOLD: [u16; 2] = [501, 503];

/// Requests, separated by the byte 0x1E; each is a head, and after the byte 0x1F a body.
///
/// Whoever changes something or reads what is kept was sent the token. No answer is a failure of the port itself, and
/// what says that it is JSON is JSON.
pub(crate) fn requests(data: &[u8]) {
    fuzz::on_paused_time(async {
        let asked = Arc::new(Asked::default());
        let Some(port) = port(&asked) else { return };
        let settings = settings();
        for request in data.split(|byte| *byte == 0x1e).take(REQUESTS_MAX) {
            let before = asked.count();
            let answered = fuzz::ask(&port, &settings, request).await;
            let shows_token = request.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes());
            assert!(shows_token || asked.count() == before, "a change without the token");
            let status = answered.status.unwrap_or(400);
            assert!(status < 500 || TOLD.contains(&status), "{answered:?}");
            let is_json = answered.head.contains("application/json") || answered.head.contains("+json");
            let is_whole = !answered.head.contains("chunked") && !request.starts_with(b"HEAD");
            if is_json && is_whole {
                assert!(serde_json::from_slice::<Value>(&answered.body).is_ok(), "{answered:?}");
            }
        }
    });
}

fn port(asked: &Arc<Asked>) -> Option<Router> {
    let routes = all().into_router().fallback(no_such_path).method_not_allowed_fallback(no_such_method);
    Some(routes.with_state(Arc::new(view(asked)?)))
}

fn settings() -> serve::Settings {
    let hosts = Hosts::by_address(([127, 0, 0, 1], 9464).into(), "foreign");
    serve::Settings { limits: serve::Limits::default(), hosts, refusal: Refusal::plain }
}

fn view(asked: &Arc<Asked>) -> Option<View> {
    let operator: Arc<dyn Operator> = Arc::<Asked>::clone(asked);
    let store: Arc<dyn ListenerStore> = Arc::<Asked>::clone(asked);
    Some(View {
        metrics: Arc::new(Metrics::new()),
        running: Arc::new(Running::default()),
        drain: Drain::new(),
        guard: Guard::new(Some(Secret::fixed(TOKEN, one_line).ok()?)),
        operator: Some(operator),
        store: Some(store),
        tasks: TaskTracker::new(),
        live: Live { history: History::new(Wall::System), events: Events::until(CancellationToken::new()) },
        log: Arc::new(LogLevel::new("info")),
        about: About {
            started: SystemTime::UNIX_EPOCH,
            host: None,
            listeners_dir: watch::Sender::new(None).subscribe(),
            fleet: watch::Sender::new(crate::fleet::Standing::Alone).subscribe(),
        },
    })
}

/// Counts what needs the token, and does nothing.
#[derive(Default)]
struct Asked(AtomicUsize);

impl Asked {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn with<'a, T: Send + 'a>(&self, answer: T) -> BoxFuture<'a, T> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(answer))
    }
}

impl Operator for Asked {
    fn reload(&self) -> BoxFuture<'_, Result<Value, Refused>> {
        self.with(Ok(json!({})))
    }

    fn drain<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        self.with(Ok(json!({})))
    }

    fn tell<'a>(&'a self, _: &'a str, _: Tell) -> BoxFuture<'a, Result<(Controls, Controls), Refused>> {
        self.with(Err(Refused::NoSuchListener))
    }

    fn start<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Value, Refused>> {
        self.with(Ok(json!({})))
    }

    fn test<'a>(&'a self, _: &'a str, body: String) -> BoxFuture<'a, Result<Value, Refused>> {
        self.with(Ok(json!({ "body": body })))
    }

    /// Everybody may ask.
    fn redrive(&self, listener: &str) -> Value {
        json!({ "listener": listener, "state": "none" })
    }

    fn by_hand<'a>(&'a self, _: &'a str, what: ByHand) -> BoxFuture<'a, Result<Value, Refused>> {
        self.with(Ok(json!({ "what": format!("{what:?}") })))
    }
}

impl ListenerStore for Asked {
    fn create(&self, keys: Keys) -> BoxFuture<'_, Result<Value, NotStored>> {
        self.with(Ok(json!({ "listener": "new", "keys": keys })))
    }

    fn replace<'a>(&'a self, _: &'a str, keys: Keys) -> BoxFuture<'a, Result<Value, NotStored>> {
        self.with(Ok(keys.into()))
    }

    fn change<'a>(&'a self, _: &'a str, edit: Edit) -> BoxFuture<'a, Result<Value, NotStored>> {
        let mut keys = Keys::new();
        edit(&mut keys);
        self.with(Ok(keys.into()))
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Value, NotStored>> {
        self.with(Ok(json!({})))
    }

    fn try_out(&self, trial: Trial) -> BoxFuture<'_, Result<Value, NotStored>> {
        self.with(Ok(trial.keys.into()))
    }

    /// Everybody may read what is written, without what may be secret.
    fn written<'a>(&'a self, _: &'a str, whole: bool) -> BoxFuture<'a, Result<Value, NotStored>> {
        if whole { self.with(Ok(json!({}))) } else { Box::pin(std::future::ready(Ok(json!({})))) }
    }

    fn event_listeners<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<EventListener>, NotStored>> {
        let one = |id: &str| EventListener {
            id: id.to_owned(),
            source_type: EventListener::AMAZON_SQS,
            source_uri: "https://sqs.us-east-1.amazonaws.com/123456789012/jobs".to_owned(),
            algo_name: "Hello".to_owned(),
            algo_owner: "demo".to_owned(),
            algo_version: None,
            algo_timeout_seconds: 420,
            listener_owner: user.to_owned(),
            credentials: None,
        };
        self.with(Ok(vec![one("new"), one("orders")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_reaches_what_needs_the_token_and_is_kept_from_it_without() {
        fuzz::on_paused_time(async {
            let asked = Arc::new(Asked::default());
            let port = port(&asked).unwrap();
            for (token, status, count) in [("", 401, 0), (TOKEN, 200, 1)] {
                let request = format!(
                    "POST /api/v1/reload HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\x1f"
                );
                let answered = fuzz::ask(&port, &settings(), request.as_bytes()).await;
                assert_eq!((answered.status, asked.count()), (Some(status), count), "{answered:?}");
            }
        });
    }
}
