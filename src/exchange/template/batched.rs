//! A request that templates make of several messages: its body reads `messages`, the other parts none of them.
//!
//! A message that spoils the body is found by rendering each alone. Where each alone is fine, together they are too much for the
//! bounds (`limits`), and the longest one is named.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};

use crate::exchange::template::engine::BODY_KEY;
use crate::exchange::template::templated::{Base, Parts};
use crate::exchange::{BatchShape, ContentType, Look, Request, Resource, Unshapeable};
use crate::message::Message;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A shape of several messages.
#[derive(Debug)]
pub struct TemplatedBatch {
    parts: Parts,
    base: Base,
    headers: HeaderMap,
    listener: String,
    queue: String,
}

impl TemplatedBatch {
    /// The shape that these templates make, for the address `base`.
    ///
    /// # Errors
    /// Why nothing can be appended to `base`.
    pub fn new(parts: Parts, look: Look, base: Base, listener: &str, queue: &str) -> Result<Self, String> {
        if parts.address() {
            Resource::new(&base.path, base.query.as_deref())?;
        }
        let content_type = match look.content_type {
            ContentType::Fixed(content_type) => content_type,
            ContentType::Auto | ContentType::Algorithmia => JSON,
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type), (USER_AGENT, look.user_agent)]);
        Ok(Self { parts, base, headers, listener: listener.to_owned(), queue: queue.to_owned() })
    }

    fn made(&self, messages: &[&Message]) -> Result<Request, String> {
        let variables = self.parts.engine.variables_of(messages, &self.listener, &self.queue);
        let mut request = Request::new(self.headers.clone(), bytes::Bytes::new());
        if self.parts.address() {
            request.resource = Some(self.parts.resource(&self.base, &variables)?);
        }
        let body = self.parts.engine.render(BODY_KEY, &variables).transpose()?.unwrap_or_default();
        self.parts.set_content_type(&mut request.headers, &body);
        request.body = body.into();
        self.parts.set_headers(&mut request.headers, &variables)?;
        Ok(request)
    }

    /// The message for whose sake there is no request.
    fn spoiled(&self, messages: &[&Message], of_all: String) -> Unshapeable {
        let alone = |(position, message): (usize, &&Message)| {
            let why = self.made(&[message]).err()?;
            Some(Unshapeable { position, why })
        };
        messages.iter().enumerate().find_map(alone).unwrap_or_else(|| {
            let longest = messages.iter().enumerate().max_by_key(|(_, message)| message.body.len());
            Unshapeable { position: longest.map_or(0, |(position, _)| position), why: of_all }
        })
    }
}

impl BatchShape for TemplatedBatch {
    fn request_of(&self, messages: &[Cow<'_, Message>]) -> Result<Request, Unshapeable> {
        let messages: Vec<&Message> = messages.iter().map(AsRef::as_ref).collect();
        self.made(&messages).map_err(|why| self.spoiled(&messages, why))
    }

    /// What the body of this message alone takes: nothing else tells how much a template makes of it.
    fn size_of(&self, message: &Message) -> usize {
        self.made(&[message]).map_or(message.body.len(), |request| request.body.len())
    }
}

#[cfg(test)]
#[path = "batched_tests.rs"]
mod tests;
