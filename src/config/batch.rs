//! The key `batch`, as written: how many messages a POST carries, and how long they are gathered. `gathering` has its rules.

use crate::config::fields::Fields;
use crate::config::problem::Written;

/// `listeners[].batch`.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) size: Option<Written>,
    pub(super) window: Option<Written>,
}

impl Batch {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let batch = Self { size: fields.text("size"), window: fields.text("window") };
        fields.finish();
        batch
    }
}
