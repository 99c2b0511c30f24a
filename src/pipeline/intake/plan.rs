//! How intake goes on after what receives brought: how many side by side, how long each waits, and not before when.
//!
//! Pure: time and jitter are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::Smoothed;
use crate::pipeline::intake::gather::{Brought, Gather, Next};
use crate::pipeline::intake::not_receiving::NotReceiving;
use crate::policy::backoff;
use crate::tuning;

/// A long poll that ends within this part of its time had messages to bring at once.
const SOON: u32 = 4;
/// Pause after a receive that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// What receives have told so far.
#[derive(Debug)]
pub(super) struct Plan {
    numbers: tuning::Intake,
    /// Of the listener, now.
    pub(super) workers: usize,
    /// Whether the last receive brought something.
    pub(super) busy: bool,
    /// Receives that may be under way.
    side_by_side: usize,
    failures: u32,
    /// No receive starts before, and why.
    pub(super) not_before: Option<(Instant, NotReceiving)>,
    /// How long receives take that wait for no message.
    takes: Smoothed,
    /// Whether the last one found a backlog.
    backlog: bool,
    gather: Gather,
    /// Whether no receive has started yet.
    is_first: bool,
}

impl Plan {
    /// For a listener with so many workers.
    pub(super) fn new(workers: usize, numbers: tuning::Intake) -> Self {
        Self {
            numbers,
            workers,
            busy: false,
            side_by_side: 1,
            failures: 0,
            not_before: None,
            takes: Smoothed::default(),
            backlog: false,
            gather: Gather::default(),
            is_first: true,
        }
    }

    /// How many receives may be under way; `single`: each is for one message.
    pub(super) fn side_by_side(&self, single: bool) -> usize {
        self.side_by_side.min(self.most(single))
    }

    /// The wait of a receive that starts now. The first returns at once, so that a fault is known at once.
    pub(super) fn wait(&mut self, wait: Duration) -> Duration {
        if std::mem::take(&mut self.is_first) { Duration::ZERO } else { wait }
    }

    /// How long a receive takes, while there is a backlog.
    pub(super) fn takes(&self) -> Option<Duration> {
        self.takes.get().filter(|_| self.backlog)
    }

    /// A receive of `max` messages at most that may `wait` brought `count` after so long. From a backlog SQS brings half of them
    /// at least, and soon.
    pub(super) fn took(&mut self, count: usize, max: usize, took: Duration, wait: Duration) {
        let is_soon = wait.is_zero() || took <= wait / SOON;
        self.backlog = self.busy && is_soon && count >= max.div_ceil(2);
        if self.backlog {
            self.takes.add(took);
        }
    }

    /// Messages gather before the next receive, if that is within the budget. After [`Self::answered`].
    pub(super) fn gather(&mut self, brought: Brought, budget: Duration, now: Instant) {
        let most = self.numbers.batch.min(self.workers);
        match self.gather.answered(brought, most, budget, now) {
            Next::At(at) => {
                self.side_by_side = 1;
                self.not_before = Some((at, NotReceiving::Gathering));
            }
            Next::Alone => self.side_by_side = 1,
            Next::AtOnce => {}
        }
    }

    /// A receive of `max` messages at most brought `count`; `no_wait`: it was not a long poll.
    pub(super) fn answered(&mut self, count: usize, max: usize, single: bool, no_wait: bool, now: Instant) {
        self.failures = 0;
        self.busy = count > 0;
        self.side_by_side = if self.busy && count >= max {
            (self.side_by_side + 1).min(self.most(single))
        } else {
            self.side_by_side.saturating_sub(1).max(1)
        };
        // Without a long poll an empty queue would be asked as fast as it answers.
        let pause = (!self.busy && no_wait).then(|| now + self.numbers.busy_wait);
        self.not_before = pause.map(|at| (at, NotReceiving::BackOff));
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
        (self.busy, self.backlog) = (false, false);
        self.side_by_side = 1;
        self.not_before = Some((now + pause, NotReceiving::BackOff));
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

    /// Receives of ten messages bring so many.
    fn answered(plan: &mut Plan, came: &[usize], single: bool) -> usize {
        for count in came {
            plan.answered(*count, 10, single, false, Instant::now());
        }
        plan.side_by_side(single)
    }

    #[tokio::test(start_paused = true)]
    async fn full_receives_bring_more_side_by_side_one_for_ten_workers_at_most() {
        let mut plan = plan_for(35);
        assert_eq!(plan.side_by_side(false), 1);
        assert_eq!(answered(&mut plan, &[10], false), 2);
        assert_eq!(answered(&mut plan, &[10; 9], false), 4);
        assert_eq!(answered(&mut plan, &[1], false), 3);
        assert_eq!(answered(&mut plan, &[0; 9], false), 1);
        assert!(!plan.busy);
    }

    #[test]
    fn how_long_a_receive_takes_is_known_of_a_backlog_alone() {
        let mut plan = plan_for(16);
        plan.took(1, 1, 20 * BUSY_WAIT, 20 * BUSY_WAIT);
        assert_eq!(plan.takes(), None, "an idle listener waits for its message");
        plan.busy = true;
        plan.took(5, 10, BUSY_WAIT / 100, BUSY_WAIT);
        assert_eq!(plan.takes(), Some(BUSY_WAIT / 100));
        plan.took(4, 10, BUSY_WAIT / 100, BUSY_WAIT);
        assert_eq!(plan.takes(), None, "they trickle in");
        plan.took(10, 10, BUSY_WAIT / 100, BUSY_WAIT);
        assert_eq!(plan.takes(), Some(BUSY_WAIT / 100));
        plan.took(1, 1, BUSY_WAIT / 2, BUSY_WAIT);
        assert_eq!(plan.takes(), None, "it waited for its message");
        plan.took(1, 1, BUSY_WAIT / 2, Duration::ZERO);
        assert!(plan.takes().is_some(), "it did not wait");
        plan.panicked(Instant::now());
        assert_eq!(plan.takes(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_budget_receives_go_one_at_a_time_until_what_waits_is_late() {
        let (mut plan, now, budget) = (plan_for(64), Instant::now(), BUSY_WAIT / 10);
        let mut after = |millis, count, budget| {
            let now = now + Duration::from_millis(millis);
            plan.answered(count, 10, false, false, now);
            plan.gather(Brought { count, is_full: count == 10, is_backlog: false }, budget, now);
            (plan.not_before.map(|(at, why)| (at - now, why)), plan.side_by_side(false))
        };
        let gathering = |millis| Some((Duration::from_millis(millis), NotReceiving::Gathering));
        assert_eq!(after(0, 3, budget), (gathering(100), 1));
        assert_eq!(after(100, 10, budget), (None, 1), "what it left has waited for long enough");
        assert_eq!(after(110, 10, budget), (None, 2));
        assert_eq!(after(120, 10, budget), (None, 3));
        assert_eq!(after(130, 3, budget).1, 1);
        assert_eq!(after(140, 0, budget), (None, 1), "a long poll: what comes comes at once");
        assert_eq!(after(150, 3, Duration::ZERO), (None, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn receives_of_one_message_may_be_as_many_as_workers_and_a_hundred_at_most() {
        let mut plan = plan_for(16);
        assert_eq!(answered(&mut plan, &[10; 40], true), 16);
        assert_eq!(plan.side_by_side(false), 2, "they are for more than one message again");
        assert_eq!(answered(&mut plan_for(400), &[10; 400], true), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer_and_longer_and_an_answer_ends_that() {
        let (mut plan, now) = (plan_for(16), Instant::now());
        let pause = |plan: &mut Plan| {
            plan.failed(now, 1.0);
            plan.not_before.unwrap().0 - now
        };
        let first = pause(&mut plan);
        let fifth = (0..4).map(|_| pause(&mut plan)).last().unwrap();
        assert!(fifth > 4 * first, "{first:?}, then {fifth:?}");
        assert!((0..20).map(|_| pause(&mut plan)).all(|pause| pause <= Duration::from_secs(30)));
        plan.answered(1, 10, false, false, now);
        assert_eq!((plan.not_before, plan.busy), (None, true));
        assert_eq!(pause(&mut plan), first);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_queue_that_is_asked_without_a_long_poll_is_asked_once_a_second() {
        let (mut plan, now) = (plan_for(16), Instant::now());
        plan.answered(0, 10, false, true, now);
        assert_eq!(plan.not_before, Some((now + BUSY_WAIT, NotReceiving::BackOff)));
        assert_eq!(plan.wait(BUSY_WAIT), Duration::ZERO, "the very first receive returns at once");
        assert_eq!(plan.wait(BUSY_WAIT), BUSY_WAIT);
    }
}
