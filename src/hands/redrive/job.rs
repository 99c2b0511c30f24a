//! One redrive: what the queues say beforehand, which way it goes, and where messages go.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::by_hand::ByHand;
use super::way::{Asked, Way};
use super::{End, Order, Target, task, way};
use crate::escape;
use crate::hands::Report;
use crate::ports::{BATCH_MAX, Queue as _, QueueError, QueueErrorKind, QueueFacts, QueueReason};
use crate::sqs::{QueueRef, ReceiveRequest, SqsQueue, is_copy};

/// A redrive that was prepared: nothing was received or moved yet.
pub struct Job<'a> {
    queue: &'a SqsQueue,
    order: Order,
    facts: QueueFacts,
    target: Target,
}

impl<'a> Job<'a> {
    /// Reads the queue; messages go `to` this queue, or each to its own. One that does not say goes to the only queue
    /// whose dead-letter queue this is.
    pub async fn prepare(
        queue: &'a SqsQueue,
        order: Order,
        to: Option<SqsQueue>,
        report: &mut dyn Report,
    ) -> Result<Self, QueueError> {
        let facts = queue.inspect().await?;
        let target = match to {
            Some(to) => Target::Fixed(Arc::new(to)),
            None => target(queue, report).await?,
        };
        if facts.redrive.is_some() {
            report.say(&format!(
                "{} has a dead-letter queue of its own: each receive of this redrive counts there; is it the right queue?",
                queue.own_name()
            ));
        }
        Ok(Self { queue, order, facts, target })
    }

    /// The way it will go, as far as the queue itself says so.
    pub fn way(&self) -> Way {
        way::way(self.asked())
    }

    fn asked(&self) -> Asked {
        Asked {
            by_hand: self.order.by_hand,
            chosen: !self.order.ids.is_empty(),
            fifo: self.facts.fifo,
            ours: false,
            has_arn: self.facts.arn.is_some(),
        }
    }

    /// Messages that it will move, about.
    pub fn total(&self) -> u64 {
        match self.order.ids.len() {
            0 => self.facts.depth.visible,
            ids => u64::try_from(ids).unwrap_or(u64::MAX),
        }
    }

    /// Moves messages until all are moved, or `stop` is cancelled. Then a task is cancelled, and by hand what is under
    /// way is finished and what was received released.
    pub async fn run(self, report: &mut dyn Report, stop: &CancellationToken) -> Result<End, QueueError> {
        // A look for copies is a receive, too, and counts.
        if stop.is_cancelled() {
            return Ok(End::Stopped);
        }
        let name = self.queue.own_name();
        let (depth, has_own) = (self.facts.depth, self.facts.redrive.is_some());
        if depth.visible == 0 && depth.not_visible == 0 && depth.delayed == 0 {
            // Depths are approximate, so it is looked all the same.
            report.say(&format!("{name} seems to be empty"));
        }
        let looks = self.way() == Way::Task && !has_own;
        let asked = Asked { ours: looks && has_copies(self.queue).await?, ..self.asked() };
        let ended = match (way::way(asked), &self.facts.arn) {
            (Way::Task, Some(arn)) => self.by_task(arn, report, stop).await,
            (Way::ByHand(why), _) => self.by_hand(why, report, stop).await,
            (Way::Task, None) => self.by_hand("this server names no ARN of the queue", report, stop).await,
        };
        if !matches!(ended, Ok(End::All)) {
            tell_rest(self.queue, report).await;
        }
        ended
    }

    /// By a task; by hand where the server has no tasks, and for what no task can place.
    async fn by_task(
        &self,
        arn: &str,
        report: &mut dyn Report,
        stop: &CancellationToken,
    ) -> Result<End, QueueError> {
        let destination = match &self.target {
            Target::Fixed(to) => to.inspect().await?.arn,
            Target::Each { .. } => None,
        };
        report.begin(false, self.total());
        let moved = task::run(self.queue, arn, destination.as_deref(), self.order.rate, (&mut *report, stop));
        match moved.await {
            Ok(task::End::Completed) => Ok(End::All),
            Ok(task::End::Stopped) => Ok(End::Stopped),
            Ok(task::End::Failed) => Ok(End::NotAll),
            Ok(task::End::UnknownSource) => {
                self.by_hand("SQS does not know where some messages came from", report, stop).await
            }
            Err(error) if is_unsupported(&error) => {
                self.by_hand("this server has no move tasks", report, stop).await
            }
            Err(error) => Err(error),
        }
    }

    async fn by_hand(
        &self,
        why: &str,
        report: &mut dyn Report,
        stop: &CancellationToken,
    ) -> Result<End, QueueError> {
        report.say(&format!("by hand: {why}"));
        report.begin(true, self.total());
        ByHand::new(self.queue, self.target.clone(), &self.order, self.facts.fifo, (report, stop)).run().await
    }

    /// What would happen, a line each.
    pub fn words(&self) -> Vec<String> {
        let (name, depth) = (self.queue.own_name(), self.facts.depth);
        let what = match self.order.ids.len() {
            0 => format!("about {} messages of {name}", depth.visible),
            1 => format!(
                "1 message, by its id, among about {} of {name}, which costs them a receive each,",
                depth.visible
            ),
            ids => format!(
                "{ids} messages, by id, among about {} of {name}, which costs them a receive each,",
                depth.visible
            ),
        };
        let to = match &self.target {
            Target::Fixed(to) => format!("to {}", to.own_name()),
            Target::Each { otherwise: Some(to), .. } => {
                format!("each to the queue it came from, or to {} where it does not say,", to.own_name())
            }
            Target::Each { otherwise: None, .. } => "each to the queue it came from".to_owned(),
        };
        let how = match self.way() {
            Way::Task => {
                "by a move task of SQS, or by hand if the first ones show that queuepost put them there itself"
                    .to_owned()
            }
            Way::ByHand(why) => format!("by hand ({why})"),
        };
        let rate = self.order.rate.map_or_else(String::new, |rate| format!(", {rate} a second at most"));
        let mut lines = vec![format!("would move {} {} {how}{rate}", escape::line(&what), escape::line(&to))];
        let hidden = depth.not_visible + depth.delayed;
        if hidden > 0 {
            lines.push(format!(
                "{hidden} more are in flight or delayed and would stay, unless they become visible meanwhile"
            ));
        }
        lines
    }
}

/// Says how many messages remain, where SQS says so.
async fn tell_rest(queue: &SqsQueue, report: &mut dyn Report) {
    if let Ok(QueueFacts { depth, .. }) = queue.inspect().await {
        let rest = depth.visible.saturating_add(depth.not_visible).saturating_add(depth.delayed);
        report.say(&format!("about {rest} messages remain in {}", escape::line(queue.own_name())));
    }
}

/// Each message goes to its own queue; one that does not say, to the only queue whose dead-letter queue this is.
async fn target(queue: &SqsQueue, report: &mut dyn Report) -> Result<Target, QueueError> {
    let name = queue.own_name();
    match queue.sources().await {
        Ok(sources) => {
            let otherwise = match sources.as_slice() {
                [only] => only.parse().ok().map(|url| Arc::new(queue.beside(QueueRef::Url(url)))),
                _ => None,
            };
            if sources.is_empty() {
                report.say(&format!(
                    "no queue has {name} as its dead-letter queue: only messages that say where they came from can go \
                     back\n  fix: name the queue they go to: queuepost redrive --to"
                ));
            }
            let names: Vec<String> =
                sources.iter().filter_map(|url| url.rsplit('/').next()).map(str::to_owned).collect();
            // Where SQS knows of none, queuepost may have been told of the dead-letter queue.
            let sources = Some(names).filter(|names| !names.is_empty());
            Ok(Target::Each { otherwise, sources })
        }
        Err(error) if is_unsupported(&error) || error.kind == QueueErrorKind::Denied => {
            let why = escape::line(&error.to_string()).into_owned();
            report.say(&format!(
                "it is not known which queue {name} belongs to ({why}): each message goes where it says it came from, \
                 or name the queue: queuepost redrive --to"
            ));
            Ok(Target::Each { otherwise: None, sources: None })
        }
        Err(error) => Err(error),
    }
}

/// Whether one of the first messages was dead-lettered by queuepost itself. They stay visible.
async fn has_copies(queue: &SqsQueue) -> Result<bool, QueueError> {
    let look = ReceiveRequest {
        max: BATCH_MAX,
        wait: Duration::from_secs(1),
        visibility: Some(Duration::ZERO),
        attempt_id: None,
    };
    let first = queue.receive_by_hand(&look).await?;
    Ok(first.iter().any(|received| is_copy(&received.message)))
}

fn is_unsupported(error: &QueueError) -> bool {
    matches!(error.reason, QueueReason::Unsupported | QueueReason::UnexpectedAnswer | QueueReason::NotSqs)
}
