//! The exchange of one message: its shape makes the request, the answer's status is the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::exchange::{Exchange, NoWork, Request, Unshapeable, Unwrap, Verdicts};
use crate::message::{Message, MessageId};
use crate::policy::outcome::{Answer, Body, Outcome, StatusSet, classify_answer};

/// How one message becomes a request.
pub trait Shape: std::fmt::Debug + Send + Sync {
    /// The request of one message.
    ///
    /// # Errors
    /// Why there is none, without words of the message.
    fn request(&self, message: &Message) -> Result<Request, String>;
}

impl Shape for Box<dyn Shape> {
    fn request(&self, message: &Message) -> Result<Request, String> {
        (**self).request(message)
    }
}

/// One message in a request.
#[derive(Debug, Clone)]
pub struct Single {
    unwrap: Unwrap,
    shape: Arc<dyn Shape>,
    success: Success,
}

/// Which answers mean that the work is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Success {
    /// Their statuses.
    pub statuses: StatusSet,
    /// Whether a JSON `error` member in such an answer puts the message at fault.
    pub error_in_body_is_failure: bool,
}

impl Single {
    /// The exchange of messages in this shape.
    pub fn new(shape: impl Shape + 'static, success: Success) -> Self {
        Self { unwrap: Unwrap::default(), shape: Arc::new(shape), success }
    }

    /// The same, of messages without what others put around them.
    #[must_use]
    pub fn unwrapping(self, unwrap: Unwrap) -> Self {
        Self { unwrap, ..self }
    }

    fn request_of(&self, message: &Message) -> Result<Request, String> {
        let unwrapped = self.unwrap.apply(message)?;
        let mut request = self.shape.request(&unwrapped.message)?;
        unwrapped.describe(&mut request);
        Ok(request)
    }
}

impl Exchange for Single {
    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let unshapeable = |why| Unshapeable { position: 0, why };
        match messages {
            [message] => {
                let request = self.request_of(message).map_err(unshapeable)?;
                Ok(Request { id: Some(message.id.clone()), ..request })
            }
            _ => Err(unshapeable("a request carries one message".to_owned())),
        }
    }

    fn no_work(&self, message: &Message) -> Option<NoWork> {
        self.unwrap.no_work(message)
    }

    fn verdicts(&self, answer: &Answer, _ids: &[MessageId]) -> Verdicts {
        Verdicts::All(self.success.outcome(answer))
    }
}

impl Success {
    /// What a complete answer says of the request.
    pub(super) fn outcome(&self, answer: &Answer) -> Outcome {
        let outcome = classify_answer(answer, &self.statuses);
        let hides_a_failure =
            outcome == Outcome::Success && self.error_in_body_is_failure && reports_an_error(&answer.body);
        if hides_a_failure { Outcome::AlgorithmError } else { outcome }
    }
}

/// Whether a body is a JSON object whose `error` is present and not null: how an algorithm reports its own failure.
pub fn reports_an_error(body: &Body) -> bool {
    #[derive(Deserialize)]
    struct Report {
        error: Option<IgnoredAny>,
    }
    if !body.is_whole || !body.kept.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    match serde_json::from_slice::<Report>(&body.kept) {
        Ok(report) => report.error.is_some(),
        // No JSON, or the member twice: of two the last counts, as for most readers.
        Err(_) => serde_json::from_slice::<BTreeMap<String, Option<IgnoredAny>>>(&body.kept)
            .is_ok_and(|members| members.get("error").is_some_and(Option::is_some)),
    }
}
