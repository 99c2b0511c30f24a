//! The lease extender: while a message is in flight, its visibility does not lapse.
//!
//! One task per listener extends, in batches of ten, the leases whose time is near. Extensions stop at SQS's twelve
//! hours. When a lease ends, a POST that runs goes on, because its outcome still matters; one that has not begun does
//! not begin. Failed extensions are tried again for as long as the message is in flight: SQS takes a standard queue's
//! handle late too, if nobody else received the message.
//!
//! Time is the runtime's, which no change of the wall clock moves. A process that stood still finds its leases run
//! out; a machine that stood still may not, and learns it from the answer to the next extension.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::observe::health::Tick;
use crate::pipeline::lease::table::{Entry, LeaseTable, Loss, begins};
use crate::pipeline::panics::caught;
use crate::policy::backoff;
use crate::policy::visibility::{ANSWER_SLACK, ARRIVES_WITHIN, whole_seconds};
use crate::ports::{BatchResult, EntryErrorKind, Queue, VisibilityChange};
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

/// One call: the leases to extend, and by which handles.
#[derive(Debug)]
struct Call {
    asked: Instant,
    keys: Vec<u64>,
    changes: Vec<VisibilityChange>,
}

impl LeaseTable {
    /// Extends leases until `stop`, then finishes the calls under way. May run again after a panic.
    pub(in crate::pipeline) async fn run(
        &self,
        queue: &Arc<dyn Queue>,
        tick: &Tick,
        stop: &CancellationToken,
    ) {
        self.recover();
        let mut calls = JoinSet::new();
        loop {
            tick.touch();
            let calls_max = CALLS_MIN.max(self.lock().by_key.len() / (CALLS_IN_A_ROW * self.limits.batch));
            while calls.len() < calls_max {
                let call = self.take_due();
                if call.keys.is_empty() {
                    break;
                }
                let queue = Arc::clone(queue);
                calls.spawn(async move {
                    // A call that panics must not lose its leases.
                    let result = caught(queue.change_visibility(&call.changes)).await;
                    (call, result)
                });
            }
            // With all calls under way the end of one wakes it.
            let first = self.lock().due.first().map(|&(at, _)| at);
            let due = first.filter(|_| calls.len() < calls_max);
            let idle = Instant::now() + IDLE;
            tokio::select! {
                biased;
                Some(Ok((call, result))) = calls.join_next() => self.extended(&call, Instant::now(), result.as_ref()),
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(due.map_or(idle, |due| due.min(idle))) => {}
            }
        }
        while let Some(Ok((call, result))) = calls.join_next().await {
            self.extended(&call, Instant::now(), result.as_ref());
        }
    }

    /// Takes the leases over from a run that panicked: what that had under way may or may not have taken effect.
    fn recover(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        let keys: Vec<u64> = state.by_key.keys().copied().collect();
        for key in keys {
            let Some(entry) = state.by_key.get_mut(&key) else { continue };
            if std::mem::take(&mut entry.extending) {
                entry.uncertain = Some(now);
            }
            // It was under way, or lost its place when the run panicked before the call began.
            if entry.due.is_none() {
                state.schedule(key, now);
            }
        }
        drop(state);
        self.answered.notify_waiters();
    }

    /// Up to ten leases to extend, marked as such: when the time of one has come, those near theirs go along.
    fn take_due(&self) -> Call {
        let asked = Instant::now();
        let mut call = Call { asked, keys: Vec::new(), changes: Vec::new() };
        let mut state = self.lock();
        while call.keys.len() < self.limits.batch {
            let near = if call.keys.is_empty() { asked } else { asked + self.length / COMPANY };
            let Some(&(at, key)) = state.due.first().filter(|(at, _)| *at <= near) else { break };
            state.due.remove(&(at, key));
            let Some(entry) = state.by_key.get_mut(&key) else { continue };
            entry.due = None;
            let left = entry.grant.ceiling.saturating_duration_since(asked);
            if left <= ANSWER_SLACK {
                self.lose(entry, Loss::Ceiling);
                continue;
            }
            entry.extending = true;
            let left = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
            let seconds = whole_seconds(self.length).min(left);
            call.changes.push(VisibilityChange { receipt: entry.grant.handle.clone(), seconds });
            call.keys.push(key);
        }
        call
    }

    /// Takes in what SQS answered to the extensions of one call; nothing when that panicked.
    fn extended(&self, call: &Call, answered: Instant, result: Option<&BatchResult>) {
        let (entries, uncertain) = match result {
            Some(Ok(entries)) => (entries.as_slice(), false),
            Some(Err(error)) => {
                self.events.queue_error(error);
                (&[][..], error.may_be_carried_out())
            }
            None => (&[][..], true),
        };
        // One for all: what failed in one call is tried again in one.
        let unit = self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        let mut state = self.lock();
        for (index, (&key, change)) in call.keys.iter().zip(&call.changes).enumerate() {
            let result = match entries.get(index) {
                Some(Ok(())) => ExtensionResult::Extended,
                Some(Err(error)) if error.kind == EntryErrorKind::LeaseLost => ExtensionResult::Lost,
                Some(Err(_)) | None => ExtensionResult::Failed,
            };
            let Some(entry) = state.by_key.get_mut(&key) else { continue };
            entry.extending = false;
            if uncertain {
                entry.uncertain = Some(answered);
            }
            self.metrics.extension(result);
            let due = if entry.grant.handle == change.receipt {
                self.due_after(entry, result, call.asked, answered, unit)
            } else {
                // It was about a handle that has been replaced since, and with it the lease.
                Some(self.next_extension(entry.grant.expires))
            };
            if let Some(due) = due {
                state.schedule(key, due);
            }
        }
        drop(state);
        self.answered.notify_waiters();
    }

    /// What an extension changes of its lease; when it is extended next, if it is.
    fn due_after(
        &self,
        entry: &mut Entry,
        result: ExtensionResult,
        asked: Instant,
        answered: Instant,
        unit: f64,
    ) -> Option<Instant> {
        match result {
            ExtensionResult::Extended => {
                if entry.grant.expires <= asked {
                    // SQS took it late; others may have received the message meanwhile.
                    self.lose(entry, Loss::Lapsed);
                }
                let left = entry.grant.ceiling.saturating_duration_since(answered).min(self.length);
                let expires = begins(asked, answered) + left;
                entry.grant.expires = expires;
                entry.failures = 0;
                // One that was given up may arrive after this one.
                entry.uncertain = entry.uncertain.filter(|given_up| asked < *given_up + ARRIVES_WITHIN);
                // At the ceiling nothing is left to extend, but the end to be noted.
                Some(if left == self.length { self.next_extension(expires) } else { expires })
            }
            ExtensionResult::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                let left = entry.grant.expires.saturating_duration_since(answered);
                if left.is_zero() {
                    self.lose(entry, Loss::Lapsed);
                }
                Some(answered + retry_after(entry.failures, left, unit))
            }
            ExtensionResult::Lost => {
                // What SQS answers to its delete decides: that may be what has ended the lease.
                if !entry.deleting {
                    self.lose(entry, Loss::Lost);
                }
                None
            }
        }
    }

    /// Notes the end of a lease, and tells the log the first time.
    fn lose(&self, entry: &mut Entry, loss: Loss) {
        let why = match loss {
            Loss::Lapsed => "its lease ran out before SQS extended it",
            Loss::Ceiling => "its lease ended with the twelve hours that SQS hides a message",
            Loss::Lost => "SQS calls its receipt handle invalid",
        };
        if self.ends(entry, loss) {
            let fix = EntryErrorKind::LeaseLost.fix();
            self.events.left_to_sqs(entry.id.as_str(), "keep a message", why, fix);
        }
    }
}

/// Pause after so many failures in a row to extend a lease with so much left; `unit` is jitter in `[0, 1)`.
fn retry_after(failures: u32, left: Duration, unit: f64) -> Duration {
    let pause = backoff::doubled(RETRY_FIRST, failures.saturating_sub(1), RETRY_MAX);
    let pause = if left.is_zero() { pause } else { pause.min(RETRY_FIRST.max(left / 3)) };
    pause.mul_f64(0.5 + 0.5 * unit)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::limit::clock::Wall;
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
            Arc::new(EventLog::new("orders", "orders", "api", Wall::System)),
            1,
        )
    }

    fn message(receipt: &str) -> Message {
        Message {
            receive_count: ReceiveCount::new(1),
            ..Message::new(MessageId::new("m"), ReceiptHandle::new(receipt), Bytes::new())
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
            () = &mut closing => panic!("an extension is under way"),
            () = std::future::ready(()) => {}
        }
        table.recover();
        closing.await;
        assert!(lease.is_uncertain());
        assert_eq!(due(&table).1, [""; 0]);
    }

    fn lost() -> Vec<Result<(), EntryError>> {
        let code = "InvalidParameterValue".to_owned();
        vec![Err(EntryError { kind: EntryErrorKind::LeaseLost, code })]
    }

    /// The handles of the extensions that are due.
    fn due(table: &LeaseTable) -> (Call, Vec<String>) {
        let call = table.take_due();
        let handles = call.changes.iter().map(|change| change.receipt.expose().to_owned()).collect();
        (call, handles)
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_lends_its_handle_and_starts_the_lease_anew() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!lease.is_ours());
        assert!(admit(&table, "second").is_none());
        assert!(lease.is_ours());
        assert_eq!(lease.handle().expose(), "second");
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
        let (call, handles) = due(&table);
        assert_eq!(handles, ["first"]);
        assert!(admit(&table, "second").is_none());
        table.extended(&call, Instant::now(), Some(&Ok(lost())));
        assert!(lease.is_ours() && !lease.is_lost());
        tokio::time::advance(LENGTH).await;
        let (call, handles) = due(&table);
        assert_eq!(handles, ["second"]);
        table.extended(&call, Instant::now(), Some(&Ok(lost())));
        assert!(lease.is_lost());
        assert_eq!(table.metrics.leases_lost.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_extension_that_got_no_answer_may_arrive_after_a_later_one_that_did() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(LENGTH).await;
        let (call, _) = due(&table);
        table.extended(&call, Instant::now(), None);
        let again = async |after: Duration| {
            tokio::time::advance(after).await;
            let (keys, changes) = (call.keys.clone(), call.changes.clone());
            let call = Call { asked: Instant::now(), keys, changes };
            table.extended(&call, Instant::now(), Some(&Ok(vec![Ok(())])));
        };
        again(Duration::from_secs(2)).await;
        assert!(lease.is_uncertain(), "the first may arrive yet, and overwrite what is sent now");
        again(ARRIVES_WITHIN).await;
        assert!(!lease.is_uncertain());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_lease_takes_a_newer_handle_and_is_not_extended() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        lease.close(Instant::now() + 5 * LENGTH).await;
        tokio::time::advance(Duration::from_secs(80)).await;
        assert!(admit(&table, "second").is_none());
        assert_eq!(lease.handle().expose(), "second");
        assert_eq!(lease.expires(), Instant::now() + Duration::from_secs(85));
        tokio::time::advance(LENGTH).await;
        assert_eq!(due(&table).1, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_given_back_that_comes_again_is_taken_in_anew() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        lease.close(Instant::now()).await;
        let again = admit(&table, "second").unwrap();
        assert_eq!(lease.handle().expose(), "first");
        drop(lease);
        assert!(again.is_ours());
        assert!(admit(&table, "third").is_none(), "the end of the first lease is not that of the second");
        assert_eq!(again.handle().expose(), "third");
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_an_extension_under_way_also_when_a_copy_comes_meanwhile() {
        let table = table();
        let lease = admit(&table, "first").unwrap();
        tokio::time::advance(LENGTH).await;
        let (call, _) = due(&table);
        let mut closing = std::pin::pin!(lease.close(Instant::now() + 5 * LENGTH));
        tokio::select! {
            biased;
            () = &mut closing => panic!("an extension is under way"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        assert!(admit(&table, "second").is_none());
        table.extended(&call, Instant::now(), None);
        closing.await;
        assert!(lease.is_uncertain(), "that call may still take effect");
        assert_eq!(lease.handle().expose(), "second");
    }
}
