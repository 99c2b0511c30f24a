//! Moves messages one receive at a time: received, sent, and deleted once the send was accepted.
//!
//! A message is in at least one of the two queues at any time. What was received and could not be moved, or was not asked for, is made visible
//! at the end. Until then it is hidden, so that it does not come again and again.
//! What this command sent and what comes back meanwhile, because it failed again, is not moved a second time.

use std::collections::{HashMap, HashSet};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shape::{self, Origin};
use crate::cli::progress::Progress;
use crate::cli::resend::{self, SENDS_MAX};
use crate::cli::{FAILED, INTERRUPTED, OK, complain, complain_of, print_lines, receive};
use crate::escape;
use crate::limit::clock::Wall;
use crate::message::ReceiptHandle;
use crate::ports::{BATCH_MAX, Queue as _, QueueError, QueueErrorKind, VisibilityChange};
use crate::sqs::{QueueRef, ReceiveRequest, Received, SqsQueue};

/// How long received messages are hidden: ten at one a second, each with its repeats.
const HIDDEN: Duration = Duration::from_secs(300);
/// Long poll of each receive: short polls overlook messages.
const WAIT: Duration = Duration::from_secs(2);
/// Receives in a row that bring nothing, after which the queue counts as empty.
const EMPTY_MAX: u32 = 2;

/// Where messages go.
#[derive(Clone)]
pub(super) enum Target {
    /// All to one queue.
    Fixed(Arc<SqsQueue>),
    /// Each to where it says it came from.
    Each,
}

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
    progress: Progress,
}

/// What became of messages.
#[derive(Default)]
struct Tally {
    moved: u64,
    failed: u64,
    /// Ids of messages seen, and of those sent.
    seen: HashSet<String>,
    /// To be made visible again at the end.
    back: Vec<ReceiptHandle>,
    /// Groups with a message that could not be moved: what stands behind it waits.
    stuck: HashSet<String>,
}

/// What one message came to.
enum Moved {
    /// It is in the other queue.
    Yes,
    /// It stays, and the others go on.
    No,
}

impl<'a> ByHand<'a> {
    pub(super) fn new(
        queue: &'a SqsQueue,
        target: Target,
        ids: &[String],
        rate: Option<u32>,
        fifo: bool,
        total: u64,
    ) -> Self {
        Self {
            queue,
            target,
            wanted: (!ids.is_empty()).then(|| ids.iter().cloned().collect()),
            fifo,
            pause: rate.map(|rate| Duration::from_secs(1) / rate.max(1)),
            next: Instant::now(),
            opened: HashMap::new(),
            tally: Tally::default(),
            progress: Progress::new("moved", Some(total)),
        }
    }

    /// Moves until the queue is empty, everything asked for was met, or Ctrl-C; returns the exit code.
    pub(super) async fn run(mut self) -> Result<u8, QueueError> {
        let mut interrupt = pin!(async {
            tokio::signal::ctrl_c().await.ok();
        });
        let ended = self.until_done(interrupt.as_mut()).await;
        self.progress.clear();
        self.give_back().await;
        let moved = self.tally.moved;
        let code = match &ended {
            Err(_) | Ok(FAILED) => FAILED,
            Ok(code) => *code,
        };
        complain(&format!("moved {moved} {}", messages(moved)));
        if code == INTERRUPTED {
            complain(&"ended by Ctrl-C: the rest stays here");
        }
        if let Some(missing) = self.wanted.as_ref().filter(|wanted| code != INTERRUPTED && !wanted.is_empty())
        {
            let ids: Vec<&str> = missing.iter().map(String::as_str).collect();
            let why = if self.fifo { "; of a FIFO group only the first ten can be reached" } else { "" };
            complain(&format!("not found: {}{why}", escape::line(&ids.join(", "))));
            return Ok(FAILED);
        }
        ended?;
        Ok(if self.tally.failed > 0 && code == OK { FAILED } else { code })
    }

    async fn until_done(
        &mut self,
        mut interrupt: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<u8, QueueError> {
        let mut empty = 0;
        while empty < EMPTY_MAX && self.wanted.as_ref().is_none_or(|wanted| !wanted.is_empty()) {
            let received = self.receive().await?;
            if received.is_empty() {
                empty += 1;
            } else {
                empty = 0;
            }
            let mut been_round = false;
            let mut rest = received.into_iter();
            while let Some(message) = rest.next() {
                if !self.is_wanted(&message) {
                    been_round |= !self.tally.seen.insert(message.message.id.to_string());
                    self.tally.back.push(message.message.receipt);
                    continue;
                }
                if !self.pace(interrupt.as_mut()).await {
                    self.tally.back.push(message.message.receipt);
                    self.tally.back.extend(rest.map(|message| message.message.receipt));
                    return Ok(INTERRUPTED);
                }
                match self.one(&message).await {
                    Ok(Moved::Yes) => self.tally.moved += 1,
                    Ok(Moved::No) => {
                        self.tally.failed += 1;
                        self.tally.back.push(message.message.receipt);
                        self.tally.stuck.extend(message.message.group_id.filter(|_| self.fifo));
                    }
                    Err(error) => {
                        self.tally.back.push(message.message.receipt);
                        self.tally.back.extend(rest.map(|message| message.message.receipt));
                        return Err(error);
                    }
                }
                self.progress.show(self.tally.moved);
            }
            if been_round {
                break;
            }
        }
        Ok(OK)
    }

    async fn receive(&self) -> Result<Vec<Received>, QueueError> {
        let request =
            ReceiveRequest { max: BATCH_MAX, wait: WAIT, visibility: Some(HIDDEN), attempt_id: None };
        let mut round = 1;
        loop {
            match self.queue.receive_by_hand(&request).await {
                Err(error) if !error.kind.is_fault() && round < SENDS_MAX => {}
                ended => return ended,
            }
            tokio::time::sleep(resend::pause(round)).await;
            round += 1;
        }
    }

    fn is_wanted(&self, received: &Received) -> bool {
        let message = &received.message;
        let id = message.id.as_str();
        let asked = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        let is_stuck = message.group_id.as_ref().is_some_and(|group| self.tally.stuck.contains(group));
        asked && !is_stuck && !self.tally.seen.contains(id)
    }

    /// Waits for the next send; false at Ctrl-C.
    async fn pace(&mut self, interrupt: Pin<&mut impl Future<Output = ()>>) -> bool {
        let next = self.next;
        tokio::select! {
            biased;
            () = interrupt => return false,
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
        self.tally.seen.insert(id.clone());
        if let Some(wanted) = &mut self.wanted {
            wanted.remove(&id);
        }
        let Some(to) = self.target_of(received).await? else {
            self.say(&id, "it does not say which queue it came from\n  fix: name the queue with --to");
            return Ok(Moved::No);
        };
        let outgoing = match shape::outgoing(received, self.fifo, Wall::System.now()) {
            Ok(outgoing) => outgoing,
            Err(why) => {
                self.say(&id, &why);
                return Ok(Moved::No);
            }
        };
        let sent = match resend::send(&to, &outgoing).await {
            Ok(sent) => sent,
            Err(error) if error.is_of_the_message() || error.kind == QueueErrorKind::Missing => {
                self.progress.clear();
                complain_of(&error);
                self.say(&id, "it stays");
                return Ok(Moved::No);
            }
            Err(error) => return Err(error),
        };
        // It may fail and be dead-lettered again while this command runs.
        self.tally.seen.insert(sent.to_string());
        self.progress.clear();
        print_lines([format!("{} {id}", sent.as_str()).as_str()]).ok();
        if receive::delete(self.queue, std::slice::from_ref(received)).await {
            Ok(Moved::Yes)
        } else {
            self.say(&id, "it was sent and could not be deleted here: it is in both queues");
            Ok(Moved::No)
        }
    }

    async fn target_of(&mut self, received: &Received) -> Result<Option<Arc<SqsQueue>>, QueueError> {
        if let Target::Fixed(to) = &self.target {
            return Ok(Some(Arc::clone(to)));
        }
        let origin = shape::origin(received);
        let (Origin::Arn(known) | Origin::Name(known)) = &origin else { return Ok(None) };
        if let Some(to) = self.opened.get(known) {
            return Ok(Some(Arc::clone(to)));
        }
        let opened = match &origin {
            Origin::Arn(arn) => self.queue.of_arn(arn).await?,
            Origin::Name(name) => Some(self.queue.beside(QueueRef::Name(name.clone()))),
            Origin::Unknown => None,
        };
        let Some(opened) = opened.map(Arc::new) else { return Ok(None) };
        self.opened.insert(known.clone(), Arc::clone(&opened));
        Ok(Some(opened))
    }

    fn say(&mut self, id: &str, what: &str) {
        self.progress.clear();
        complain(&format!("message {}: {what}", escape::line(id)));
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
            complain(&format!(
                "{kept} messages that were not moved stay hidden for up to {} s",
                HIDDEN.as_secs()
            ));
        }
    }
}

fn messages(count: u64) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}
