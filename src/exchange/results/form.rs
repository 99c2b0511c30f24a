//! How the results of one queue are worded: text, attributes, ids of a FIFO queue.
//!
//! A result is shorter than 256 KiB with its attributes, so that every server takes it. What cannot be worded as the
//! configuration says is worded in the default JSON, with the reason in `error`.

use super::packed::{gzip, is_taken};
use super::{ResultFacts, ResultForm, json, matillion};
use crate::exchange::Unwrap;
use crate::exchange::template::ResultTemplates;
use crate::message::{Attribute, AttributeValue, Message, Outgoing};

/// Most bytes of the answer in a result, escaped; then less, where gzip cannot make up for it. The last one always fits.
const ANSWER_BYTES: [usize; 4] = [240 * 1024, 120 * 1024, 60 * 1024, 0];
/// Longest group or deduplication id (AWS limit).
const ID_MAX: usize = 128;

/// The words of a result without a template of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The default JSON.
    #[default]
    Json,
    /// That of Matillion ETL's own SQS listener.
    Matillion,
}

/// What the configuration says of the results of a queue.
#[derive(Debug, Default)]
pub struct Wording {
    /// The words, where there is no template of the text.
    pub format: Format,
    /// Templates of text and ids.
    pub templates: ResultTemplates,
    /// Whether the text is sent as gzip in base64.
    pub compresses: bool,
    /// Whether the result queue is a FIFO queue, which needs ids.
    pub is_fifo: bool,
    /// Whether a message may have several failures, each with an id of its own.
    pub every_try: bool,
    /// What templates and formats do not see of a message.
    pub unwrap: Unwrap,
}

/// A worded result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worded {
    /// The message to be sent.
    pub message: Outgoing,
    /// Why it is not worded as the configuration says.
    pub trouble: Option<String>,
}

/// How the results of one queue are worded.
#[derive(Debug)]
pub struct Form {
    listener: String,
    queue: String,
    wording: Wording,
}

impl ResultForm for Form {
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing {
        self.word(facts).message
    }
}

impl Form {
    /// The results of `listener`, whose messages come from `queue`.
    pub fn new(listener: &str, queue: &str, wording: Wording) -> Self {
        Self { listener: listener.to_owned(), queue: queue.to_owned(), wording }
    }

    /// The result, and what was wrong with its wording.
    pub fn word(&self, facts: &ResultFacts<'_>) -> Worded {
        let Wording { templates, unwrap, is_fifo, .. } = &self.wording;
        let unwrapped = unwrap.apply(facts.message);
        let message: &Message = unwrapped.as_ref().map_or(facts.message, |unwrapped| &unwrapped.message);
        let rendered = templates.render(message, facts, &self.listener, &self.queue);
        let mut troubles = Vec::new();
        let group_id = id(rendered.group_id, "group_id", &mut troubles);
        let deduplication_id = id(rendered.deduplication_id, "deduplication_id", &mut troubles);
        let attributes = self.attributes(facts);
        let room = Outgoing::BATCH_BYTES - attributes.iter().map(Attribute::bytes).sum::<usize>();
        let body = match rendered.text {
            Some(text) => text.and_then(|text| self.rendered(&text, room)),
            None => self.formatted(message, facts, room),
        };
        let body = body.unwrap_or_else(|trouble| {
            troubles.push(trouble);
            self.default_json(facts, Some(&troubles.join("; ")), room)
        });
        let of_message = || facts.message.group_id.clone().unwrap_or_else(|| facts.message.id.to_string());
        let message = Outgoing {
            body,
            attributes,
            delay: None,
            group_id: group_id.or_else(|| is_fifo.then(of_message)),
            deduplication_id: deduplication_id.or_else(|| is_fifo.then(|| self.own_id(facts))),
            trace_header: facts.message.trace_header.clone(),
        };
        Worded { message, trouble: (!troubles.is_empty()).then(|| troubles.join("; ")) }
    }

    /// A rendered text as a body.
    fn rendered(&self, text: &str, room: usize) -> Result<String, String> {
        let why = if text.is_empty() {
            "the template makes an empty text".to_owned()
        } else if !self.wording.compresses && !text.chars().all(is_taken) {
            "the template makes a character that SQS does not take: write `| tojson`".to_owned()
        } else {
            match self.packed(text.to_owned()) {
                Some(body) if body.len() < room => return Ok(body),
                _ => "the template makes more than the 256 KiB that every queue takes".to_owned(),
            }
        };
        Err(why)
    }

    /// The text in the format of the configuration.
    fn formatted(&self, message: &Message, facts: &ResultFacts<'_>, room: usize) -> Result<String, String> {
        match self.wording.format {
            Format::Json => Ok(self.default_json(facts, None, room)),
            Format::Matillion => [true, false]
                .into_iter()
                .filter_map(|tasks| self.packed(matillion::text(facts, &message.body, &self.queue, tasks)))
                .find(|body| body.len() < room)
                .ok_or_else(|| "it is longer than the 256 KiB that every queue takes".to_owned()),
        }
    }

    fn default_json(&self, facts: &ResultFacts<'_>, trouble: Option<&str>, room: usize) -> String {
        let both = [trouble, facts.error()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let error = (!both.is_empty()).then_some(both.as_str());
        let made = |most| self.packed(json::text(facts, &self.listener, error, most));
        ANSWER_BYTES.into_iter().filter_map(made).find(|body| body.len() < room).unwrap_or_default()
    }

    /// The text as it is sent.
    fn packed(&self, text: String) -> Option<String> {
        if self.wording.compresses { gzip(&text) } else { Some(text) }
    }

    /// Few attributes, by which a consumer chooses results and finds the message.
    fn attributes(&self, facts: &ResultFacts<'_>) -> Vec<Attribute> {
        let attribute = |name: &str, value: &str| Attribute {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value: AttributeValue::Text(value.to_owned()),
        };
        let mut all = vec![
            attribute("queuepost.listener", &self.listener),
            attribute("queuepost.source-message-id", facts.message.id.as_str()),
            attribute("queuepost.state", facts.state.label()),
        ];
        if self.wording.compresses {
            all.push(attribute("Content-Encoding", "gzip"));
            all.push(attribute("Content-Transfer-Encoding", "base64"));
        }
        all
    }

    /// A deduplication id: the same when a result is sent again, another for another result of the message.
    fn own_id(&self, facts: &ResultFacts<'_>) -> String {
        let (id, state) = (&facts.message.id, facts.state.label());
        if self.wording.every_try {
            format!("{id}-{state}-{}", facts.message.receive_count.get())
        } else {
            format!("{id}-{state}")
        }
    }
}

/// An id that was rendered, if SQS takes it.
fn id(made: Option<Result<String, String>>, key: &str, troubles: &mut Vec<String>) -> Option<String> {
    let taken =
        |text: &str| (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let id = made?.and_then(|text| {
        let id = text.trim();
        if taken(id) {
            Ok(id.to_owned())
        } else {
            Err(format!("the template of {key} makes no id of 1 to {ID_MAX} visible ASCII characters"))
        }
    });
    id.map_err(|why| troubles.push(why)).ok()
}
