//! Leases: our right to each message in flight, and the task that prolongs it.

mod entry;
mod extender;
mod owned;
mod table;

pub(super) use entry::Receipt;
pub(super) use owned::{Closed, Lease};
pub(super) use table::{Asked, LeaseTable};
