//! Batches of the simulation: a request is a line for each message, its receives and its body.
//!
//! The endpoint answers for all of them at once.

use bytes::Bytes;
use http::HeaderMap;
use queuepost::exchange::{Exchange, Request, Unshapeable, Verdicts};
use queuepost::message::{Message, MessageId};
use queuepost::policy::outcome::{Answer, StatusSet, classify_answer};

/// So many messages in a request.
#[derive(Debug, Clone, Copy)]
pub struct Lines(pub usize);

impl Exchange for Lines {
    fn messages_max(&self) -> usize {
        self.0
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        let line = |message: &&Message| {
            let body = std::str::from_utf8(&message.body).unwrap();
            format!("{} {body}", message.receive_count.get())
        };
        let lines: Vec<String> = messages.iter().map(line).collect();
        Ok(Request::new(HeaderMap::new(), Bytes::from(lines.join("\n"))))
    }

    fn verdicts(&self, answer: &Answer, _: &[MessageId]) -> Verdicts {
        Verdicts::All(classify_answer(answer, &StatusSet::default()))
    }
}

/// The messages of a request, each with its receives.
pub fn read(body: &str) -> Vec<(&str, u32)> {
    let of = |line| -> Option<(&str, u32)> {
        let (receives, body) = str::split_once(line, ' ')?;
        Some((body, receives.parse().ok()?))
    };
    body.lines().map(|line| of(line).unwrap()).collect()
}
