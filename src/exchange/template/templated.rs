//! A shape whose path, query, headers and body are made by templates, in place of those of another shape.
//!
//! The address of the listener stays in front: a rendered path is appended to its path, and a rendered query to its query.
//! What is made is checked as a whole ([`Resource`]). Scheme, host, port and credentials are out of reach.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use crate::exchange::template::engine::{BODY_KEY, Engine, HEADER_KEY, PATH_KEY, QUERY_KEY};
use crate::exchange::template::flaw::Flaw;
use crate::exchange::template::values::Variables;
use crate::exchange::{Request, Resource, Shape, is_beyond_messages};
use crate::message::Message;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The content types that a shape finds by looking at the body.
const FOUND: [&str; 3] = [JSON, TEXT, "application/text"];

/// The templates of a listener.
#[derive(Debug, Default)]
pub struct Parts {
    pub(super) engine: Engine,
    has_path: bool,
    /// Names as written, each with the key of its template.
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, String)>,
    keeps_content_type: bool,
}

/// The address that rendered parts are appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Path, from its first `/`.
    pub path: String,
    /// Query, without `?`.
    pub query: Option<String>,
}

impl Parts {
    /// For requests with several messages, which the body has as `messages`; the other templates see none.
    pub fn of_batch() -> Self {
        Self { engine: Engine::of_batch(), ..Self::default() }
    }

    /// Sets the path.
    pub fn path(&mut self, source: &str) -> Result<(), Vec<Flaw>> {
        if !source.trim_start().starts_with('/') {
            let rule = "does not start with `/`".to_owned();
            return Err(vec![Flaw { line: 1, column: 1, rule, fix: None, unknown: None }]);
        }
        self.has_path = true;
        self.engine.add(PATH_KEY, source)
    }

    /// Adds a parameter to the query.
    pub fn query(&mut self, name: &str, source: &str) -> Result<(), Vec<Flaw>> {
        let key = format!("{QUERY_KEY}{name}");
        self.query.push((name.to_owned(), key.clone()));
        self.engine.add(&key, source)
    }

    /// Sets a header, whose name [`Self::header_name`] allows.
    pub fn header(&mut self, name: &HeaderName, source: &str) -> Result<(), Vec<Flaw>> {
        let key = format!("{HEADER_KEY}{name}");
        self.headers.push((name.clone(), key.clone()));
        self.engine.add(&key, source)
    }

    /// Sets the body.
    pub fn body(&mut self, source: &str) -> Result<(), Vec<Flaw>> {
        self.engine.add(BODY_KEY, source)
    }

    /// Leaves the content type to the shape, since somebody chose it.
    pub fn keep_content_type(&mut self) {
        self.keeps_content_type = true;
    }

    /// Whether path or query are rendered.
    pub fn address(&self) -> bool {
        self.has_path || !self.query.is_empty()
    }

    /// The address, appended to `base`.
    pub(super) fn resource(&self, base: &Base, variables: &Variables) -> Result<Resource, String> {
        let mut path = base.path.clone();
        if let Some(rendered) = self.engine.render(PATH_KEY, variables) {
            path.truncate(path.trim_end_matches('/').len());
            path.push_str(rendered?.trim());
        }
        let mut query = base.query.clone().into_iter().collect::<Vec<_>>();
        for (name, key) in &self.query {
            let value = self.engine.render(key, variables).transpose()?.unwrap_or_default();
            if !value.trim().is_empty() {
                query.push(format!("{}={}", utf8_percent_encode(name, NON_ALPHANUMERIC), value.trim()));
            }
        }
        let query = (!query.is_empty()).then(|| query.join("&"));
        Resource::new(&path, query.as_deref())
            .map_err(|why| format!("the rendered address is refused: {why}"))
    }

    /// Adds the headers.
    pub(super) fn set_headers(&self, headers: &mut HeaderMap, variables: &Variables) -> Result<(), String> {
        for (name, key) in &self.headers {
            let value = self.engine.render(key, variables).transpose()?.unwrap_or_default();
            headers.remove(name);
            if value.trim().is_empty() {
                continue;
            }
            let value = Some(value.trim()).filter(|value| value.is_ascii());
            let value = value.and_then(|value| HeaderValue::from_str(value).ok()).ok_or_else(|| {
                format!("{key} makes a character that no header may have: write `| urlencode`")
            })?;
            headers.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Corrects a content type that was found by looking at the message's body. One that somebody chose stays.
    pub(super) fn set_content_type(&self, headers: &mut HeaderMap, body: &str) {
        let present = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if self.keeps_content_type || present.is_some_and(|present| !FOUND.contains(&present)) {
            return;
        }
        let is_json = serde_json::from_str::<IgnoredAny>(body).is_ok();
        let other = present.filter(|&present| present != JSON).unwrap_or(TEXT);
        if let Ok(value) = HeaderValue::from_str(if is_json { JSON } else { other }) {
            headers.insert(CONTENT_TYPE, value);
        }
    }

    /// The name of a header that a template may set.
    ///
    /// # Errors
    /// The rule it breaks, as the end of a sentence.
    pub fn header_name(name: &str) -> Result<HeaderName, &'static str> {
        let name = HeaderName::try_from(name).map_err(|_| "is no name of a header")?;
        if is_beyond_messages(&name) {
            return Err("is a header of the connection or of credentials, which a message must not choose");
        }
        Ok(name)
    }
}

/// A shape with templates.
#[derive(Debug)]
pub struct Templated<S> {
    shape: S,
    parts: Parts,
    base: Base,
    listener: String,
    queue: String,
}

impl<S: Shape> Templated<S> {
    /// The shape `shape` with these templates, for the address `base`.
    ///
    /// # Errors
    /// Why nothing can be appended to `base`.
    pub fn new(shape: S, parts: Parts, base: Base, listener: &str, queue: &str) -> Result<Self, String> {
        if parts.address() {
            Resource::new(&base.path, base.query.as_deref())?;
        }
        Ok(Self { shape, parts, base, listener: listener.to_owned(), queue: queue.to_owned() })
    }
}

impl<S: Shape> Shape for Templated<S> {
    fn request(&self, message: &Message) -> Result<Request, String> {
        let mut request = self.shape.request(message)?;
        let variables = self.parts.engine.variables(message, &self.listener, &self.queue);
        if self.parts.address() {
            request.resource = Some(self.parts.resource(&self.base, &variables)?);
        }
        if let Some(body) = self.parts.engine.render(BODY_KEY, &variables) {
            let body = body?;
            self.parts.set_content_type(&mut request.headers, &body);
            request.body = body.into();
        }
        self.parts.set_headers(&mut request.headers, &variables)?;
        Ok(request)
    }
}

#[cfg(test)]
#[path = "templated_tests.rs"]
pub(in crate::exchange::template) mod tests;
