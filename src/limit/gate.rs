//! The gate of one endpoint: whether messages are taken for it at all.
//!
//! An answer with Retry-After closes it for min(value, 60 s) × 1–1.2. When the pause is over one probe goes: a
//! message already held, else a receive of one, by the pollers in turn. What the probe meets opens the gate or
//! closes it again. A receive that brings nothing passes the turn on; when every poller that waits has had its
//! turn and found nothing, the gate opens, for there is nothing to hold back.
//!
//! Receives under way when it closes may still bring messages; those wait here, under their leases.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Longest pause taken from a Retry-After; what an endpoint asks beyond it is asked again by the probe.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A pause is lengthened by up to a fifth, so that processes do not come back together.
const PAUSE_SPREAD: f64 = 0.2;

/// The gate of one endpoint.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
    /// The pollers' line: first come, first served, so that none takes two turns in a row while others wait.
    turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Deliveries that wait; a held message probes before any poller.
    deliveries_waiting: usize,
    pollers_waiting: usize,
    /// Probes in a row that received nothing.
    empty_probes: usize,
    /// The pause that was asked for last.
    last_pause: Duration,
    /// Time spent closed or probing before the current phase.
    closed_before: Duration,
    /// Start of the current closure.
    closed_since: Option<Instant>,
    random: fastrand::Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// A probe may go from then on.
    Closed(Instant),
    /// One probe is out.
    Probing,
}

/// The gate's state as the metrics and the status name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateState {
    /// Messages are taken.
    Open,
    /// None are, until the pause is over.
    Closed,
    /// One is out to see.
    Probing,
}

impl GateState {
    /// Every state, to initialise metrics.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Probing];

    /// Label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Probing => "probing",
        }
    }
}

/// Who asks to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A message in the house.
    Delivery,
    /// A poller about to receive.
    Poller,
}

/// Leave to go on.
#[derive(Debug)]
pub enum Pass {
    /// The gate is open.
    Open,
    /// It is not; this one goes to see.
    Probe(Probe),
}

impl Gate {
    /// An open gate; `seed` drives the spread of its pauses.
    pub fn new(seed: u64) -> Arc<Self> {
        let state = State {
            phase: Phase::Open,
            deliveries_waiting: 0,
            pollers_waiting: 0,
            empty_probes: 0,
            last_pause: Duration::ZERO,
            closed_before: Duration::ZERO,
            closed_since: None,
            random: fastrand::Rng::with_seed(seed),
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), turn: Arc::new(Semaphore::new(1)) })
    }

    /// What it is now.
    pub fn state(&self) -> GateState {
        match self.lock().phase {
            Phase::Open => GateState::Open,
            Phase::Closed(_) => GateState::Closed,
            Phase::Probing => GateState::Probing,
        }
    }

    /// How long a message that cannot wait any longer should stay away: what is left of the pause, or while a
    /// probe is out the pause it may lead to.
    pub fn pause_left(&self) -> Duration {
        let state = self.lock();
        match state.phase {
            Phase::Closed(until) => until.saturating_duration_since(Instant::now()),
            Phase::Probing => state.last_pause,
            Phase::Open => Duration::ZERO,
        }
    }

    /// Time it was not open, in all.
    pub fn closed_for(&self) -> Duration {
        let state = self.lock();
        state.closed_before + state.closed_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Closes for what the endpoint asked, or longer if it is closed for longer already. Returns the pause
    /// when that changed an open gate.
    pub fn close(&self, retry_after: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let spread = 1.0 + PAUSE_SPREAD * state.random.f64();
        let pause = retry_after.min(PAUSE_MAX).mul_f64(spread);
        let was_open = state.phase == Phase::Open;
        state.close(pause);
        drop(state);
        self.changed.notify_waiters();
        was_open.then_some(pause)
    }

    /// Completes when the gate is not open.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// Waits for leave to go on.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn pass(self: &Arc<Self>, who: Who) -> Pass {
        if self.is_open() {
            return Pass::Open;
        }
        let _place = Place::take(self, who);
        let mut turn = None;
        // One place in the pollers' line, kept through every change of the gate.
        let line = Arc::clone(&self.turn).acquire_owned();
        tokio::pin!(line);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = {
                let mut state = self.lock();
                match state.phase {
                    Phase::Open => return Pass::Open,
                    Phase::Closed(until) if until > Instant::now() => Some(until),
                    Phase::Closed(_) if who == Who::Delivery || state.may_receive(turn.as_ref()) => {
                        state.phase = Phase::Probing;
                        return Pass::Probe(Probe { gate: Some(Arc::clone(self)), _turn: turn });
                    }
                    Phase::Closed(_) | Phase::Probing => None,
                }
            };
            tokio::select! {
                biased;
                () = &mut changed => {}
                Ok(permit) = &mut line, if who == Who::Poller && turn.is_none() => {
                    turn = Some(permit);
                }
                () = pause(until) => {}
            }
        }
    }

    /// Whether messages may be taken right now without asking.
    pub fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }

    fn end_probe(&self, verdict: Verdict) {
        let mut state = self.lock();
        if state.phase == Phase::Probing {
            match verdict {
                Verdict::Open => state.open(),
                Verdict::Closed => {
                    let pause = state.last_pause;
                    state.close(pause);
                }
                Verdict::Empty if state.empty_probes >= state.pollers_waiting => state.open(),
                Verdict::Empty => {
                    state.empty_probes += 1;
                    state.phase = Phase::Closed(Instant::now());
                }
                Verdict::None => state.phase = Phase::Closed(Instant::now()),
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes for `pause`, or longer if it is closed for longer already.
    fn close(&mut self, pause: Duration) {
        let now = Instant::now();
        let until = match self.phase {
            Phase::Closed(until) => until.max(now + pause),
            Phase::Open | Phase::Probing => now + pause,
        };
        self.phase = Phase::Closed(until);
        self.last_pause = pause;
        self.empty_probes = 0;
        self.closed_since.get_or_insert(now);
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.empty_probes = 0;
        self.closed_before += self.closed_since.take().map(|since| since.elapsed()).unwrap_or_default();
    }

    /// Whether the poller that has the turn may probe: held messages go first.
    fn may_receive(&self, turn: Option<&OwnedSemaphorePermit>) -> bool {
        turn.is_some() && self.deliveries_waiting == 0
    }
}

async fn pause(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// A place among those that wait; a delivery that leaves lets a poller probe.
struct Place<'a> {
    gate: &'a Gate,
    who: Who,
}

impl<'a> Place<'a> {
    fn take(gate: &'a Gate, who: Who) -> Self {
        let mut state = gate.lock();
        match who {
            Who::Delivery => state.deliveries_waiting += 1,
            Who::Poller => state.pollers_waiting += 1,
        }
        drop(state);
        Self { gate, who }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        match self.who {
            Who::Delivery => state.deliveries_waiting -= 1,
            Who::Poller => state.pollers_waiting -= 1,
        }
        let last = self.who == Who::Delivery && state.deliveries_waiting == 0;
        drop(state);
        if last {
            self.gate.changed.notify_waiters();
        }
    }
}

/// What came of a probe.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// The endpoint took it.
    Open,
    /// It is no better.
    Closed,
    /// There was nothing to try it with.
    Empty,
    /// It was not tried: the next one is.
    None,
}

/// The one probe of a closed gate. Dropped without a verdict, it passes the turn on.
#[derive(Debug)]
#[must_use]
pub struct Probe {
    gate: Option<Arc<Gate>>,
    /// A poller's turn, until its probe has ended.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Probe {
    /// The endpoint took it: the gate opens, unless an answer has closed it anew.
    pub fn succeed(self) {
        self.end(Verdict::Open);
    }

    /// The endpoint is no better: closed again for the pause it asked for last.
    pub fn fail(self) {
        self.end(Verdict::Closed);
    }

    /// The receive brought nothing.
    pub fn found_nothing(self) {
        self.end(Verdict::Empty);
    }

    fn end(mut self, verdict: Verdict) {
        if let Some(gate) = self.gate.take() {
            gate.end_probe(verdict);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.end_probe(Verdict::None);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    fn probe(pass: Pass) -> Probe {
        match pass {
            Pass::Probe(probe) => probe,
            Pass::Open => panic!("the gate is open"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_closes_for_that_long_and_at_most_a_minute() {
        let gate = Gate::new(1);
        assert!(matches!(gate.pass(Who::Poller).await, Pass::Open));
        let pause = gate.close(Duration::from_secs(10)).unwrap();
        assert!((10.0..=12.0).contains(&pause.as_secs_f64()), "{pause:?}");
        let pause = Gate::new(2).close(Duration::from_secs(3_600)).unwrap();
        assert!((60.0..=72.0).contains(&pause.as_secs_f64()), "{pause:?}");
        let began = Instant::now();
        probe(gate.pass(Who::Poller).await).succeed();
        assert!(began.elapsed() >= Duration::from_secs(10));
        assert!(gate.is_open());
        assert_eq!(gate.closed_for(), began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_goes_and_one_that_comes_back_empty_passes_the_turn_on() {
        let gate = Gate::new(3);
        gate.close(Duration::from_secs(1));
        let first = probe(gate.pass(Who::Poller).await);
        assert_eq!(gate.state(), GateState::Probing);
        assert!(timeout(Duration::from_secs(60), gate.pass(Who::Poller)).await.is_err());
        drop(first);
        let second = probe(gate.pass(Who::Poller).await);
        gate.close(Duration::from_secs(5));
        second.succeed();
        assert_eq!(gate.state(), GateState::Closed, "an answer that closes wins over the probe");
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_message_probes_before_a_poller() {
        let gate = Gate::new(4);
        gate.close(Duration::from_secs(1));
        let (for_poller, for_held) = (Arc::clone(&gate), Arc::clone(&gate));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { (Who::Poller, for_poller.pass(Who::Poller).await) });
        sleep(Duration::from_millis(1)).await;
        tasks.spawn(async move { (Who::Delivery, for_held.pass(Who::Delivery).await) });
        let (who, pass) = tasks.join_next().await.unwrap().unwrap();
        assert_eq!(who, Who::Delivery);
        probe(pass).succeed();
        assert!(matches!(tasks.join_next().await, Some(Ok((Who::Poller, Pass::Open)))));
    }

    #[tokio::test(start_paused = true)]
    async fn pollers_probe_in_turn_and_the_gate_opens_when_none_of_them_finds_anything() {
        let gate = Gate::new(6);
        gate.close(Duration::from_secs(1));
        let mut order = Vec::new();
        let mut waiting: Vec<_> = (0..3).map(|name| (name, Box::pin(gate.pass(Who::Poller)))).collect();
        for (_, pass) in &mut waiting {
            assert!(timeout(Duration::ZERO, pass).await.is_err());
        }
        while !gate.is_open() {
            let (name, pass) = waiting.remove(0);
            order.push(name);
            match timeout(Duration::from_secs(60), pass).await.expect("the first in line has the turn") {
                Pass::Probe(probe) => probe.found_nothing(),
                Pass::Open => break,
            }
            waiting.push((name, Box::pin(gate.pass(Who::Poller))));
            let last = waiting.last_mut().unwrap();
            assert!(gate.is_open() || timeout(Duration::ZERO, &mut last.1).await.is_err());
        }
        assert_eq!(order, [0, 1, 2]);
        assert!(matches!(gate.pass(Who::Poller).await, Pass::Open));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_closes_for_the_last_pause() {
        let gate = Gate::new(7);
        let pause = gate.close(Duration::from_secs(10)).unwrap();
        probe(gate.pass(Who::Delivery).await).fail();
        assert_eq!(gate.pause_left(), pause);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_message_that_leaves_lets_a_poller_probe() {
        let gate = Gate::new(5);
        gate.close(Duration::from_secs(10));
        let held = Arc::clone(&gate);
        let left = timeout(Duration::from_secs(5), async move { held.pass(Who::Delivery).await }).await;
        assert!(left.is_err());
        drop(probe(timeout(Duration::from_secs(60), gate.pass(Who::Poller)).await.unwrap()));
    }
}
