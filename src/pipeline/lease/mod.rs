//! Leases: our right to each message in flight, and the task that prolongs it.

mod extender;
mod table;

pub(super) use table::{Asked, Lease, LeaseTable};
