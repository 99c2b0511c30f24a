//! Channels, locks and notifications of tokio itself: they depend on no runtime, and tokio tests them with loom.
//!
//! Other tasks may run before a notification or a watched value is used. Locks of shuttle let them run before a lock is
//! taken or released, so without this nothing would come between the end of a look and the begin of a wait.

mod notify;
pub mod watch;

pub use notify::Notify;
pub use real::sync::{Mutex, oneshot};

use std::time::Duration;

/// In shuttle a sleep is a point of choice and nothing more.
fn others_may_run() {
    shuttle::thread::sleep(Duration::ZERO);
}
