//! Who passes a gate, who probes, and what a probe's end does.

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;

const CALM: Circumstances = Circumstances {
    limit: 4,
    running: 4,
    took: Duration::from_millis(20),
    spare_receives: 0,
    throttle_delay: Duration::from_secs(60),
};
const TIMED_OUT: Circumstances =
    Circumstances { took: Duration::from_secs(60), spare_receives: 1_000_000, ..CALM };

fn new(seed: u64) -> Arc<Gate> {
    Gate::new(Tuning::default(), seed)
}

fn asked(seconds: u64) -> Evidence {
    Evidence::Asked(Duration::from_secs(seconds))
}

/// A gate that a Retry-After closed, of an endpoint that keeps to what it asks for.
fn closed(seed: u64, seconds: u64) -> Arc<Gate> {
    let gate = new(seed);
    gate.close_for(Duration::from_secs(seconds), CALM);
    gate
}

/// Has a POST that runs alone meet this, a second after the one before.
async fn learn_a_second_later(gate: &Gate, evidence: Evidence) -> Option<Transition> {
    sleep(Duration::from_secs(1)).await;
    gate.learn(evidence, Circumstances { running: 1, ..CALM })
}

fn probe(pass: Option<Probe>) -> Probe {
    pass.expect("the gate is open")
}

fn time_closed(gate: &Gate) -> Duration {
    gate.closed_for().into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_believed_closes_for_that_long_and_a_probe_that_succeeds_opens() {
    assert!(new(1).pass(Rank::Poller).await.is_none());
    let gate = closed(1, 10);
    let pause = gate.snapshot().pause_left;
    assert!((10.0..=12.0).contains(&pause.as_secs_f64()), "{pause:?}");
    let began = Instant::now();
    let probe = probe(gate.pass(Rank::Poller).await);
    assert!(began.elapsed() >= Duration::from_secs(10));
    let opened = probe.end(Evidence::Success, CALM);
    assert_eq!(opened, Some(Transition::Opened { after: began.elapsed(), outage: false }));
    assert!(gate.is_open());
    assert_eq!(time_closed(&gate), began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_probe_goes_and_one_that_is_dropped_passes_the_turn_on() {
    let gate = closed(3, 1);
    let first = probe(gate.pass(Rank::Poller).await);
    assert_eq!(gate.snapshot().state, GateState::Probing);
    assert!(timeout(Duration::from_secs(60), gate.pass(Rank::Poller)).await.is_err());
    drop(first);
    let second = probe(gate.pass(Rank::Poller).await);
    assert_eq!(gate.learn(asked(5), CALM), None);
    assert_eq!(second.end(Evidence::Success, CALM), None);
    assert_eq!(gate.snapshot().state, GateState::Closed, "an answer that closes wins over the probe");
}

#[tokio::test(start_paused = true)]
async fn probes_go_held_messages_first_then_pollers_then_messages_on_their_final_receive() {
    let gate = closed(4, 1);
    let ranks = [Rank::FinalReceive, Rank::Poller, Rank::Poller, Rank::Held];
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
    assert_eq!(order, [Rank::Held, Rank::Poller, Rank::Poller, Rank::FinalReceive]);
}

/// A gate that rejections closed.
fn overloaded(seed: u64) -> Arc<Gate> {
    let gate = new(seed);
    for _ in 0..4 {
        gate.learn(Evidence::Refused(Reason::Overloaded, 0), CALM);
    }
    gate
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_last_receive_probes_after_an_hour_in_which_no_poller_found_another() {
    let gate = overloaded(5);
    let (held, began) = (Arc::clone(&gate), Instant::now());
    let mut last = JoinSet::new();
    last.spawn(async move { held.pass(Rank::FinalReceive).await });
    sleep(Duration::from_millis(1)).await;
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(3_600) {
        probe(gate.pass(Rank::Poller).await).found_nothing(false);
        rounds += 1;
    }
    assert!((150..=181).contains(&rounds), "{rounds} rounds, 20 s apart");
    let Some(Ok(pass)) = last.join_next().await else { panic!("still waits") };
    assert!(matches!(probe(pass).end(Evidence::Neutral, CALM), Some(Transition::Opened { .. })));
}

#[tokio::test(start_paused = true)]
async fn it_probes_at_once_where_the_endpoint_said_when_although_a_poller_waits() {
    let (gate, began) = (closed(11, 1), Instant::now());
    let _poller = Box::pin(gate.pass(Rank::Poller));
    drop(probe(gate.pass(Rank::FinalReceive).await));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_probes_soon_where_no_poller_has_a_worker_and_not_while_one_backs_off() {
    let (gate, began) = (overloaded(12), Instant::now());
    let (held, mut last) = (Arc::clone(&gate), JoinSet::new());
    last.spawn(async move { held.pass(Rank::FinalReceive).await });
    for _ in 0..20 {
        // Its receive fails, and it backs off.
        drop(probe(gate.pass(Rank::Poller).await));
        sleep(Duration::from_secs(30)).await;
    }
    assert!(last.try_join_next().is_none(), "a poller looked {:?} ago", began.elapsed());
    let gone = Instant::now();
    let _blocked = gate.blocked();
    last.join_next().await.unwrap().unwrap();
    assert!(gone.elapsed() < Duration::from_secs(60), "{:?}", gone.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_does_not_probe_while_another_listener_looks_although_one_has_no_slot() {
    let (gate, began) = (overloaded(12), Instant::now());
    let (held, mut last) = (Arc::clone(&gate), JoinSet::new());
    last.spawn(async move { held.pass(Rank::FinalReceive).await });
    let _blocked = gate.blocked();
    while began.elapsed() < Duration::from_secs(3_000) {
        probe(gate.pass(Rank::Poller).await).found_nothing(false);
        sleep(Duration::from_millis(1)).await;
        assert!(last.try_join_next().is_none(), "after {:?}", began.elapsed());
    }
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
    let gate = new(14);
    for _ in 0..4 {
        gate.learn(Evidence::Refused(Reason::Overloaded, 0), TIMED_OUT);
    }
    assert_eq!(probe(gate.pass(Rank::Held).await).runs_long(), None);
}

#[tokio::test(start_paused = true)]
async fn pollers_that_find_nothing_go_on_probing_in_turn_and_the_time_does_not_count_as_closed() {
    let gate = closed(6, 1);
    let mut order = Vec::new();
    let mut waiting: Vec<_> = (0..3).map(|name| (name, Box::pin(gate.pass(Rank::Poller)))).collect();
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
        waiting.push((name, Box::pin(gate.pass(Rank::Poller))));
        assert!(timeout(Duration::ZERO, &mut waiting.last_mut().unwrap().1).await.is_err());
    }
    assert_eq!(order[..6], [0, 1, 2, 0, 1, 2]);
    assert_eq!(gate.snapshot().state, GateState::Probing);
    assert!(time_closed(&gate) < Duration::from_secs(2), "{:?}", time_closed(&gate));
    // Then one finds a message, and it fares no better.
    let (_, pass) = waiting.remove(0);
    let ended = probe(pass.await).end(Evidence::Refused(Reason::Throttled, 0), CALM);
    assert!(matches!(ended, Some(Transition::Closed { by_probe: true, .. })));
    sleep(Duration::from_secs(1)).await;
    assert!(time_closed(&gate) >= Duration::from_secs(2), "{:?}", time_closed(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_closes_for_twice_as_long() {
    let gate = new(7);
    for _ in 0..4 {
        gate.learn(Evidence::Refused(Reason::Overloaded, 0), CALM);
    }
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        let probe = probe(gate.pass(Rank::Held).await);
        let Some(Transition::Closed { pause, by_probe: true, .. }) =
            probe.end(Evidence::Refused(Reason::Overloaded, 0), CALM)
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
    let slow = probe(throttled.pass(Rank::Held).await);
    assert!(matches!(slow.runs_long(), Some(Transition::Opened { .. })));
    assert_eq!(slow.end(Evidence::Refused(Reason::Throttled, 0), CALM), None, "it began before");
    let hanging = hanging(9);
    let slow = probe(hanging.pass(Rank::Held).await);
    assert_eq!(slow.runs_long(), None);
    assert_eq!(hanging.snapshot().state, GateState::Probing);
    assert!(matches!(
        slow.end(Evidence::Refused(Reason::Unanswered, 9), TIMED_OUT),
        Some(Transition::Closed { .. })
    ));
}

/// A gate that closed because nothing answered, of an endpoint that is believed when it asks for a pause.
fn hanging(seed: u64) -> Arc<Gate> {
    let gate = new(seed);
    gate.lock().asked.asks(Duration::ZERO, Duration::ZERO, Instant::now());
    for message in 0..4 {
        gate.learn(Evidence::Refused(Reason::Unanswered, message), TIMED_OUT);
    }
    gate
}

#[tokio::test(start_paused = true)]
async fn while_a_probe_hangs_three_others_go_at_most_and_any_of_them_opens() {
    let gate = hanging(15);
    let mut hang = Vec::new();
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        let began = Instant::now();
        hang.push(probe(gate.pass(Rank::Held).await));
        assert!(began.elapsed() > last, "the next one has its pause, of more than {last:?}");
        last = began.elapsed();
        assert_eq!(gate.snapshot().state, GateState::Probing);
    }
    assert!(timeout(Duration::from_secs(600), gate.pass(Rank::Held)).await.is_err(), "four are enough");
    hang.remove(0).end(Evidence::Refused(Reason::Unanswered, 9), TIMED_OUT);
    let fifth = probe(gate.pass(Rank::Held).await);
    assert!(matches!(hang.remove(0).end(Evidence::Success, CALM), Some(Transition::Opened { .. })));
    assert!(gate.is_open());
    assert_eq!(fifth.end(Evidence::Refused(Reason::Unanswered, 10), TIMED_OUT), None);
    assert_eq!(hang.remove(0).end(Evidence::Refused(Reason::Unanswered, 11), TIMED_OUT), None);
    assert!(gate.is_open(), "what began before says nothing of it");
}

#[tokio::test(start_paused = true)]
async fn how_many_probes_may_be_out_is_a_number_of_the_tuning() {
    let gate = Gate::new(Tuning { probes_max: 1, ..Tuning::default() }, 20);
    for message in 0..4 {
        gate.learn(Evidence::Refused(Reason::Unanswered, message), TIMED_OUT);
    }
    let hangs = probe(gate.pass(Rank::Held).await);
    assert!(timeout(Duration::from_secs(600), gate.pass(Rank::Held)).await.is_err());
    drop(hangs);
    assert!(timeout(Duration::from_secs(1), gate.pass(Rank::Held)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_outstanding_probe_does_not_open_what_an_answer_closed_since() {
    let gate = hanging(16);
    let slow = probe(gate.pass(Rank::Held).await);
    gate.learn(asked(30), TIMED_OUT);
    assert_eq!(slow.end(Evidence::Success, TIMED_OUT), None);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_any_of_several_probes_is_asked_for_is_kept() {
    let gate = hanging(17);
    let first = probe(gate.pass(Rank::Held).await);
    let second = probe(gate.pass(Rank::Held).await);
    second.end(asked(30), TIMED_OUT);
    assert_eq!(first.end(Evidence::Success, TIMED_OUT), None, "it began before");
    let gate = hanging(18);
    let first = probe(gate.pass(Rank::Held).await);
    assert!(matches!(first.end(asked(30), TIMED_OUT), Some(Transition::Closed { .. })));
    assert!(gate.snapshot().pause_left >= Duration::from_secs(30), "{:?}", gate.snapshot());
}

#[tokio::test(start_paused = true)]
async fn probes_of_an_outage_that_is_over_say_nothing_of_the_next_one() {
    let gate = hanging(19);
    let mut hang = Vec::new();
    for _ in 0..3 {
        hang.push(probe(gate.pass(Rank::Held).await));
    }
    assert!(hang.remove(0).end(Evidence::Success, TIMED_OUT).is_some());
    for _ in 0..4 {
        gate.learn(Evidence::Refused(Reason::Overloaded, 0), TIMED_OUT);
    }
    let current = probe(gate.pass(Rank::Held).await);
    for stale in hang {
        assert_eq!(stale.end(Evidence::Refused(Reason::Unanswered, 9), TIMED_OUT), None);
    }
    assert!(matches!(current.end(Evidence::Success, TIMED_OUT), Some(Transition::Opened { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_time_it_is_not_open_is_booked_by_reason() {
    let gate = closed(10, 10);
    let first = probe(gate.pass(Rank::Held).await);
    let asked_for = time_closed(&gate);
    first.end(Evidence::Refused(Reason::Unanswered, 1), CALM);
    sleep(Duration::from_secs(1)).await;
    let booked = gate.closed_for();
    assert_eq!(booked[0], asked_for);
    assert_eq!(booked[4], Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_asked_for_is_kept_and_doubles_only_when_it_is_asked_again_and_again() {
    let gate = closed(20, 10);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let probe = probe(gate.pass(Rank::Held).await);
        let Some(Transition::Closed { pause, .. }) = probe.end(asked(10), CALM) else { panic!("it opened") };
        assert!(pause >= Duration::from_secs(10), "{pause:?}");
        pauses.push(pause.as_secs());
    }
    assert!(pauses[..2].iter().all(|pause| *pause <= 12), "{pauses:?}");
    assert!(pauses[6..].iter().all(|pause| (54..=66).contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_success_pauses_start_over() {
    let gate = overloaded(21);
    for _ in 0..6 {
        let _ = probe(gate.pass(Rank::Held).await).end(Evidence::Refused(Reason::Overloaded, 0), CALM);
    }
    assert!(gate.snapshot().pause_left > Duration::from_secs(20));
    let _ = probe(gate.pass(Rank::Held).await).end(Evidence::Success, CALM);
    assert!((0..4).any(|_| gate.learn(Evidence::Refused(Reason::Overloaded, 0), CALM).is_some()));
    assert!(gate.snapshot().pause_left <= Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_closes_only_when_it_is_repeated_and_is_tried_before_it_is_believed() {
    let gate = new(22);
    assert_eq!(gate.learn(asked(20), CALM), None);
    assert_eq!(learn_a_second_later(&gate, Evidence::Success).await, None);
    assert_eq!(learn_a_second_later(&gate, asked(20)).await, None, "others were taken");
    let again = learn_a_second_later(&gate, asked(20)).await;
    let Some(Transition::Closed { reason: Reason::RetryAfter, pause, .. }) = again else {
        panic!("{again:?}")
    };
    assert!(pause < Duration::from_secs(2), "{pause:?}");
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let probe = probe(gate.pass(Rank::Held).await);
        let Some(Transition::Closed { pause, .. }) = probe.end(asked(20), CALM) else { panic!("it opened") };
        pauses.push(pause.as_secs());
    }
    assert!(pauses[..3].iter().all(|pause| *pause < 10), "{pauses:?}");
    assert!(pauses[4..].iter().all(|pause| *pause >= 20), "refused for as long as it asks for: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_a_success_has_disproved_is_not_the_pause() {
    let gate = closed(23, 20);
    let early = probe(gate.pass(Rank::Held).await);
    assert!(early.end(Evidence::Success, CALM).is_some());
    let pause = |closed| match closed {
        Some(Transition::Closed { pause, .. }) => pause,
        other => panic!("{other:?}"),
    };
    gate.learn(asked(20), CALM);
    assert!(pause(learn_a_second_later(&gate, asked(20)).await) >= Duration::from_secs(20), "it held");
    assert!(probe(gate.pass(Rank::Held).await).end(Evidence::Success, CALM).is_some());
    gate.learn(asked(20), CALM);
    assert_eq!(learn_a_second_later(&gate, Evidence::Success).await, None);
    gate.learn(asked(20), CALM);
    assert!(pause(learn_a_second_later(&gate, asked(20)).await) < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_message_on_its_final_receive_does_not_probe_after_a_pause_that_is_not_believed() {
    let gate = new(24);
    gate.learn(asked(20), CALM);
    learn_a_second_later(&gate, asked(20)).await;
    assert!(timeout(Duration::from_secs(60), gate.pass(Rank::FinalReceive)).await.is_err());
}
