//! Injected faults: which ones, how often, and the decision for one request.
//!
//! The plan is plain data and the decision is pure. Equal seeds, plans and sequences of operations give equal
//! decisions. The HTTP front carries the faults out; a simulation carries them out over a [`Broker`] without
//! HTTP. It calls [`Faults::decide`] before an operation, and [`Decision::fails`] for each entry of a batch.
//! It calls [`Decision::disturb`] for each message received or hidden.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Broker, BrokerError, Disturbance, Operation, Timestamp};

/// Most entries of a batch, and most messages of a receive.
const MAX_ENTRIES: usize = 10;

/// The faults of one operation, as probabilities from 0 (never, the default) to 1 (always).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Probability that the request waits for [`Self::slow_millis`] first.
    pub slow: f64,
    /// How long a slow request waits; no wait when absent.
    pub slow_millis: Option<RangeInclusive<u64>>,
    /// The connection is reset before the operation has an effect.
    pub reset: f64,
    /// The operation is refused with this error and has no effect. The first error drawn counts.
    pub refuse: Vec<(f64, BrokerError)>,
    /// The operation has its effect, but the connection is reset instead of the answer.
    pub lost_answer: f64,
    /// Batches, per entry: the entry fails with `InternalError`, which is no sender fault, and has no effect.
    pub failed_entry: f64,
    /// `ReceiveMessage` on a standard queue, per message: it stays visible, so it is delivered twice.
    pub duplicate: f64,
    /// Receives and visibility changes, per message: the message becomes visible later than it should.
    pub late: f64,
    /// How much later such a message becomes visible, in milliseconds.
    pub late_millis: u64,
}

/// A plan of faults: which faults at which operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    /// Seed of the decisions.
    pub seed: u64,
    /// Rates by operation; an operation without rates has no faults.
    pub rates: BTreeMap<Operation, FaultRates>,
}

/// What happens to a request as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The request is performed and answered.
    #[default]
    Perform,
    /// The request is answered with this error and not performed.
    Refuse(BrokerError),
    /// The request is not performed, and the connection is reset.
    Reset,
    /// The request is performed, and the connection is reset instead of the answer.
    LoseAnswer,
}

/// All faults of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The wait before anything else.
    pub wait_millis: u64,
    /// What happens to the request as a whole.
    pub verdict: Verdict,
    failed: [bool; MAX_ENTRIES],
    disturbances: [Disturbance; MAX_ENTRIES],
}

impl Decision {
    /// Whether the batch entry at this index fails with [`BrokerError::InternalError`].
    pub fn fails(&self, place: usize) -> bool {
        self.failed.get(place).copied().unwrap_or_default()
    }

    /// Disturbs the message at this index among those that an operation received or hid.
    pub fn disturb(
        &self,
        broker: &mut Broker,
        now: Timestamp,
        queue: &str,
        place: usize,
        receipt_handle: &str,
    ) {
        let disturbance = self.disturbances.get(place).copied().unwrap_or_default();
        if disturbance != Disturbance::Nothing {
            broker.disturb(now, queue, receipt_handle, disturbance);
        }
    }
}

/// A running plan: its random numbers, and its count of injected faults.
#[derive(Clone, Debug)]
pub struct Faults {
    plan: FaultPlan,
    random: fastrand::Rng,
    injected: u64,
}

impl Faults {
    /// Starts a plan with its seed.
    pub fn new(plan: FaultPlan) -> Self {
        let random = fastrand::Rng::with_seed(plan.seed);
        Self { plan, random, injected: 0 }
    }

    /// Changes the rates of one operation; the random sequence continues.
    pub fn set_rates(&mut self, operation: Operation, rates: FaultRates) {
        self.plan.rates.insert(operation, rates);
    }

    /// How many requests had a fault so far.
    pub fn injected(&self) -> u64 {
        self.injected
    }

    /// Decides the faults of the next request for this operation.
    pub fn decide(&mut self, operation: Operation) -> Decision {
        let mut decision = Decision::default();
        let Some(rates) = self.plan.rates.get(&operation) else { return decision };
        let random = &mut self.random;
        if let Some(millis) = rates.slow_millis.clone().filter(|_| strikes(random, rates.slow)) {
            decision.wait_millis = if millis.is_empty() { *millis.end() } else { random.u64(millis) };
        }
        decision.verdict = verdict(random, rates);
        for failed in &mut decision.failed {
            *failed = strikes(random, rates.failed_entry);
        }
        for disturbance in &mut decision.disturbances {
            if operation == Operation::ReceiveMessage && strikes(random, rates.duplicate) {
                *disturbance = Disturbance::Duplicate;
            } else if strikes(random, rates.late) {
                *disturbance = Disturbance::Late(rates.late_millis);
            }
        }
        self.injected += u64::from(decision != Decision::default());
        decision
    }
}

fn verdict(random: &mut fastrand::Rng, rates: &FaultRates) -> Verdict {
    if strikes(random, rates.reset) {
        return Verdict::Reset;
    }
    for (probability, error) in &rates.refuse {
        if strikes(random, *probability) {
            return Verdict::Refuse(error.clone());
        }
    }
    if strikes(random, rates.lost_answer) { Verdict::LoseAnswer } else { Verdict::Perform }
}

/// Whether a fault of this rate strikes. Draws no number for a rate of 0, so that it does not shift the other
/// draws.
fn strikes(random: &mut fastrand::Rng, probability: f64) -> bool {
    probability > 0.0 && random.f64() < probability
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::{MessageState, Receive, SendMessage};

    const T0: Timestamp = Timestamp(1_700_000_000_000);

    fn faults(operation: Operation, rates: FaultRates) -> Faults {
        Faults::new(FaultPlan { seed: 1, rates: [(operation, rates)].into() })
    }

    #[test]
    fn equal_plans_give_equal_decisions() {
        let rates = FaultRates {
            slow: 0.5,
            slow_millis: Some(1..=1000),
            reset: 0.1,
            refuse: vec![(0.2, BrokerError::RequestThrottled)],
            lost_answer: 0.1,
            failed_entry: 0.3,
            ..Default::default()
        };
        let run = || {
            let mut faults = faults(Operation::DeleteMessageBatch, rates.clone());
            (0..200).map(|_| faults.decide(Operation::DeleteMessageBatch)).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let verdicts: Vec<_> = run().into_iter().map(|decision| decision.verdict).collect();
        for verdict in [
            Verdict::Perform,
            Verdict::Reset,
            Verdict::Refuse(BrokerError::RequestThrottled),
            Verdict::LoseAnswer,
        ] {
            assert!(verdicts.contains(&verdict), "{verdict:?}");
        }
    }

    #[test]
    fn an_operation_without_rates_works() {
        let mut faults = faults(Operation::SendMessage, FaultRates { reset: 1.0, ..Default::default() });
        assert_eq!(faults.decide(Operation::DeleteMessage), Decision::default());
        assert_eq!(faults.injected(), 0);
        assert_eq!(faults.decide(Operation::SendMessage).verdict, Verdict::Reset);
        faults.set_rates(Operation::SendMessage, FaultRates::default());
        assert_eq!(faults.decide(Operation::SendMessage), Decision::default());
        assert_eq!(faults.injected(), 1);
    }

    #[test]
    fn a_share_of_the_entries_fails() {
        let rates = FaultRates { failed_entry: 0.25, ..Default::default() };
        let mut faults = faults(Operation::DeleteMessageBatch, rates);
        let failed: usize = (0..1000)
            .map(|_| faults.decide(Operation::DeleteMessageBatch))
            .map(|decision| (0..MAX_ENTRIES).filter(|place| decision.fails(*place)).count())
            .sum();
        assert!((2300..2700).contains(&failed), "{failed} of 10000");
    }

    #[test]
    fn a_duplicate_is_delivered_twice_and_a_late_message_comes_back_late() {
        let mut broker = Broker::new(1);
        broker.create_queue(T0, "q", &BTreeMap::new()).unwrap();
        broker.send(T0, "q", SendMessage { body: "x".into(), ..Default::default() }).unwrap();
        let receive = |broker: &mut Broker, rates| {
            let decision = faults(Operation::ReceiveMessage, rates).decide(Operation::ReceiveMessage);
            let given = broker.receive(T0, "q", &Receive::default()).unwrap().remove(0);
            decision.disturb(broker, T0, "q", 0, &given.receipt_handle);
            given.receive_count
        };
        let duplicate = FaultRates { duplicate: 1.0, ..Default::default() };
        let late = FaultRates { late: 1.0, late_millis: 500, ..Default::default() };
        assert_eq!(receive(&mut broker, duplicate), 1);
        assert_eq!(receive(&mut broker, late), 2);
        let until = T0.plus_seconds(30).plus_millis(500);
        assert_eq!(broker.inspect(T0, "q")[0].state, MessageState::InFlight { until });
    }
}
