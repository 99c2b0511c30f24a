//! An endpoint that takes a few messages, is overloaded for a while, and then works; it counts what it got.
//!
//! The overload ends by the clock, counted from the first POST, so two endpoints fail alike. Its first part
//! says nothing more; the second part says when to ask again, by `Retry-After`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::scenario::{RETRY_AFTER_SECONDS, Scenario, TAKEN_BEFORE, WORK};
use crate::serve::{self, Hosts, Limits, Refusal};

/// How long a refusal takes.
const REFUSAL: Duration = Duration::from_millis(10);

/// The answer to a POST.
pub(super) enum Answer {
    /// The work is done.
    Done,
    /// 429, perhaps with seconds to wait.
    Refused(Option<u64>),
}

/// What an endpoint got.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// POSTs that were refused.
    pub(super) refused: usize,
    /// POSTs whose work was done.
    pub(super) done: usize,
    /// When the first work after the overload was done, counted from its end.
    pub(super) first_after: Option<Duration>,
    /// When the last work was done, counted from the end of the overload.
    pub(super) last_after: Option<Duration>,
    /// POSTs that were taken before the overload.
    taken_before: usize,
    /// The highest receive count of each message, and whether its work was done.
    messages: BTreeMap<String, (u32, bool)>,
}

impl Tally {
    /// Messages whose work was done.
    pub(super) fn delivered(&self) -> usize {
        self.messages.values().filter(|(_, done)| *done).count()
    }

    /// Receives of all messages that got here.
    pub(super) fn receives(&self) -> u32 {
        self.messages.values().map(|(receives, _)| receives).sum()
    }
}

/// The endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    began: SetOnce<Instant>,
    scenario: Scenario,
    tally: Mutex<Tally>,
}

impl Endpoint {
    /// One whose time begins with its first POST.
    pub(super) fn new(scenario: Scenario) -> Self {
        Self { began: SetOnce::new(), scenario, tally: Mutex::default() }
    }

    /// One whose time began then.
    pub(super) fn began_at(began: Instant, scenario: Scenario) -> Self {
        Self { began: SetOnce::new_with(Some(began)), ..Self::new(scenario) }
    }

    /// Waits for the first POST; returns its time.
    pub(super) async fn began(&self) -> Instant {
        *self.began.wait().await
    }

    /// What it got so far.
    pub(super) fn tally(&self) -> Tally {
        self.lock().clone()
    }

    /// Does the work of a message, or refuses it.
    pub(super) async fn post(&self, id: &str, receives: u32) -> Answer {
        let Scenario { says_when, works_again } = self.scenario;
        let called = Instant::now();
        // Only the first one of all is taken.
        self.began.set(called).ok();
        let began = self.began().await;
        let now = called.duration_since(began);
        let is_done = now >= works_again || self.takes_one_more();
        sleep(if is_done { WORK } else { REFUSAL }).await;
        let mut tally = self.lock();
        let message = tally.messages.entry(id.to_owned()).or_default();
        *message = (receives.max(message.0), is_done || message.1);
        if !is_done {
            tally.refused += 1;
            return Answer::Refused((now >= says_when).then_some(RETRY_AFTER_SECONDS));
        }
        tally.done += 1;
        if now >= works_again {
            let after = began.elapsed().saturating_sub(works_again);
            tally.first_after.get_or_insert(after);
            tally.last_after = Some(after);
        }
        Answer::Done
    }

    /// Whether the overload has not begun; then one message fewer is left until it does.
    fn takes_one_more(&self) -> bool {
        let mut tally = self.lock();
        let takes = tally.taken_before < TAKEN_BEFORE;
        tally.taken_before += usize::from(takes);
        takes
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves an endpoint until `stop`.
pub(super) async fn serve(listener: TcpListener, endpoint: Arc<Endpoint>, stop: CancellationToken) {
    let router = Router::new().fallback(answer).with_state(endpoint);
    let hosts = Hosts::only(&[], "The endpoint of the demonstration answers to IP addresses and localhost.");
    let settings = serve::Settings { limits: Limits::default(), hosts, refusal: Refusal::plain };
    serve::serve(listener, router, settings, stop).await;
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let receives = header("x-queuepost-receive-count").parse().unwrap_or(1);
    match endpoint.post(header("x-queuepost-message-id"), receives).await {
        Answer::Done => StatusCode::OK.into_response(),
        Answer::Refused(wait) => {
            let mut refusal = StatusCode::TOO_MANY_REQUESTS.into_response();
            if let Some(seconds) = wait {
                refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            refusal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Endpoint {
        Endpoint::began_at(Instant::now() - Duration::from_secs(seconds), Scenario::DEMO)
    }

    #[tokio::test(start_paused = true)]
    async fn an_overload_first_says_nothing_more_and_then_when_to_ask_again() {
        tokio::time::advance(Duration::from_secs(60)).await;
        let answers = async |seconds| {
            let endpoint = at(seconds);
            endpoint.lock().taken_before = TAKEN_BEFORE - 1;
            [endpoint.post("a", 1).await, endpoint.post("b", 1).await]
        };
        assert!(matches!(answers(0).await, [Answer::Done, Answer::Refused(None)]));
        assert!(matches!(answers(5).await, [Answer::Done, Answer::Refused(Some(RETRY_AFTER_SECONDS))]));
        assert!(matches!(answers(24).await, [Answer::Done, Answer::Done]));
    }

    #[tokio::test(start_paused = true)]
    async fn receives_are_counted_once_for_each_message_and_work_done_twice_is_one_delivery() {
        tokio::time::advance(Duration::from_secs(60)).await;
        let endpoint = at(30);
        for receives in [1, 3] {
            endpoint.post("a", receives).await;
        }
        endpoint.post("b", 2).await;
        let tally = endpoint.tally();
        assert_eq!((tally.delivered(), tally.done, tally.receives(), tally.refused), (2, 3, 5, 0));
        assert!(tally.first_after < tally.last_after, "{tally:?}");
    }
}
