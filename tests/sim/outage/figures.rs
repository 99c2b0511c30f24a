//! The figures of one run: one row of the page.

use std::collections::HashSet;
use std::time::Duration;

use super::case::{Case, Load, STEADY};
use super::model::Counters;

/// Throughput is measured over this many seconds.
const WINDOW: usize = 5;
/// The part of the capacity that counts as full speed.
const FULL_SPEED: f64 = 0.9;

/// The messages left in the queue and in its dead-letter queue at the end.
#[derive(Debug, Default)]
pub struct Remaining {
    received: u64,
    receives: u64,
    /// Bodies in the dead-letter queue.
    pub dead: HashSet<String>,
}

impl Remaining {
    /// One message, received so many times.
    pub fn count(&mut self, receives: u32) {
        self.received += u64::from(receives > 0);
        self.receives += u64::from(receives);
    }
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Messages that count.
    pub sent: u64,
    pub done: u64,
    /// Messages in the dead-letter queue, or failed on their last receive.
    pub dead: u64,
    pub posts: u64,
    /// Share of POSTs that did not succeed.
    pub in_vain: f64,
    /// Mean over the messages received at least once.
    pub receives_per_message: f64,
    /// Deliveries, as a share of those at an endpoint that is always used to its capacity.
    pub useful: f64,
    /// From the end of the outage to full speed; `None` if it was not reached or the backlog was too small.
    pub full_speed: Option<Duration>,
    /// From the end of the outage to the first success.
    pub first_success: Option<Duration>,
    /// From the end of the outage to the last success.
    pub all_done: Option<Duration>,
}

impl Figures {
    pub(super) fn new(case: &Case, sent: u64, counters: &Counters, left: &Remaining) -> Self {
        let done = counters.done();
        let dead = counters.doomed.union(&left.dead).count() as u64;
        let after = case.scenario.outage().1;
        Self {
            sent,
            done,
            dead,
            posts: counters.posts,
            in_vain: ratio(counters.in_vain as f64, counters.posts as f64),
            receives_per_message: ratio(
                (counters.receives + left.receives) as f64,
                (done + left.received) as f64,
            ),
            useful: ratio(done as f64, possible(case)),
            full_speed: full_speed(case, &counters.successes),
            first_success: counters.first_success_after.map(|at| at - after),
            all_done: (done + dead == sent).then(|| counters.last_success.saturating_sub(after)),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The deliveries of an endpoint that is used whenever it has capacity and there are messages.
fn possible(case: &Case) -> f64 {
    let step = Duration::from_millis(100);
    let (mut waiting, arriving) = match case.load {
        Load::Backlog(count) => (count as f64, 0.0),
        Load::Steady => (0.0, STEADY * step.as_secs_f64()),
    };
    let mut at = Duration::ZERO;
    if case.load.is_small() {
        at = case.scenario.outage().0;
    }
    let mut done = 0.0;
    while at < case.scenario.end() {
        waiting += arriving;
        let now = waiting.min(case.scenario.behaviour(at).capacity() * step.as_secs_f64());
        (waiting, done) = (waiting - now, done + now);
        at += step;
    }
    done
}

/// When the first window at full speed begins, from the end of the outage.
fn full_speed(case: &Case, successes: &[u32]) -> Option<Duration> {
    let (_, end) = case.scenario.outage();
    let full = FULL_SPEED * WINDOW as f64 * case.scenario.behaviour(end).capacity();
    let after = successes.get(end.as_secs() as usize..)?;
    let fast = |window: &[u32]| f64::from(window.iter().sum::<u32>()) >= full;
    after.windows(WINDOW).position(fast).map(|second| Duration::from_secs(second as u64))
}
