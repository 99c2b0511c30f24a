//! The gate: one probe at a time, the turn passes on, and a gate that opens lets everybody go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::spawn;

use crate::limit::{Circumstances, Evidence, Gate, Probe, Rank, Reason};
use crate::tuning::{self, Pauses};

const CALM: Circumstances = Circumstances {
    limit: 4,
    running: 4,
    took: Duration::from_millis(20),
    spare_receives: 0,
    throttle_delay: Duration::ZERO,
};

/// Closed, and its pause is over: from here on every wake-up has to come from a task.
fn closed() -> Arc<Gate> {
    let pauses = Pauses { first: Duration::ZERO, ..Pauses::default() };
    let gate = Gate::new(tuning::Gate { pauses, ..tuning::Gate::default() }, 1);
    for message in 0..10 {
        gate.learn(Evidence::Refused(Reason::Failing, message), CALM);
    }
    assert!(!gate.is_open());
    gate
}

/// Three messages wait; `end` ends the probe of whoever gets to go, told how many went before.
async fn three_pass(gate: &Arc<Gate>, end: fn(Probe, usize)) {
    let (out, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let pass = |gate: Arc<Gate>, out: Arc<AtomicUsize>, gone: Arc<AtomicUsize>| async move {
        let Some(probe) = gate.pass(Rank::Held).await else {
            assert!(gate.is_open(), "only an open gate lets one go that is no probe");
            return;
        };
        assert_eq!(out.fetch_add(1, SeqCst), 0, "one probe at a time");
        shuttle::future::yield_now().await;
        out.fetch_sub(1, SeqCst);
        end(probe, gone.fetch_add(1, SeqCst));
    };
    let task = |_| spawn(pass(Arc::clone(gate), Arc::clone(&out), Arc::clone(&gone)));
    let tasks: Vec<_> = (0..3).map(task).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

pub(crate) async fn one_probe_at_a_time_and_a_success_lets_everybody_go() {
    let gate = closed();
    three_pass(&gate, |probe, _| assert!(probe.end(Evidence::Success, CALM).is_some(), "it opens")).await;
    assert!(gate.is_open());
}

/// The first probe tells nothing.
pub(crate) async fn a_probe_that_is_dropped_passes_the_turn_on() {
    let gate = closed();
    let end = |probe: Probe, before| match before {
        0 => drop(probe),
        _ => assert!(probe.end(Evidence::Success, CALM).is_some(), "it opens"),
    };
    three_pass(&gate, end).await;
    assert!(gate.is_open());
}

/// A POST that ran when the gate closed succeeds, while one waits for its turn and then is refused.
pub(crate) async fn what_ran_when_it_closed_opens_nothing() {
    let gate = closed();
    let (probes, ran) = (Arc::clone(&gate), Arc::clone(&gate));
    let probes = spawn(async move {
        let probe = probes.pass(Rank::Held).await.expect("it stays closed");
        probe.end(Evidence::Refused(Reason::Throttled, 0), CALM);
    });
    let ran = spawn(async move { assert_eq!(ran.learn(Evidence::Success, CALM), None) });
    for task in [probes, ran] {
        task.await.unwrap();
    }
    assert!(!gate.is_open());
}
