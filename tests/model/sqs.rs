//! SQS as the model knows it: what it hands out, and what may come of a call.
//!
//! A standard queue may do what Amazon says it may: take an older handle, confirm a delete with it and delete nothing, or
//! hand out a hidden message. A FIFO queue refuses handles that are expired or older, and hands out nothing behind a hidden message.

use super::state::{Answer, Kind, Lease, MESSAGES, Place, State, Stored, Visibility};

/// One way in which SQS may take a call: whether it has an effect, and what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    pub effect: bool,
    pub answer: Answer,
}

const DONE: Way = Way { effect: true, answer: Answer::Ok };
const NOTHING: Way = Way { effect: false, answer: Answer::Ok };
const REFUSED: Way = Way { effect: false, answer: Answer::Lost };

/// The ways in which SQS may take a call with this receipt.
pub fn ways(stored: &Stored, kind: Kind, receipt: u8, is_fifo: bool) -> &'static [Way] {
    let (is_newest, is_visible) = (receipt == stored.receives, stored.visibility == Visibility::Visible);
    match kind {
        Kind::Result | Kind::Copy => &[DONE],
        // Amazon confirms it, some servers call the handle invalid.
        Kind::Delete if stored.place != Place::Here => &[NOTHING, REFUSED],
        _ if stored.place != Place::Here => &[REFUSED],
        _ if is_newest && !(is_fifo && is_visible) => &[DONE],
        _ if is_fifo => &[REFUSED],
        Kind::Delete => &[DONE, NOTHING, REFUSED],
        Kind::Extension | Kind::Park | Kind::Release => &[DONE, REFUSED],
    }
}

impl State {
    /// A call of this process takes effect.
    pub fn carry_out(&mut self, process: usize, message: usize, kind: Kind) {
        let stored = &mut self.queue[message];
        match kind {
            Kind::Result => stored.result = true,
            Kind::Copy => stored.copied = true,
            Kind::Delete => {
                (stored.place, stored.visibility) = (Place::Deleted, Visibility::Visible);
                // Nothing depends on it any more.
                stored.receives = 0;
            }
            Kind::Park => stored.visibility = Visibility::Parked { by: process },
            Kind::Release => stored.visibility = Visibility::Visible,
            Kind::Extension => {
                let undone = match stored.visibility {
                    Visibility::Parked { by } => Some(by).filter(|by| *by == process),
                    Visibility::Lease { undone } => undone,
                    Visibility::Visible => None,
                };
                stored.visibility = Visibility::Lease { undone };
            }
        }
    }

    /// Messages that a receive for so many hands out, from this one on; those that used up their receives go to the
    /// dead-letter queue.
    pub fn take(&mut self, first: usize, count: usize, max_receives: u8) -> Vec<usize> {
        let mut given = Vec::new();
        for message in first..MESSAGES {
            let stored = &mut self.queue[message];
            if stored.place != Place::Here {
                continue;
            }
            if given.len() == count || stored.visibility != Visibility::Visible {
                break;
            }
            if stored.receives == max_receives {
                stored.place = Place::DeadLettered;
            } else {
                self.hand_out(message);
                given.push(message);
            }
        }
        given
    }

    /// Marks a message as received.
    pub fn hand_out(&mut self, message: usize) {
        let stored = &mut self.queue[message];
        stored.receives += 1;
        stored.visibility = Visibility::Lease { undone: None };
    }

    /// Whether the visibility of a message may end now.
    pub fn may_return(&self, message: usize) -> bool {
        let stored = &self.queue[message];
        if stored.place != Place::Here {
            return false;
        }
        match stored.visibility {
            Visibility::Visible => false,
            Visibility::Parked { .. } => true,
            // The park is sent again long before a lease is over.
            Visibility::Lease { undone } => {
                undone.is_none_or(|by| self.processes[by].repeats[message].is_none())
            }
        }
    }

    /// The visibility of a message ends. Who parked it forgets that then; no call of that park travels for so long. Leases of
    /// it are over: a process counts from its request, so never longer than SQS.
    pub fn returns(&mut self, message: usize) {
        for entry in self.processes.iter_mut().filter_map(|process| process.entries[message].as_mut()) {
            if entry.lease == Lease::Ours {
                entry.lease = Lease::Lapsed;
            }
        }
        if let Visibility::Parked { by } = self.queue[message].visibility {
            let process = &mut self.processes[by];
            (process.memory[message].hidden, process.repeats[message]) = (None, None);
            process.parked[message] = false;
            self.late.retain(|late| (late.process, late.message, late.kind) != (by, message, Kind::Park));
        }
        self.queue[message].visibility = Visibility::Visible;
    }
}
