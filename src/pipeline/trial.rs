//! One POST for a person: messages that are on no queue are posted, and judged as a delivery judges them.
//!
//! No limit, gate, metric or log learns of it. What the table decides is told and not carried out.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Settings, judge};
use crate::exchange::Request;
use crate::limit::clock::Wall;
use crate::message::{Message, MessageId};
use crate::policy::advice::Advice;
use crate::policy::decide::{Disposition, Facts};
use crate::policy::outcome::Outcome;
use crate::policy::visibility::CEILING;
use crate::ports::Endpoint;

/// Jitter that is neither the shortest nor the longest.
const MIDDLE: f64 = 0.5;

/// What a trial POST came to.
#[derive(Debug)]
pub struct Trial {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// From the start to the end of the answer.
    pub took: Duration,
    /// What the connection said, if it failed.
    pub error: Option<String>,
    /// The beginning of the answer's body, as it came: secrets may be in it.
    pub answer: Bytes,
    /// What would become of each message, in their order.
    pub tried: Vec<Tried>,
}

/// What would become of one message.
#[derive(Debug)]
pub struct Tried {
    /// Its id.
    pub id: MessageId,
    /// What its POST came to.
    pub outcome: Outcome,
    /// What the listener would do.
    pub disposition: Disposition,
    /// What that means, and what to do.
    pub advice: Advice,
}

/// Posts `request`, which was made of `messages`, and says what would become of them.
pub async fn try_out(
    settings: &Settings,
    endpoint: &dyn Endpoint,
    request: Request,
    messages: &[Message],
) -> Trial {
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
    let started = Instant::now();
    let attempt = endpoint.post(request).await;
    let took = started.elapsed();
    let (posted, verdicts, _) = judge::read(attempt, &*settings.exchange, &ids, Wall::System.now());
    let facts = |message: &Message| Facts {
        receives: message.receive_count,
        final_receive: false,
        status: posted.seen.status,
        retry_after: posted.retry_after,
        hideable: CEILING,
        held: Duration::ZERO,
        unit: MIDDLE,
    };
    let messages: Vec<(&Message, Facts)> = messages.iter().map(|message| (message, facts(message))).collect();
    let decided = judge::decisions(&messages, (&posted, &verdicts), &settings.policy, settings.is_fifo());
    let tried = ids.into_iter().zip(decided).map(|(id, (posted, decision))| Tried {
        id,
        outcome: posted.outcome,
        disposition: decision.disposition,
        advice: posted.reason.advice(&posted.seen),
    });
    let tried = tried.collect();
    Trial { status: posted.seen.status, took, error: posted.why, answer: posted.body.kept, tried }
}
