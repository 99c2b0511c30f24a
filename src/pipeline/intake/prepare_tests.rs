//! The preparation of a receive alone: what it waits for, and what it reserves.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use crate::exchange::Verdicts;
use crate::limit::{self, Feedback, Reserved, RunAhead, Stated};
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::intake::not_receiving::NotReceiving;
use crate::pipeline::intake::prepare::{Wanted, prepare};
use crate::pipeline::kit_for_tests::{Kit, MINUTE, SECOND, Setup, Together, close};
use crate::policy::outcome::Outcome;

const IDLE: Wanted = Wanted { busy: false, single: false, not_before: None, takes: None };
const BUSY: Wanted = Wanted { busy: true, ..IDLE };
const REASONS: [NotReceiving; 7] = [
    NotReceiving::Paused,
    NotReceiving::SettleFault,
    NotReceiving::BackOff,
    NotReceiving::Gathering,
    NotReceiving::GateClosed,
    NotReceiving::NoSlot,
    NotReceiving::NoRoom,
];

/// A kit of 16 slots and 4 sessions.
struct Bench {
    kit: Kit,
    /// What stands in the way.
    taken: (Option<Reserved>, Option<limit::Claims>),
}

impl Bench {
    fn new() -> Self {
        Self::adaptive(false)
    }

    fn adaptive(adaptive: bool) -> Self {
        let limits = limit::Settings { sessions: 4, divided: false, adaptive, ..Setup::default().limits };
        let kit = Setup { limits, ..Setup::default() }.kit();
        Self { kit, taken: (None, None) }
    }

    fn dispatch(&self) -> Arc<Dispatch> {
        Arc::clone(&self.kit.dispatch)
    }

    fn waits_for(&self) -> Option<NotReceiving> {
        *self.kit.dispatch.not_receiving.borrow()
    }

    /// Puts something in the way of a receive; what is wanted then.
    async fn obstruct(&mut self, reason: NotReceiving) -> Wanted {
        let dispatch = &self.kit.dispatch;
        match reason {
            NotReceiving::Draining => unreachable!(),
            NotReceiving::Paused => dispatch.handle.change(|controls| controls.paused = true),
            NotReceiving::StandingBy => {
                dispatch.handle.change(|controls| controls.share = crate::limit::Share::NONE);
            }
            NotReceiving::SettleFault => {
                dispatch.ctx.health.set_settle_fault(Some("denied".to_owned()));
            }
            NotReceiving::BackOff | NotReceiving::Gathering => {
                return Wanted { not_before: Some((Instant::now() + MINUTE, reason)), ..BUSY };
            }
            NotReceiving::GateClosed => close(&dispatch.admission.gates.shared, MINUTE),
            NotReceiving::NoSlot => {
                self.taken.0 = Some(self.kit.slots.reserve(16, RunAhead::NONE).await);
            }
            NotReceiving::NoRoom => {
                self.taken.1 = Some(dispatch.admission.membership.claim(4, None).await);
            }
        }
        BUSY
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_asks_for_one_message_by_a_long_poll_and_claims_no_room() {
    let bench = Bench::new();
    let prepared = prepare(bench.dispatch(), IDLE).await.unwrap();
    assert_eq!((prepared.slots.count(), prepared.reservation.deliveries()), (1, 0));
    assert_eq!((prepared.wait, bench.waits_for()), (20 * SECOND, None));
}

#[tokio::test(start_paused = true)]
async fn a_busy_listener_asks_for_as_many_as_there_are_slots_and_room_for() {
    let bench = Bench::new();
    let one = prepare(bench.dispatch(), BUSY).await.unwrap();
    assert_eq!((one.slots.count(), one.reservation.deliveries(), one.wait), (4, 4, SECOND));
    assert_eq!(bench.kit.slots.counts().reserved, 4, "slots without room are free");
    drop(one);
    let in_flight = bench.kit.messages(14).await;
    let other = prepare(bench.dispatch(), BUSY).await.unwrap();
    assert_eq!((other.slots.count(), other.reservation.deliveries()), (2, 2));
    drop((in_flight, other));
    let single = prepare(bench.dispatch(), Wanted { single: true, ..BUSY }).await.unwrap();
    assert_eq!((single.slots.count(), single.reservation.deliveries()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_receive_waits_for_whatever_speaks_against_it_and_says_what_that_is() {
    for reason in REASONS {
        let mut bench = Bench::new();
        let wanted = bench.obstruct(reason).await;
        let mut preparing = pin!(prepare(bench.dispatch(), wanted));
        assert!(timeout(SECOND, &mut preparing).await.is_err(), "{reason:?}");
        assert_eq!(bench.waits_for(), Some(reason));
        bench.kit.dispatch.handle.change(|controls| controls.paused = false);
        bench.kit.dispatch.ctx.health.set_settle_fault(None);
        bench.taken = (None, None);
        let prepared = timeout(2 * MINUTE, preparing).await.unwrap().unwrap();
        assert_eq!(bench.waits_for(), None, "{reason:?}");
        let probes = reason == NotReceiving::GateClosed;
        assert_eq!(prepared.reservation.probes.is_empty(), !probes, "{reason:?}");
        assert_eq!(prepared.slots.count(), if probes { 1 } else { 4 }, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_each_of_these_waits_and_frees_what_was_reserved() {
    for reason in REASONS {
        let mut bench = Bench::new();
        let wanted = bench.obstruct(reason).await;
        let mut preparing = pin!(prepare(bench.dispatch(), wanted));
        assert!(timeout(SECOND, &mut preparing).await.is_err(), "{reason:?}");
        bench.kit.dispatch.ctx.drain.begin(MINUTE);
        let began = Instant::now();
        assert!(preparing.await.is_none() && began.elapsed().is_zero(), "{reason:?}");
        assert_eq!(bench.waits_for(), Some(NotReceiving::Draining));
        bench.taken = (None, None);
        assert_eq!(bench.kit.slots.counts().reserved, 0, "{reason:?}");
        let room = timeout(SECOND, bench.kit.dispatch.admission.membership.claim(4, None)).await;
        assert_eq!(room.map(|claims| claims.len()).ok(), Some(4), "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_run_ahead_of_busy_workers_but_not_without_a_backlog_nor_while_a_gate_is_not_open() {
    let bench = Bench::new();
    let mut session = bench.kit.dispatch.admission.membership.granted(None).await;
    session.starts();
    tokio::time::advance(SECOND / 10).await;
    session.end(Feedback::Success(Stated::Nothing));
    let wanted = Wanted { takes: Some(SECOND / 100), ..BUSY };
    let in_flight = bench.kit.messages(16).await;
    let prepared = prepare(bench.dispatch(), wanted).await.unwrap();
    assert_eq!((prepared.slots.count(), prepared.reservation.deliveries()), (4, 4), "of 6 that run ahead");
    drop(prepared);
    let single = Wanted { single: true, ..wanted };
    let prepared = timeout(SECOND, prepare(bench.dispatch(), single)).await.unwrap().unwrap();
    assert_eq!(prepared.slots.count(), 1, "of 2 that run ahead while a group is in trouble");
    drop(prepared);
    assert!(timeout(SECOND, prepare(bench.dispatch(), BUSY)).await.is_err(), "no backlog is known");
    bench.kit.dead_letters_after(2);
    assert!(
        timeout(SECOND, prepare(bench.dispatch(), wanted)).await.is_err(),
        "released, one has one receive left"
    );
    bench.kit.dead_letters_after(3);
    assert!(timeout(SECOND, prepare(bench.dispatch(), wanted)).await.is_ok());
    close(&bench.kit.dispatch.admission.gates.shared, MINUTE);
    assert!(timeout(2 * MINUTE, prepare(bench.dispatch(), wanted)).await.is_err(), "a gate is closed");
    drop(in_flight);
}

#[tokio::test(start_paused = true)]
async fn with_batches_a_receive_waits_a_moment_for_as_many_slots_as_it_may_bring() {
    let mut setup = Setup::default();
    setup.settings.exchange = Arc::new(Together { most: 4, verdicts: Verdicts::All(Outcome::Success) });
    let linger = setup.settings.tuning.intake.batch_linger;
    let kit = setup.kit();
    let mut held = kit.slots.reserve(60, RunAhead::NONE).await;
    for (kept, most) in [(60, 4), (54, 10)] {
        let began = Instant::now();
        let mut preparing = pin!(prepare(Arc::clone(&kit.dispatch), BUSY));
        assert!(timeout(linger / 2, &mut preparing).await.is_err(), "four of 64 are free");
        held.keep(kept);
        assert_eq!(preparing.await.unwrap().slots.count(), most);
        assert_eq!(began.elapsed(), if most == 4 { linger } else { linger / 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_listener_has_no_room_while_rate_limit_headers_hold_starts_back() {
    let bench = Bench::adaptive(true);
    let session = bench.kit.dispatch.admission.membership.granted(None).await;
    session.end(Feedback::ProbeRefused(Stated::Empty { resets_in: MINUTE }));
    let began = Instant::now();
    let mut preparing = pin!(prepare(bench.dispatch(), BUSY));
    assert!(timeout(SECOND, &mut preparing).await.is_err());
    assert_eq!(bench.waits_for(), Some(NotReceiving::NoRoom));
    assert!(preparing.await.is_some_and(|prepared| prepared.reservation.deliveries() > 0));
    assert_eq!(began.elapsed() + SECOND, MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_pause_frees_what_a_receive_has_reserved_so_far() {
    let mut bench = Bench::new();
    let wanted = bench.obstruct(NotReceiving::NoRoom).await;
    let mut preparing = pin!(prepare(bench.dispatch(), wanted));
    assert!(timeout(SECOND, &mut preparing).await.is_err());
    assert!(bench.kit.slots.counts().reserved > 0, "it has slots and waits for room");
    bench.kit.dispatch.handle.change(|controls| controls.paused = true);
    assert!(timeout(SECOND, &mut preparing).await.is_err());
    assert_eq!((bench.kit.slots.counts().reserved, bench.waits_for()), (0, Some(NotReceiving::Paused)));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_while_a_receive_waits_for_room_makes_it_a_probe_of_one_message() {
    let mut bench = Bench::new();
    let wanted = bench.obstruct(NotReceiving::NoRoom).await;
    let mut preparing = pin!(prepare(bench.dispatch(), wanted));
    assert!(timeout(SECOND, &mut preparing).await.is_err());
    close(&bench.kit.dispatch.admission.gates.shared, MINUTE);
    bench.taken = (None, None);
    let prepared = preparing.await.unwrap();
    assert!(!prepared.reservation.probes.is_empty());
    assert_eq!(
        (prepared.slots.count(), prepared.reservation.deliveries(), bench.kit.slots.counts().reserved),
        (1, 0, 1)
    );
}
