//! The request that messages would become: for `queuepost check --render`. Nothing is sent, and no queue is asked.
//!
//! The endpoint adds credentials and signatures when it posts. Here they are left out, and a header that they are in is
//! printed without its value.

use bytes::Bytes;
use url::Url;

use crate::config::{EndpointPlan, ListenerPlan, Plan};
use crate::endpoint::PATH_TOKEN_MIN;
use crate::exchange::Pointer;
use crate::exchange::Request;
use crate::message::Message;

/// Stands for a secret.
pub(super) const REDACTED: &str = "REDACTED";
/// Shortest value in an address that may be a token.
const TOKEN_MIN: usize = 8;

/// A request as it would be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The full address.
    pub url: Url,
    /// Names and values, in the order of their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The listener must be named.
    #[error("--listener is required, for there are several: {0}")]
    Ambiguous(String),
    /// There is no such listener.
    #[error("there is no listener {name}; there are: {known}")]
    Unknown {
        /// As given.
        name: String,
        /// All names.
        known: String,
    },
    /// There are more messages than a request carries.
    #[error(
        "there are {given} messages, and a request of this listener carries {most} at most: give fewer lines"
    )]
    TooMany {
        /// How many there are.
        given: usize,
        /// How many a request carries.
        most: usize,
    },
    /// No request can be made of the messages.
    #[error("{0}")]
    Unshapeable(String),
    /// There is no request of the message itself.
    #[error("no request is made of the message: {0}")]
    NoPost(&'static str),
}

/// Values in the query of a configured address that may be tokens.
pub fn tokens(url: &Url) -> Vec<String> {
    let values = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    values.map(|(_, value)| value).filter(|value| value.len() >= TOKEN_MIN).map(str::to_owned).collect()
}

/// A configured address for people, without its query; without its path too where that may hold a token.
pub fn shown(url: &Url) -> String {
    let mut parts = url.path_segments().into_iter().flatten();
    let path = if parts.any(|part| part.len() >= PATH_TOKEN_MIN) { "" } else { url.path() };
    format!("{}{path}", url.origin().ascii_serialization())
}

/// The request of messages to the listener `name`, or to the only one.
pub fn render(plan: &Plan, name: Option<&str>, messages: &[Message]) -> Result<Rendered, RenderError> {
    let listener = listener(plan, name)?;
    let request = request(listener, messages)?;
    Ok(rendered(listener, plan.endpoints.get(listener.endpoint), &request))
}

/// The request that carries messages.
pub(super) fn request(listener: &ListenerPlan, messages: &[Message]) -> Result<Request, RenderError> {
    let exchange = &listener.listener.exchange;
    let (given, most) = (messages.len(), exchange.messages_max());
    if given > most {
        return Err(RenderError::TooMany { given, most });
    }
    if messages.iter().any(|message| exchange.no_work(message).is_some()) {
        return Err(RenderError::NoPost("it is no work, and is deleted without a POST"));
    }
    let is_claim_check = |message: &Message| !matches!(Pointer::of(message), Ok(None));
    if listener.claim_check.is_some() && messages.iter().any(is_claim_check) {
        return Err(RenderError::NoPost("it is a claim check: give the body that is in S3"));
    }
    let carried: Vec<&Message> = messages.iter().collect();
    exchange.request(&carried).map_err(|error| {
        let which = if given > 1 { format!("message {}: ", error.position + 1) } else { String::new() };
        RenderError::Unshapeable(format!("{which}{error}"))
    })
}

/// A request for people: with the listener's address and fixed headers, without secrets.
pub(super) fn rendered(
    listener: &ListenerPlan,
    endpoint: Option<&EndpointPlan>,
    request: &Request,
) -> Rendered {
    let mut url = request.address(&listener.target.url);
    for token in tokens(&listener.target.url) {
        let query = url.query().map(|query| query.replace(&token, REDACTED));
        url.set_query(query.as_deref());
    }
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let shown = if value.is_sensitive() {
                REDACTED.into()
            } else {
                String::from_utf8_lossy(value.as_bytes())
            };
            (name.to_string(), shown.into_owned())
        })
        .collect();
    let auth = endpoint.and_then(|endpoint| endpoint.client.auth.as_ref());
    let auth = auth.map(|auth| (auth.header(), None));
    let fixed = listener.target.headers.shown().map(|(name, value)| (name.clone(), value));
    for (name, value) in fixed.chain(auth) {
        headers.retain(|(other, _)| other != name.as_str());
        headers.push((name.to_string(), value.unwrap_or(REDACTED).to_owned()));
    }
    headers.sort();
    Rendered { url, headers, body: request.body.clone() }
}

/// The listener of that name, or the only one.
pub(super) fn listener<'a>(plan: &'a Plan, name: Option<&str>) -> Result<&'a ListenerPlan, RenderError> {
    let known =
        || plan.listeners.iter().map(|each| each.listener.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, plan.listeners.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(RenderError::Ambiguous(known())),
        (Some(name), all) => all
            .iter()
            .find(|each| each.listener.name == name)
            .ok_or_else(|| RenderError::Unknown { name: name.to_owned(), known: known() }),
    }
}

#[cfg(test)]
mod address_tests {
    #[test]
    fn an_address_is_shown_without_its_query_and_without_a_path_that_may_hold_a_token() {
        let shown = |url: &str| super::shown(&url.parse().unwrap());
        let plain = "https://api.example:8443/v1/events";
        assert_eq!(shown(&format!("{plain}?key=0123456789")), plain);
        let hook = "https://hooks.example/services/T024BE7LD/XyZ0123456789abcdef";
        assert_eq!(shown(hook), "https://hooks.example");
    }
}

#[cfg(test)]
#[path = "matillion_tests.rs"]
mod tests;
