//! The greatest of what was seen lately: in the last half to whole minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Half of the time over which it is remembered.
const WINDOW: Duration = Duration::from_secs(30);

/// The greatest value seen lately.
#[derive(Debug)]
pub(super) struct Lately<T>(Mutex<Windows<T>>);

/// The window that runs and the one before.
#[derive(Debug)]
struct Windows<T> {
    since: Instant,
    current: Option<T>,
    previous: Option<T>,
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::new(Windows { since: Instant::now(), current: None, previous: None }))
    }
}

impl<T: Copy + Ord> Lately<T> {
    /// One more.
    pub(super) fn note(&self, value: T) {
        let mut windows = self.turned();
        windows.current = windows.current.max(Some(value));
    }

    /// The greatest, if there was one.
    pub(super) fn get(&self) -> Option<T> {
        let windows = self.turned();
        windows.current.max(windows.previous)
    }

    /// The windows of now.
    fn turned(&self) -> MutexGuard<'_, Windows<T>> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = windows.since.elapsed().as_nanos() / WINDOW.as_nanos();
        if passed > 0 {
            let previous = if passed == 1 { windows.current } else { None };
            *windows = Windows { since: Instant::now(), current: None, previous };
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_greatest_is_forgotten_after_half_to_a_whole_minute() {
        let lately = Lately::default();
        assert_eq!(lately.get(), None);
        lately.note(3);
        lately.note(2);
        tokio::time::advance(WINDOW).await;
        lately.note(1);
        assert_eq!(lately.get(), Some(3));
        tokio::time::advance(WINDOW).await;
        assert_eq!(lately.get(), Some(1));
        tokio::time::advance(2 * WINDOW).await;
        assert_eq!(lately.get(), None);
    }
}
