//! The port to objects: bodies that were too long for a message.
//!
//! As with the other ports a call is one attempt, bounded in time by the implementation. Its failure is data of a closed
//! kind.

use bytes::Bytes;

use crate::exchange::Pointer;
use crate::ports::BoxFuture;

/// Where objects are.
pub trait ObjectStore: Send + Sync + 'static {
    /// The whole object, of at most `max` bytes.
    ///
    /// # Cancel safety
    /// Dropping the future ends the call; nothing has changed.
    fn fetch<'a>(&'a self, pointer: &'a Pointer, max: usize) -> BoxFuture<'a, Result<Bytes, ObjectError>>;

    /// Deletes the object. One that is missing counts as deleted.
    fn delete<'a>(&'a self, pointer: &'a Pointer) -> BoxFuture<'a, Result<(), ObjectError>>;
}

/// A call about an object that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ObjectError {
    /// What to do about it.
    pub kind: ObjectErrorKind,
    /// What the store said, as one line; for the log.
    pub text: String,
}

/// Why a call about an object failed; label of `queuepost_object_requests_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectErrorKind {
    /// There is no such object.
    Missing,
    /// The object is longer than allowed.
    TooLarge,
    /// The store does not let us, or has no such bucket.
    Denied,
    /// The store could not be asked, or had too much to do.
    Unavailable,
}

impl ObjectErrorKind {
    /// Every kind, for documentation.
    pub const ALL: [Self; 4] = [Self::Missing, Self::TooLarge, Self::Denied, Self::Unavailable];

    /// Label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLarge => "too_large",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Calls about objects, as `queuepost_object_requests_total` labels them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectOperation {
    /// `GetObject`.
    Fetch,
    /// `DeleteObject`.
    Delete,
}

impl ObjectOperation {
    /// Every operation, for documentation.
    pub const ALL: [Self; 2] = [Self::Fetch, Self::Delete];

    /// S3's name of the operation; the label value too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "GetObject",
            Self::Delete => "DeleteObject",
        }
    }
}
