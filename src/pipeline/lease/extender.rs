//! The lease extender: while a message is in flight, its visibility does not lapse.
//!
//! One task per listener extends, in batches of ten, the leases whose time is near. Extensions stop at SQS's twelve
//! hours. When a lease ends, a POST that runs goes on, because its outcome still matters; one that has not begun does
//! not begin. Failed extensions are tried again for as long as the message is in flight: SQS takes a standard queue's
//! handle late too, if nobody else received the message.
//!
//! Time is the runtime's, which no change of the wall clock moves. A process that stood still finds its leases run
//! out; a machine that stood still may not, and learns it from the answer to the next extension.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::message::MessageId;
use crate::observe::health::Tick;
use crate::pipeline::lease::entry::{Entries, Extension, Loss};
use crate::pipeline::lease::table::{LeaseTable, begins};
use crate::policy::backoff;
use crate::policy::visibility::{ANSWER_SLACK, whole_seconds};
use crate::ports::{BatchResult, EntryErrorKind, Queue, QueueErrorKind, VisibilityChange};
use crate::telemetry::labels::ExtensionResult;

/// First pause before a failed extension is tried again; doubles, with jitter in the upper half.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest such pause. While the lease lasts it is no more than a third of what is left of it.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A lease goes along with another when its own time is within this part of its length.
const COMPANY: u32 = 12;
/// Extension calls that may be under way at once, at least: a slow SQS must not make the other leases wait.
const CALLS_MIN: usize = 8;
/// One call carries the leases of so many batches, one after the other. Four calls of 5 s, their longest, fit into the
/// time that a lease has left when it is due.
const CALLS_IN_A_ROW: usize = 4;
/// How long the extender sleeps at most; its watchdog ticks that often.
const IDLE: Duration = Duration::from_secs(15);

impl LeaseTable {
    /// Extends leases until `stop`, then finishes the calls under way. May run again after a panic.
    pub(in crate::pipeline) async fn run(
        self: Arc<Self>,
        queue: Arc<dyn Queue>,
        tick: Arc<Tick>,
        stop: CancellationToken,
    ) {
        self.recover();
        let mut calls = Calls::default();
        loop {
            tick.touch();
            while calls.running.len() < self.calls_max() {
                let (keys, changes) = self.take_due();
                if keys.is_empty() {
                    break;
                }
                calls.start(keys, Arc::clone(&queue), changes);
            }
            let idle = Instant::now() + IDLE;
            let due = if calls.running.len() < self.calls_max() { self.next_due() } else { None };
            tokio::select! {
                biased;
                Some((keys, result)) = calls.next() => self.extended(&keys, Instant::now(), result.as_ref()),
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(due.map_or(idle, |due| due.min(idle))) => {}
            }
        }
        while let Some((keys, result)) = calls.next().await {
            self.extended(&keys, Instant::now(), result.as_ref());
        }
    }

    /// Takes the leases over from a run that panicked: what that had under way may or may not have taken effect.
    fn recover(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let keys: Vec<u64> = state.by_key.keys().copied().collect();
        for key in keys {
            let Some(entry) = state.by_key.get_mut(&key) else { continue };
            match std::mem::replace(&mut entry.extension, Extension::None) {
                // It lost its place when the run panicked before the call began, or has one.
                Extension::None if entry.due.is_some() => {}
                Extension::None => state.schedule(key, now),
                Extension::UnderWay => {
                    entry.uncertain = true;
                    state.schedule(key, now);
                }
                Extension::Awaited(closing) => {
                    entry.uncertain = true;
                    // Whoever closed it may have been dropped meanwhile; then nobody needs to know.
                    closing.send(()).ok();
                }
            }
        }
    }

    fn calls_max(&self) -> usize {
        CALLS_MIN.max(self.lock().by_key.len() / (CALLS_IN_A_ROW * self.limits.batch))
    }

    fn next_due(&self) -> Option<Instant> {
        self.lock().due.first().map(|&(at, _)| at)
    }

    /// Up to ten leases to extend, marked as such: when the time of one has come, those near theirs go along.
    fn take_due(&self) -> (Vec<Extended>, Vec<VisibilityChange>) {
        let now = Instant::now();
        let (mut keys, mut changes, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let mut state = self.lock();
        while keys.len() < self.limits.batch {
            let near = if keys.is_empty() { now } else { now + self.length / COMPANY };
            let Some(&(at, key)) = state.due.first().filter(|(at, _)| *at <= near) else { break };
            state.due.remove(&(at, key));
            let Some(entry) = state.by_key.get_mut(&key) else { continue };
            entry.due = None;
            let left = entry.ceiling.saturating_duration_since(now);
            if left <= ANSWER_SLACK {
                self.ends(entry, Loss::Ceiling, &mut ended);
                continue;
            }
            entry.extension = Extension::UnderWay;
            keys.push(Extended { key, version: entry.receipt.version, asked: now });
            let seconds = whole_seconds(self.length).min(floor_seconds(left));
            changes.push(VisibilityChange { receipt: entry.receipt.handle.clone(), seconds });
        }
        drop(state);
        self.tell(&ended);
        (keys, changes)
    }

    /// Takes in what SQS answered to an extension of `keys`; nothing when the call panicked.
    fn extended(&self, keys: &[Extended], answered: Instant, result: Option<&BatchResult>) {
        if let Some(Err(error)) = result {
            self.events.queue_error(error);
        }
        // One for all: what failed in one call is tried again in one.
        let unit = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let mut ended = Vec::new();
        let mut state = self.lock();
        for (index, &extended) in keys.iter().enumerate() {
            let verdict = match result {
                None => Verdict::Failed { uncertain: true },
                Some(Ok(entries)) => match entries.get(index) {
                    Some(Ok(())) => Verdict::Extended,
                    Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost => Verdict::Lost,
                    Some(Err(_)) | None => Verdict::Failed { uncertain: false },
                },
                Some(Err(error)) => Verdict::Failed {
                    uncertain: matches!(error.kind, QueueErrorKind::TimedOut | QueueErrorKind::Network),
                },
            };
            let answer = Answer { verdict, at: answered, unit };
            self.apply(&mut state, extended, answer, &mut ended);
        }
        drop(state);
        self.tell(&ended);
    }

    fn apply(
        &self,
        state: &mut Entries,
        extended: Extended,
        Answer { verdict, at: answered, unit }: Answer,
        ended: &mut Vec<(MessageId, Loss)>,
    ) {
        let Extended { key, version, asked } = extended;
        let Some(entry) = state.by_key.get_mut(&key) else { return };
        let extension = std::mem::replace(&mut entry.extension, Extension::None);
        let mut due = None;
        self.metrics.extension(verdict.label());
        match verdict {
            // It was about a handle that has been replaced since, and with it the lease.
            _ if entry.receipt.version != version => {
                entry.uncertain |= matches!(verdict, Verdict::Failed { uncertain: true });
                due = Some(self.next_extension(entry.expires));
            }
            Verdict::Extended => {
                if entry.expires <= asked {
                    // SQS took it late; others may have received the message meanwhile.
                    self.ends(entry, Loss::Lapsed, ended);
                }
                let left = entry.ceiling.saturating_duration_since(answered).min(self.length);
                entry.expires = begins(asked, answered) + left;
                (entry.uncertain, entry.failures) = (false, 0);
                // At the ceiling nothing is left to extend, but the end to be noted.
                let goes_on = left == self.length;
                due = Some(if goes_on { self.next_extension(entry.expires) } else { entry.expires });
            }
            Verdict::Failed { uncertain } => {
                entry.uncertain |= uncertain;
                entry.failures = entry.failures.saturating_add(1);
                let left = entry.expires.saturating_duration_since(answered);
                if left.is_zero() {
                    self.ends(entry, Loss::Lapsed, ended);
                }
                due = Some(answered + retry_after(entry.failures, left, unit));
            }
            // What SQS answers to its delete decides: that may be what has ended the lease.
            Verdict::Lost if entry.deleting => {}
            Verdict::Lost => self.ends(entry, Loss::Lost, ended),
        }
        if let Extension::Awaited(closing) = extension {
            // Whoever closed it may have been dropped meanwhile; then nobody needs to know.
            closing.send(()).ok();
        } else if let Some(due) = due {
            state.schedule(key, due);
        }
    }
}

/// Extension calls under way, and which leases each is for: a call that panics must not lose them.
#[derive(Default)]
struct Calls {
    running: JoinSet<BatchResult>,
    keys: HashMap<task::Id, Vec<Extended>>,
}

impl Calls {
    fn start(&mut self, keys: Vec<Extended>, queue: Arc<dyn Queue>, changes: Vec<VisibilityChange>) {
        let call = self.running.spawn(async move { queue.change_visibility(&changes).await });
        self.keys.insert(call.id(), keys);
    }

    /// The next call that ends, with its answer unless it panicked; `None` when none is under way.
    async fn next(&mut self) -> Option<(Vec<Extended>, Option<BatchResult>)> {
        let (id, result) = match self.running.join_next_with_id().await? {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        Some((self.keys.remove(&id).unwrap_or_default(), result))
    }
}

/// A lease that an extension is under way for, the version of the handle it was sent with, and when.
#[derive(Debug, Clone, Copy)]
struct Extended {
    key: u64,
    version: u32,
    asked: Instant,
}

/// What an extension came to, when, and the jitter of its next try.
#[derive(Debug, Clone, Copy)]
struct Answer {
    verdict: Verdict,
    at: Instant,
    unit: f64,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Extended,
    Failed { uncertain: bool },
    Lost,
}

impl Verdict {
    fn label(self) -> ExtensionResult {
        match self {
            Self::Extended => ExtensionResult::Extended,
            Self::Failed { .. } => ExtensionResult::Failed,
            Self::Lost => ExtensionResult::Lost,
        }
    }
}

/// Pause after so many failures in a row to extend a lease with so much left; `unit` is jitter in `[0, 1)`.
fn retry_after(failures: u32, left: Duration, unit: f64) -> Duration {
    let pause = backoff::doubled(RETRY_FIRST, failures.saturating_sub(1), RETRY_MAX);
    let pause = if left.is_zero() { pause } else { pause.min(RETRY_FIRST.max(left / 3)) };
    pause.mul_f64(0.5 + 0.5 * unit)
}

fn floor_seconds(left: Duration) -> u32 {
    u32::try_from(left.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Message, MessageId, ReceiptHandle, ReceiveCount};
    use crate::observe::event_log::EventLog;
    use crate::pipeline::lease::{Asked, Lease};
    use crate::policy::visibility::CEILING;
    use crate::ports::EntryError;
    use crate::ports::QueueLimits;
    use crate::telemetry::metrics::Metrics;

    const LENGTH: Duration = Duration::from_secs(90);

    #[test]
    fn a_failed_extension_is_tried_again_with_back_off_and_often_enough_before_the_lease_ends() {
        let seconds =
            |failures, left, unit| retry_after(failures, Duration::from_secs(left), unit).as_secs_f64();
        let close = |is: f64, expected: f64| assert!((is - expected).abs() < 1e-6, "{is}, not {expected}");
        close(seconds(1, 30, 0.0), 1.0);
        close(seconds(1, 30, 1.0), 2.0);
        close(seconds(3, 30, 1.0), 8.0);
        close(seconds(9, 30, 1.0), 10.0);
        close(seconds(9, 3, 1.0), 2.0);
        close(seconds(9, 0, 1.0), 30.0);
        close(seconds(u32::MAX, 0, 0.0), 15.0);
    }

    fn table() -> Arc<LeaseTable> {
        let metrics = Arc::new(Metrics::new().listener("orders", "api"));
        LeaseTable::new(
            LENGTH,
            QueueLimits::of_sqs(false),
            metrics,
            Arc::new(EventLog::new("orders", "orders", "api")),
            1,
        )
    }

    fn message(receipt: &str) -> Message {
        Message {
            id: MessageId::new("m"),
            receipt: ReceiptHandle::new(receipt),
            body: Bytes::new(),
            receive_count: ReceiveCount::new(1),
            sent_at: None,
            first_received_at: None,
            group_id: None,
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
            attributes: Vec::new(),
        }
    }

    fn admit(table: &Arc<LeaseTable>, receipt: &str) -> Option<Lease> {
        let asked = Asked { first: Instant::now(), last: Instant::now() };
        Lease::begin(table, &message(receipt), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_begins_with_its_call_and_five_seconds_before_its_answer_at_the_latest() {
        let asked = Instant::now() + Duration::from_secs(60);
        let begins = |after| begins(asked, asked + Duration::from_secs(after));
        assert_eq!([begins(0), begins(3)], [asked - ANSWER_SLACK, asked - Duration::from_secs(2)]);
        assert_eq!([begins(5), begins(8), begins(29)], [asked; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_after_a_panic_extends_what_was_under_way_and_lets_go_who_waits_for_that() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(LENGTH).await;
        assert_eq!(due(&table).1, ["first"]);
        assert_eq!(due(&table).1, [""; 0], "it is under way");
        table.recover();
        let (_, handles) = due(&table);
        assert_eq!(handles, ["first"]);
        let mut closing = std::pin::pin!(lease.close(Instant::now() + 5 * LENGTH));
        tokio::select! {
            biased;
            _closed = &mut closing => panic!("an extension is under way"),
            () = std::future::ready(()) => {}
        }
        table.recover();
        assert!(closing.await.is_uncertain());
        assert_eq!(due(&table).1, [""; 0]);
    }

    fn lost() -> Vec<Result<(), EntryError>> {
        let code = "InvalidParameterValue".to_owned();
        vec![Err(EntryError { kind: EntryErrorKind::LeaseLost, code })]
    }

    /// The handles of the extensions that are due.
    fn due(table: &LeaseTable) -> (Vec<Extended>, Vec<String>) {
        let (keys, changes) = table.take_due();
        (keys, changes.into_iter().map(|change| change.receipt.expose().to_owned()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_lends_its_handle_and_starts_the_lease_anew() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!lease.is_ours());
        assert!(admit(&table, "second").is_none());
        assert!(lease.is_ours());
        assert_eq!(lease.receipt().handle.expose(), "second");
        assert_eq!(lease.hideable(), CEILING);
        assert_eq!(due(&table).1, [""; 0], "not yet");
        tokio::time::advance(LENGTH).await;
        assert_eq!(due(&table).1, ["second"]);
        assert_eq!(table.metrics.in_progress()[0].1, 2, "the ledger counts both receives");
        drop(lease);
        assert_eq!((table.metrics.in_progress()[0].1, table.metrics.abandoned.get()), (0, 2));
        assert!(admit(&table, "third").is_some(), "it is in flight no more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_the_older_handle_does_not_lose_the_newer() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(LENGTH).await;
        let (keys, handles) = due(&table);
        assert_eq!(handles, ["first"]);
        assert!(admit(&table, "second").is_none());
        table.extended(&keys, Instant::now(), Some(&Ok(lost())));
        assert!(lease.is_ours() && !lease.is_lost());
        tokio::time::advance(LENGTH).await;
        let (keys, handles) = due(&table);
        assert_eq!(handles, ["second"]);
        table.extended(&keys, Instant::now(), Some(&Ok(lost())));
        assert!(lease.is_lost());
        assert_eq!(table.metrics.leases_lost.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_lease_takes_a_newer_handle_and_is_not_extended() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        let closed = lease.close(Instant::now() + 5 * LENGTH).await;
        tokio::time::advance(Duration::from_secs(80)).await;
        assert!(admit(&table, "second").is_none());
        assert_eq!(closed.as_ref().receipt().handle.expose(), "second");
        assert_eq!(closed.expires(), Instant::now() + Duration::from_secs(85));
        tokio::time::advance(LENGTH).await;
        assert_eq!(due(&table).1, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_given_back_that_comes_again_is_taken_in_anew() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        let closed = lease.close(Instant::now()).await;
        let again = admit(&table, "second").unwrap();
        assert_eq!(closed.as_ref().receipt().handle.expose(), "first");
        drop(closed);
        assert!(again.is_ours());
        assert!(admit(&table, "third").is_none(), "the end of the first lease is not that of the second");
        assert_eq!(again.receipt().handle.expose(), "third");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_an_extension_under_way_also_when_a_copy_comes_meanwhile() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(LENGTH).await;
        let (keys, _) = due(&table);
        let mut closing = std::pin::pin!(lease.close(Instant::now() + 5 * LENGTH));
        tokio::select! {
            biased;
            _closed = &mut closing => panic!("an extension is under way"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        assert!(admit(&table, "second").is_none());
        table.extended(&keys, Instant::now(), None);
        let closed = closing.await;
        assert!(closed.is_uncertain(), "that call may still take effect");
        assert_eq!(closed.as_ref().receipt().handle.expose(), "second");
    }
}
