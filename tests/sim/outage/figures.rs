//! What a run says: the figures of one row.

use std::collections::HashSet;
use std::time::Duration;

use super::case::{Case, Load, STEADY};
use super::model::{Counters, is_poison};
use super::scenario::SERVICE_SECONDS;

/// Successes over so many seconds say how fast it goes.
const WINDOW: usize = 5;
/// The part of the capacity that counts as full speed.
const FULL_SPEED: f64 = 0.9;

/// What is in the queue and behind it at the end.
#[derive(Debug, Default)]
pub struct Remaining {
    received: u64,
    receives: u64,
    /// Bodies in the dead-letter queue.
    pub dead: HashSet<String>,
    /// Calls to SQS.
    pub calls: u64,
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
    /// Messages in the dead-letter queue, or bound for it: they failed on their final receive.
    pub dead: u64,
    pub posts: u64,
    /// Share of POSTs in vain.
    pub in_vain: f64,
    /// Mean over the messages received at least once.
    pub receives_per_message: f64,
    /// Done, as a share of what an endpoint that is used whenever it can be would have done.
    pub useful: f64,
    /// From the end of the outage to full speed; `None` if it was not reached or there was no backlog for it.
    pub full_speed: Option<Duration>,
    /// From the end of the outage to the first success.
    pub first_success: Option<Duration>,
    /// From the end of the outage to the last success.
    pub all_done: Option<Duration>,
    /// Calls to SQS for each message done.
    pub calls_per_message: f64,
    /// POSTs for each message done.
    pub posts_per_message: f64,
    /// POSTs of messages that had been taken before.
    pub again: u64,
}

impl Figures {
    pub(super) fn new(case: &Case, sent: u64, counters: &Counters, left: &Remaining) -> Self {
        let done = counters.done();
        let dead = counters.doomed.union(&left.dead).filter(|body| !is_poison(body)).count() as u64;
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
            useful: ratio((done - counters.again) as f64, possible(case)),
            full_speed: full_speed(case, &counters.successes),
            first_success: counters.first_success_after.map(|at| at - after),
            all_done: (done - counters.again + dead == sent)
                .then(|| counters.last_success.saturating_sub(after)),
            calls_per_message: ratio(left.calls as f64, done as f64),
            posts_per_message: ratio(counters.posts as f64, done as f64),
            again: counters.again,
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// What an endpoint does that is used whenever it has capacity and there is work.
fn possible(case: &Case) -> f64 {
    let step = Duration::from_millis(100);
    let (mut waiting, arriving) = match case.load {
        Load::Backlog(_) | Load::Groups { .. } | Load::Batches(_) => (case.load.count() as f64, 0.0),
        Load::Steady => (0.0, STEADY * step.as_secs_f64()),
    };
    let mut at = Duration::ZERO;
    if case.load.is_small() {
        at = case.scenario.outage().0;
    }
    let mut done = 0.0;
    let side_by_side = match case.load {
        Load::Groups { groups, .. } => f64::from(groups) / SERVICE_SECONDS,
        Load::Backlog(_) | Load::Batches(_) | Load::Steady => f64::INFINITY,
    };
    while at < case.scenario.end() {
        waiting += arriving;
        let now = waiting.min(case.scenario.behaviour(at).capacity().min(side_by_side) * step.as_secs_f64());
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
