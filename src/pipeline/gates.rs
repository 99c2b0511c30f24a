//! The gates a message of a listener passes: its own, for what is wrong with the listener, and its endpoint's.
//!
//! Here an outcome becomes evidence for a gate, and the log learns of each change of a gate, once. A probe of the own
//! gate may wait at the endpoint's, never the other way round: the endpoint
//! has other listeners.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::limit::{Blocked, Circumstances, Evidence, Feedback, Gate, Probe, Rank, Transition};
use crate::message::MessageId;
use crate::observe::event_log::EventLog;
use crate::policy::decide::Signal;
use crate::policy::outcome::Outcome;

/// Whose gate it is, in the log.
const ENDPOINT: &str = "endpoint";
const LISTENER: &str = "listener";

/// Both gates.
#[derive(Debug)]
pub(super) struct Gates {
    /// Closed by faults of the listener.
    pub(super) own: Arc<Gate>,
    /// Closed by what the endpoint does to all its listeners.
    pub(super) shared: Arc<Gate>,
    /// Told of each change.
    pub(super) events: Arc<EventLog>,
}

/// The probes somebody holds.
#[derive(Debug, Default)]
pub(super) struct Probes {
    own: Option<Probe>,
    shared: Option<Probe>,
}

impl Probes {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_none() && self.shared.is_none()
    }

    /// Whether nobody found a message to probe with lately.
    pub(super) fn are_idle(&self) -> bool {
        [&self.own, &self.shared].into_iter().flatten().all(Probe::is_idle)
    }

    /// Their receive brought nothing, or only messages on their final receive, which are `kept`.
    pub(super) fn found_nothing(self, kept: bool) {
        for probe in [self.own, self.shared].into_iter().flatten() {
            probe.found_nothing(kept);
        }
    }
}

impl Gates {
    /// Intake cannot look, for want of a worker: until this is dropped.
    pub(super) fn blocked(&self) -> (Blocked<'_>, Blocked<'_>) {
        (self.own.blocked(), self.shared.blocked())
    }

    /// Whether messages may be taken without asking.
    pub(super) fn are_open(&self) -> bool {
        self.own.is_open() && self.shared.is_open()
    }

    /// Whether nothing keeps the holder of `probes` from posting.
    pub(super) fn let_through(&self, probes: &Probes) -> bool {
        (probes.own.is_some() || self.own.is_open()) && (probes.shared.is_some() || self.shared.is_open())
    }

    /// Waits until both let through, as probe where need be.
    ///
    /// # Cancel safety
    /// Dropping the future leaves in `probes` what it had; the place in the line is lost.
    pub(super) async fn pass(&self, rank: Rank, probes: &mut Probes) {
        while !self.let_through(probes) {
            if probes.own.is_none() && !self.own.is_open() {
                // Others could probe the endpoint meanwhile.
                probes.shared = None;
                probes.own = self.own.pass(rank).await;
            } else {
                probes.shared = self.shared.pass(rank).await;
            }
        }
    }

    /// Completes when a gate closes for which `probes` holds no probe.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn closed(&self, probes: &Probes) {
        tokio::select! {
            biased;
            () = self.own.closed(), if probes.own.is_none() => {}
            () = self.shared.closed(), if probes.shared.is_none() => {}
            else => std::future::pending().await,
        }
    }

    /// How long a message that waited too long should stay away.
    pub(super) fn pause_left(&self) -> Duration {
        self.own.pause_left().max(self.shared.pause_left())
    }

    /// The POST of these probes has run for long without an answer. What that changed at the endpoint's.
    pub(super) fn run_long(&self, probes: &Probes) -> Option<Transition> {
        self.events.gate(LISTENER, probes.own.as_ref().and_then(Probe::runs_long));
        let shared = probes.shared.as_ref().and_then(Probe::runs_long);
        self.events.gate(ENDPOINT, shared);
        shared
    }

    /// A POST has ended; tells both gates. What that changed at the endpoint's.
    pub(super) fn report(
        &self,
        evidence: Evidence,
        probes: Probes,
        circumstances: Circumstances,
    ) -> Option<Transition> {
        let misdirected = matches!(evidence, Evidence::Misdirected(_));
        let for_shared = if misdirected { Evidence::Neutral } else { evidence };
        let shared = match probes.shared {
            Some(probe) => probe.end(for_shared, circumstances),
            None => self.shared.learn(for_shared, circumstances),
        };
        self.events.gate(ENDPOINT, shared);
        let about_listener = matches!(evidence, Evidence::Success | Evidence::Neutral) || misdirected;
        let own = match probes.own {
            Some(probe) if about_listener => probe.end(evidence, circumstances),
            None if about_listener => self.own.learn(evidence, circumstances),
            // A probe is dropped and the next one tries: what stopped this one was not the listener's fault.
            _ => None,
        };
        self.events.gate(LISTENER, own);
        shared
    }
}

/// What a gate makes of an outcome. `alone`: nothing else ran at the endpoint.
pub(super) fn evidence(
    outcome: Outcome,
    signal: Signal,
    retry_after_closes: bool,
    message: &MessageId,
    alone: bool,
) -> Evidence {
    let message = || {
        let mut hasher = DefaultHasher::new();
        message.as_str().hash(&mut hasher);
        hasher.finish()
    };
    match signal {
        Signal::Success => Evidence::Success,
        Signal::Congestion { retry_after: Some(pause) } if retry_after_closes && !pause.is_zero() => {
            Evidence::Asked(pause)
        }
        Signal::Congestion { .. } if outcome == Outcome::Throttled => Evidence::Throttled,
        Signal::Congestion { .. } => Evidence::Overloaded,
        Signal::Unanswered => Evidence::Unanswered(message()),
        Signal::Failure => Evidence::Failing(message()),
        Signal::Unreachable => Evidence::Unreachable { alone },
        Signal::EndpointFault => Evidence::Unauthorized,
        Signal::ListenerFault => Evidence::Misdirected(message()),
        Signal::Neutral => Evidence::Neutral,
    }
}

/// What the adaptive limit makes of it. A probe tells nothing of how much an endpoint can take.
pub(super) fn feedback(signal: Signal, retry_after_closes: bool, probing: bool) -> Feedback {
    match signal {
        Signal::Success => Feedback::Success,
        _ if probing => Feedback::Nothing,
        Signal::Congestion { retry_after } => {
            let coupled = retry_after.filter(|_| retry_after_closes);
            Feedback::Congestion { retry_after: coupled.unwrap_or_default() }
        }
        Signal::Unanswered => Feedback::Congestion { retry_after: Duration::ZERO },
        Signal::Failure
        | Signal::Unreachable
        | Signal::EndpointFault
        | Signal::ListenerFault
        | Signal::Neutral => Feedback::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::kit_for_tests::{MINUTE, Setup, circumstances, close};

    const PAUSE: Option<Duration> = Some(MINUTE);

    fn of(outcome: Outcome, signal: Signal, retry_after_closes: bool) -> Evidence {
        evidence(outcome, signal, retry_after_closes, &MessageId::new("m-1"), true)
    }

    #[test]
    fn a_retry_after_closes_a_gate_only_where_the_listener_wants_that() {
        let asks = Signal::Congestion { retry_after: PAUSE };
        assert_eq!(of(Outcome::Throttled, asks, true), Evidence::Asked(MINUTE));
        assert_eq!(of(Outcome::Throttled, asks, false), Evidence::Throttled);
        assert_eq!(of(Outcome::Unavailable, asks, false), Evidence::Overloaded);
        let asks_for_nothing = Signal::Congestion { retry_after: Some(Duration::ZERO) };
        assert_eq!(of(Outcome::Throttled, asks_for_nothing, true), Evidence::Throttled);
        assert_eq!(feedback(asks, true, false), Feedback::Congestion { retry_after: MINUTE });
        assert_eq!(feedback(asks, true, true), Feedback::Nothing, "a probe tells nothing of capacity");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_path_closes_the_listeners_gate_and_everything_else_the_endpoints() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        for number in 0..5 {
            gates.report(Evidence::Misdirected(number), Probes::default(), circumstances());
        }
        assert_eq!((gates.own.is_open(), gates.shared.is_open()), (false, true));
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        gates.report(Evidence::Asked(MINUTE), Probes::default(), circumstances());
        assert_eq!((gates.own.is_open(), gates.shared.is_open()), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_opens_both_gates_that_it_probed() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        close(&gates.own, MINUTE);
        close(&gates.shared, MINUTE);
        let mut probes = Probes::default();
        gates.pass(Rank::Held, &mut probes).await;
        assert!(probes.own.is_some() && probes.shared.is_some() && !gates.are_open());
        gates.report(Evidence::Success, probes, circumstances());
        assert!(gates.are_open());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_at_the_listeners_gate_keeps_no_probe_of_the_endpoints() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        close(&gates.shared, MINUTE);
        let mut probes = Probes::default();
        gates.pass(Rank::Held, &mut probes).await;
        close(&gates.own, MINUTE);
        let passed = tokio::time::timeout(MINUTE / 2, gates.pass(Rank::Held, &mut probes)).await;
        assert!(passed.is_err() && probes.is_empty());
        let other = tokio::time::timeout(MINUTE / 4, gates.shared.pass(Rank::Held)).await;
        assert!(matches!(other, Ok(Some(_))), "another listener's message may probe");
    }
}
