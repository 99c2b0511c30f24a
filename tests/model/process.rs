//! What a process does, in functions named as the code's own. One line of each flaw is wrong on purpose.

use super::flaw::Flaw;
use super::protocol::{Outcome, Protocol};
use super::state::{Answer, Call, Entry, Exit, Fate, Job, Kind, Last, Late, Lease, Process, Run, Stage};

/// One process at work, by the rules of the protocol.
pub struct Works<'a> {
    pub protocol: &'a Protocol,
    pub process: &'a mut Process,
    /// Its number, and the calls that it makes without a wait for their answers.
    pub number: usize,
    pub late: &'a mut Vec<Late>,
}

impl Works<'_> {
    fn has(&self, flaw: Flaw) -> bool {
        self.protocol.flaw == Some(flaw)
    }

    /// The entry of a message; the steps are offered for messages that have one.
    fn entry(&mut self, message: usize) -> &mut Entry {
        self.process.entries[message].as_mut().unwrap()
    }

    fn job(&mut self, message: usize) -> &mut Job {
        let Stage::Settling(job) = &mut self.entry(message).stage else { panic!("it is not in settlement") };
        job
    }

    /// Takes what a receive brought in flight, each with its receipt.
    pub fn register(&mut self, messages: &[(usize, u8)]) {
        let (mut is_blocked, mut delivered) = (false, Vec::new());
        for &(message, receipt) in messages {
            let is_new = self.begin(message, receipt);
            if self.protocol.is_fifo {
                is_blocked |= !is_new && !self.has(Flaw::JoinsBehindCopy);
                if is_new && is_blocked {
                    self.release(message);
                } else if is_new && self.join(message) {
                    delivered.push(message);
                }
            } else if is_new {
                delivered.push(message);
            }
        }
        for message in delivered {
            self.settle_remembered(message);
        }
    }

    /// The lease of a message received just now; whether it is a new one.
    fn begin(&mut self, message: usize, receipt: u8) -> bool {
        if let Some(entry) = &mut self.process.entries[message] {
            (entry.receipt, entry.lease) = (receipt, Lease::Ours);
            return false;
        }
        let max = self.protocol.max_receives;
        self.process.parked[message] = false;
        self.process.entries[message] = Some(Entry::begin(receipt, receipt == max && max > 1, Stage::Behind));
        true
    }

    /// Puts a message at the end of the run of its group, or begins one with it; whether it has begun one.
    fn join(&mut self, message: usize) -> bool {
        if let Some(run) = &mut self.process.run {
            run.waiting.push(message);
            return false;
        }
        self.process.run = Some(Run { head: message, fate: Fate::Pending, waiting: Vec::new() });
        true
    }

    /// The message leaves as it has left before, or waits for its POST.
    fn settle_remembered(&mut self, message: usize) {
        let is_last_try = self.entry(message).is_last_try;
        match self.process.memory[message].seen() {
            Some(exit) if exit.deletes() || !is_last_try => self.settle(message, exit),
            _ => self.entry(message).stage = Stage::Waiting,
        }
    }

    /// Begins the POST; a message that is no longer ours is left to SQS.
    pub fn attempt(&mut self, message: usize) {
        if self.entry(message).is_ours() {
            self.entry(message).stage = Stage::Posting;
        } else {
            self.leave_to_sqs(message);
        }
    }

    /// Ends a lease. An extension under way may still arrive.
    fn end(&mut self, message: usize) {
        let entry = self.process.entries[message].take();
        let extension = entry.as_ref().and_then(Entry::extension_call);
        self.late.extend(extension.map(|(kind, receipt)| Late {
            process: self.number,
            message,
            kind,
            receipt,
        }));
    }

    fn leave_to_sqs(&mut self, message: usize) {
        self.end(message);
        self.tell(message, Fate::Left);
    }

    /// The endpoint has answered.
    pub fn way_out(&mut self, message: usize, outcome: Outcome) {
        let results = self.protocol.has_results;
        let is_final = self.entry(message).is_last_try;
        let exit = match outcome {
            Outcome::Success => Exit { result: results, ..Exit::DELETE },
            Outcome::Rejected => Exit { result: results, copy: true, ..Exit::DELETE },
            Outcome::Throttled => Exit { result: results && is_final, copy: false, last: Last::Park },
        };
        self.process.finished[message] |= exit.deletes();
        self.settle(message, exit);
    }

    /// Hands the message to settlement, which remembers how it leaves.
    fn settle(&mut self, message: usize, exit: Exit) {
        self.left(message, exit);
        let deletes_first = self.has(Flaw::DeletesBeforeResults) && exit.deletes();
        let exit = if deletes_first { Exit::DELETE } else { exit };
        if exit.then().is_none() && !exit.deletes() {
            self.close(message, exit);
        } else {
            self.entry(message).stage = Stage::Settling(Job::new(exit));
        }
    }

    /// `Memory::left`.
    fn left(&mut self, message: usize, exit: Exit) {
        let forgets = self.has(Flaw::ForgetsFinishes);
        let memory = &mut self.process.memory[message];
        match exit.last {
            Last::Delete if forgets => {}
            Last::Delete => memory.done = Some(exit),
            Last::Park => memory.hidden = Some(exit),
        }
    }

    /// `Memory::confirmed`.
    fn confirmed(&mut self, message: usize) {
        let forgets = self.has(Flaw::ForgetsFinishes);
        let memory = &mut self.process.memory[message];
        memory.done = None;
        memory.confirmed = !forgets;
    }

    /// Ends the extensions of a message that is hidden next, and waits for one under way.
    fn close(&mut self, message: usize, exit: Exit) {
        let (extends_on, waits) =
            (self.has(Flaw::ExtendsAfterPark), !self.has(Flaw::DoesNotWaitForExtension));
        let entry = self.entry(message);
        entry.closed = !extends_on;
        entry.stage = Stage::Closing(exit);
        if entry.extension.is_none() || !waits {
            self.closed(message, exit);
        }
    }

    /// The lease is closed: the message may be hidden.
    fn closed(&mut self, message: usize, exit: Exit) {
        self.entry(message).stage = Stage::Settling(Job::new(exit));
        self.tell(message, Fate::Left);
    }

    /// Releases a message. It may come again before that is known, and the call is not made again without an answer: so
    /// nobody waits for it.
    fn release(&mut self, message: usize) {
        let entry = *self.entry(message);
        if entry.is_ours() {
            let (process, kind, receipt) = (self.number, Kind::Release, entry.receipt);
            self.late.push(Late { process, message, kind, receipt });
        }
        self.leave_to_sqs(message);
    }

    /// Tells the run what became of a message, the first time.
    fn tell(&mut self, message: usize, fate: Fate) {
        if let Some(run) = &mut self.process.run
            && run.head == message
            && run.fate == Fate::Pending
        {
            run.fate = fate;
            if run.waiting.is_empty() {
                self.process.run = None;
            }
        }
    }

    /// The run learns what became of its head: the next one goes, or the rest is released.
    pub fn goes_on(&mut self) {
        let Some(mut run) = self.process.run.take() else { return };
        if run.fate == Fate::Deleted {
            let head = run.waiting.remove(0);
            (run.head, run.fate) = (head, Fate::Pending);
            self.process.run = Some(run);
            self.settle_remembered(head);
        } else {
            for message in run.waiting {
                self.release(message);
            }
        }
    }

    /// An extension is sent.
    pub fn take_due(&mut self, message: usize) {
        let entry = self.entry(message);
        entry.extension = Some(entry.receipt);
    }

    /// SQS has answered an extension, or not: `None`.
    pub fn extended(&mut self, message: usize, answer: Option<(u8, Answer)>) {
        let trusts = self.has(Flaw::TrustsLaterExtension);
        let entry = self.entry(message);
        entry.extension = None;
        entry.uncertain |= answer.is_none();
        match answer {
            Some((receipt, answer)) if receipt == entry.receipt => match answer {
                Answer::Ok => {
                    entry.lease = Lease::Ours;
                    entry.uncertain &= !trusts;
                }
                Answer::Lost if !entry.deleting => entry.lease = Lease::Lost,
                Answer::Lost => {}
            },
            _ => {}
        }
        if let Stage::Closing(exit) = entry.stage {
            self.closed(message, exit);
        }
    }

    /// A lane sends the next step of a message.
    pub fn send(&mut self, message: usize) {
        let receipt = self.entry(message).receipt;
        let job = self.job(message);
        job.call = Call::Sent(receipt);
        if job.exit.then().is_none() {
            job.sent = Some(receipt);
            let deletes = job.exit.deletes();
            self.entry(message).deleting |= deletes;
        }
    }

    /// SQS has answered a step.
    pub fn entry_answered(&mut self, message: usize, answer: Answer) {
        let newest = self.entry(message).receipt;
        let trusts = self.has(Flaw::TrustsUnconfirmedDelete);
        let job = self.job(message);
        let is_outdated = job.sent.is_some_and(|sent| sent != newest);
        let may_be_done = job.unanswered && job.exit == Exit::DELETE;
        match answer {
            Answer::Ok if is_outdated => (job.unanswered, job.call) = (true, Call::Idle),
            Answer::Lost if is_outdated => job.call = Call::Idle,
            Answer::Ok => self.done(message),
            Answer::Lost if may_be_done => {
                if !trusts {
                    // Its successor is told nothing else.
                    self.tell(message, Fate::Left);
                }
                self.done(message);
            }
            Answer::Lost => self.give_up(message),
        }
    }

    /// SQS has accepted a step.
    fn done(&mut self, message: usize) {
        let job = *self.job(message);
        if let Some(then) = job.exit.then() {
            self.left(message, then);
            if then.then().is_some() || then.deletes() {
                self.entry(message).stage = Stage::Settling(Job::new(then));
            } else if self.entry(message).is_ours() {
                self.close(message, then);
            } else {
                self.give_up(message);
            }
            return;
        }
        let entry = *self.entry(message);
        self.end(message);
        match job.exit.last {
            Last::Delete => {
                self.confirmed(message);
                self.tell(message, Fate::Deleted);
            }
            Last::Park => {
                let repeats = entry.uncertain && !self.has(Flaw::ParksOnce);
                self.process.repeats[message] = repeats.then_some(entry.receipt);
                self.process.parked[message] = true;
            }
        }
    }

    /// A step got no answer: it is tried again, if that makes sense.
    pub fn failed(&mut self, message: usize) {
        let is_lost = self.entry(message).lease == Lease::Lost;
        let job = self.job(message);
        (job.unanswered, job.call) = (true, Call::Idle);
        if is_lost && job.ends_with_its_lease() {
            self.give_up(message);
        }
    }

    /// The message is left to SQS.
    pub fn give_up(&mut self, message: usize) {
        self.leave_to_sqs(message);
    }
}
