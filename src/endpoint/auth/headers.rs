//! Headers that every request of a listener gets, whatever its message.
//!
//! They replace headers that the request shape made, `Content-Type` for instance. Credentials come later and
//! replace them. A value may be a secret; no value is ever printed.

use std::fmt;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;

/// Shortest text that a log must not repeat although it is no secret by declaration. People paste tokens as
/// plain text; shorter texts are words.
const TOKEN_MIN: usize = 16;

/// Headers with fixed names.
#[derive(Clone, Default)]
pub struct FixedHeaders(Vec<(HeaderName, HeaderText)>);

/// The value of a header.
#[derive(Clone)]
pub enum HeaderText {
    /// A text of the configuration.
    Text(HeaderValue),
    /// A secret that fits [`crate::secret::one_line`].
    Secret(Secret),
}

impl FixedHeaders {
    /// These headers; of two with one name the later counts.
    pub fn new(headers: impl IntoIterator<Item = (HeaderName, HeaderText)>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// These headers, and after them those of `others`, which replace those of the same name.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self::new(self.0.iter().chain(&others.0).cloned())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Name and value of each, for people; `None` for a value that is or may be a secret.
    pub fn shown(&self) -> impl Iterator<Item = (&HeaderName, Option<&str>)> {
        self.0.iter().map(|(name, text)| match text {
            HeaderText::Text(value)
                if value.len() < TOKEN_MIN || [CONTENT_TYPE, USER_AGENT].contains(name) =>
            {
                (name, value.to_str().ok())
            }
            HeaderText::Text(_) | HeaderText::Secret(_) => (name, None),
        })
    }

    /// Puts the headers into a request.
    ///
    /// # Cancel safety
    /// The request has some of them.
    pub(in crate::endpoint) async fn put(&self, headers: &mut HeaderMap) {
        for (name, text) in &self.0 {
            let value = match text {
                HeaderText::Text(value) => Some(value.clone()),
                HeaderText::Secret(secret) => HeaderValue::from_str(&secret.current().await).ok(),
            };
            if let Some(mut value) = value {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
    }

    /// Looks at files again, because the endpoint refused the request.
    pub(in crate::endpoint) fn doubt(&self) {
        for (_, text) in &self.0 {
            if let HeaderText::Secret(secret) = text {
                secret.doubt();
            }
        }
    }

    /// The texts that a log must not repeat.
    pub(in crate::endpoint) fn secrets(&self) -> Vec<String> {
        let of = |text: &HeaderText| match text {
            HeaderText::Secret(secret) => secret.values().map(|value| value.to_string()).collect(),
            HeaderText::Text(value) if value.len() >= TOKEN_MIN => {
                value.to_str().map(str::to_owned).into_iter().collect()
            }
            HeaderText::Text(_) => Vec::new(),
        };
        self.0.iter().flat_map(|(_, text)| of(text)).collect()
    }
}

impl fmt::Debug for FixedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::one_line;

    fn text(value: &'static str) -> HeaderText {
        HeaderText::Text(HeaderValue::from_static(value))
    }

    fn headers(pairs: &[(&'static str, HeaderText)]) -> FixedHeaders {
        FixedHeaders::new(pairs.iter().map(|(name, text)| (HeaderName::from_static(name), text.clone())))
    }

    #[tokio::test]
    async fn the_listeners_headers_replace_those_of_the_endpoint_and_these_those_of_the_shape() {
        let of_endpoint = headers(&[("user-agent", text("ours/1")), ("x-tenant", text("one"))]);
        let of_listener = headers(&[("x-tenant", text("two"))]);
        let mut request = HeaderMap::new();
        request.insert("user-agent", HeaderValue::from_static("queuepost"));
        request.append("x-tenant", HeaderValue::from_static("a"));
        request.append("x-tenant", HeaderValue::from_static("b"));
        of_endpoint.and(&of_listener).put(&mut request).await;
        let all: Vec<(&str, &str)> =
            request.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(all, [("user-agent", "ours/1"), ("x-tenant", "two")]);
        assert!(request.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn no_value_is_printed_and_secrets_and_long_texts_are_taken_out_of_answers() {
        let secret = HeaderText::Secret(Secret::fixed("sw0rd", one_line).unwrap());
        let all = headers(&[
            ("x-key", secret),
            ("x-long", text("0123456789abcdef")),
            ("x-short", text("swordfish")),
        ]);
        assert_eq!(format!("{all:?}"), r#"["x-key", "x-long", "x-short"]"#);
        assert_eq!(all.secrets(), ["sw0rd", "0123456789abcdef"]);
    }
}
