//! One row of the table per test case, from the status on the wire to the disposition and the signal.

use super::*;
use crate::policy::outcome::{Answer, Attempt, classify};
use crate::policy::retry_after::RetryAfter;
use crate::policy::visibility::CEILING;

fn facts() -> Facts {
    Facts {
        receives: ReceiveCount::new(3),
        final_receive: false,
        status: None,
        retry_after: None,
        hideable: CEILING,
        held: Duration::ZERO,
        unit: 1.0,
    }
}

fn answered(status: u16, retry_after: Option<u64>, policy: &Policy) -> (Outcome, Decision) {
    let wait = retry_after.map(Duration::from_secs);
    let answer = Answer { status, retry_after: wait.map(RetryAfter::Delay), ..Answer::default() };
    let outcome = classify(&Attempt::Answered(answer), &StatusSet::default());
    let facts = Facts { status: Some(status), retry_after: wait, ..facts() };
    (outcome, decide(outcome, &facts, policy))
}

fn defer(seconds: u64, reason: DeferReason) -> Disposition {
    Disposition::Defer { delay: Duration::from_secs(seconds), reason }
}

#[test]
fn every_status_has_its_row() {
    let policy = Policy::default();
    let congestion = Signal::Congestion { retry_after: None };
    let failure = defer(40, DeferReason::Failure);
    let configuration = defer(30, DeferReason::Configuration);
    let message = defer(30, DeferReason::Message);
    let park = Disposition::Park { delay: Duration::from_secs(300) };
    let rows: &[(&[u16], Outcome, Disposition, Signal)] = &[
        (&[200], Outcome::Success, Disposition::Delete, Signal::Success),
        (&[201, 202, 204, 299], Outcome::UnlistedSuccess, configuration, Signal::ListenerFault),
        (&[429], Outcome::Throttled, park, congestion),
        (&[502, 503, 504, 529], Outcome::Overloaded, failure, congestion),
        (&[408, 409, 421, 423, 425, 500, 505, 507, 599], Outcome::Failed, failure, Signal::Failure),
        (&[100, 101, 199, 600, 999], Outcome::Failed, failure, Signal::Failure),
        (&[401, 403, 407], Outcome::Unauthorized, configuration, Signal::EndpointFault),
        (
            &[300, 301, 302, 307, 308, 404, 405, 410],
            Outcome::Misdirected,
            configuration,
            Signal::ListenerFault,
        ),
        (&[400, 411, 413, 415, 418, 422, 501], Outcome::Rejected, message, Signal::Neutral),
        (&[402, 406, 424, 426, 428, 431, 451, 499], Outcome::Rejected, message, Signal::Neutral),
    ];
    for (statuses, outcome, disposition, signal) in rows {
        for &status in *statuses {
            let (got, decision) = answered(status, None, &policy);
            assert_eq!(got, *outcome, "status {status}");
            assert_eq!(decision, Decision { disposition: *disposition, signal: *signal }, "status {status}");
        }
    }
}

#[test]
fn outcomes_without_an_answer_have_their_rows() {
    let policy = Policy::default();
    let unknown = defer(40, DeferReason::Unknown);
    let rows = [
        (Outcome::TimedOut, unknown, Signal::Unanswered),
        (Outcome::Broken, unknown, Signal::Unanswered),
        (Outcome::Unsent, Disposition::Hold, Signal::Unreachable),
        (Outcome::Unshapeable, defer(30, DeferReason::Message), Signal::Neutral),
        (Outcome::Unfetched, Disposition::Hold, Signal::Neutral),
        (Outcome::AlgorithmError, defer(30, DeferReason::Message), Signal::Neutral),
        (Outcome::Aborted, defer(40, DeferReason::Aborted), Signal::Neutral),
    ];
    for (outcome, disposition, signal) in rows {
        assert_eq!(decide(outcome, &facts(), &policy), Decision { disposition, signal }, "{outcome:?}");
    }
}

#[test]
fn a_429_parks_for_the_throttle_delay_or_longer_if_the_endpoint_asks() {
    let policy = Policy::default();
    let park = |retry_after| answered(429, Some(retry_after), &policy).1;
    for (asked, parked) in [(1, 300), (300, 300), (301, 301), (3_600, 3_600), (86_400, 43_195)] {
        let decision = park(asked);
        assert_eq!(decision.disposition, Disposition::Park { delay: Duration::from_secs(parked) });
        let retry_after = Some(Duration::from_secs(asked));
        assert_eq!(decision.signal, Signal::Congestion { retry_after });
    }
}

#[test]
fn a_503_with_retry_after_defers_at_least_so_long_and_other_statuses_ignore_the_header() {
    let policy = Policy::default();
    let (outcome, decision) = answered(503, Some(120), &policy);
    assert_eq!(outcome, Outcome::Unavailable);
    assert_eq!(decision.disposition, defer(120, DeferReason::Failure));
    assert_eq!(decision.signal, Signal::Congestion { retry_after: Some(Duration::from_secs(120)) });
    assert_eq!(answered(503, Some(1), &policy).1.disposition, defer(40, DeferReason::Failure));
    assert_eq!(answered(502, Some(120), &policy).1.disposition, defer(40, DeferReason::Failure));
}

#[test]
fn a_message_whose_object_cannot_be_fetched_is_held_for_an_hour_and_then_deferred() {
    let policy = Policy::default();
    let held = |held| decide(Outcome::Unfetched, &Facts { held, ..facts() }, &policy).disposition;
    assert_eq!(held(HOLD_MAX.saturating_sub(Duration::from_secs(1))), Disposition::Hold);
    assert_eq!(held(HOLD_MAX), defer(40, DeferReason::Failure));
    let finally = Facts { held: HOLD_MAX, final_receive: true, ..facts() };
    assert_eq!(decide(Outcome::Unfetched, &finally, &policy).disposition, Disposition::Hold);
}

#[test]
fn a_message_nothing_was_sent_of_is_held_for_an_hour_and_then_deferred() {
    let policy = Policy::default();
    let held = |held| decide(Outcome::Unsent, &Facts { held, ..facts() }, &policy).disposition;
    assert_eq!(held(HOLD_MAX.saturating_sub(Duration::from_secs(1))), Disposition::Hold);
    assert_eq!(held(HOLD_MAX), defer(40, DeferReason::Unreachable));
    let kept = |held| Facts { held, final_receive: true, ..facts() };
    let finally = |held| decide(Outcome::Unsent, &kept(held), &policy).disposition;
    assert_eq!(finally(HOLD_MAX_FINAL.saturating_sub(Duration::from_secs(1))), Disposition::Hold);
    assert_eq!(finally(HOLD_MAX_FINAL), defer(40, DeferReason::Unreachable));
}

#[test]
fn success_can_be_widened() {
    let attempt = Attempt::Answered(Answer { status: 204, ..Answer::default() });
    assert_eq!(classify(&attempt, &StatusSet::default()), Outcome::UnlistedSuccess);
    assert_eq!(classify(&attempt, &StatusSet::new([(200, 299)])), Outcome::Success);
}

#[test]
fn own_rows_come_before_the_table_and_the_first_match_wins() {
    let row = |low, high, action, delay: Option<u64>| Row {
        status: StatusSet::new([(low, high)]),
        action,
        delay: delay.map(Duration::from_secs),
    };
    let policy = Policy {
        rows: vec![
            row(404, 404, Action::Delete, None),
            row(400, 422, Action::DeadLetter, None),
            row(503, 503, Action::Park, Some(60)),
            row(500, 599, Action::Defer, Some(7)),
            row(500, 599, Action::Delete, None),
        ],
        ..Policy::default()
    };
    let of = |status| answered(status, None, &policy).1;
    assert_eq!(of(404), Decision { disposition: Disposition::Delete, signal: Signal::Success });
    assert_eq!(of(422), Decision { disposition: Disposition::DeadLetter, signal: Signal::Neutral });
    assert_eq!(of(503).disposition, Disposition::Park { delay: Duration::from_secs(60) });
    assert_eq!(of(503).signal, Signal::Congestion { retry_after: None });
    assert_eq!(of(500).disposition, defer(7, DeferReason::Failure));
    assert_eq!(of(200).disposition, Disposition::Delete);
}

#[test]
fn no_delay_reaches_past_what_sqs_still_allows() {
    let policy = Policy { throttle_delay: Duration::from_secs(43_200), ..Policy::default() };
    let short = Duration::from_secs(7);
    for outcome in Outcome::ALL {
        let facts = Facts { hideable: short, held: HOLD_MAX, ..facts() };
        match decide(outcome, &facts, &policy).disposition {
            Disposition::Park { delay } | Disposition::Defer { delay, .. } => {
                assert!(delay <= short, "{outcome:?} hides for {delay:?}");
            }
            Disposition::Delete | Disposition::DeadLetter | Disposition::Hold => {}
        }
    }
}

#[test]
fn only_success_deletes_by_default() {
    for status in 100..=999 {
        let (_, decision) = answered(status, None, &Policy::default());
        assert_eq!(decision.disposition == Disposition::Delete, status == 200, "status {status}");
    }
}

#[test]
fn a_retry_delay_of_the_listener_replaces_the_back_off_and_not_the_delay_of_a_configuration_fault() {
    let policy = Policy { retry_delay: Some(Duration::from_secs(2)), ..Policy::default() };
    let of = |status, retry_after| answered(status, retry_after, &policy).1.disposition;
    assert_eq!(of(500, None), defer(2, DeferReason::Failure));
    assert_eq!(of(400, None), defer(2, DeferReason::Message));
    assert_eq!(of(503, Some(60)), defer(60, DeferReason::Failure));
    assert_eq!(of(403, None), defer(30, DeferReason::Configuration));
    assert_eq!(of(204, None), defer(30, DeferReason::Configuration));
    assert_eq!(of(429, None), Disposition::Park { delay: Duration::from_secs(300) });
}
