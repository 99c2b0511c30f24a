//! Ctrl-C, for commands that have something to finish or to release when it comes.
//!
//! It is listened for from the moment that an [`Interrupt`] is made, also while nobody asks. Before that moment Ctrl-C ends the
//! process at once, so one is made before anything is started or received.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, noted from the beginning.
pub(super) struct Interrupt(Option<Signal>);

impl Interrupt {
    /// Listens from now on. Where that cannot be, Ctrl-C ends the process as before.
    pub(super) fn listen() -> Self {
        Self(signal(SignalKind::interrupt()).ok())
    }

    /// Waits for Ctrl-C.
    ///
    /// # Cancel safety
    /// Dropping the future loses no Ctrl-C.
    pub(super) async fn pressed(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Whether it came since it was last asked for.
    pub(super) async fn was_pressed(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.pressed() => true,
            () = std::future::ready(()) => false,
        }
    }
}
