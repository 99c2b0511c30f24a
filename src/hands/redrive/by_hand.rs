//! Moves messages one receive at a time: received, sent, and deleted once the send was accepted.
//!
//! The first message goes by itself, which shows that sends and deletes are allowed. Then those of a standard queue go
//! in batches, unless there is a rate. What a batch does not take is sent by itself, with its repeats. A message that
//! could not be deleted ends the work.
//!
//! A message is in at least one of the two queues at any time. What is received and not moved is released at
//! the end. Until then it is hidden, so that it does not come again and again.
//! What was sent and what comes back meanwhile, because it failed again, is not moved a second time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{self, Batch, Target};
use super::shape::{self, Origin};
use super::tally::Tally;
use super::{End, Order};
use crate::escape;
use crate::hands::resend::{self, SENDS_MAX};
use crate::hands::{Report, delete};
use crate::message::{MessageId, ReceiptHandle};
use crate::ports::{BATCH_MAX, Queue as _, QueueError, QueueErrorKind, VisibilityChange};
use crate::sqs::{QueueRef, ReceiveRequest, Received, SqsQueue, source_of};

/// How long received messages are hidden: ten at one a second, each with its repeats.
const HIDDEN: Duration = Duration::from_secs(300);
/// Long poll of each receive: short polls overlook messages.
const WAIT: Duration = Duration::from_secs(2);
/// Receives in a row that bring nothing, after which the queue counts as empty.
const EMPTY_MAX: u32 = 2;

/// A redrive by hand.
pub(super) struct ByHand<'a> {
    queue: &'a SqsQueue,
    target: Target,
    /// Ids to move that were not met yet; `None`: all messages.
    wanted: Option<HashSet<String>>,
    fifo: bool,
    /// Time between two sends.
    pause: Option<Duration>,
    next: Instant,
    /// Queues by the name or ARN that messages give.
    opened: HashMap<String, Arc<SqsQueue>>,
    tally: Tally,
    report: &'a mut dyn Report,
    stop: &'a CancellationToken,
}

/// What one message came to.
enum Moved {
    /// It is in the other queue.
    Yes,
    /// It stays, and the others go on.
    No,
    /// It is in both queues, and the others stay.
    Both,
}

impl<'a> ByHand<'a> {
    pub(super) fn new(
        queue: &'a SqsQueue,
        target: Target,
        order: &Order,
        fifo: bool,
        (report, stop): (&'a mut dyn Report, &'a CancellationToken),
    ) -> Self {
        let Order { ids, rate, .. } = order;
        Self {
            queue,
            target,
            wanted: (!ids.is_empty()).then(|| ids.iter().cloned().collect()),
            fifo,
            pause: rate.map(|rate| Duration::from_secs(1) / rate.max(1)),
            next: Instant::now(),
            opened: HashMap::new(),
            tally: Tally::default(),
            report,
            stop,
        }
    }

    /// Moves until the queue is empty, everything asked for was met, or it is to stop.
    pub(super) async fn run(mut self) -> Result<End, QueueError> {
        let ended = self.until_done().await;
        self.give_back().await;
        let moved = self.tally.moved;
        let end = *ended.as_ref().unwrap_or(&End::NotAll);
        self.report.say(&format!("moved {moved} {}", messages(moved)));
        if end == End::Stopped {
            self.report.say("ended early: the rest stays here");
        }
        // Only who has looked at all of them knows that one is not there.
        if let (Ok(End::All), Some(missing)) =
            (&ended, self.wanted.as_ref().filter(|wanted| !wanted.is_empty()))
        {
            let ids: Vec<&str> = missing.iter().map(String::as_str).collect();
            let why = if self.fifo { "; of a FIFO group only the first ten can be reached" } else { "" };
            let missing = format!("not found: {}{why}", escape::line(&ids.join(", ")));
            self.report.say(&missing);
            return Ok(End::NotAll);
        }
        ended?;
        Ok(if self.tally.failed > 0 && end == End::All { End::NotAll } else { end })
    }

    async fn until_done(&mut self) -> Result<End, QueueError> {
        let mut empty = 0;
        while empty < EMPTY_MAX && self.wanted.as_ref().is_none_or(|wanted| !wanted.is_empty()) {
            if self.stop.is_cancelled() {
                return Ok(End::Stopped);
            }
            let mut rest = VecDeque::from(receive(self.queue).await?);
            empty = if rest.is_empty() { empty + 1 } else { 0 };
            let ended = self.each(&mut rest).await;
            self.tally.back.extend(rest.into_iter().map(|letter| letter.message.receipt));
            match ended? {
                Some(end) => return Ok(end),
                None if self.tally.been_round => break,
                None => {}
            }
        }
        Ok(End::All)
    }

    /// Moves what was received. An end before all of it leaves the others in `rest`.
    async fn each(&mut self, rest: &mut VecDeque<Received>) -> Result<Option<End>, QueueError> {
        let mut singly = 0_usize;
        while let Some(letter) = rest.pop_front() {
            if !self.is_wanted(&letter) {
                self.tally.look_at(letter.message.id.as_str());
                self.tally.back.push(letter.message.receipt);
                continue;
            }
            if !self.pace().await {
                rest.push_front(letter);
                return Ok(Some(End::Stopped));
            }
            if singly == 0 && self.tally.moved > 0 && !self.fifo && self.pause.is_none() {
                rest.push_front(letter);
                let Some(refused) = self.together(rest).await else { return Ok(Some(End::NotAll)) };
                singly = refused;
                self.report.count(self.tally.moved, self.tally.failed);
                continue;
            }
            singly = singly.saturating_sub(1);
            match self.one(&letter).await {
                Ok(Moved::Yes) => {}
                Ok(Moved::No) => {
                    self.tally.failed += 1;
                    self.tally.back.push(letter.message.receipt);
                    self.tally.stuck.extend(letter.message.group_id.filter(|_| self.fifo));
                }
                Ok(Moved::Both) => return Ok(Some(End::NotAll)),
                Err(error) => {
                    rest.push_front(letter);
                    return Err(error);
                }
            }
            self.report.count(self.tally.moved, self.tally.failed);
        }
        Ok(None)
    }

    /// Sends what is wanted of `rest` in batches and deletes what was accepted. What was not is left at the front of
    /// `rest`; returns how many these are, or `None` when one is in both queues.
    async fn together(&mut self, rest: &mut VecDeque<Received>) -> Option<usize> {
        let mut left = VecDeque::new();
        let mut others = VecDeque::new();
        let mut batches: Vec<Batch> = Vec::new();
        for letter in std::mem::take(rest) {
            if !self.is_wanted(&letter) {
                others.push_back(letter);
                continue;
            }
            // What is wrong with one is said when it is sent by itself.
            let to = self.target_of(&letter).await.ok().flatten();
            match (to, shape::outgoing(&letter, false)) {
                (Some(to), Ok(outgoing)) => batch::place(&mut batches, to, letter, outgoing),
                _ => left.push_back(letter),
            }
        }
        let mut in_both = false;
        for batch in batches {
            if in_both {
                left.extend(batch.letters);
                continue;
            }
            let mut results = batch.to.send_batch(&batch.outgoing).await.unwrap_or_default().into_iter();
            let mut sent = Vec::new();
            for letter in batch.letters {
                match results.next() {
                    Some(Ok(id)) => {
                        self.note(&letter, &id);
                        sent.push(letter);
                    }
                    // Also when nobody knows: it stays, and may be there twice.
                    Some(Err(_)) | None => left.push_back(letter),
                }
            }
            in_both = !self.delete(&sent).await;
        }
        let refused = left.len();
        left.extend(others);
        *rest = left;
        (!in_both).then_some(refused)
    }

    fn is_wanted(&self, received: &Received) -> bool {
        let message = &received.message;
        let id = message.id.as_str();
        let asked = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        let is_stuck = message.group_id.as_ref().is_some_and(|group| self.tally.stuck.contains(group));
        // A copy of what was sent here, which failed again, has an id of its own.
        let is_again = source_of(message, "source-message-id").is_some_and(|id| self.tally.seen.contains(id));
        asked && !is_stuck && !is_again && !self.tally.seen.contains(id)
    }

    /// Waits for the next send; false when it is to stop.
    async fn pace(&mut self) -> bool {
        let next = self.next;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            () = tokio::time::sleep_until(next) => {}
        }
        if let Some(pause) = self.pause {
            self.next = next.max(Instant::now()) + pause;
        }
        true
    }

    /// Sends one message and deletes it here. Errors: no message can be sent, or none be deleted.
    async fn one(&mut self, received: &Received) -> Result<Moved, QueueError> {
        let id = received.message.id.to_string();
        self.met(&id);
        let Some(to) = self.target_of(received).await? else {
            let origin = match &self.target {
                Target::Each { sources, .. } => shape::origin(received, sources.as_deref()),
                Target::Fixed(_) => Origin::Unknown,
            };
            let why = match origin {
                Origin::Foreign(name) => {
                    format!("it says that it came from {name}, which does not have this dead-letter queue")
                }
                _ => "it does not say which queue it came from".to_owned(),
            };
            self.say(&id, &format!("{}\n  fix: name the queue: queuepost redrive --to", escape::line(&why)));
            return Ok(Moved::No);
        };
        let outgoing = match shape::outgoing(received, self.fifo) {
            Ok(outgoing) => outgoing,
            Err(why) => {
                self.say(&id, &why);
                return Ok(Moved::No);
            }
        };
        let sent = match resend::send(&to, &outgoing).await {
            Ok(sent) => sent,
            Err(error) if error.is_of_the_message() || self.is_of_its_target(&error) => {
                self.report.fail(&error);
                self.say(&id, "it stays");
                return Ok(Moved::No);
            }
            Err(error) => return Err(error),
        };
        self.note(received, &sent);
        Ok(if self.delete(std::slice::from_ref(received)).await { Moved::Yes } else { Moved::Both })
    }

    /// Whether only messages of the same queue meet this error.
    fn is_of_its_target(&self, error: &QueueError) -> bool {
        match (&self.target, error.kind) {
            (_, QueueErrorKind::Missing) => true,
            // Others may be sent to.
            (Target::Each { .. }, kind) => kind == QueueErrorKind::Denied,
            (Target::Fixed(_), _) => false,
        }
    }

    /// Notes that a message need not be met again.
    fn met(&mut self, id: &str) {
        self.tally.seen.insert(id.to_owned());
        if let Some(wanted) = &mut self.wanted {
            wanted.remove(id);
        }
    }

    /// Notes and prints that `letter` was sent as `new`.
    fn note(&mut self, letter: &Received, new: &MessageId) {
        let id = letter.message.id.as_str();
        self.met(id);
        // It may fail and be dead-lettered again meanwhile.
        self.tally.seen.insert(new.to_string());
        self.report.moved(new.as_str(), id);
    }

    /// Deletes what was sent; whether all of it is deleted.
    async fn delete(&mut self, sent: &[Received]) -> bool {
        if sent.is_empty() {
            return true;
        }
        let kept = delete::delete(self.queue, sent, self.report).await;
        self.tally.moved += u64::try_from(sent.len().saturating_sub(kept.len())).unwrap_or_default();
        for letter in sent.iter().filter(|letter| kept.contains(&letter.message.id)) {
            self.tally.failed += 1;
            self.tally.back.push(letter.message.receipt.clone());
            self.say(
                letter.message.id.as_str(),
                "it was sent and could not be deleted here: it is in both queues",
            );
        }
        if !kept.is_empty() {
            self.report.say("nothing more is sent, so that not more are in both queues");
        }
        kept.is_empty()
    }

    async fn target_of(&mut self, received: &Received) -> Result<Option<Arc<SqsQueue>>, QueueError> {
        let (otherwise, sources) = match &self.target {
            Target::Fixed(to) => return Ok(Some(Arc::clone(to))),
            Target::Each { otherwise, sources } => (otherwise, sources.as_deref()),
        };
        let origin = shape::origin(received, sources);
        let known = match &origin {
            Origin::Arn(known) | Origin::Name(known) => known,
            Origin::Foreign(_) => return Ok(None),
            Origin::Unknown => return Ok(otherwise.clone()),
        };
        if let Some(to) = self.opened.get(known) {
            return Ok(Some(Arc::clone(to)));
        }
        let opened = match &origin {
            Origin::Arn(arn) => self.queue.of_arn(arn).await?,
            Origin::Name(name) => Some(self.queue.beside(QueueRef::Name(name.clone()))),
            Origin::Foreign(_) | Origin::Unknown => None,
        };
        let Some(opened) = opened.map(Arc::new) else { return Ok(None) };
        self.opened.insert(known.clone(), Arc::clone(&opened));
        Ok(Some(opened))
    }

    fn say(&mut self, id: &str, what: &str) {
        self.report.say(&format!("message {}: {what}", escape::line(id)));
    }

    /// Makes what was received and not moved visible again.
    async fn give_back(&mut self) {
        let back = std::mem::take(&mut self.tally.back);
        let mut kept = 0_usize;
        for some in back.chunks(BATCH_MAX) {
            let visible = |receipt: &ReceiptHandle| VisibilityChange { receipt: receipt.clone(), seconds: 0 };
            let changes: Vec<VisibilityChange> = some.iter().map(visible).collect();
            kept += match self.queue.change_visibility(&changes).await {
                Ok(results) => results.iter().filter(|result| result.is_err()).count(),
                Err(_) => some.len(),
            };
        }
        if kept > 0 {
            self.report.say(&format!(
                "{kept} messages that were not moved stay hidden for up to {} s",
                HIDDEN.as_secs()
            ));
        }
    }
}

async fn receive(queue: &SqsQueue) -> Result<Vec<Received>, QueueError> {
    let request = ReceiveRequest { max: BATCH_MAX, wait: WAIT, visibility: Some(HIDDEN), attempt_id: None };
    let mut round = 1;
    loop {
        match queue.receive_by_hand(&request).await {
            Err(error) if !error.kind.is_fault() && round < SENDS_MAX => {}
            ended => return ended,
        }
        tokio::time::sleep(resend::pause(round)).await;
        round += 1;
    }
}

fn messages(count: u64) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}
