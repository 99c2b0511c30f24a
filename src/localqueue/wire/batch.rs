//! Batches: 1 to 10 entries with distinct ids, each of which succeeds or fails alone.
//!
//! A batch is refused as a whole only for its ids and its length. Every other error belongs to an entry, and
//! the HTTP status stays 200.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::localqueue::BrokerError;

/// Most entries of a batch.
const MAX_ENTRIES: usize = 10;
/// Most characters of an entry's id.
const MAX_ID: usize = 80;

/// Checks number, form and distinctness of the ids.
pub(super) fn check_ids<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), BrokerError> {
    let count = ids.len();
    if count == 0 {
        return Err(BrokerError::EmptyBatchRequest);
    }
    if count > MAX_ENTRIES {
        return Err(BrokerError::TooManyEntriesInBatchRequest(count));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let mut seen = BTreeSet::new();
    for id in ids {
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(legal) {
            return Err(BrokerError::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(BrokerError::BatchEntryIdsNotDistinct(id.to_owned()));
        }
    }
    Ok(())
}

/// The answer to a batch; a list without entries is left out, as Amazon does.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Answer<S> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    successful: Vec<S>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

impl<S> Answer<S> {
    pub(super) fn new() -> Self {
        Self { successful: Vec::new(), failed: Vec::new() }
    }

    /// Records the result of the entry `id`.
    pub(super) fn push(&mut self, id: String, result: Result<S, BrokerError>) {
        match result {
            Ok(entry) => self.successful.push(entry),
            Err(error) => self.failed.push(Failed {
                id,
                sender_fault: error.sender_fault(),
                code: error.code(),
                message: error.to_string(),
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

/// A successful entry that reports only its id.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Done {
    pub(super) id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[&str]) -> Result<(), BrokerError> {
        check_ids(ids.iter().copied())
    }

    #[test]
    fn a_batch_has_one_to_ten_entries_with_distinct_plain_ids() {
        assert_eq!(check(&["a", "b-1_Z"]), Ok(()));
        assert_eq!(check(&[]), Err(BrokerError::EmptyBatchRequest));
        assert_eq!(check(&["x"; 11]), Err(BrokerError::TooManyEntriesInBatchRequest(11)));
        assert_eq!(check(&["a", "a"]), Err(BrokerError::BatchEntryIdsNotDistinct("a".into())));
        for bad in ["", "a:b", &"x".repeat(81)] {
            assert_eq!(check(&[bad]), Err(BrokerError::InvalidBatchEntryId), "{bad}");
        }
    }

    #[test]
    fn entries_fail_alone_and_say_whose_fault_it_was() {
        let mut answer = Answer::new();
        answer.push("good".into(), Ok(Done { id: "good".into() }));
        answer.push("bad".into(), Err(BrokerError::InternalError));
        let text = serde_json::to_value(&answer).unwrap();
        assert_eq!(text["Successful"][0]["Id"], "good");
        assert_eq!(text["Failed"][0]["Code"], "InternalError");
        assert_eq!(text["Failed"][0]["SenderFault"], false);
        let only_good = Answer { successful: vec![Done { id: "a".into() }], failed: Vec::new() };
        assert!(serde_json::to_value(&only_good).unwrap().get("Failed").is_none());
    }
}
