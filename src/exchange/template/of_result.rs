//! Templates of results: the text of a result, and its ids in a FIFO queue.
//!
//! They see what templates of requests see, and `result`: what became of the message. A part that cannot be rendered says
//! why, without words of the message.

use minijinja::Value;

use crate::exchange::results::{ResultFacts, epoch_ms, text_of};
use crate::exchange::template::engine::Engine;
use crate::exchange::template::flaw::Flaw;
use crate::exchange::template::limits::{BODY_BYTES, LINE_BYTES};
use crate::exchange::template::syntax::Purpose;
use crate::message::Message;

/// The templates of a result queue, each under the key that it was written at.
#[derive(Debug, Default)]
pub struct ResultTemplates {
    engine: Engine,
    text: Option<String>,
    group_id: Option<String>,
    deduplication_id: Option<String>,
}

/// What was rendered, or why not; `None` without a template.
type Made = Option<Result<String, String>>;

/// The parts of a result that have templates.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Rendered {
    pub(in crate::exchange) text: Made,
    pub(in crate::exchange) group_id: Made,
    pub(in crate::exchange) deduplication_id: Made,
}

impl ResultTemplates {
    /// Sets the text.
    pub fn text(&mut self, key: &str, source: &str) -> Result<(), Vec<Flaw>> {
        self.text = Some(key.to_owned());
        self.engine.add_for(Purpose::Result, key, source)
    }

    /// Sets the message group.
    pub fn group_id(&mut self, key: &str, source: &str) -> Result<(), Vec<Flaw>> {
        self.group_id = Some(key.to_owned());
        self.engine.add_for(Purpose::Result, key, source)
    }

    /// Sets the deduplication id.
    pub fn deduplication_id(&mut self, key: &str, source: &str) -> Result<(), Vec<Flaw>> {
        self.deduplication_id = Some(key.to_owned());
        self.engine.add_for(Purpose::Result, key, source)
    }

    /// Renders the parts for `message`, which may be taken out of an envelope.
    pub(in crate::exchange) fn render(
        &self,
        message: &Message,
        facts: &ResultFacts<'_>,
        listener: &str,
        queue: &str,
    ) -> Rendered {
        if self.text.is_none() && self.group_id.is_none() && self.deduplication_id.is_none() {
            return Rendered::default();
        }
        let variables = self.engine.variables_of_result(message, listener, queue, value(facts));
        let made = |key: &Option<String>, most| self.engine.render_up_to(most, key.as_deref()?, &variables);
        Rendered {
            text: made(&self.text, BODY_BYTES),
            group_id: made(&self.group_id, LINE_BYTES),
            deduplication_id: made(&self.deduplication_id, LINE_BYTES),
        }
    }
}

/// `result` of a template. What there is not is not there at all, so that printing it is an error.
fn value(facts: &ResultFacts<'_>) -> Value {
    let has_answer = facts.status.is_some();
    let text = text_of(facts.body).filter(|_| has_answer);
    let json = text.filter(|_| facts.body.is_whole).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let all = [
        ("body", text.map(Value::from)),
        ("body_truncated", Some(Value::from(!facts.body.is_whole))),
        ("end_time", epoch_ms(facts.ended).map(Value::from)),
        ("enqueued_time", facts.message.sent_at.and_then(epoch_ms).map(Value::from)),
        ("error", facts.error().map(Value::from)),
        ("json", json),
        ("outcome", Some(Value::from(facts.outcome.label()))),
        ("start_time", facts.started.and_then(epoch_ms).map(Value::from)),
        ("state", Some(Value::from(facts.state.label()))),
        ("status", facts.status.map(Value::from)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
