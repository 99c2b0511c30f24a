//! The status as Server-Sent Events, at once and then each second in which it has changed (`stream.rs`).
//!
//! A client gets the newest document and none that it was too slow for: nothing piles up. Documents are made once for
//! all clients. A stream ends when its client goes or reads nothing for long, or the port stops. So it never holds the
//! port up. At most [`CLIENTS_MAX`] streams are open, half of the port's connections. The other half stays for probes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::escape;

/// Streams at once.
pub(super) const CLIENTS_MAX: usize = 32;
/// A document of this age is good enough for another client.
const FRESH: Duration = Duration::from_millis(500);

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

    /// A place for one more stream, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The status as an event: as `make` writes it, or made for another client at most [`FRESH`] before.
    pub(super) fn newest(&self, make: impl FnOnce() -> String) -> Bytes {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some((at, event)) if at.elapsed() < FRESH => event.clone(),
            _ => {
                let event = event(&make());
                *newest = Some((Instant::now(), event.clone()));
                event
            }
        }
    }

    /// Completes when the streams are to end.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

/// One event; JSON that is not laid out has no line ends.
fn event(document: &str) -> Bytes {
    Bytes::from(format!("event: status\ndata: {}\n\n", escape::lines(document)))
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
