//! Follows a fleet: looks again and again, and tells where this process stands.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::fleet::roster::{Member, Roster, Standing};
use crate::ports::BoxFuture;

/// Time between two looks, if no record is valid for longer.
const EVERY: Duration = Duration::from_secs(5);
/// Longest time between two looks, however long records are valid.
const EVERY_MAX: Duration = Duration::from_secs(60);
/// So many looks that agree make a share larger, after the first that says so.
const AGREEING: u32 = 2;
/// Time for one look.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// Pause after one that failed: until it works, others may come unseen.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often what is wrong is said again.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The processes; at least one.
    pub members: BTreeSet<Member>,
    /// This one, whether or not it is among them.
    pub own: Member,
    /// For how long the answer may be repeated to whoever asks: it may be as old.
    pub valid_for: Duration,
}

/// Why a look found nobody.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The name has no records of this kind.
    #[error("there are no {0} records")]
    NoRecords(&'static str),
    /// No answer came in time.
    #[error("no answer within {} s", LOOK_MAX.as_secs())]
    TimedOut,
    /// The question or its answer failed otherwise.
    #[error("{0}")]
    Failed(String),
}

/// Who tells which processes there are.
pub trait Names: Send + Sync {
    /// The name that is asked for, for logs.
    fn name(&self) -> &str;

    /// Looks once.
    fn look(&self) -> BoxFuture<'_, Result<Found, LookError>>;
}

/// Looks every few seconds, and tells where this process stands; never returns.
///
/// A look is repeated when its records are no longer valid, after 5 to 60 s. As old as that an answer may be, so the hold
/// is twice the longest such time.
pub async fn follow(names: impl Names, standing: watch::Sender<Standing>) {
    let mut roster = Roster::new(Instant::now());
    let mut said = Said::default();
    let mut every = EVERY;
    tell(&standing, roster.standing(Instant::now()));
    loop {
        let began = Instant::now();
        let look = tokio::time::timeout(LOOK_MAX, names.look()).await.unwrap_or(Err(LookError::TimedOut));
        let now = Instant::now();
        let next_look = match look {
            Ok(Found { members, own, valid_for }) => {
                let next = valid_for.clamp(EVERY, EVERY_MAX);
                // A cache counts the time down: the longest that was seen tells how old an answer may be.
                every = every.max(next);
                said.listed(names.name(), &members, own, now);
                roster.seen(members, own, every * AGREEING, now);
                began + next
            }
            Err(error) => {
                said.failed(names.name(), &error, now);
                now + AFTER_FAILURE
            }
        };
        tell(&standing, roster.standing(now));
        tokio::time::sleep_until(next_look).await;
    }
}

/// Tells of a standing that is another than before.
fn tell(standing: &watch::Sender<Standing>, new: Standing) {
    standing.send_if_modified(|old| {
        let is_other = *old != new;
        if is_other {
            *old = new;
        }
        is_other
    });
}

/// What the log was told, so that it is not told again at every look.
#[derive(Default)]
struct Said {
    members: Option<(usize, bool)>,
    trouble_at: Option<Instant>,
}

impl Said {
    fn listed(&mut self, name: &str, members: &BTreeSet<Member>, own: SocketAddr, now: Instant) {
        let is_listed = members.contains(&own);
        if !is_listed && self.may_say(now) {
            let fix = "fleet.dns has to name these processes: a headless Service that selects them, with publishNotReadyAddresses";
            let own = own.ip();
            tracing::warn!(name, members = members.len(), %own, fix, "this process is not listed in its fleet, and stands by until it is");
        }
        if is_listed {
            self.trouble_at = None;
        }
        if self.members.replace((members.len(), is_listed)) != Some((members.len(), is_listed)) {
            tracing::info!(name, members = members.len(), listed = is_listed, "the fleet");
        }
    }

    fn failed(&mut self, name: &str, error: &LookError, now: Instant) {
        if self.may_say(now) {
            let fix = "check fleet.dns, and that its DNS server can be reached";
            tracing::warn!(name, %error, fix, "the fleet cannot be counted: the share stays for a minute, then is halved; without one the process stands by");
        }
        self.members = None;
    }

    /// Whether trouble may be said, which is then said.
    fn may_say(&mut self, now: Instant) -> bool {
        let may = self.trouble_at.is_none_or(|at| now.saturating_duration_since(at) >= SAID_EVERY);
        if may {
            self.trouble_at = Some(now);
        }
        may
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
