//! A message as a queue keeps it, and where it is in its life.

use std::collections::BTreeMap;

use super::{AttributeValue, Timestamp};

/// Identifies a message within its queue; grows in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u64);

/// Where a message is in its life, and since or until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Receivable since this time.
    Visible(Timestamp),
    /// Hidden by its delay until this time.
    Delayed(Timestamp),
    /// Received, and hidden until this time.
    InFlight(Timestamp),
}

/// A message as it is kept.
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
    /// The latest receive: the 12-hour ceiling counts from here.
    pub(super) last_received_at: Timestamp,
    pub(super) receive_count: u32,
    /// Number of the latest receive; an older handle no longer acts on the message.
    pub(super) receipt: u64,
    pub(super) state: State,
}
