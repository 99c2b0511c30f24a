//! What a listener knows of its own health: preflight, receives under way, loops that tick.
//!
//! Alive means that no `ReceiveMessage` is outstanding past its time and every loop still turns; waiting for
//! slots, the gate, the rate or a back-off is alive. Ready means that the queue could be read in the last minute.
//! Neither ever depends on what the endpoint answers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::observe::failing::Failing;

/// What a receive may take beyond its wait before it counts as stuck.
const RECEIVE_GRACE: Duration = Duration::from_secs(15);
/// Time without a turn after which a loop counts as stuck; loops turn every 15 s at least.
const TICK_MAX: Duration = Duration::from_secs(60);

/// Time without a look at the queue that worked, after which it counts as unreachable.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(60);

/// Time without a fault after which a listener counts as proven. A role that lacks one right passes the preflight
/// and is denied seconds later.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// Whether the queue can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Preflight {
    /// Not known yet.
    #[default]
    Pending,
    /// It can.
    Passed,
    /// It cannot for a minute, and may again by itself; the reason in words.
    Unreachable(String),
    /// It cannot until a person acts; the reason in words.
    Faulted(String),
}

/// One listener's health, shared with whoever answers probes.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    settle_fault_changed: Notify,
    /// Whether deliveries fail.
    pub(crate) failing: Failing,
}

#[derive(Debug, Default)]
struct State {
    preflight: Preflight,
    /// Why settling fails until a person acts.
    settle_fault: Option<String>,
    proof: Proof,
    /// Since when no look at the queue has worked, and what the last one came to.
    unread: Option<(Instant, String)>,
    next_receive: u64,
    /// When each receive under way counts as stuck.
    receives: BTreeMap<u64, Instant>,
    ticks: Vec<(&'static str, Arc<Mutex<Instant>>)>,
}

/// Whether the listener has ever done its work, from preflight and faults.
#[derive(Debug, Clone, Copy, Default)]
enum Proof {
    /// It has not passed yet, or had a fault too early.
    #[default]
    None,
    /// It passed then, and had no fault since.
    Since(Instant),
    /// It went without a fault for long enough; what comes later is no fault of its configuration.
    Given,
}

impl Proof {
    fn is_given(self) -> bool {
        match self {
            Self::None => false,
            Self::Since(passed) => passed.elapsed() >= PROVEN_AFTER,
            Self::Given => true,
        }
    }

    /// The proof after a step that went well or found a fault.
    fn after(self, well: bool) -> Self {
        match self {
            proof if proof.is_given() => Self::Given,
            Self::Since(passed) if well => Self::Since(passed),
            _ if well => Self::Since(Instant::now()),
            _ => Self::None,
        }
    }
}

impl Health {
    /// Whether the listener has worked since it started, for long enough that its configuration is right.
    pub fn is_proven(&self) -> bool {
        self.lock().proof.is_given()
    }

    /// Whether the queue can be read, and what was read be settled.
    pub fn preflight(&self) -> Preflight {
        let state = self.lock();
        if let Some(fault) = &state.settle_fault {
            return Preflight::Faulted(fault.clone());
        }
        match (&state.preflight, &state.unread) {
            (Preflight::Pending | Preflight::Passed, Some((since, why)))
                if since.elapsed() >= UNREACHABLE_AFTER =>
            {
                let seconds = since.elapsed().as_secs();
                Preflight::Unreachable(format!("its queue could not be read for {seconds} s: {why}"))
            }
            (known, _) => known.clone(),
        }
    }

    /// A look at the queue failed in a way that may pass.
    pub(crate) fn not_read(&self, why: &dyn Display) {
        let mut state = self.lock();
        let since = state.unread.take().map_or_else(Instant::now, |(since, _)| since);
        state.unread = Some((since, why.to_string()));
    }

    /// A look at the queue worked, or was answered with a fault; the time it had been unreachable, if it was.
    pub(crate) fn read(&self) -> Option<Duration> {
        let (since, _) = self.lock().unread.take()?;
        Some(since.elapsed()).filter(|unread| *unread >= UNREACHABLE_AFTER)
    }

    /// Whether a person has to act.
    pub(crate) fn is_faulted(&self) -> bool {
        matches!(self.preflight(), Preflight::Faulted(_))
    }

    /// Records whether settling works; whether that is news.
    pub(crate) fn set_settle_fault(&self, fault: Option<String>) -> bool {
        let mut state = self.lock();
        let news = state.settle_fault.is_some() != fault.is_some();
        state.proof = state.proof.after(fault.is_none() && state.preflight == Preflight::Passed);
        state.settle_fault = fault;
        drop(state);
        if news {
            self.settle_fault_changed.notify_waiters();
        }
        news
    }

    /// Waits until settling works.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(crate) async fn settles(&self) {
        loop {
            let changed = self.settle_fault_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.has_settle_fault() {
                return;
            }
            changed.await;
        }
    }

    /// Whether settling fails until a person acts: nothing more should be received then.
    pub(crate) fn has_settle_fault(&self) -> bool {
        self.lock().settle_fault.is_some()
    }

    /// Records what preflight or a later call found; whether that is news.
    pub(crate) fn set_preflight(&self, preflight: Preflight) -> bool {
        let mut state = self.lock();
        let news = state.preflight != preflight;
        state.proof = state.proof.after(preflight == Preflight::Passed && state.settle_fault.is_none());
        state.preflight = preflight;
        news
    }

    /// What is stuck, in words; `None` when all is well.
    pub fn stuck(&self) -> Option<String> {
        let now = Instant::now();
        let state = self.lock();
        if let Some(since) = state.receives.values().min().filter(|deadline| **deadline < now) {
            let late = now.duration_since(*since).as_secs();
            return Some(format!("a ReceiveMessage call is {late} s past its time"));
        }
        state.ticks.iter().find_map(|(name, tick)| {
            let last = *tick.lock().unwrap_or_else(PoisonError::into_inner);
            let silent = now.duration_since(last);
            (silent > TICK_MAX).then(|| format!("the {name} loop has not turned for {} s", silent.as_secs()))
        })
    }

    /// A receive starts; it counts as stuck `wait` + 15 s from now until the guard is dropped.
    pub(crate) fn receiving(self: &Arc<Self>, wait: Duration) -> Receiving {
        let mut state = self.lock();
        let key = state.next_receive;
        state.next_receive += 1;
        state.receives.insert(key, Instant::now() + wait + RECEIVE_GRACE);
        Receiving { health: Arc::clone(self), key }
    }

    /// Watches one more loop.
    pub(crate) fn watch(&self, name: &'static str) -> Tick {
        let last = Arc::new(Mutex::new(Instant::now()));
        self.lock().ticks.push((name, Arc::clone(&last)));
        Tick { last }
    }

    /// Stops watching the loops: they are about to end on purpose.
    pub(crate) fn unwatch(&self) {
        self.lock().ticks.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receive under way.
#[derive(Debug)]
pub(crate) struct Receiving {
    health: Arc<Health>,
    key: u64,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.health.lock().receives.remove(&self.key);
    }
}

/// A loop's sign of life.
#[derive(Debug)]
pub(crate) struct Tick {
    last: Arc<Mutex<Instant>>,
}

impl Tick {
    /// The loop turns.
    pub(crate) fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_receive_is_stuck_fifteen_seconds_past_its_wait() {
        let health = Arc::new(Health::default());
        let receiving = health.receiving(Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(35)).await;
        assert_eq!(health.stuck(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(health.stuck().is_some_and(|why| why.contains("ReceiveMessage")));
        drop(receiving);
        assert_eq!(health.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_unreachable_after_a_minute_in_which_no_look_at_it_worked() {
        let health = Health::default();
        health.set_preflight(Preflight::Passed);
        health.not_read(&"connection refused");
        tokio::time::advance(Duration::from_secs(59)).await;
        health.not_read(&"no answer in time");
        assert_eq!(health.preflight(), Preflight::Passed);
        tokio::time::advance(Duration::from_secs(1)).await;
        let why = "its queue could not be read for 60 s: no answer in time";
        assert_eq!(health.preflight(), Preflight::Unreachable(why.to_owned()));
        assert_eq!(health.read(), Some(UNREACHABLE_AFTER));
        assert_eq!((health.preflight(), health.read()), (Preflight::Passed, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_stuck_after_a_minute_without_a_turn() {
        let health = Health::default();
        let tick = health.watch("settle");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(health.stuck().as_deref(), Some("the settle loop has not turned for 61 s"));
        tick.touch();
        assert_eq!(health.stuck(), None);
    }
}
