//! Steps of one process, and of the calls between it and SQS.

use super::process::Works;
use super::protocol::{Outcome, Protocol, Step};
use super::sqs::ways;
use super::state::{Answer, Call, Entry, Job, Kind, Late, Stage, State};

impl Protocol {
    fn works<'a>(&'a self, state: &'a mut State, p: usize) -> Works<'a> {
        Works { protocol: self, process: &mut state.processes[p], number: p, late: &mut state.late }
    }

    /// What a receive brought is taken in flight.
    pub fn register(&self, state: &mut State, p: usize, given: &[usize]) {
        let received: Vec<(usize, u8)> = given.iter().map(|m| (*m, state.queue[*m].receives)).collect();
        // An extension of an earlier receive does not travel for longer than a receive and a POST take.
        let is_older =
            |late: &Late, m: usize| (late.process, late.message, late.kind) == (p, m, Kind::Extension);
        let before = state.processes[p].entries;
        self.works(state, p).register(&received);
        for &m in given {
            if before[m].is_none() {
                state.late.retain(|late| !is_older(late, m));
            }
        }
    }

    /// A park is sent once more. Two calls of one park that are lost are not modelled: this one arrives.
    pub fn repeat(&self, state: &mut State, p: usize, m: usize) {
        let Some(receipt) = state.processes[p].repeats[m].take() else { return };
        let is_taken = ways(&state.queue[m], Kind::Park, receipt, self.is_fifo).iter().any(|way| way.effect);
        if is_taken {
            state.carry_out(p, m, Kind::Park);
        }
    }

    /// A call gets no answer.
    pub fn unanswered(&self, state: &mut State, (p, m): (usize, usize), is_late: bool, is_step: bool) {
        state.left.lost -= 1;
        let entry = state.processes[p].entries[m];
        let call = if is_step { Entry::call } else { Entry::extension_call };
        let call = entry.as_ref().and_then(call).filter(|_| is_late);
        state.late.extend(call.map(|(kind, receipt)| Late { process: p, message: m, kind, receipt }));
        let mut works = self.works(state, p);
        if is_step {
            works.failed(m);
        } else {
            works.extended(m, None);
        }
    }

    /// SQS has answered a step. Of a forward its process learns at once: it has no handle that could be replaced meanwhile.
    pub fn answered(&self, state: &mut State, (p, m): (usize, usize), kind: Kind, answer: Answer) {
        if matches!(kind, Kind::Result | Kind::Copy) {
            self.works(state, p).entry_answered(m, answer);
        } else if let Some(Entry { stage: Stage::Settling(job), .. }) = &mut state.processes[p].entries[m]
            && let Call::Sent(receipt) = job.call
        {
            job.call = Call::Answered(receipt, answer);
        }
    }

    /// SQS has answered an extension.
    pub fn extended(&self, state: &mut State, (p, m): (usize, usize), answer: Answer) {
        let receipt = state.processes[p].entries[m].and_then(|entry| entry.extension);
        self.works(state, p).extended(m, receipt.map(|receipt| (receipt, answer)));
    }

    /// A step of one process alone.
    pub fn work(&self, state: &mut State, step: &Step) {
        match *step {
            Step::Attempt { p, m } => self.works(state, p).attempt(m),
            Step::WayOut { p, m, outcome } => {
                state.queue[m].succeeded |= outcome == Outcome::Success;
                state.queue[m].rejected |= outcome == Outcome::Rejected;
                self.works(state, p).way_out(m, outcome);
            }
            Step::GoesOn { p } => self.works(state, p).goes_on(),
            Step::TakeDue { p, m } => self.works(state, p).take_due(m),
            Step::Send { p, m } => self.works(state, p).send(m),
            Step::Entry { p, m } => {
                let settles = state.processes[p].entries[m].map(|entry| entry.stage);
                let Some(Stage::Settling(job)) = settles else { return };
                let Call::Answered(_, answer) = job.call else { return };
                self.works(state, p).entry_answered(m, answer);
            }
            Step::GiveUp { p, m } => self.works(state, p).give_up(m),
            _ => {}
        }
    }
}

impl Entry {
    /// Its step of settlement that SQS has not taken yet.
    pub fn call(&self) -> Option<(Kind, u8)> {
        let Stage::Settling(Job { exit, call: Call::Sent(receipt), .. }) = self.stage else { return None };
        Some((exit.kind(), receipt))
    }

    /// Its extension that SQS has not taken yet.
    pub fn extension_call(&self) -> Option<(Kind, u8)> {
        self.extension.map(|receipt| (Kind::Extension, receipt))
    }
}
