//! Admission alone: gates, sessions and rate, and the waits at each.

use std::num::NonZeroU32;
use std::pin::pin;

use tokio::time::timeout;

use super::*;
use crate::limit::{self, Evidence, Feedback, Rate, Stated};
use crate::pipeline::kit_for_tests::{HOUR, Kit, MINUTE, SECOND, Setup, circumstances, close, patient};

fn kit(sessions: usize, rate: Option<Rate>) -> Kit {
    let limits = limit::Settings { sessions, divided: false, rate, ..Setup::default().limits };
    Setup { limits, ..Setup::default() }.kit()
}

/// One start a minute.
fn slow() -> Rate {
    Rate { interval: MINUTE, burst: NonZeroU32::MIN }
}

fn held() -> Patience {
    patient(Rank::Held)
}

/// The rate's next start is taken, and its POST has ended.
async fn use_a_start(admission: &Admission) {
    admission.membership.granted(None).await.starts();
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_a_closed_gate_but_a_probe_until_that_has_opened_it() {
    let kit = kit(16, None);
    let (admission, drain) = (&kit.dispatch.admission, Drain::new());
    close(&admission.gates.shared, MINUTE);
    let began = Instant::now();
    let (mut one, mut other) = (Reservation::default(), Reservation::default());
    let mut second = pin!(admission.admit(&mut other, held(), &drain));
    let first = tokio::select! {
        biased;
        first = admission.admit(&mut one, held(), &drain) => first.unwrap(),
        _ = &mut second => panic!("the second came first"),
    };
    assert!(began.elapsed() >= MINUTE, "before its pause was over: {:?}", began.elapsed());
    assert_eq!((first.probes.is_empty(), first.at_gates), (false, began.elapsed()));
    assert!(timeout(HOUR, &mut second).await.is_err(), "one probe is enough");
    admission.gates.report(Evidence::Success, first.probes, circumstances());
    assert!(second.await.unwrap().probes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_waits_for_the_rate_leaves_the_line_when_a_gate_closes() {
    let kit = kit(16, Some(slow()));
    let (admission, drain) = (&kit.dispatch.admission, Drain::new());
    use_a_start(admission).await;
    let mut reservation = Reservation::default();
    let mut waits = pin!(admission.admit(&mut reservation, held(), &drain));
    assert!(timeout(SECOND, &mut waits).await.is_err());
    close(&admission.gates.shared, 10 * SECOND);
    assert!(timeout(SECOND, &mut waits).await.is_err());
    assert_eq!(admission.limits.sessions.running(), 0);
    assert!(!waits.await.unwrap().probes.is_empty(), "it goes on as the probe");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_wait_at_a_gate_for_a_session_for_the_rate_and_for_a_reset() {
    for waits_for in ["gate", "session", "rate", "reset"] {
        let rate = (waits_for != "reset").then(slow);
        let limits = limit::Settings {
            sessions: 1,
            divided: false,
            rate,
            adaptive: waits_for == "reset",
            ..Setup::default().limits
        };
        let kit = Setup { limits, ..Setup::default() }.kit();
        let (admission, drain) = (&kit.dispatch.admission, Drain::new());
        let mut in_the_way = None;
        match waits_for {
            "gate" => close(&admission.gates.own, MINUTE),
            "session" => in_the_way = Some(admission.membership.granted(None).await),
            "rate" => use_a_start(admission).await,
            _ => {
                let empty = Stated::Empty { resets_in: MINUTE };
                admission.membership.granted(None).await.end(Feedback::ProbeRefused(empty));
            }
        }
        let mut reservation = Reservation::default();
        let mut waits = pin!(admission.admit(&mut reservation, held(), &drain));
        assert!(timeout(SECOND, &mut waits).await.is_err(), "{waits_for}");
        drain.begin(MINUTE);
        let (began, refused) = (Instant::now(), waits.await.unwrap_err());
        assert_eq!((refused, began.elapsed()), (Refused::Draining, Duration::ZERO), "{waits_for}");
        drop(in_the_way);
        assert_eq!(admission.limits.sessions.running(), 0, "{waits_for}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_split_into_one_part_for_each_delivery_and_the_first_has_the_probes() {
    let kit = kit(16, Some(Rate { interval: SECOND / 10, burst: NonZeroU32::MIN }));
    let admission = &kit.dispatch.admission;
    let mut reservation = admission.reserve(3, None).await;
    close(&admission.gates.own, SECOND);
    admission.gates.pass(Rank::Poller, &mut reservation.probes).await;
    assert_eq!(reservation.deliveries(), 3);
    let parts: Vec<_> = (0..4).map(|_| reservation.take()).collect();
    assert_eq!(parts.iter().map(Reservation::deliveries).collect::<Vec<_>>(), [1, 1, 1, 0]);
    let probes = |part: &Reservation| !part.probes.is_empty();
    assert_eq!(parts.iter().map(probes).collect::<Vec<_>>(), [true, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_with_what_is_left_of_the_gates_pause() {
    let kit = kit(16, None);
    let admission = &kit.dispatch.admission;
    close(&admission.gates.shared, MINUTE);
    let (began, patience) = (Instant::now(), Patience { longest: 10 * SECOND, ..held() });
    let refused = admission.admit(&mut Reservation::default(), patience, &Drain::new()).await.unwrap_err();
    assert_eq!(began.elapsed(), 10 * SECOND);
    let Refused::GateClosed(left) = refused else { panic!("{refused:?}") };
    assert_eq!(left, admission.gates.pause_left());
    assert!(left >= 50 * SECOND, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn no_patience_outlasts_the_last_time_at_which_a_post_may_start() {
    let kit = kit(16, None);
    let admission = &kit.dispatch.admission;
    close(&admission.gates.shared, MINUTE);
    let began = Instant::now();
    let patience = Patience { until: began + 5 * SECOND, ..held() };
    admission.admit(&mut Reservation::default(), patience, &Drain::new()).await.unwrap_err();
    assert_eq!(began.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn patience_counts_the_waits_at_gates_together() {
    let kit = kit(16, Some(slow()));
    let (admission, drain) = (&kit.dispatch.admission, Drain::new());
    close(&admission.gates.own, 10 * SECOND);
    use_a_start(admission).await;
    let mut reservation = Reservation::default();
    let mut waits =
        pin!(admission.admit(&mut reservation, Patience { longest: 30 * SECOND, ..held() }, &drain));
    assert!(timeout(15 * SECOND, &mut waits).await.is_err(), "past one gate, it waits for the rate");
    close(&admission.gates.shared, MINUTE);
    let (began, refused) = (Instant::now(), waits.await.unwrap_err());
    assert!(matches!(refused, Refused::GateClosed(_)), "{refused:?}");
    let waited = began.elapsed();
    assert!(waited >= 18 * SECOND && waited <= 20 * SECOND, "of 30 s some 10 were spent: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_waits_at_a_gate_keeps_no_room_from_others() {
    let kit = kit(4, None);
    let (admission, drain) = (&kit.dispatch.admission, Drain::new());
    let mut reservation = admission.reserve(4, None).await;
    assert_eq!(reservation.deliveries(), 4);
    close(&admission.gates.shared, MINUTE);
    let mut waits = pin!(admission.admit(&mut reservation, held(), &drain));
    assert!(timeout(SECOND, &mut waits).await.is_err());
    let room = timeout(SECOND, admission.membership.claim(4, None)).await;
    assert_eq!(room.map(|claims| claims.len()).ok(), Some(4));
}
