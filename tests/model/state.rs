//! What the model remembers: the queue, the processes, and the calls that are still on their way.
//!
//! A receipt is the number of the receive that gave it, so the newest is the largest. Time is no number here: leases lapse and
//! parks end when a step says so.

use stateright::Representative;

/// Processes that consume the queue.
pub const PROCESSES: usize = 2;
/// Messages at most; on a FIFO queue all of them are of one group.
pub const MESSAGES: usize = 2;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub queue: [Stored; MESSAGES],
    pub processes: [Process; PROCESSES],
    /// Calls whose process waits for no answer any more; in order, so that equal sets are equal.
    pub late: Vec<Late>,
    pub left: Budget,
}

/// How often the world may still do its worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budget {
    /// Calls that get no answer.
    pub lost: u8,
    /// Processes that die and start again.
    pub crashes: u8,
    /// Hidden messages that a standard queue hands out all the same.
    pub twice: u8,
}

/// A message at SQS, and what the world has seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored {
    pub place: Place,
    pub visibility: Visibility,
    pub receives: u8,
    /// A POST of it had success.
    pub succeeded: bool,
    /// The endpoint refused it, and a row of the listener dead-letters it for that.
    pub rejected: bool,
    /// Its result was accepted.
    pub result: bool,
    /// Its copy was accepted by the dead-letter queue.
    pub copied: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Here,
    Deleted,
    /// Moved by SQS, which does so with a message that has used up its receives.
    DeadLettered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    Visible,
    /// In flight. `undone`: an extension of this process has overwritten its own park.
    Lease {
        undone: Option<usize>,
    },
    /// Parked by this process.
    Parked {
        by: usize,
    },
}

/// One process. What it forgets when it dies is all of this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Process {
    /// Messages in flight here: the lease table, and how far each is.
    pub entries: [Option<Entry>; MESSAGES],
    pub memory: [Memory; MESSAGES],
    /// Parks that are sent once more, with this receipt.
    pub repeats: [Option<u8>; MESSAGES],
    /// The run of the group (FIFO).
    pub run: Option<Run>,
    /// What a witness saw, and the code does not keep: the work of these messages is done.
    pub finished: [bool; MESSAGES],
    /// A witness, too: parks of these messages are confirmed and not over.
    pub parked: [bool; MESSAGES],
}

/// `Memory` of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Memory {
    pub done: Option<Exit>,
    pub confirmed: bool,
    pub hidden: Option<Exit>,
}

/// How a message leaves: a result first, then a copy, then the last step, as far as they are owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exit {
    pub result: bool,
    pub copy: bool,
    pub last: Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Last {
    Delete,
    Park,
}

/// A run of messages of one group: the head is delivered, the others wait.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    pub head: usize,
    pub fate: Fate,
    pub waiting: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    Pending,
    Deleted,
    /// Hidden, or left to SQS.
    Left,
}

/// A message in flight: its entry in the lease table, and its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The newest receipt.
    pub receipt: u8,
    pub lease: Lease,
    pub closed: bool,
    pub deleting: bool,
    pub uncertain: bool,
    /// The receipt of the extension under way.
    pub extension: Option<u8>,
    pub is_last_try: bool,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lease {
    Ours,
    Lapsed,
    /// SQS called the handle invalid.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It waits in the run of its group.
    Behind,
    /// It waits for its POST.
    Waiting,
    Posting,
    /// It waits for the end of an extension, to be hidden.
    Closing(Exit),
    Settling(Job),
}

/// A job of settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub exit: Exit,
    /// The receipt last sent.
    pub sent: Option<u8>,
    pub unanswered: bool,
    pub call: Call,
}

/// A call, as far as its process knows of it and beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// None is under way.
    Idle,
    /// Sent with this receipt, and not yet at SQS.
    Sent(u8),
    /// SQS has answered it; the answer is on its way.
    Answered(u8, Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Ok,
    /// The handle is no longer valid.
    Lost,
}

/// A call that its process has given up, and that may still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Late {
    pub process: usize,
    pub message: usize,
    pub kind: Kind,
    pub receipt: u8,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Extension,
    Park,
    Release,
    Delete,
    Result,
    Copy,
}

impl Representative for State {
    /// The processes are alike: of two states that differ by their order alone, one is explored.
    fn representative(&self) -> Self {
        let [first, second] = &self.processes;
        if first <= second {
            return self.clone();
        }
        let mut swapped = self.clone();
        swapped.processes.reverse();
        for stored in &mut swapped.queue {
            match &mut stored.visibility {
                Visibility::Visible | Visibility::Lease { undone: None } => {}
                Visibility::Lease { undone: Some(by) } | Visibility::Parked { by } => *by = 1 - *by,
            }
        }
        for late in &mut swapped.late {
            late.process = 1 - late.process;
        }
        swapped.late.sort_unstable();
        swapped
    }
}

impl Exit {
    pub const DELETE: Self = Self { result: false, copy: false, last: Last::Delete };

    /// What is sent next.
    pub fn kind(self) -> Kind {
        match self {
            Self { result: true, .. } => Kind::Result,
            Self { copy: true, .. } => Kind::Copy,
            Self { last: Last::Delete, .. } => Kind::Delete,
            Self { last: Last::Park, .. } => Kind::Park,
        }
    }

    /// What is left when that was accepted; `None`: nothing.
    pub fn then(self) -> Option<Self> {
        match self {
            Self { result: true, .. } => Some(Self { result: false, ..self }),
            Self { copy: true, .. } => Some(Self { copy: false, ..self }),
            _ => None,
        }
    }

    pub fn deletes(self) -> bool {
        self.last == Last::Delete
    }
}

impl Job {
    pub fn new(exit: Exit) -> Self {
        Self { exit, sent: None, unanswered: false, call: Call::Idle }
    }

    /// Whether it is of no use without its lease.
    pub fn ends_with_its_lease(&self) -> bool {
        self.exit.then().is_none() || self.exit.deletes()
    }
}

impl Memory {
    /// How a message that comes now has left before.
    pub fn seen(&self) -> Option<Exit> {
        let confirmed = self.confirmed.then_some(Exit::DELETE);
        self.done.or(confirmed).or(self.hidden)
    }
}

impl Entry {
    /// A message received just now.
    pub fn begin(receipt: u8, is_last_try: bool, stage: Stage) -> Self {
        Self {
            receipt,
            lease: Lease::Ours,
            closed: false,
            deleting: false,
            uncertain: false,
            extension: None,
            is_last_try,
            stage,
        }
    }

    pub fn is_ours(&self) -> bool {
        self.lease == Lease::Ours
    }
}
