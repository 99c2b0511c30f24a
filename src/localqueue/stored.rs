//! A message as a queue stores it, and its state.

use std::collections::BTreeMap;

use super::{AttributeValue, Timestamp};

/// Identifies a message within its queue; keys grow in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u64);

/// The state of a message, and since or until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Receivable since this time.
    Visible(Timestamp),
    /// Hidden by its delay until this time.
    Delayed(Timestamp),
    /// Received, and hidden until this time.
    InFlight(Timestamp),
}

/// A stored message.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) attributes: BTreeMap<String, AttributeValue>,
    pub(super) group_id: Option<String>,
    pub(super) deduplication_id: Option<String>,
    pub(super) sequence_number: Option<String>,
    pub(super) trace_header: Option<String>,
    pub(super) dead_letter_source: Option<String>,
    pub(super) sent_at: Timestamp,
    pub(super) first_received_at: Option<Timestamp>,
    /// When the latest receive was; the 12-hour ceiling counts from there.
    pub(super) last_received_at: Timestamp,
    pub(super) receive_count: u32,
    /// Number of the latest receive; an older handle no longer affects the message.
    pub(super) receipt: u64,
    pub(super) state: State,
}
