//! The empty types that replace traces without the feature `otlp`.
//!
//! They do nothing, but say so to whoever expects traces: an exporter's address is set, and nothing would arrive.
#![allow(
    clippy::unused_self,
    clippy::unused_async,
    clippy::needless_pass_by_value,
    reason = "the signatures are those of the real ones"
)]

use http::HeaderMap;

use crate::message::Message;
use crate::policy::outcome::Outcome;
use crate::ports::{Operation, QueueErrorKind};

/// Exports nothing.
#[derive(Debug)]
pub struct Traces;

impl Traces {
    /// Warns when the variables ask for traces.
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(variable) = super::asked_for_by(variable) {
            tracing::warn!(
                variable,
                fix = "build with --features otlp (image: --build-arg FEATURES=otlp), or unset the variable",
                "no traces are sent: this binary was built without them"
            );
        }
        Self
    }

    /// Does nothing.
    pub async fn end(self) {}
}

/// No span of a message.
#[derive(Debug)]
pub struct Journey;

impl Journey {
    /// Does nothing.
    pub fn begin(_queue: &str, _message: &Message) -> Self {
        Self
    }

    /// Leaves the headers as they are.
    pub fn post(&self, _endpoint: &str, _headers: &mut HeaderMap) -> Post {
        Post
    }
}

/// No span of a POST.
#[derive(Debug)]
pub struct Post;

impl Post {
    /// Does nothing.
    pub fn ended(self, _journey: &Journey, _outcome: Outcome, _status: Option<u16>) {}
}

/// No span of a call to SQS.
#[derive(Debug)]
pub struct Call;

impl Call {
    /// Does nothing.
    pub fn begin() -> Self {
        Self
    }

    /// Does nothing.
    pub fn received(self, _queue: &str, _messages: &[Message]) {}

    /// Does nothing.
    pub fn ended(
        self,
        _queue: &str,
        _operation: Operation,
        _messages: usize,
        _error: Option<QueueErrorKind>,
    ) {
    }
}
