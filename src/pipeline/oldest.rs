//! How old the oldest message was among the receives of the last half to whole minute.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Half of the time over which the oldest message received is remembered.
const AGE_WINDOW: Duration = Duration::from_secs(30);

/// The earliest sending time among the receives of the last half to whole minute.
#[derive(Debug)]
pub(super) struct Oldest {
    since: Instant,
    current: Option<SystemTime>,
    previous: Option<SystemTime>,
}

impl Oldest {
    /// Nothing was received yet.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), current: None, previous: None }
    }

    fn turn(&mut self) {
        let windows = self.since.elapsed().as_nanos() / AGE_WINDOW.as_nanos();
        if windows > 0 {
            self.previous = if windows == 1 { self.current } else { None };
            self.current = None;
            self.since = Instant::now();
        }
    }

    /// A message of that sending time was received.
    pub(super) fn note(&mut self, sent_at: SystemTime) {
        self.turn();
        self.current = Some(self.current.map_or(sent_at, |oldest| oldest.min(sent_at)));
    }

    /// The earliest of them.
    pub(super) fn get(&mut self) -> Option<SystemTime> {
        self.turn();
        [self.current, self.previous].into_iter().flatten().min()
    }
}
