//! Receipt handles: which receive of which message of which queue.
//!
//! A handle is 24 bytes in base64: the queue's random tag, the message's key and the number of the receive.
//! The handle stays readable after the message is gone, because deleting twice must succeed. Every other
//! queue refuses it, including a later queue of the same name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::stored::Key;

/// A decoded receipt handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    /// The random tag of the queue that issued the handle.
    pub(super) queue_tag: u64,
    /// The key of the message within that queue.
    pub(super) key: Key,
    /// The number of the receive in that queue; it grows with each receive.
    pub(super) receipt: u64,
}

impl Handle {
    /// The handle as text for the consumer.
    pub(super) fn encode(self) -> String {
        let mut bytes = [0; 24];
        for (place, part) in bytes.chunks_exact_mut(8).zip([self.queue_tag, self.key.0, self.receipt]) {
            place.copy_from_slice(&part.to_be_bytes());
        }
        STANDARD.encode(bytes)
    }

    /// Parses the text of a handle; `None` when the text is no handle.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (parts, rest) = bytes.as_chunks::<8>();
        match (parts, rest) {
            ([queue_tag, key, receipt], []) => Some(Self {
                queue_tag: u64::from_be_bytes(*queue_tag),
                key: Key(u64::from_be_bytes(*key)),
                receipt: u64::from_be_bytes(*receipt),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_survives_the_way_to_the_consumer_and_back() {
        let handle = Handle { queue_tag: u64::MAX, key: Key(7), receipt: 42 };
        assert_eq!(Handle::decode(&handle.encode()), Some(handle));
    }

    #[test]
    fn anything_else_is_no_handle() {
        for text in ["", "garbage", "AAAA", &STANDARD.encode([0; 32])] {
            assert_eq!(Handle::decode(text), None, "{text}");
        }
    }
}
