//! Takes the message out of what another service put around it: an SNS envelope, an `EventBridge` event, an S3 event.
//!
//! A listener names envelopes in the order in which they are taken off. A message that is not in such an envelope passes as
//! it is: raw message delivery needs no setting of its own. An envelope with a field of the wrong type makes no
//! request, and the field is named. What the envelope says is passed on as headers, escaped and bounded like every other.
//! What no endpoint has to do work for is recognised by [`NoWork`].
//!
//! Each name of a JSON object counts once: the last one, as for most readers of JSON. Nothing here follows an address that
//! a message contains: no subscription is confirmed.

mod eventbridge;
mod no_work;
mod object;
mod s3;
mod sns;

pub use no_work::NoWork;

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderName;

use crate::exchange::Request;
use crate::exchange::headers::Budget;
use crate::message::{Attribute, Message};

/// What another service put around a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// The notification of an SNS topic without raw message delivery.
    Sns,
    /// An event of `EventBridge`.
    EventBridge,
    /// A notification of S3: nothing is taken off, and its one record is described in headers.
    S3,
}

/// What a listener takes off its messages, and which messages are no work to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unwrap {
    /// In the order in which they are taken off.
    pub envelopes: Vec<Envelope>,
    /// Whether messages that are no work are deleted without a request.
    pub deletes_no_work: bool,
}

/// A message without its envelopes, and what these said of it.
#[derive(Debug)]
pub(super) struct Unwrapped<'a> {
    /// The message for the shape.
    pub(super) message: Cow<'a, Message>,
    properties: Vec<(HeaderName, String)>,
}

impl Unwrap {
    /// Takes the envelopes off.
    ///
    /// # Errors
    /// The field of an envelope that makes no sense.
    pub(super) fn apply<'a>(&self, message: &'a Message) -> Result<Unwrapped<'a>, String> {
        let mut unwrapped = Unwrapped { message: Cow::Borrowed(message), properties: Vec::new() };
        for envelope in &self.envelopes {
            let body = unwrapped.message.body.clone();
            match envelope {
                Envelope::Sns => sns::unwrap(&body, &mut unwrapped)?,
                Envelope::EventBridge => eventbridge::unwrap(&body, &mut unwrapped)?,
                Envelope::S3 => s3::describe(&body, &mut unwrapped)?,
            }
        }
        Ok(unwrapped)
    }

    /// What `message` is, if it is no work and such messages are deleted without a request.
    pub(super) fn no_work(&self, message: &Message) -> Option<NoWork> {
        if self.deletes_no_work { NoWork::recognise(&message.body) } else { None }
    }
}

impl Unwrapped<'_> {
    /// Adds what the envelopes said to the headers of the message's request, as far as there is room.
    pub(super) fn describe(self, request: &mut Request) {
        if self.properties.is_empty() {
            return;
        }
        let mut budget = Budget::beside(&request.headers);
        for (name, value) in self.properties {
            budget.put(&mut request.headers, name, &value);
        }
        request.headers_dropped += budget.dropped();
    }

    fn body(&mut self, body: impl Into<Bytes>) {
        self.message.to_mut().body = body.into();
    }

    /// Adds attributes as if the sender had given them to the message itself; these come before its own of the same name.
    fn attributes(&mut self, attributes: Vec<Attribute>) {
        if attributes.is_empty() {
            return;
        }
        let all = &mut self.message.to_mut().attributes;
        all.retain(|own| attributes.iter().all(|attribute| attribute.name != own.name));
        all.extend(attributes);
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn property(&mut self, name: &'static str, value: Option<String>) {
        self.properties.extend(value.map(|value| (HeaderName::from_static(name), value)));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
