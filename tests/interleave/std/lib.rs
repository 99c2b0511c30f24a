//! The standard library, with locks and atomics at which a scheduler chooses who runs next.

pub use std::*;

/// Locks and atomics are those of shuttle; the rest is as it is.
pub mod sync {
    pub use shuttle::sync::{Mutex, MutexGuard, atomic};
    pub use std::sync::{Arc, PoisonError, Weak};
}
