//! The exchange of several messages in one request: a [`BatchShape`] makes it, and the answer's status is the verdict unless
//! the shape reads more in a success.
//!
//! The id of a request is made of the ids of all its messages. After a part of a batch has failed, the rest comes in another
//! batch. A receiver that remembers ids must not take that for a repetition.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::exchange::{ANSWER_KEPT, Exchange, NoWork, Request, Success, Unshapeable, Unwrap, Verdicts};
use crate::message::{Message, MessageId};
use crate::policy::outcome::{Answer, Outcome};

/// How several messages become one request.
pub trait BatchShape: std::fmt::Debug + Send + Sync {
    /// The request of these messages, at least one.
    ///
    /// # Errors
    /// The first message that no request can be made of.
    fn request_of(&self, messages: &[Cow<'_, Message>]) -> Result<Request, Unshapeable>;

    /// Bytes that a message adds to a request, at most.
    fn size_of(&self, message: &Message) -> usize;

    /// How much of a success is kept to be read, for requests of up to `most` messages.
    fn answer_kept(&self, _most: usize) -> usize {
        ANSWER_KEPT
    }

    /// What an answer with a status of success says of the messages `ids`.
    fn verdicts(&self, _answer: &Answer, _ids: &[MessageId]) -> Verdicts {
        Verdicts::All(Outcome::Success)
    }
}

/// Several messages in a request.
#[derive(Debug, Clone)]
pub struct Several {
    unwrap: Unwrap,
    shape: Arc<dyn BatchShape>,
    success: Success,
    most: usize,
}

impl Several {
    /// The exchange of up to `most` messages in this shape, without what others put around them.
    pub fn new(shape: impl BatchShape + 'static, success: Success, most: usize, unwrap: Unwrap) -> Self {
        Self { unwrap, shape: Arc::new(shape), success, most }
    }
}

impl Exchange for Several {
    fn messages_max(&self) -> usize {
        self.most
    }

    fn size_of(&self, message: &Message) -> usize {
        let unwrapped = self.unwrap.apply(message);
        unwrapped.map_or(message.body.len(), |unwrapped| self.shape.size_of(&unwrapped.message))
    }

    fn answer_kept(&self) -> usize {
        self.shape.answer_kept(self.most)
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let mut unwrapped = Vec::with_capacity(messages.len());
        for (position, &message) in messages.iter().enumerate() {
            let each = self.unwrap.apply(message).map_err(|why| Unshapeable { position, why })?;
            unwrapped.push(each.message);
        }
        let request = self.shape.request_of(&unwrapped)?;
        let handle = |message: &&Message| Bytes::copy_from_slice(message.receipt.expose().as_bytes());
        let wrapped = messages.iter().map(|message| message.body.clone());
        let contents = unwrapped.iter().map(|message| message.body.clone()).chain(wrapped);
        let contents = contents.chain(messages.iter().map(handle)).collect();
        Ok(Request { id: Some(id_of(messages)), contents, ..request })
    }

    fn no_work(&self, message: &Message) -> Option<NoWork> {
        self.unwrap.no_work(message)
    }

    fn verdicts(&self, answer: &Answer, ids: &[MessageId]) -> Verdicts {
        match self.success.outcome(answer) {
            Outcome::Success => self.shape.verdicts(answer, ids),
            outcome => Verdicts::All(outcome),
        }
    }
}

/// The id of a request: the same for the same messages in the same order.
fn id_of(messages: &[&Message]) -> MessageId {
    let mut sum = Sha256::new();
    for message in messages {
        sum.update(message.id.as_str());
        sum.update([0]);
    }
    MessageId::new(format!("batch-{}", URL_SAFE_NO_PAD.encode(sum.finalize())))
}

#[cfg(test)]
#[path = "several_tests.rs"]
mod tests;
