//! How often and how soon `send` repeats a call that may succeed later.
//!
//! Single messages and lines follow the same rule. A throttled call, a server error and a failing network are
//! repeated a bounded number of times. An error that a person has to fix is not. Whether a call whose answer
//! was lost had its effect is unknown. Sent again, its message may be in the queue twice.

use std::time::Duration;

use crate::message::MessageId;
use crate::ports::QueueError;
use crate::sqs::{Outgoing, SqsQueue};

/// Attempts for a message before it is reported as failed: 3 s of pauses at most, and each call up to its own
/// timeout.
pub const SENDS_MAX: u32 = 5;
/// Pause before the first repeat; each further pause is twice as long, half of it random.
const PAUSE: Duration = Duration::from_millis(200);

/// Sends one message, with repeats if needed.
pub async fn send(queue: &SqsQueue, message: &Outgoing) -> Result<MessageId, QueueError> {
    let mut round = 1;
    loop {
        match queue.send(message.clone()).await {
            Err(error) if !error.kind.is_fault() && round < SENDS_MAX => {}
            ended => return ended,
        }
        tokio::time::sleep(pause(round)).await;
        round += 1;
    }
}

/// The deduplication id of a message that was received and is sent again: a new one, the same each time.
///
/// SQS remembers an id for five minutes and drops what comes with it, without an error. Two messages may have the same
/// id, so no age of theirs makes it safe to use again. Ids of messages are unique.
pub fn deduplication_id(of: &str) -> String {
    format!("again-{of}")
}

/// Exponential, half of it random, so that many senders do not repeat at once.
pub fn pause(round: u32) -> Duration {
    let full = PAUSE.saturating_mul(2_u32.saturating_pow(round.saturating_sub(1)));
    full.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_half_of_each_is_random() {
        for (round, full) in [(1, 200), (2, 400), (3, 800), (4, 1_600)] {
            let full = Duration::from_millis(full);
            let pauses: Vec<Duration> = (0..100).map(|_| pause(round)).collect();
            assert!(pauses.iter().all(|pause| *pause >= full / 2 && *pause <= full), "{round}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{round}: all alike");
        }
    }
}
