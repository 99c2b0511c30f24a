//! The shape of a delivery, both ways: messages → request, answer → verdicts.
//!
//! Pure: no I/O, no clock, no randomness. A [`Single`] sends one message in a [`Shape`], and judges by the status. [`Raw`] is
//! the shape that sends a body byte for byte, with the message's properties as headers; `sqsd` names them for receivers of
//! Elastic Beanstalk's daemon. [`CloudEvents`] sends an event. [`Several`] messages go together in a [`BatchShape`]: as
//! the event of AWS Lambda, whose answer names those that failed ([`Lambda`]), or as a batch of events. Before that, [`Unwrap`] takes off
//! what other services put around the message. An [`Algorithm`] is the
//! address of an Algorithmia-style algorithm. An exchange knows nothing of hosts or credentials: those are the
//! endpoint's business. The most of an address that it may choose is a [`Resource`].

mod algorithm;
mod claim_check;
mod cloudevents;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod headers;
mod lambda;
mod raw;
mod reserved;
mod resource;
pub mod results;
mod several;
mod single;
mod sqsd;
pub mod template;
mod trace_context;
mod unwrap;

pub use algorithm::{Algorithm, AlgorithmError};
pub use claim_check::Pointer;
pub use cloudevents::{CloudEvents, ContentMode};
pub use lambda::Lambda;
pub use raw::{AGENT, ContentType, Look, Properties, Raw};
pub use reserved::{is_beyond_messages, is_of_client};
pub use resource::Resource;
pub use several::{BatchShape, Several};
pub use single::{Shape, Single, Success, reports_an_error};
pub use sqsd::AGENT as SQSD_AGENT;
pub use unwrap::{Envelope, NoWork, Unwrap};

use std::fmt::{self, Debug};

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use crate::message::{Message, MessageId};
use crate::policy::outcome::{Answer, Outcome};

/// How much of a success is kept to be read, in bytes: 64 KiB.
pub const ANSWER_KEPT: usize = 64 * 1024;

/// How messages become a request, and what its answer says of each of them.
pub trait Exchange: Debug + Send + Sync {
    /// The most messages that one request carries.
    fn messages_max(&self) -> usize {
        1
    }

    /// Bytes that a message adds to a request, at most.
    fn size_of(&self, message: &Message) -> usize {
        message.body.len()
    }

    /// How much of a success is kept, so that [`Exchange::verdicts`] can read it.
    fn answer_kept(&self) -> usize {
        ANSWER_KEPT
    }

    /// The request that carries `messages`, at least one and at most [`Exchange::messages_max`].
    ///
    /// # Errors
    /// The first message that no request can be made of. The others may still make one.
    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable>;

    /// What `message` is, if it is no work and the listener has such messages deleted without a request.
    fn no_work(&self, _message: &Message) -> Option<NoWork> {
        None
    }

    /// What a complete answer says of the messages `ids`, in the order of the request.
    fn verdicts(&self, answer: &Answer, ids: &[MessageId]) -> Verdicts;
}

/// What an answer says of the messages of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdicts {
    /// The same of all: the endpoint took or refused the request as a whole.
    All(Outcome),
    /// The endpoint did its work; one outcome for each message, in the order of the request. A message without one has
    /// failed.
    Each(Vec<Outcome>),
}

/// A message that no request can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no request can be made of the message: {why}")]
pub struct Unshapeable {
    /// Its place among the messages, from 0.
    pub position: usize,
    /// Why, without words of the message.
    pub why: String,
}

/// What is to be posted, before it is signed and addressed.
#[derive(Clone)]
pub struct Request {
    /// Id of its message, or of all its messages together.
    pub id: Option<MessageId>,
    /// Path and query; `None`: those of the listener's address.
    pub resource: Option<Resource>,
    /// `Content-Type` and the message's properties; no `Host`, no credentials.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Headers left out: because of their name, for trace context that is not valid, or for lack of room.
    pub headers_dropped: u32,
    /// What no log may repeat from the answer, beside the body: of several messages their bodies and receipt handles.
    pub contents: Vec<Bytes>,
}

impl Request {
    /// A request to the listener's address.
    pub fn new(headers: HeaderMap, body: Bytes) -> Self {
        Self { id: None, resource: None, headers, body, headers_dropped: 0, contents: Vec::new() }
    }

    /// Where it is sent: to the listener's address, with path and query of its own if it has any.
    pub fn address(&self, of_listener: &Url) -> Url {
        let mut url = of_listener.clone();
        if let Some(resource) = &self.resource {
            url.set_path(resource.path());
            url.set_query(resource.query());
        }
        url
    }
}

impl Debug for Request {
    /// Sizes alone: what a message says is in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} headers, {} bytes)", self.headers.len(), self.body.len())
    }
}
