//! The deduplication id of a message that is sent again.
//!
//! SQS remembers an id for five minutes and drops what comes with it, without an error. So an id is used again only
//! once it is surely forgotten.

use std::time::{Duration, SystemTime};

/// How long SQS remembers a deduplication id (AWS: 5 minutes), with a minute for clocks that differ.
const REMEMBERED: Duration = Duration::from_secs(360);

/// The original's id where SQS has forgotten it, else one of the message id.
pub(super) fn again(
    original: Option<&str>,
    message_id: &str,
    sent_at: Option<SystemTime>,
    now: SystemTime,
) -> String {
    let age = sent_at.and_then(|sent| now.duration_since(sent).ok()).unwrap_or_default();
    match original.filter(|_| age >= REMEMBERED) {
        Some(id) => id.to_owned(),
        None => format!("again-{message_id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_sqs_may_still_remember_is_not_used_again_or_the_message_would_be_dropped() {
        let sent = SystemTime::UNIX_EPOCH;
        let at = |seconds| again(Some("d-7"), "m-1", Some(sent), sent + Duration::from_secs(seconds));
        assert_eq!([at(359), at(360)], ["again-m-1", "d-7"]);
        assert_eq!(again(None, "m-1", Some(sent), sent + Duration::from_secs(1_000)), "again-m-1");
        assert_eq!(again(Some("d-7"), "m-1", None, sent), "again-m-1");
    }
}
