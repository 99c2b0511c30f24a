//! `/api/v1/events`: the status as Server-Sent Events, at once and then each second in which it has changed.
//!
//! A client gets the newest document and none that it was too slow for: nothing piles up. Documents are made once for
//! all clients. A stream ends when its client goes, does not read for [`STALLED`], or the port stops; it never holds the
//! port up. At most [`CLIENTS_MAX`] streams are open, half of the port's connections. The other half stays for probes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{View, status};
use crate::escape;
use crate::serve::{Cut, feed, is_from_another_site};

/// Streams at once.
const CLIENTS_MAX: usize = 32;
/// Time between two looks at the status.
const EVERY: Duration = Duration::from_secs(1);
/// A document of this age is good enough for another client.
const FRESH: Duration = Duration::from_millis(500);
/// Longest silence: proxies close what is silent for long.
const SILENCE: Duration = Duration::from_secs(15);
/// A client that reads nothing for so long is cut.
const STALLED: Duration = Duration::from_secs(45);
/// How soon a browser asks again when the stream has ended.
const RETRY: &str = "retry: 2000\n\n";
const COMMENT: &[u8] = b": still here\n\n";

/// All streams.
#[derive(Debug)]
pub struct Events {
    places: Arc<Semaphore>,
    newest: Mutex<Option<(Instant, Bytes)>>,
    stop: CancellationToken,
}

impl Events {
    /// Streams that end at `stop`.
    pub fn until(stop: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(CLIENTS_MAX)), newest: Mutex::default(), stop }
    }

    /// The status as an event, at most [`FRESH`] old.
    fn newest(&self, view: &View) -> Bytes {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some((made, event)) if made.elapsed() < FRESH => event.clone(),
            _ => {
                let event = event(&status::document(view, false).to_string());
                *newest = Some((Instant::now(), event.clone()));
                event
            }
        }
    }
}

/// One event; JSON that is not laid out has no line ends.
fn event(document: &str) -> Bytes {
    Bytes::from(format!("event: status\ndata: {}\n\n", escape::lines(document)))
}

/// Streams the status to one client.
pub(super) async fn events(
    State(view): State<Arc<View>>,
    Extension(cut): Extension<Cut>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // A page of another site cannot read the stream, but it could take all places.
    if is_from_another_site(&headers) {
        let fix = "open the page of this address";
        return Err(Problem::new(StatusCode::FORBIDDEN, "a web page of another site sent this request", fix));
    }
    let Ok(place) = Arc::clone(&view.events.places).try_acquire_owned() else {
        let error = format!("{CLIENTS_MAX} clients follow the events already");
        let fix = "close one of them, or ask /api/v1/status now and then";
        let full = Problem::new(StatusCode::SERVICE_UNAVAILABLE, error, fix);
        return Err(Problem { wait: Some(SILENCE), ..full });
    };
    let (sender, pieces) = mpsc::channel(1);
    view.tasks.spawn(follow(Arc::clone(&view), sender, cut, place));
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    // Some proxies keep an answer back until it is whole.
    Ok((head, [("x-accel-buffering", "no")], feed(pieces)).into_response())
}

async fn follow(view: Arc<View>, sender: mpsc::Sender<Bytes>, cut: Cut, _place: OwnedSemaphorePermit) {
    let told = tell(&view, &sender, &cut);
    tokio::select! {
        biased;
        () = view.events.stop.cancelled() => {}
        () = sender.closed() => {}
        () = told => {}
    }
}

/// Sends what has changed, until nobody takes it.
async fn tell(view: &View, sender: &mpsc::Sender<Bytes>, cut: &Cut) {
    let began = Instant::now();
    let mut last = Bytes::new();
    let mut said = began;
    cut.allow(STALLED);
    if sender.send(Bytes::from_static(RETRY.as_bytes())).await.is_err() {
        return;
    }
    loop {
        let newest = view.events.newest(view);
        let piece = if newest != last {
            Some(newest.clone())
        } else {
            (said.elapsed() >= SILENCE).then(|| Bytes::from_static(COMMENT))
        };
        if let Some(piece) = piece {
            // Waits while the client reads nothing, until its connection is cut.
            if sender.send(piece).await.is_err() {
                return;
            }
            (last, said) = (newest, Instant::now());
        }
        cut.allow(began.elapsed() + STALLED);
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_and_steers_no_terminal() {
        let document = serde_json::json!({"why": "a\nb\u{1b}[2J\u{2028}"}).to_string();
        let event = event(&document);
        let text = std::str::from_utf8(&event).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "event: status", ""));
        let data: serde_json::Value = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["why"], "a\nb\u{1b}[2J\u{2028}");
        assert!(!lines[1].chars().any(escape::is_unsafe), "{text:?}");
    }
}
