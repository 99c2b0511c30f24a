//! The lanes of a listener: deletes, hides, copies for the dead-letter queue, and one for each result queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::exchange::results::State;
use crate::observe::event_log::EventLog;
use crate::pipeline::results::Results;
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::forward::{Forward, Owed};
use crate::pipeline::settle::job::{Destination, Job};
use crate::pipeline::settle::lane::{Lane, Outcome};
use crate::ports::Queue;

/// How long deletes and results are gathered.
const DELETE_LINGER: Duration = Duration::from_millis(100);
/// How long hidings are gathered.
const HIDE_LINGER: Duration = Duration::from_millis(20);
/// How long deletes are gathered where a budget is to save calls: ten come in it at ten messages a second. Who waits for a
/// delete does not wait for that. A process that is killed meanwhile leaves nine undeleted beside those of calls under way.
const SAVING_LINGER: Duration = Duration::from_secs(1);

/// The lane of an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Deletes,
    Hides,
    Copies,
    Successes,
    Failures,
}

impl Way {
    /// All, in the order in which they are served.
    const ALL: [Self; 5] = [Self::Deletes, Self::Hides, Self::Copies, Self::Successes, Self::Failures];

    /// The lane of what is to be done next.
    pub(super) fn of(exit: &Exit) -> Self {
        match exit {
            Exit::Delete { .. } => Self::Deletes,
            Exit::Hide { .. } => Self::Hides,
            Exit::After { forward, .. } => match &**forward {
                Forward::Copy(_) => Self::Copies,
                Forward::Result(Owed { told, .. }) => match told.state {
                    State::Success => Self::Successes,
                    State::Failed => Self::Failures,
                },
            },
        }
    }
}

/// All lanes; those of results where the listener has some.
pub(super) struct Lanes([Option<Lane>; 5]);

impl Lanes {
    /// Empty. The groups of a FIFO queue wait for deletes: nothing of one gathers but hidings.
    pub(super) fn new(
        queue: &Arc<dyn Queue>,
        results: &Results,
        is_fifo: bool,
        events: &Arc<EventLog>,
    ) -> Self {
        let gathers = if is_fifo { Duration::ZERO } else { DELETE_LINGER };
        let queue = || Arc::clone(queue);
        Self(Way::ALL.map(|way| {
            let (destination, linger) = match way {
                Way::Deletes => (Destination::Deletes(queue()), gathers),
                Way::Hides => (Destination::Hides(queue()), HIDE_LINGER),
                Way::Copies => (Destination::Copies(queue()), Duration::ZERO),
                Way::Successes => (Destination::Results(results.success.clone()?), gathers),
                Way::Failures => (Destination::Results(results.failure.clone()?), gathers),
            };
            Some(Lane::new(destination, linger, Arc::clone(events)))
        }))
    }

    /// Goes by this latency budget from now on. On FIFO queues it changes nothing: a group would wait for each of its deletes.
    pub(super) fn set_latency_budget(&mut self, budget: Duration, is_fifo: bool) {
        let linger = match (is_fifo, budget.is_zero()) {
            (true, _) => Duration::ZERO,
            (false, true) => DELETE_LINGER,
            (false, false) => SAVING_LINGER,
        };
        let [deletes, ..] = &mut self.0;
        if let Some(deletes) = deletes {
            deletes.set_linger(linger);
        }
    }

    /// More work.
    pub(super) fn push(&mut self, job: Job) {
        let way = Way::of(&job.exit);
        let lane = Way::ALL.iter().zip(&mut self.0).find(|(each, _)| **each == way);
        // Nothing goes to a lane that is not there.
        if let Some((_, Some(lane))) = lane {
            lane.push(job);
        }
    }

    /// Sends what has waited long enough, as far as calls may run.
    pub(super) fn send(&mut self, hurry: bool) {
        for lane in self.0.iter_mut().flatten() {
            lane.send(hurry);
        }
    }

    /// Whether there is no work, wherever it could be.
    pub(super) fn are_empty(&self) -> bool {
        self.0.iter().flatten().all(Lane::is_empty)
    }

    /// Why settling fails until a person acts: the first reason.
    pub(super) fn fault(&mut self) -> Option<String> {
        // Each is asked, since an empty lane forgets its fault then.
        self.0.iter_mut().flatten().fold(None, |fault, lane| fault.or(lane.fault()))
    }

    /// When there is something to send.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.0.iter().flatten().filter_map(Lane::next_at).min()
    }

    /// What the next call came to; `None` while there is none.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn answer(&mut self, unit: f64) -> Option<Outcome> {
        let [deletes, hides, copies, successes, failures] = &mut self.0;
        tokio::select! {
            biased;
            Some(outcome) = answer(deletes, unit) => Some(outcome),
            Some(outcome) = answer(hides, unit) => Some(outcome),
            Some(outcome) = answer(copies, unit) => Some(outcome),
            Some(outcome) = answer(successes, unit) => Some(outcome),
            Some(outcome) = answer(failures, unit) => Some(outcome),
            else => None,
        }
    }
}

async fn answer(lane: &mut Option<Lane>, unit: f64) -> Option<Outcome> {
    lane.as_mut()?.answer(unit).await
}
