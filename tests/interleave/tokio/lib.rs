//! What the files under test use of tokio. Time and tasks are those of the scheduler.

pub use real::{pin, select};

pub mod sync;
pub mod task;
pub mod time;
