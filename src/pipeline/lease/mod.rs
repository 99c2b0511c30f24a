//! Leases: our right to each message in flight, and the task that prolongs it.

mod extender;
mod owned;
mod table;

pub(super) use owned::Lease;
pub(super) use table::{Asked, LeaseTable};
