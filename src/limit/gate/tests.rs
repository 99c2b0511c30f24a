//! Who passes a gate, who probes, and what a probe's end does.

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

const CALM: Circumstances = Circumstances {
    limit: 4,
    probes: ProbeCost { affordable: 0, longest_pause: Duration::from_secs(60) },
    slow: false,
};
const RICH: Circumstances = Circumstances { probes: ProbeCost { affordable: 1_000, ..CALM.probes }, ..CALM };

/// How long a probe has run that is looked at.
const LONG: Duration = Duration::from_secs(5);

fn asked(seconds: u64) -> Evidence {
    Evidence::Asked(Duration::from_secs(seconds))
}

/// A gate that a Retry-After closed.
fn closed(seed: u64, seconds: u64) -> Arc<Gate> {
    let gate = Gate::new(seed);
    assert!(matches!(gate.learn(asked(seconds), CALM), Some(Transition::Closed { by_probe: false, .. })));
    gate
}

fn probe(pass: Pass) -> Probe {
    match pass {
        Pass::Probe(probe) => probe,
        Pass::Open => panic!("the gate is open"),
    }
}

fn time_closed(gate: &Gate) -> Duration {
    gate.closed_for().into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_closes_for_that_long_and_a_probe_that_succeeds_opens() {
    let gate = Gate::new(1);
    assert!(matches!(gate.pass(Rank::IdlePoller).await, Pass::Open));
    let Some(Transition::Closed { pause, .. }) = gate.learn(asked(10), CALM) else { panic!("still open") };
    assert!((10.0..=12.0).contains(&pause.as_secs_f64()), "{pause:?}");
    let began = Instant::now();
    let probe = probe(gate.pass(Rank::IdlePoller).await);
    assert!(began.elapsed() >= Duration::from_secs(10));
    let opened = probe.end(Evidence::Success, CALM);
    assert_eq!(opened, Some(Transition::Opened { after: began.elapsed(), outage: false }));
    assert!(gate.is_open());
    assert_eq!(time_closed(&gate), began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_probe_goes_and_one_that_is_dropped_passes_the_turn_on() {
    let gate = closed(3, 1);
    let first = probe(gate.pass(Rank::IdlePoller).await);
    assert_eq!(gate.snapshot().state, GateState::Probing);
    assert!(timeout(Duration::from_secs(60), gate.pass(Rank::IdlePoller)).await.is_err());
    drop(first);
    let second = probe(gate.pass(Rank::IdlePoller).await);
    assert_eq!(gate.learn(asked(5), CALM), None);
    assert_eq!(second.end(Evidence::Success, CALM), None);
    assert_eq!(gate.snapshot().state, GateState::Closed, "an answer that closes wins over the probe");
}

#[tokio::test(start_paused = true)]
async fn probes_go_held_messages_first_then_pollers_with_a_backlog_then_others() {
    let gate = closed(4, 1);
    let ranks = [Rank::IdlePoller, Rank::BusyPoller, Rank::Held, Rank::HeldLastReceive];
    let mut tasks = JoinSet::new();
    for rank in ranks {
        let gate = Arc::clone(&gate);
        tasks.spawn(async move { (rank, gate.pass(rank).await) });
    }
    let mut order = Vec::new();
    while let Some(Ok((rank, pass))) = tasks.join_next().await {
        order.push(rank);
        drop(probe(pass));
    }
    assert_eq!(order, [Rank::Held, Rank::BusyPoller, Rank::IdlePoller, Rank::HeldLastReceive]);
}

/// A gate that rejections closed.
fn overloaded(seed: u64) -> Arc<Gate> {
    let gate = Gate::new(seed);
    for _ in 0..4 {
        gate.learn(Evidence::Overloaded, CALM);
    }
    gate
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_last_receive_probes_after_an_hour_in_which_no_poller_found_another() {
    let gate = overloaded(5);
    let (held, began) = (Arc::clone(&gate), Instant::now());
    let mut last = JoinSet::new();
    last.spawn(async move { held.pass(Rank::HeldLastReceive).await });
    sleep(Duration::from_millis(1)).await;
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(3_600) {
        probe(gate.pass(Rank::IdlePoller).await).found_nothing(false);
        rounds += 1;
    }
    assert!((150..=181).contains(&rounds), "{rounds} rounds, 20 s apart");
    let Some(Ok(pass)) = last.join_next().await else { panic!("still waits") };
    assert!(matches!(probe(pass).end(Evidence::Neutral, CALM), Some(Transition::Opened { .. })));
}

#[tokio::test(start_paused = true)]
async fn it_probes_at_once_where_the_endpoint_said_when_although_a_poller_waits() {
    let (gate, began) = (closed(11, 1), Instant::now());
    let _poller = Box::pin(gate.pass(Rank::IdlePoller));
    drop(probe(gate.pass(Rank::HeldLastReceive).await));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_probes_soon_where_no_poller_comes_back_and_not_while_one_backs_off() {
    let (gate, began) = (overloaded(12), Instant::now());
    let (held, mut last) = (Arc::clone(&gate), JoinSet::new());
    last.spawn(async move { held.pass(Rank::HeldLastReceive).await });
    for _ in 0..20 {
        // Its receive fails, and it backs off.
        drop(probe(gate.pass(Rank::BusyPoller).await));
        sleep(Duration::from_secs(30)).await;
    }
    assert!(last.try_join_next().is_none(), "a poller looked {:?} ago", began.elapsed());
    let gone = Instant::now();
    last.join_next().await.unwrap().unwrap();
    assert!(gone.elapsed() < Duration::from_secs(60), "{:?}", gone.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_probe_after_whose_start_the_gate_changed_says_nothing() {
    let gate = closed(13, 1);
    let first = probe(gate.pass(Rank::Held).await);
    gate.learn(asked(5), CALM);
    let second = probe(gate.pass(Rank::Held).await);
    assert_eq!(first.end(Evidence::Success, CALM), None);
    assert_eq!(gate.snapshot().state, GateState::Probing);
    assert!(second.end(Evidence::Success, CALM).is_some());
}

#[tokio::test(start_paused = true)]
async fn after_answers_that_were_slow_a_probe_without_an_answer_does_not_open() {
    let gate = Gate::new(14);
    for _ in 0..4 {
        gate.learn(Evidence::Overloaded, Circumstances { slow: true, ..CALM });
    }
    assert_eq!(probe(gate.pass(Rank::Held).await).runs_long(LONG, RICH.probes), None);
}

#[tokio::test(start_paused = true)]
async fn pollers_that_find_nothing_go_on_probing_in_turn_and_the_time_does_not_count_as_closed() {
    let gate = closed(6, 1);
    let mut order = Vec::new();
    let mut waiting: Vec<_> = (0..3).map(|name| (name, Box::pin(gate.pass(Rank::IdlePoller)))).collect();
    for (_, pass) in &mut waiting {
        assert!(timeout(Duration::ZERO, pass).await.is_err());
    }
    for turn in 0..60 {
        let (name, pass) = waiting.remove(0);
        order.push(name);
        let pass = timeout(Duration::from_secs(60), pass).await.expect("the first in line has the turn");
        let probe = probe(pass);
        assert_eq!(probe.is_idle(), turn >= 3);
        probe.found_nothing(false);
        waiting.push((name, Box::pin(gate.pass(Rank::IdlePoller))));
        assert!(timeout(Duration::ZERO, &mut waiting.last_mut().unwrap().1).await.is_err());
    }
    assert_eq!(order[..6], [0, 1, 2, 0, 1, 2]);
    assert_eq!(gate.snapshot().state, GateState::Probing);
    assert!(time_closed(&gate) < Duration::from_secs(2), "{:?}", time_closed(&gate));
    // Then one finds a message, and it fares no better.
    let (_, pass) = waiting.remove(0);
    let ended = probe(pass.await).end(Evidence::Throttled, CALM);
    assert!(matches!(ended, Some(Transition::Closed { by_probe: true, .. })));
    sleep(Duration::from_secs(1)).await;
    assert!(time_closed(&gate) >= Duration::from_secs(2), "{:?}", time_closed(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_closes_for_twice_as_long() {
    let gate = Gate::new(7);
    for _ in 0..4 {
        gate.learn(Evidence::Overloaded, CALM);
    }
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        let probe = probe(gate.pass(Rank::Held).await);
        let Some(Transition::Closed { pause, by_probe: true, .. }) = probe.end(Evidence::Overloaded, CALM)
        else {
            panic!("it opened")
        };
        assert!(pause > last, "{pause:?} after {last:?}");
        last = pause;
    }
    assert_eq!(gate.snapshot().reason, Some(Reason::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_opens_unless_that_is_what_closed_the_gate() {
    let throttled = closed(8, 1);
    let mut slow = probe(throttled.pass(Rank::Held).await);
    assert!(matches!(slow.runs_long(LONG, CALM.probes), Some(Transition::Opened { .. })));
    let hanging = Gate::new(9);
    for message in 0..4 {
        hanging.learn(Evidence::Unanswered(message), CALM);
    }
    let mut slow = probe(hanging.pass(Rank::Held).await);
    assert_eq!(slow.runs_long(LONG, CALM.probes), None);
    assert_eq!(hanging.snapshot().state, GateState::Probing);
    assert!(matches!(slow.end(Evidence::Unanswered(9), CALM), Some(Transition::Closed { .. })));
}

/// A gate that closed because nothing answered.
fn hanging(seed: u64, circumstances: Circumstances) -> Arc<Gate> {
    let gate = Gate::new(seed);
    for message in 0..4 {
        gate.learn(Evidence::Unanswered(message), circumstances);
    }
    gate
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_hangs_three_others_go_at_most_and_any_of_them_opens() {
    let gate = hanging(15, RICH);
    let mut hang = Vec::new();
    let began = Instant::now();
    for _ in 0..3 {
        let mut slow = probe(gate.pass(Rank::Held).await);
        assert_eq!(slow.runs_long(LONG, RICH.probes), None);
        assert_eq!(gate.snapshot().state, GateState::Closed, "the next one has its pause");
        hang.push(slow);
    }
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    let mut last = probe(gate.pass(Rank::Held).await);
    assert_eq!(last.runs_long(LONG, RICH.probes), None);
    assert_eq!(gate.snapshot().state, GateState::Probing, "it is waited for");
    assert_eq!(hang.remove(0).end(Evidence::Unanswered(9), RICH), None);
    assert_eq!(gate.snapshot().state, GateState::Closed, "there is room for one more");
    assert!(matches!(hang.remove(0).end(Evidence::Success, RICH), Some(Transition::Opened { .. })));
    assert!(gate.is_open());
    assert_eq!(last.end(Evidence::Unanswered(10), RICH), None);
    assert_eq!(hang.remove(0).end(Evidence::Unanswered(11), RICH), None);
    assert!(gate.is_open(), "what began before says nothing of it");
}

#[tokio::test(start_paused = true)]
async fn an_outstanding_probe_does_not_open_what_an_answer_closed_since() {
    let gate = hanging(16, RICH);
    let mut slow = probe(gate.pass(Rank::Held).await);
    assert_eq!(slow.runs_long(LONG, RICH.probes), None);
    gate.learn(asked(30), RICH);
    assert_eq!(slow.end(Evidence::Success, RICH), None);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_any_of_several_probes_is_asked_for_is_kept() {
    let gate = hanging(17, RICH);
    let mut first = probe(gate.pass(Rank::Held).await);
    first.runs_long(LONG, RICH.probes);
    let second = probe(gate.pass(Rank::Held).await);
    second.end(asked(30), RICH);
    assert_eq!(first.end(Evidence::Success, RICH), None, "it began before");
    let gate = hanging(18, RICH);
    let mut first = probe(gate.pass(Rank::Held).await);
    first.runs_long(LONG, RICH.probes);
    assert_eq!(first.end(asked(30), RICH), None);
    assert!(gate.snapshot().pause_left >= Duration::from_secs(30), "{:?}", gate.snapshot());
}

#[tokio::test(start_paused = true)]
async fn probes_of_an_outage_that_is_over_say_nothing_of_the_next_one() {
    let gate = hanging(19, RICH);
    let mut hang = Vec::new();
    for _ in 0..3 {
        let mut slow = probe(gate.pass(Rank::Held).await);
        slow.runs_long(LONG, RICH.probes);
        hang.push(slow);
    }
    assert!(hang.remove(0).end(Evidence::Success, RICH).is_some());
    gate.learn(asked(1), RICH);
    let current = probe(gate.pass(Rank::Held).await);
    for stale in hang {
        assert_eq!(stale.end(Evidence::Unanswered(9), RICH), None);
    }
    assert!(matches!(current.end(Evidence::Success, RICH), Some(Transition::Opened { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_time_it_is_not_open_is_booked_by_reason() {
    let gate = closed(10, 10);
    let first = probe(gate.pass(Rank::Held).await);
    let asked_for = time_closed(&gate);
    first.end(Evidence::Unanswered(1), CALM);
    sleep(Duration::from_secs(1)).await;
    let booked = gate.closed_for();
    assert_eq!(booked[0], asked_for);
    assert_eq!(booked[4], Duration::from_secs(1));
}
