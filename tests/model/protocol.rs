//! The steps: which are possible in a state, and what each changes. Each has the name of the code's own function.

use stateright::{Model, Property};

use super::flaw::Flaw;
use super::properties;
use super::sqs::{Way, ways};
use super::state::{
    Budget, Call, Entry, Fate, Job, Kind, Late, Lease, MESSAGES, PROCESSES, Place, Process, Stage, State,
    Stored, Visibility,
};

/// The model, its sizes and its wrong line.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub is_fifo: bool,
    pub has_results: bool,
    /// Whether leases are extended. Without that they lapse all the same.
    pub extends: bool,
    pub outcomes: &'static [Outcome],
    pub messages: usize,
    pub max_receives: u8,
    pub budget: Budget,
    pub flaw: Option<Flaw>,
}

/// What the endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    Throttled,
    /// A row of the listener says `dead_letter`.
    Rejected,
}

/// One step. `p` is a process, `m` a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A receive of `p`, and what it brings is taken in flight; or its answer is lost.
    Receive {
        p: usize,
        first: usize,
        count: usize,
        is_lost: bool,
    },
    /// A standard queue hands out a hidden message.
    ReceiveHidden {
        p: usize,
        m: usize,
    },
    Attempt {
        p: usize,
        m: usize,
    },
    WayOut {
        p: usize,
        m: usize,
        outcome: Outcome,
    },
    GoesOn {
        p: usize,
    },
    TakeDue {
        p: usize,
        m: usize,
    },
    /// SQS takes an extension, and its process learns of it.
    Extended {
        p: usize,
        m: usize,
        way: Way,
    },
    /// It gets no answer: it is lost, or arrives later.
    ExtendedUnanswered {
        p: usize,
        m: usize,
        is_late: bool,
    },
    Send {
        p: usize,
        m: usize,
    },
    Entry {
        p: usize,
        m: usize,
    },
    Failed {
        p: usize,
        m: usize,
        is_late: bool,
    },
    GiveUp {
        p: usize,
        m: usize,
    },
    Repeat {
        p: usize,
        m: usize,
    },
    /// SQS takes a step of settlement; of a forward its process learns at once.
    SqsTakes {
        p: usize,
        m: usize,
        kind: Kind,
        way: Way,
    },
    /// SQS takes a call whose process waits no more.
    SqsTakesLate {
        index: usize,
        way: Way,
    },
    /// The visibility of a message ends.
    Returns {
        m: usize,
    },
    /// `p` dies, and another begins in its place.
    Dies {
        p: usize,
    },
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let stored = |message| Stored {
            place: if message < self.messages { Place::Here } else { Place::Deleted },
            visibility: Visibility::Visible,
            receives: 0,
            succeeded: message >= self.messages,
            rejected: false,
            result: message >= self.messages,
            copied: false,
        };
        let processes = std::array::from_fn(|_| Process::default());
        vec![State { queue: std::array::from_fn(stored), processes, late: Vec::new(), left: self.budget }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.sqs_steps(state, steps);
        for p in 0..PROCESSES {
            self.receives(state, p, steps);
            if state.processes[p].run.as_ref().is_some_and(|run| run.fate != Fate::Pending) {
                steps.push(Step::GoesOn { p });
            }
            for m in 0..self.messages {
                if let Some(entry) = &state.processes[p].entries[m] {
                    self.lease_steps(state, (p, m), entry, steps);
                    self.stage_steps(state, (p, m), entry, steps);
                }
                let comes_late =
                    |late: &Late| (late.process, late.message, late.kind) == (p, m, Kind::Extension);
                // What got no answer arrives before the park is sent again, or never.
                if state.processes[p].repeats[m].is_some() && !state.late.iter().any(comes_late) {
                    steps.push(Step::Repeat { p, m });
                }
            }
            if state.left.crashes > 0 && state.processes[p] != Process::default() {
                steps.push(Step::Dies { p });
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        self.take(&mut state, step);
        // A call that can change nothing any more is no difference.
        let (queue, changes) = (&state.queue, |kind| matches!(kind, Kind::Result | Kind::Copy));
        state.late.retain(|late| queue[late.message].place == Place::Here || changes(late.kind));
        state.late.sort_unstable();
        state.late.dedup();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

impl Protocol {
    fn receives(&self, state: &State, p: usize, steps: &mut Vec<Step>) {
        let is_here = |m: &usize| state.queue[*m].place == Place::Here;
        let ready = |m: &usize| is_here(m) && state.queue[*m].visibility == Visibility::Visible;
        let firsts: Vec<usize> = if self.is_fifo {
            (0..self.messages).find(is_here).filter(ready).into_iter().collect()
        } else {
            (0..self.messages).filter(ready).collect()
        };
        for first in firsts {
            let most = if self.is_fifo { self.messages - first } else { 1 };
            for count in 1..=most {
                steps.push(Step::Receive { p, first, count, is_lost: false });
                if state.left.lost > 0 {
                    steps.push(Step::Receive { p, first, count, is_lost: true });
                }
            }
        }
        if state.left.twice > 0 && !self.is_fifo {
            let hidden = |m: &usize| is_here(m) && !ready(m) && state.queue[*m].receives < self.max_receives;
            steps.extend((0..self.messages).filter(hidden).map(|m| Step::ReceiveHidden { p, m }));
        }
    }

    fn lease_steps(&self, state: &State, (p, m): (usize, usize), entry: &Entry, steps: &mut Vec<Step>) {
        let Some(receipt) = entry.extension else {
            // An extension of a message that waits changes nothing, unless its lease has lapsed.
            let matters =
                entry.lease == Lease::Lapsed || !matches!(entry.stage, Stage::Behind | Stage::Waiting);
            if self.extends && matters && !entry.closed && entry.lease != Lease::Lost {
                steps.push(Step::TakeDue { p, m });
            }
            return;
        };
        let ways = ways(&state.queue[m], Kind::Extension, receipt, self.is_fifo).iter();
        steps.extend(ways.map(|way| Step::Extended { p, m, way: *way }));
        if state.left.lost > 0 {
            steps.push(Step::ExtendedUnanswered { p, m, is_late: false });
            steps.push(Step::ExtendedUnanswered { p, m, is_late: true });
        }
    }

    fn stage_steps(&self, state: &State, (p, m): (usize, usize), entry: &Entry, steps: &mut Vec<Step>) {
        match entry.stage {
            Stage::Behind | Stage::Closing(_) => {}
            Stage::Waiting => steps.push(Step::Attempt { p, m }),
            Stage::Posting => {
                let way_out = |outcome: &Outcome| Step::WayOut { p, m, outcome: *outcome };
                steps.extend(self.outcomes.iter().map(way_out));
            }
            Stage::Settling(job) => Self::job_steps(state, (p, m), entry, job, steps),
        }
    }

    fn job_steps(state: &State, (p, m): (usize, usize), entry: &Entry, job: Job, steps: &mut Vec<Step>) {
        match job.call {
            Call::Idle => {
                let is_hiding = job.exit.then().is_none() && !job.exit.deletes();
                let is_first = job.sent.is_none() && !job.unanswered;
                if is_first || entry.is_ours() || !is_hiding {
                    steps.push(Step::Send { p, m });
                }
                if !is_first && !entry.is_ours() {
                    steps.push(Step::GiveUp { p, m });
                }
            }
            Call::Sent(_) if state.left.lost > 0 => {
                steps.push(Step::Failed { p, m, is_late: false });
                steps.push(Step::Failed { p, m, is_late: true });
            }
            Call::Sent(_) => {}
            Call::Answered(..) => steps.push(Step::Entry { p, m }),
        }
    }

    fn sqs_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let takes = |m: usize, kind, receipt| ways(&state.queue[m], kind, receipt, self.is_fifo);
        for m in (0..self.messages).filter(|m| state.may_return(*m)) {
            steps.push(Step::Returns { m });
        }
        for (index, late) in state.late.iter().enumerate() {
            let ways = takes(late.message, late.kind, late.receipt).iter();
            steps.extend(ways.map(|way| Step::SqsTakesLate { index, way: *way }));
        }
        for p in 0..PROCESSES {
            for m in 0..MESSAGES {
                let call = state.processes[p].entries[m].as_ref().and_then(Entry::call);
                if let Some((kind, receipt)) = call {
                    let ways = takes(m, kind, receipt).iter();
                    steps.extend(ways.map(|way| Step::SqsTakes { p, m, kind, way: *way }));
                }
            }
        }
    }

    fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Receive { p, first, count, is_lost } => {
                let given = state.take(first, count, self.max_receives);
                if is_lost {
                    state.left.lost -= 1;
                } else {
                    self.register(state, p, &given);
                }
            }
            Step::ReceiveHidden { p, m } => {
                state.left.twice -= 1;
                state.hand_out(m);
                self.register(state, p, &[m]);
            }
            Step::SqsTakes { p, m, kind, way } => {
                if way.effect {
                    state.carry_out(p, m, kind);
                }
                self.answered(state, (p, m), kind, way.answer);
            }
            Step::SqsTakesLate { index, way } => {
                let late = state.late.remove(index);
                if way.effect {
                    state.carry_out(late.process, late.message, late.kind);
                }
            }
            Step::Extended { p, m, way } => {
                if way.effect {
                    state.carry_out(p, m, Kind::Extension);
                }
                self.extended(state, (p, m), way.answer);
            }
            Step::Returns { m } => state.returns(m),
            Step::Repeat { p, m } => self.repeat(state, p, m),
            Step::Dies { p } => {
                state.left.crashes -= 1;
                let died = std::mem::take(&mut state.processes[p]);
                for (m, entry) in died.entries.iter().enumerate() {
                    let calls =
                        entry.iter().flat_map(|entry| entry.extension_call().into_iter().chain(entry.call()));
                    state.late.extend(calls.map(|(kind, receipt)| Late {
                        process: p,
                        message: m,
                        kind,
                        receipt,
                    }));
                }
            }
            Step::ExtendedUnanswered { p, m, is_late } | Step::Failed { p, m, is_late } => {
                self.unanswered(state, (p, m), is_late, matches!(step, Step::Failed { .. }));
            }
            step => self.work(state, &step),
        }
    }
}
