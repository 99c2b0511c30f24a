//! One real POST of messages that are on no queue, judged by the table: `queuepost check --post`, and the test of a running listener.
//!
//! The request is a message's own: preset, template, headers, credentials, signature, time-out. No queue is asked. The POST
//! takes no session, and limits, gates and metrics do not learn of it: it is one request more than they know.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::app::StartError;
use crate::app::endpoints::client;
use crate::app::render::{self, REDACTED, RenderError, Rendered};
use crate::config::{EndpointPlan, ListenerPlan, Plan};
use crate::endpoint::sign::Signature;
use crate::endpoint::{HttpClient, HttpEndpoint};
use crate::message::{Message, MessageId, ReceiptHandle};
use crate::pipeline::{Tried, try_out};
use crate::policy::decide::{Disposition, Policy};
use crate::policy::preflight::spoken;
use crate::policy::visibility::whole_seconds;

/// How much of an answer is shown, in bytes.
const ANSWER_SHOWN: usize = 1_000;

/// What a test came to.
#[derive(Debug)]
pub struct TestPost {
    /// Name of the listener.
    pub listener: String,
    /// What was posted, without secrets.
    pub request: Rendered,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// From the start to the end of the answer.
    pub took: Duration,
    /// The beginning of the answer: on one line, escaped, without the endpoint's secrets.
    pub answer: Option<String>,
    /// What the connection said, if it failed.
    pub error: Option<String>,
    /// What would become of each message.
    pub messages: Vec<Tested>,
}

/// What would become of one message.
#[derive(Debug)]
pub struct Tested {
    /// Its id.
    pub id: MessageId,
    /// Label of what its POST came to.
    pub outcome: &'static str,
    /// Whether it would be deleted.
    pub is_deleted: bool,
    /// What would become of it, in words.
    pub then: String,
    /// What that means.
    pub meaning: String,
    /// What to do; empty where there is nothing to do.
    pub fix: String,
}

/// Why nothing was posted.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// There is no request.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A file of the endpoint is not valid.
    #[error(transparent)]
    Client(StartError),
}

/// A message of that body alone. Its id is new each time, since endpoints skip what they have seen.
pub fn message(body: Bytes) -> Message {
    // Version 4 (RFC 9562, section 5.4).
    let random = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{random:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    Message::new(MessageId::new(parts.join("-")), ReceiptHandle::new(REDACTED), body)
}

/// Posts messages to the endpoint of the listener `name`, or of the only one.
///
/// # Errors
/// Nothing was posted. What the endpoint does is no error.
pub async fn test_post(plan: &Plan, name: Option<&str>, messages: &[Message]) -> Result<TestPost, TestError> {
    let listener = render::listener(plan, name)?;
    let Some(endpoint) = plan.endpoints.get(listener.endpoint) else {
        return Err(RenderError::NoPost("its listener has no endpoint").into());
    };
    let client = client(endpoint).map_err(TestError::Client)?;
    Ok(post_by(listener, endpoint, &client, messages).await?)
}

/// Posts messages by a client that is there already, as one that runs is.
///
/// # Errors
/// There is no request, so nothing was posted.
pub async fn post_by(
    listener: &ListenerPlan,
    endpoint: &EndpointPlan,
    client: &HttpClient,
    messages: &[Message],
) -> Result<TestPost, RenderError> {
    let settings = &listener.listener;
    let request = render::request(listener, messages)?;
    let mut shown = render::rendered(listener, Some(endpoint), &request);
    let signed = endpoint.client.sign.iter().flat_map(Signature::headers);
    shown.headers.extend(signed.map(|name| (name.to_string(), REDACTED.to_owned())));
    shown.headers.sort();
    let post = HttpEndpoint::new(client, listener.target.clone());
    let trial = try_out(settings, &post, request, messages).await;
    let tested = |tried| tested(tried, trial.status, &settings.policy);
    Ok(TestPost {
        listener: settings.name.clone(),
        request: shown,
        status: trial.status,
        took: trial.took,
        answer: post.shown(&trial.answer, ANSWER_SHOWN),
        error: trial.error,
        messages: trial.tried.into_iter().map(tested).collect(),
    })
}

impl TestPost {
    /// Whether each message would be deleted.
    pub fn deletes(&self) -> bool {
        self.messages.iter().all(|message| message.is_deleted)
    }

    /// All of it for machines.
    pub fn as_json(&self) -> Value {
        let Rendered { url, headers, body } = &self.request;
        let headers = headers.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let message = |tested: &Tested| {
            json!({
                "message_id": tested.id.as_str(),
                "outcome": tested.outcome,
                "deleted": tested.is_deleted,
                "then": tested.then,
                "meaning": tested.meaning,
                "fix": Some(&tested.fix).filter(|fix| !fix.is_empty()),
            })
        };
        json!({
            "listener": self.listener,
            "request": {"url": url.as_str(), "headers": headers.collect::<Value>(), "body_bytes": body.len()},
            "status": self.status,
            "duration_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "answer": self.answer,
            "error": self.error,
            "messages": self.messages.iter().map(message).collect::<Value>(),
        })
    }
}

fn tested(tried: Tried, status: Option<u16>, policy: &Policy) -> Tested {
    let Tried { id, outcome, disposition, advice } = tried;
    let has_row = status.is_some_and(|status| policy.rows.iter().any(|row| row.status.contains(status)));
    let by = if has_row { ", by on_response" } else { "" };
    Tested {
        id,
        outcome: outcome.label(),
        is_deleted: disposition == Disposition::Delete,
        then: format!("{}{by}", then(disposition)),
        meaning: advice.meaning,
        fix: advice.fix,
    }
}

/// What would become of a message, in words.
fn then(disposition: Disposition) -> String {
    let time = |delay| spoken(Duration::from_secs(whole_seconds(delay).into()));
    match disposition {
        Disposition::Delete => "would be deleted".to_owned(),
        Disposition::Park { delay } => format!("would be parked for {}", time(delay)),
        Disposition::Defer { delay, .. } => format!("would be deferred for {}", time(delay)),
        Disposition::Hold => "would be held and posted again, which costs no receive".to_owned(),
        Disposition::DeadLetter => "would be sent to the dead-letter queue".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_a_body_has_an_id_of_its_own_in_the_form_of_sqs() {
        let [one, two] = [message(Bytes::new()), message(Bytes::new())];
        assert_ne!(one.id, two.id);
        for id in [one.id.as_str(), two.id.as_str()] {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }

    #[test]
    fn a_delay_is_said_in_whole_seconds_rounded_up() {
        let park = |delay| then(Disposition::Park { delay });
        assert_eq!(park(Duration::from_secs(300)), "would be parked for 5 min");
        assert_eq!(park(Duration::from_millis(7_500)), "would be parked for 8 s");
    }
}
