//! `/api/v1/events`: streams the status to one client, until it goes or the port stops.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::events::CLIENTS_MAX;
use super::problem::Problem;
use super::{View, status};
use crate::serve::{Cut, feed, is_from_another_site};

/// Time between two looks at the status.
const EVERY: Duration = Duration::from_secs(1);
/// Longest silence: proxies close what is silent for long.
const SILENCE: Duration = Duration::from_secs(15);
/// A client that reads nothing for so long is cut.
const STALLED: Duration = Duration::from_secs(45);
/// How soon a browser asks again when the stream has ended.
const RETRY: &[u8] = b"retry: 2000\n\n";
const COMMENT: &[u8] = b": still here\n\n";

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
    let Some(place) = view.live.events.place() else {
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
        () = view.live.events.stopped() => {}
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
    if sender.send(Bytes::from_static(RETRY)).await.is_err() {
        return;
    }
    loop {
        let newest = view.live.events.newest(|| status::document(view, false).to_string());
        let is_late = || said.elapsed() >= SILENCE;
        let piece = if newest == last {
            is_late().then(|| Bytes::from_static(COMMENT))
        } else {
            Some(newest.clone())
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
