//! What a listener is told while it runs: pause, resume, other workers, another share of them, stop.
//!
//! One watched value per listener, changed through its [`Handle`] by whoever operates it. The listener follows: intake
//! waits while it is paused, slots and sessions take the number of workers over. Settings of a reload come the same way. A
//! stop is the drain of one listener. No other listener of the process notices.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::drain::Drain;
use crate::limit::Share;
use crate::pipeline::Settings;

/// Time for settling after the last POST of a listener that ends alone; the same that a drain of the process has.
const SETTLING: Duration = Duration::from_secs(15);

/// What a listener is told to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controls {
    /// Whether it receives nothing. What is in flight is delivered.
    pub paused: bool,
    /// POSTs it may have running, at least 1.
    pub workers: usize,
    /// The part of the workers that this process may use; the others are other processes'. With none the listener stands
    /// by: it receives nothing, and releases what it has not attempted.
    pub share: Share,
}

impl Controls {
    /// POSTs that this process may have running: its share of the workers.
    pub fn sessions(&self) -> usize {
        self.share.of(self.workers)
    }

    /// Whether it may receive: nobody paused it, and it does not stand by.
    pub fn receives(&self) -> bool {
        !self.paused && !self.stands_by()
    }

    /// Whether the listener may receive nothing, because all that it could do is other processes' share.
    pub fn stands_by(&self) -> bool {
        self.sessions() == 0
    }
}

/// How a listener that runs is told what to do.
#[derive(Debug, Clone)]
pub struct Handle {
    controls: watch::Sender<Controls>,
    settings: watch::Sender<Arc<Settings>>,
    drain: Drain,
}

impl Handle {
    /// For a listener with these settings that drains with `drain`.
    pub(super) fn new(settings: Settings, drain: Drain) -> Self {
        let controls =
            Controls { paused: settings.receiving.paused, workers: settings.workers, share: Share::WHOLE };
        let settings = watch::Sender::new(Arc::new(settings));
        Self { controls: watch::Sender::new(controls), settings, drain }
    }

    /// Gives it other settings: each answer from now on is judged by them. Workers and pause follow where the settings
    /// differ from those before. Else what [`Handle::change`] told stays.
    ///
    /// Only delays, the policy's rows, what a success is, the long-poll time, workers and pause may differ. Its parts were
    /// made for the others.
    pub fn adjust(&self, settings: Settings) {
        let (workers, paused) = (settings.workers, settings.receiving.paused);
        let before = self.settings.send_replace(Arc::new(settings));
        self.change(|controls| {
            if workers != before.workers {
                controls.workers = workers;
            }
            if paused != before.receiving.paused {
                controls.paused = paused;
            }
        });
    }

    /// The settings as the listener reads them.
    pub(super) fn settings(&self) -> watch::Receiver<Arc<Settings>> {
        self.settings.subscribe()
    }

    /// What it has been told.
    pub fn controls(&self) -> Controls {
        *self.controls.borrow()
    }

    /// Changes what it is told. A receive under way ends before a pause, and what it brings is delivered; POSTs beyond a
    /// lower number of workers finish. No workers count as one.
    pub fn change(&self, change: impl FnOnce(&mut Controls)) {
        self.controls.send_if_modified(|controls| {
            let before = *controls;
            change(controls);
            controls.workers = controls.workers.max(1);
            *controls != before
        });
    }

    /// Changes what it is told, as [`Handle::change`]; what it was told before, and is told now.
    pub fn tell(&self, tell: impl FnOnce(&mut Controls)) -> (Controls, Controls) {
        let mut before = self.controls();
        self.change(|controls| {
            before = *controls;
            tell(controls);
        });
        (before, self.controls())
    }

    /// Ends the listener as a drain does: it receives nothing more, releases what was never attempted and finishes what
    /// runs. What runs at `deadline` from now is cut off by whoever calls [`Handle::abort`].
    pub fn stop(&self, deadline: Duration) {
        self.drain.begin(deadline);
    }

    /// Takes over what `former` was told by hand, as far as the settings say the same of it as before.
    pub fn inherit(&self, former: &Self) {
        let told = former.controls();
        let (before, now) = (former.settings.borrow().clone(), self.settings.borrow().clone());
        self.change(|controls| {
            if told.workers != before.workers && now.workers == before.workers {
                controls.workers = told.workers;
            }
            if told.paused != before.receiving.paused && now.receiving.paused == before.receiving.paused {
                controls.paused = told.paused;
            }
        });
    }

    /// How long its end may take if each POST keeps to its time-out.
    pub fn time_to_end(&self) -> Duration {
        self.settings.borrow().timeout + SETTLING
    }

    /// Whether it ends, or has ended.
    pub fn is_stopping(&self) -> bool {
        self.drain.is_draining()
    }

    /// Cuts off what still runs.
    pub fn abort(&self) {
        self.drain.abort();
    }

    /// Whether what still ran was cut off.
    pub fn is_aborted(&self) -> bool {
        self.drain.is_aborting()
    }

    /// Waits until it may receive, or until it may not: it is paused or stands by.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn until_receiving(&self, receives: bool) {
        // The sender is ours, so the wait cannot fail.
        self.watch().wait_for(|controls| controls.receives() == receives).await.ok();
    }

    /// The value as the listener watches it.
    pub(super) fn watch(&self) -> watch::Receiver<Controls> {
        self.controls.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::kit_for_tests::Setup;

    fn settings(workers: usize) -> Settings {
        Settings { workers, ..Setup::default().settings }
    }

    impl Handle {
        /// For a listener with so many workers that never runs.
        pub fn for_tests(workers: usize) -> Self {
            Self::new(settings(workers), Drain::new())
        }
    }

    #[test]
    fn workers_told_by_hand_stay_until_the_settings_have_another_number() {
        let handle = Handle::new(settings(16), Drain::new());
        handle.change(|controls| (controls.workers, controls.paused) = (4, true));
        handle.adjust(settings(16));
        assert_eq!((handle.controls().workers, handle.controls().paused), (4, true));
        handle.adjust(settings(32));
        assert_eq!((handle.controls().workers, handle.controls().paused), (32, true));
    }

    #[test]
    fn a_listener_without_a_share_of_its_workers_stands_by() {
        let controls = |workers, share| Controls { paused: false, workers, share };
        let third = controls(10, Share::new(0, 3));
        assert_eq!((third.sessions(), third.receives()), (4, true));
        let none = controls(2, Share::new(2, 3));
        assert_eq!((none.sessions(), none.stands_by(), none.receives()), (0, true, false));
        let paused = Controls { paused: true, ..controls(2, Share::WHOLE) };
        assert!(!paused.receives() && !paused.stands_by());
    }

    #[test]
    fn a_change_that_changes_nothing_wakes_nobody() {
        let handle = Handle::new(settings(16), Drain::new());
        let watched = handle.watch();
        handle.change(|controls| controls.paused = false);
        handle.change(|controls| controls.workers = 16);
        assert!(!watched.has_changed().unwrap());
        handle.change(|controls| controls.workers = 0);
        assert_eq!((watched.has_changed().unwrap(), handle.controls().workers), (true, 1));
    }

    #[test]
    fn a_successor_is_told_what_was_told_by_hand_unless_the_file_says_something_else_now() {
        let other = |workers, paused| {
            let mut settings = settings(workers);
            settings.receiving.paused = paused;
            Handle::new(settings, Drain::new())
        };
        let former = other(16, true);
        former.change(|controls| (controls.workers, controls.paused) = (2, false));
        let told = |new: Handle| {
            new.inherit(&former);
            (new.controls().workers, new.controls().paused)
        };
        assert_eq!(told(other(16, true)), (2, false));
        assert_eq!(told(other(8, true)), (8, false), "the file has other workers");
        let unpaused_by_file = other(16, true);
        assert_eq!((unpaused_by_file.controls().workers, unpaused_by_file.controls().paused), (16, true));
        let new = other(16, false);
        new.inherit(&unpaused_by_file);
        assert!(!new.controls().paused, "nobody paused it by hand, and the file says run");
    }

    #[test]
    fn a_listener_that_is_stopped_drains_alone() {
        let process = Drain::new();
        let (one, other) =
            (Handle::new(settings(1), process.of_a_part()), Handle::new(settings(1), process.of_a_part()));
        one.stop(Duration::from_secs(60));
        assert!(one.is_stopping() && !other.is_stopping() && !process.is_draining());
        one.abort();
        assert!(one.drain.is_aborting());
    }
}
