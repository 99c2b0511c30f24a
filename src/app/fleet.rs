//! What this process has of the caps, while it follows its fleet.
//!
//! One task looks who else runs; here its results become shares of endpoints and listeners. Without a fleet everything is
//! this process's.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fleet::{Dns, Settings, Source, Standing, follow};
use crate::limit::{EndpointLimits, Share};

/// Pause before a look that panicked is started again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// The fleet of this process, followed while it runs.
pub(super) struct Fleet {
    /// Where the admin port listens: records may name it.
    listens: SocketAddr,
    settings: Option<Settings>,
    standing: watch::Sender<Standing>,
    /// Whether listeners' workers are divided as sessions are.
    divides_workers: watch::Sender<bool>,
    looking: JoinSet<()>,
    looks: watch::Receiver<Standing>,
}

impl Fleet {
    /// Nobody else runs as far as is known.
    pub(super) fn new(listens: SocketAddr) -> Self {
        let (standing, divides_workers) = (watch::Sender::new(Standing::Alone), watch::Sender::new(false));
        let looks = watch::Sender::new(Standing::Alone).subscribe();
        Self { listens, settings: None, standing, divides_workers, looking: JoinSet::new(), looks }
    }

    /// What this process has of the caps, now and later.
    pub(super) fn shares(&self) -> Shares {
        Shares { standing: self.standing.subscribe(), divides_workers: self.divides_workers.subscribe() }
    }

    /// Where this process stands.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Follows these settings from now on. Another source than before begins anew: this process is a newcomer, and stands
    /// by for a moment. The shares may be others then.
    pub(super) fn follow(&mut self, settings: Option<&Settings>) {
        self.divides_workers.send_replace(settings.is_some_and(|settings| settings.workers));
        let source = settings.map(|settings| &settings.source);
        if self.settings.as_ref().map(|settings| &settings.source) == source {
            return;
        }
        self.settings = settings.cloned();
        self.begin();
    }

    fn begin(&mut self) {
        self.looking.abort_all();
        let source = self.settings.as_ref().map(|settings| &settings.source);
        let standing = match source {
            None => Standing::Alone,
            Some(Source::Fixed(processes)) => Standing::Fixed(*processes),
            Some(Source::Dns { .. }) => Standing::newcomer(),
        };
        // What the former task told last is nobody's any more.
        let looks = watch::Sender::new(standing.clone());
        self.looks = looks.subscribe();
        if let Some(Source::Dns { name, server }) = source {
            let names = Dns::new(name.clone(), *server, self.listens);
            self.looking.spawn(follow(names, looks));
        }
        self.standing.send_replace(standing);
    }

    /// Waits until something else follows for the shares.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(super) async fn changed(&mut self) {
        if self.looks.changed().await.is_err() {
            if !matches!(&self.settings, Some(Settings { source: Source::Dns { .. }, .. })) {
                // Nobody looks.
                return std::future::pending().await;
            }
            tracing::error!("a look at the fleet panicked: this process stands by, and looks again");
            // One that panics again at once does not spin.
            tokio::time::sleep(AFTER_PANIC).await;
            return self.begin();
        }
        let standing = self.looks.borrow_and_update().clone();
        self.standing.send_replace(standing);
    }
}

/// What this process has of the caps.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    standing: watch::Receiver<Standing>,
    divides_workers: watch::Receiver<bool>,
}

impl Shares {
    /// Gives endpoints their share.
    pub(super) fn give<'a>(&self, endpoints: impl Iterator<Item = &'a EndpointLimits>) {
        for limits in endpoints {
            limits.sessions.set_share(self.standing.borrow().share(&limits.name));
        }
    }

    /// The share of a listener of that endpoint, which has its share already.
    pub(super) fn of_listener(&self, endpoint: &EndpointLimits) -> Share {
        if endpoint.sessions.cap() == 0 {
            Share::NONE
        } else if *self.divides_workers.borrow() {
            self.standing.borrow().share(&endpoint.name)
        } else {
            Share::WHOLE
        }
    }

    /// Processes of the fleet; `None` without one.
    pub(super) fn members(&self) -> Option<usize> {
        self.standing.borrow().members()
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
