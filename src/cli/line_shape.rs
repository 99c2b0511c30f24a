//! What message a line of input of `send` is: a body, or what `receive` printed.

use std::time::Duration;

use crate::cli::envelope;
use crate::sqs::Outgoing;

/// What message a line is.
#[derive(Debug)]
pub(super) enum Shape {
    /// The line is the body, the rest is that of the model.
    Like {
        /// Everything but the body.
        model: Outgoing,
        /// Whether lines of `receive` are bodies too.
        as_is: bool,
    },
    /// `receive` printed it.
    FromReceive {
        /// Whether it goes to a FIFO queue.
        fifo: bool,
        /// How long it is hidden at first.
        delay: Option<Duration>,
    },
}

impl Shape {
    /// The message of line `number`; an error is said with that number.
    pub(super) fn message(&self, number: u64, body: String) -> Result<Outgoing, String> {
        match self {
            Self::Like { as_is: false, .. } if envelope::is_printed(&body) => {
                Err(envelope::REFUSED.to_owned())
            }
            Self::Like { model, .. } => {
                let deduplication_id = model.deduplication_id.as_ref().map(|id| format!("{id}{number}"));
                Ok(Outgoing { body, deduplication_id, ..model.clone() })
            }
            Self::FromReceive { fifo, delay } => {
                let message = envelope::message(&body, *fifo)?;
                Ok(Outgoing { delay: *delay, ..message })
            }
        }
    }
}
