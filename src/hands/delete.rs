//! Deletes messages that somebody has received by hand, and repeats what may succeed later.

use std::time::Duration;

use crate::escape;
use crate::hands::Report;
use crate::message::{MessageId, ReceiptHandle};
use crate::ports::{EntryErrorKind, Queue as _};
use crate::sqs::{Received, SqsQueue};

/// Attempts of a delete before it is reported as failed.
const DELETES_MAX: u32 = 4;
/// Pause before the first repeat; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Deletes messages and repeats temporary failures; returns those that are not deleted, which it has said.
pub async fn delete(queue: &SqsQueue, messages: &[Received], report: &mut dyn Report) -> Vec<MessageId> {
    let mut left: Vec<(MessageId, ReceiptHandle)> = messages
        .iter()
        .map(|received| (received.message.id.clone(), received.message.receipt.clone()))
        .collect();
    let mut kept = Vec::new();
    for round in 1..=DELETES_MAX {
        let handles: Vec<ReceiptHandle> = left.iter().map(|(_, handle)| handle.clone()).collect();
        let again = match queue.delete(&handles).await {
            Ok(results) => {
                let mut again = Vec::new();
                for (message, result) in left.into_iter().zip(results) {
                    match result {
                        Ok(()) => {}
                        Err(error) if error.kind == EntryErrorKind::Retryable && round < DELETES_MAX => {
                            again.push(message);
                        }
                        Err(error) => {
                            let fix = error.kind.fix();
                            report.say(&format!(
                                "message {} was not deleted: {}\n  fix: {fix}",
                                escape::line(message.0.as_str()),
                                escape::line(&error.code)
                            ));
                            kept.push(message.0);
                        }
                    }
                }
                again
            }
            Err(error) if !error.kind.is_fault() && round < DELETES_MAX => left,
            Err(error) => {
                let ids: Vec<&str> = left.iter().map(|(id, _)| id.as_str()).collect();
                report.say(&format!("not deleted: {}", escape::line(&ids.join(", "))));
                report.fail(&error);
                kept.extend(left.into_iter().map(|(id, _)| id));
                break;
            }
        };
        if again.is_empty() {
            break;
        }
        left = again;
        tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
    }
    kept
}
