//! How intake goes on after what receives brought: how many side by side, how long each waits, and not before when.
//!
//! Pure: time and jitter are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::backoff;
use crate::tuning;

/// Pause after a receive that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// What receives have told so far.
#[derive(Debug)]
pub(super) struct Plan {
    numbers: tuning::Intake,
    workers: usize,
    /// Whether the last receive brought something.
    busy: bool,
    /// Receives that may be under way.
    side_by_side: usize,
    failures: u32,
    /// No receive starts before.
    not_before: Option<Instant>,
    /// Whether no receive has started yet.
    is_first: bool,
}

/// How many messages a receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Yield {
    /// The queue is empty, or holds nothing that may be handed out.
    Nothing,
    /// Fewer than asked for.
    Some,
    /// As many as asked for.
    Full,
}

impl Yield {
    /// Of a receive of `max` messages at most that brought `count`.
    pub(super) fn of(count: usize, max: usize) -> Self {
        match count {
            0 => Self::Nothing,
            count if count < max => Self::Some,
            _ => Self::Full,
        }
    }
}

impl Plan {
    /// For a listener with so many workers.
    pub(super) fn new(workers: usize, numbers: tuning::Intake) -> Self {
        Self { numbers, workers, busy: false, side_by_side: 1, failures: 0, not_before: None, is_first: true }
    }

    /// The listener has so many workers from now on.
    pub(super) fn set_workers(&mut self, workers: usize) {
        self.workers = workers;
    }

    /// Whether the last receive brought something.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// When the next receive may start.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// How many receives may be under way; `single`: each is for one message.
    pub(super) fn side_by_side(&self, single: bool) -> usize {
        self.side_by_side.min(self.most(single))
    }

    /// The wait of a receive that starts now. The first returns at once, so that a fault is known at once.
    pub(super) fn wait(&mut self, wait: Duration) -> Duration {
        if std::mem::take(&mut self.is_first) { Duration::ZERO } else { wait }
    }

    /// A receive was answered; `no_wait`: it was not a long poll.
    pub(super) fn answered(&mut self, came: Yield, single: bool, no_wait: bool, now: Instant) {
        self.failures = 0;
        self.not_before = None;
        self.busy = came != Yield::Nothing;
        self.side_by_side = match came {
            Yield::Full => (self.side_by_side + 1).min(self.most(single)),
            Yield::Some | Yield::Nothing => self.side_by_side.saturating_sub(1).max(1),
        };
        if came == Yield::Nothing && no_wait {
            // Without a long poll an empty queue would be asked as fast as it answers.
            self.not_before = Some(now + self.numbers.busy_wait);
        }
    }

    /// A receive failed; `unit` is jitter in `[0, 1)`.
    pub(super) fn failed(&mut self, now: Instant, unit: f64) {
        self.failures = self.failures.saturating_add(1);
        self.stop_for(now, backoff::call(self.failures, unit));
    }

    /// A receive panicked.
    pub(super) fn panicked(&mut self, now: Instant) {
        self.stop_for(now, AFTER_PANIC);
    }

    fn stop_for(&mut self, now: Instant, pause: Duration) {
        self.busy = false;
        self.side_by_side = 1;
        self.not_before = Some(now + pause);
    }

    fn most(&self, single: bool) -> usize {
        let most = self.workers.div_ceil(self.numbers.workers_per_receive);
        if single { most.max(self.workers.min(self.numbers.single_receives_max)) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY_WAIT: Duration = Duration::from_secs(1);

    fn plan_for(workers: usize) -> Plan {
        Plan::new(workers, tuning::Intake::default())
    }

    fn answered(plan: &mut Plan, came: &[Yield], single: bool) -> usize {
        for came in came {
            plan.answered(*came, single, false, Instant::now());
        }
        plan.side_by_side(single)
    }

    #[tokio::test(start_paused = true)]
    async fn full_receives_bring_more_side_by_side_one_for_ten_workers_at_most() {
        let mut plan = plan_for(35);
        assert_eq!(plan.side_by_side(false), 1);
        assert_eq!(answered(&mut plan, &[Yield::Full], false), 2);
        assert_eq!(answered(&mut plan, &[Yield::Full; 9], false), 4);
        assert_eq!(answered(&mut plan, &[Yield::Some], false), 3);
        assert_eq!(answered(&mut plan, &[Yield::Nothing; 9], false), 1);
        assert!(!plan.is_busy());
    }

    #[tokio::test(start_paused = true)]
    async fn receives_of_one_message_may_be_as_many_as_workers_and_a_hundred_at_most() {
        let mut plan = plan_for(16);
        assert_eq!(answered(&mut plan, &[Yield::Full; 40], true), 16);
        assert_eq!(plan.side_by_side(false), 2, "they are for more than one message again");
        assert_eq!(answered(&mut plan_for(400), &[Yield::Full; 400], true), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer_and_longer_and_an_answer_ends_that() {
        let (mut plan, now) = (plan_for(16), Instant::now());
        let pause = |plan: &mut Plan| {
            plan.failed(now, 1.0);
            plan.not_before().unwrap() - now
        };
        let first = pause(&mut plan);
        let fifth = (0..4).map(|_| pause(&mut plan)).last().unwrap();
        assert!(fifth > 4 * first, "{first:?}, then {fifth:?}");
        assert!((0..20).map(|_| pause(&mut plan)).all(|pause| pause <= Duration::from_secs(30)));
        plan.answered(Yield::Some, false, false, now);
        assert_eq!((plan.not_before(), plan.is_busy()), (None, true));
        assert_eq!(pause(&mut plan), first);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_queue_that_is_asked_without_a_long_poll_is_asked_once_a_second() {
        let (mut plan, now) = (plan_for(16), Instant::now());
        plan.answered(Yield::Nothing, false, true, now);
        assert_eq!(plan.not_before(), Some(now + BUSY_WAIT));
        assert_eq!(plan.wait(BUSY_WAIT), Duration::ZERO, "the very first receive returns at once");
        assert_eq!(plan.wait(BUSY_WAIT), BUSY_WAIT);
    }
}
