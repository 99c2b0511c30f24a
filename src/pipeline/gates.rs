//! The gates a message of a listener passes: its own, for what is wrong with the listener, and its endpoint's.
//!
//! Here an outcome becomes evidence for a gate, and log and sessions learn of each change of a gate, once. A probe of the own
//! gate may wait at the endpoint's, never the other way round: the endpoint has other listeners.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use crate::limit::{
    Circumstances, Evidence, Feedback, Gate, Probe, Rank, Reason, Refusal, Sessions, Stated, Transition,
};
use crate::message::MessageId;
use crate::observe::event_log::EventLog;
use crate::policy::decide::Signal;
use crate::policy::outcome::Outcome;
use crate::policy::quota::Quota;

/// Both gates.
#[derive(Debug)]
pub(super) struct Gates {
    /// Closed by faults of the listener.
    pub(super) own: Arc<Gate>,
    /// Closed by what the endpoint does to all its listeners.
    pub(super) shared: Arc<Gate>,
    /// Told of each change of the endpoint's.
    pub(super) sessions: Arc<Sessions>,
    /// Told of each change.
    pub(super) events: Arc<EventLog>,
}

impl Gates {
    fn both(&self) -> [&Arc<Gate>; 2] {
        [&self.own, &self.shared]
    }

    /// Intake cannot look, for want of a worker: until this is dropped.
    pub(super) fn blocked(&self) -> [Probe; 2] {
        self.both().map(Gate::blocked)
    }

    /// Whether messages may be taken without asking.
    pub(super) fn are_open(&self) -> bool {
        self.let_through(&[])
    }

    /// Whether nothing keeps the holder of `probes` from posting.
    pub(super) fn let_through(&self, probes: &[Probe]) -> bool {
        self.in_the_way(probes).is_none()
    }

    /// The first gate that the holder of `probes` cannot pass.
    fn in_the_way(&self, probes: &[Probe]) -> Option<&Arc<Gate>> {
        self.both().into_iter().find(|gate| !gate.is_open() && !probes.iter().any(|probe| probe.is_of(gate)))
    }

    /// Waits until both let through, as probe where need be.
    ///
    /// # Cancel safety
    /// Dropping the future leaves in `probes` what it had; the place in the line is lost.
    pub(super) async fn pass(&self, rank: Rank, probes: &mut Vec<Probe>) {
        while let Some(gate) = self.in_the_way(probes) {
            // Others could probe the endpoint meanwhile.
            probes.retain(|probe| probe.is_of(&self.own));
            probes.extend(gate.pass(rank).await);
        }
    }

    /// Completes when a gate closes for which `probes` holds no probe.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(super) async fn closed(&self, probes: &[Probe]) {
        let [own, shared] = self.both().map(|gate| !probes.iter().any(|probe| probe.is_of(gate)));
        tokio::select! {
            biased;
            () = self.own.closed(), if own => {}
            () = self.shared.closed(), if shared => {}
            else => std::future::pending().await,
        }
    }

    /// How long a message that waited too long should stay away.
    pub(super) fn pause_left(&self) -> Duration {
        self.own.pause_left().max(self.shared.pause_left())
    }

    /// The POST of these probes has run for long without an answer.
    pub(super) fn run_long(&self, probes: &[Probe]) {
        for gate in self.both() {
            let probe = probes.iter().find(|probe| probe.is_of(gate));
            self.tell(gate, probe.and_then(Probe::runs_long));
        }
    }

    /// A POST has ended; tells both gates.
    pub(super) fn report(&self, evidence: Evidence, mut probes: Vec<Probe>, circumstances: Circumstances) {
        let mut learn = |gate: &Arc<Gate>, evidence| {
            let change = match probes.iter().position(|probe| probe.is_of(gate)) {
                Some(position) => probes.swap_remove(position).end(evidence, circumstances),
                None => gate.learn(evidence, circumstances),
            };
            self.tell(gate, change);
        };
        let misdirected = matches!(evidence, Evidence::Refused(Reason::Misdirected, _));
        learn(&self.shared, if misdirected { Evidence::Neutral } else { evidence });
        if misdirected || matches!(evidence, Evidence::Success | Evidence::Neutral) {
            learn(&self.own, evidence);
        }
        // Else a probe of the own gate is dropped and the next one tries: what stopped it was not the listener's fault.
    }

    fn tell(&self, gate: &Arc<Gate>, change: Option<Transition>) {
        let Some(change) = change else { return };
        if Arc::ptr_eq(gate, &self.own) {
            self.events.gate("listener", change);
        } else {
            self.events.gate("endpoint", change);
            self.sessions.gate_changed(change);
        }
    }
}

/// What a gate makes of an outcome.
pub(super) fn evidence(
    outcome: Outcome,
    signal: Signal,
    retry_after_closes: bool,
    message: &MessageId,
) -> Evidence {
    let reason = match signal {
        Signal::Success => return Evidence::Success,
        Signal::Neutral => return Evidence::Neutral,
        Signal::Congestion { retry_after: Some(pause) } if retry_after_closes && !pause.is_zero() => {
            return Evidence::Asked(pause);
        }
        Signal::Congestion { .. } if outcome == Outcome::Throttled => Reason::Throttled,
        Signal::Congestion { .. } => Reason::Overloaded,
        Signal::Unanswered => Reason::Unanswered,
        Signal::Failure => Reason::Failing,
        Signal::Unreachable => Reason::Unreachable,
        Signal::EndpointFault => Reason::Unauthorized,
        Signal::ListenerFault => Reason::Misdirected,
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    Evidence::Refused(reason, hasher.hash_one(message.as_str()))
}

/// What a quota read from rate-limit headers says of the next POST.
pub(super) fn stated(quota: Option<Quota>) -> Stated {
    match quota {
        None => Stated::Nothing,
        Some(Quota { remaining: 0, resets_in }) => Stated::Empty { resets_in },
        Some(_) => Stated::Left,
    }
}

/// What the sessions learn from it. A probe tells nothing of how much an endpoint can take.
pub(super) fn feedback(evidence: Evidence, probing: bool, stated: Stated) -> Feedback {
    let refused = |reason, retry_after| Feedback::Congestion(Refusal { reason, retry_after }, stated);
    match evidence {
        Evidence::Success => Feedback::Success(stated),
        Evidence::Asked(_) | Evidence::Refused(Reason::Throttled | Reason::Overloaded, _) if probing => {
            Feedback::ProbeRefused(stated)
        }
        _ if probing => Feedback::Nothing,
        Evidence::Asked(retry_after) => refused(Reason::RetryAfter, retry_after),
        Evidence::Refused(reason @ (Reason::Throttled | Reason::Overloaded), _) => {
            refused(reason, Duration::ZERO)
        }
        Evidence::Refused(Reason::Unanswered, message) => Feedback::Unanswered(message),
        Evidence::Refused(..) | Evidence::Neutral => Feedback::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::kit_for_tests::{MINUTE, Setup, circumstances, close};

    const PAUSE: Option<Duration> = Some(MINUTE);

    fn of(outcome: Outcome, signal: Signal, retry_after_closes: bool) -> Evidence {
        evidence(outcome, signal, retry_after_closes, &MessageId::new("m-1"))
    }

    #[test]
    fn a_retry_after_is_a_pause_for_the_gate_only_where_the_listener_wants_that() {
        let asks = Signal::Congestion { retry_after: PAUSE };
        assert_eq!(of(Outcome::Throttled, asks, true), Evidence::Asked(MINUTE));
        let refused = |evidence| match evidence {
            Evidence::Refused(reason, _) => Some(reason),
            _ => None,
        };
        assert_eq!(refused(of(Outcome::Throttled, asks, false)), Some(Reason::Throttled));
        assert_eq!(refused(of(Outcome::Unavailable, asks, false)), Some(Reason::Overloaded));
        let asks_for_nothing = Signal::Congestion { retry_after: Some(Duration::ZERO) };
        assert_eq!(refused(of(Outcome::Throttled, asks_for_nothing, true)), Some(Reason::Throttled));
        let asked = of(Outcome::Throttled, asks, true);
        let refusal = Refusal { reason: Reason::RetryAfter, retry_after: MINUTE };
        let stated = Stated::Left;
        assert_eq!(feedback(asked, false, stated), Feedback::Congestion(refusal, stated));
        assert_eq!(feedback(asked, true, stated), Feedback::ProbeRefused(stated));
    }

    #[test]
    fn a_quota_is_empty_once_nothing_remains() {
        let resets_in = MINUTE;
        assert_eq!(stated(None), Stated::Nothing);
        assert_eq!(stated(Some(Quota { remaining: 1, resets_in })), Stated::Left);
        assert_eq!(stated(Some(Quota { remaining: 0, resets_in })), Stated::Empty { resets_in });
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_path_closes_the_listeners_gate_and_everything_else_the_endpoints() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        for number in 0..5 {
            gates.report(Evidence::Refused(Reason::Misdirected, number), Vec::new(), circumstances());
        }
        assert_eq!((gates.own.is_open(), gates.shared.is_open()), (false, true));
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        for _ in 0..4 {
            gates.report(Evidence::Asked(MINUTE), Vec::new(), circumstances());
        }
        assert_eq!((gates.own.is_open(), gates.shared.is_open()), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_opens_both_gates_that_it_probed() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        close(&gates.own, MINUTE);
        close(&gates.shared, MINUTE);
        let mut probes = Vec::new();
        gates.pass(Rank::Held, &mut probes).await;
        assert!(
            gates.both().iter().all(|gate| probes.iter().any(|probe| probe.is_of(gate))) && !gates.are_open()
        );
        gates.report(Evidence::Success, probes, circumstances());
        assert!(gates.are_open());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_at_the_listeners_gate_keeps_no_probe_of_the_endpoints() {
        let kit = Setup::default().kit();
        let gates = &kit.dispatch.admission.gates;
        close(&gates.shared, MINUTE);
        let mut probes = Vec::new();
        gates.pass(Rank::Held, &mut probes).await;
        close(&gates.own, MINUTE);
        let passed = tokio::time::timeout(MINUTE / 2, gates.pass(Rank::Held, &mut probes)).await;
        assert!(passed.is_err() && probes.is_empty());
        let other = tokio::time::timeout(MINUTE / 4, gates.shared.pass(Rank::Held)).await;
        assert!(matches!(other, Ok(Some(_))), "another listener's message may probe");
    }
}
