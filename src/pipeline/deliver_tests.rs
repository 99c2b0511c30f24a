//! One delivery alone, over an endpoint that answers by a script: what its messages leave with.

use std::pin::pin;

use tokio::time::timeout;

use super::*;
use crate::exchange::{Raw, Single, Success, Unwrap, Verdicts};
use crate::message::Message;
use crate::pipeline::kit_for_tests::{
    HOUR, Kit, LEASE, MINUTE, SECOND, Setup, Together, asking, close, message, status, unsent,
};
use crate::pipeline::ledger::Settled;
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::forward::Forward;
use crate::policy::decide::{Action, Row};
use crate::policy::outcome::{Attempt, StatusSet};
use crate::ports::DeadLetterReason;

/// Every POST is answered at once with this.
fn always(answer: &Attempt) -> Kit {
    let answer = answer.clone();
    Setup::answering(move |_, _| (Duration::ZERO, answer.clone())).kit()
}

/// POSTs carry up to ten messages.
fn together(verdicts: Verdicts) -> Kit {
    let mut setup = Setup::default();
    setup.settings.exchange = Arc::new(Together { most: 10, verdicts });
    setup.kit()
}

fn deliver(kit: &Kit, messages: Vec<InFlight>) -> impl Future<Output = ()> + use<> {
    Delivery::new(&kit.dispatch, messages, Reservation::default()).run()
}

fn of(number: usize, exit: Exit) -> (String, Exit) {
    (format!("m-{number}"), exit)
}

#[tokio::test(start_paused = true)]
async fn a_200_deletes_the_message_and_frees_its_slot_and_session() {
    let mut kit = Setup::default().kit();
    deliver(&kit, kit.messages(1).await).await;
    assert_eq!((kit.slots.counts().in_use, kit.dispatch.admission.limits.sessions.running()), (0, 0));
    assert_eq!((kit.all_left(), kit.endpoint.posts()), (vec![of(1, Exit::DELETE)], vec!["m-1".to_owned()]));
    assert_eq!(kit.dispatch.ctx.metrics.deleted.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_429_is_parked_for_the_longer_of_the_throttle_delay_and_retry_after() {
    for (answer, parked) in
        [(status(429), 5 * MINUTE), (asking(429, MINUTE), 5 * MINUTE), (asking(429, HOUR), HOUR)]
    {
        let mut kit = always(&answer);
        deliver(&kit, kit.messages(1).await).await;
        assert_eq!(
            kit.all_left(),
            [of(1, Exit::Hide { until: Instant::now() + parked, how: Settled::Parked })],
            "{answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_no_longer_than_sqs_lets_its_receive_be() {
    let mut kit = always(&asking(429, 24 * HOUR));
    let messages = kit.messages(1).await;
    let ceiling = messages[0].lease.ceiling();
    deliver(&kit, messages).await;
    assert_eq!(kit.all_left(), [of(1, Exit::Hide { until: ceiling, how: Settled::Parked })]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_which_nothing_was_sent_is_held_and_posted_again() {
    let mut kit =
        Setup::answering(|number, _| (Duration::ZERO, if number < 3 { unsent() } else { status(200) })).kit();
    deliver(&kit, kit.messages(1).await).await;
    assert_eq!(kit.endpoint.posts().len(), 4);
    assert_eq!(kit.all_left(), [of(1, Exit::DELETE)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_held_for_an_hour_and_then_deferred_as_unreachable() {
    let mut kit = always(&unsent());
    let began = Instant::now();
    deliver(&kit, kit.messages(1).await).await;
    let left = kit.all_left();
    assert!(
        matches!(left[0].1, Exit::Hide { how: Settled::Deferred(DeferReason::Unreachable), .. }),
        "{left:?}"
    );
    assert!((HOUR..HOUR + MINUTE).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(kit.endpoint.posts().len() > 50, "it was tried {} times", kit.endpoint.posts().len());
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_is_lost_is_left_to_sqs_and_the_others_are_posted() {
    let mut kit = together(Verdicts::All(Outcome::Success));
    let messages = kit.messages(3).await;
    messages[1].lease.refused();
    deliver(&kit, messages).await;
    assert_eq!(kit.endpoint.posts(), ["m-1 m-3"]);
    assert_eq!(kit.all_left(), [of(1, Exit::DELETE), of(3, Exit::DELETE)]);
    assert_eq!(kit.abandoned(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_ran_out_while_it_waited_is_not_posted() {
    let mut kit = Setup::default().kit();
    let messages = kit.messages(1).await;
    tokio::time::advance(LEASE).await;
    deliver(&kit, messages).await;
    assert!(kit.endpoint.posts().is_empty() && kit.all_left().is_empty());
    assert_eq!(kit.abandoned(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_no_request_can_be_made_of_leaves_and_the_others_are_posted() {
    let mut kit = together(Verdicts::All(Outcome::Success));
    let mut messages = kit.messages(3).await;
    messages[1].message.body = "unshapeable".into();
    deliver(&kit, messages).await;
    assert_eq!(kit.endpoint.posts(), ["m-1 m-3"]);
    let deferred =
        Exit::Hide { until: Instant::now() + FAULT_DELAY, how: Settled::Deferred(DeferReason::Message) };
    assert_eq!(kit.all_left(), [of(1, Exit::DELETE), of(3, Exit::DELETE), of(2, deferred)]);
}

#[tokio::test(start_paused = true)]
async fn each_message_leaves_by_its_own_verdict_and_one_without_has_failed() {
    let mut kit = together(Verdicts::Each(vec![Outcome::Success, Outcome::Rejected]));
    deliver(&kit, kit.messages(3).await).await;
    let left = kit.all_left();
    let rejected =
        Exit::Hide { until: Instant::now() + FAULT_DELAY, how: Settled::Deferred(DeferReason::Message) };
    assert_eq!(left[..2], [of(1, Exit::DELETE), of(2, rejected)]);
    assert!(matches!(left[2].1, Exit::Hide { how: Settled::Deferred(DeferReason::Failure), .. }), "{left:?}");
    assert_eq!(kit.endpoint.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_remembered_as_done_leaves_without_a_post_and_frees_its_reservation_first() {
    let mut kit = Setup { places: 1, ..Setup::default() }.kit();
    let messages = kit.messages(2).await;
    let mut messages = messages.into_iter();
    messages.next().unwrap().exit(Exit::DELETE).await;
    let done = messages.next().unwrap();
    kit.dispatch.memory.left(done.id(), Exit::DELETE);
    let reservation = kit.dispatch.admission.reserve(16, None).await;
    let mut delivery = pin!(Delivery::new(&kit.dispatch, vec![done], reservation).run());
    assert!(timeout(SECOND, &mut delivery).await.is_err(), "settlement has no place for it yet");
    let room = timeout(SECOND, kit.dispatch.admission.membership.claim(16, None)).await;
    assert_eq!(room.map(|claims| claims.len()).ok(), Some(16));
    assert_eq!(kit.all_left(), [of(1, Exit::DELETE)]);
    delivery.await;
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(2, Exit::DELETE)], 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_too_early_is_hidden_for_the_rest_unless_it_is_its_last_try() {
    let mut kit = Setup::default().kit();
    let parked = Exit::Hide { until: Instant::now() + HOUR, how: Settled::Parked };
    kit.dispatch.memory.left(&message(1).id, parked.clone());
    deliver(&kit, kit.messages(1).await).await;
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(1, parked)], 0));
    deliver(&kit, vec![kit.last_try().await]).await;
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(1, Exit::DELETE)], 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_messages_wait_releases_them_visible_at_once() {
    let mut kit = Setup::default().kit();
    close(&kit.dispatch.admission.gates.shared, HOUR);
    let messages = kit.messages(1).await;
    tokio::join!(deliver(&kit, messages), async { kit.dispatch.ctx.drain.begin(MINUTE) });
    let released = Exit::Hide { until: Instant::now(), how: Settled::Released(ReleaseReason::Drain) };
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(1, released)], 0));
}

#[tokio::test(start_paused = true)]
async fn messages_behind_a_gate_that_stays_closed_are_released_until_its_pause_is_over() {
    let mut setup = Setup::default();
    setup.settings.tuning.hold.at_gates = 10 * SECOND;
    let mut kit = setup.kit();
    close(&kit.dispatch.admission.gates.shared, MINUTE);
    deliver(&kit, kit.messages(1).await).await;
    let until = Instant::now() + kit.dispatch.admission.gates.pause_left();
    assert!(until > Instant::now());
    assert_eq!(kit.all_left(), [of(1, Exit::Hide { until, how: Settled::Released(ReleaseReason::Gate) })]);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_runs_is_awaited_in_a_drain_and_deferred_when_that_aborts() {
    for aborts in [false, true] {
        let mut kit = Setup::answering(|_, _| (MINUTE, status(200))).kit();
        let (drain, messages) = (kit.dispatch.ctx.drain.clone(), kit.messages(1).await);
        let mut delivery = pin!(deliver(&kit, messages));
        assert!(timeout(SECOND, &mut delivery).await.is_err());
        drain.begin(MINUTE);
        assert!(timeout(SECOND, &mut delivery).await.is_err(), "the drain waits for it");
        if aborts {
            drain.abort();
        }
        delivery.await;
        let (left, now) = (kit.all_left(), Instant::now());
        match &left[0].1 {
            Exit::Hide { until, how: Settled::Deferred(DeferReason::Aborted) } if aborts => {
                assert!(*until > now);
            }
            exit => assert!(!aborts && *exit == Exit::DELETE, "{aborts}: {exit:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_on_the_last_try_is_waited_out_here_where_the_endpoint_takes_others() {
    for works in [true, false] {
        let answers = |number, _: &str| (Duration::ZERO, status(if number == 0 { 429 } else { 200 }));
        let mut kit = Setup::answering(answers).kit();
        if works {
            kit.dispatch.waits.succeeded();
        }
        let began = Instant::now();
        deliver(&kit, vec![kit.last_try().await]).await;
        let waited = began.elapsed();
        let (exit, posts) = if works {
            (Exit::DELETE, 2)
        } else {
            (Exit::Hide { until: began + 5 * MINUTE, how: Settled::Parked }, 1)
        };
        assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(1, exit)], posts));
        assert_eq!(waited, if works { 5 * MINUTE } else { Duration::ZERO });
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_a_429_is_waited_out_parks_the_message_for_the_rest() {
    let mut kit = always(&status(429));
    kit.dispatch.waits.succeeded();
    let (began, drain) = (Instant::now(), kit.dispatch.ctx.drain.clone());
    let message = kit.last_try().await;
    let mut delivery = pin!(deliver(&kit, vec![message]));
    assert!(timeout(MINUTE, &mut delivery).await.is_err());
    drain.begin(MINUTE);
    delivery.await;
    assert_eq!(kit.all_left(), [of(1, Exit::Hide { until: began + 5 * MINUTE, how: Settled::Parked })]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_dead_letters_owes_a_copy_with_its_reason_before_the_delete() {
    let mut setup = Setup::answering(|_, _| (Duration::ZERO, status(422)));
    let row = Row { status: StatusSet::new([(422, 422)]), action: Action::DeadLetter, delay: None };
    setup.settings.policy.rows = vec![row];
    let mut kit = setup.kit();
    deliver(&kit, kit.messages(1).await).await;
    let listener = Some("orders".into());
    let reason = DeadLetterReason { outcome: "rejected", status: Some(422), answer: None, listener };
    let exit = Exit::Delete { how: Settled::DeadLettered }.after(Some(Forward::Copy(reason)));
    assert_eq!(kit.all_left(), [of(1, exit.clone())]);
    let again = Message { receipt: crate::message::ReceiptHandle::new("h-2"), ..message(1) };
    deliver(&kit, vec![kit.in_flight(again).await]).await;
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(1, exit)], 1), "it still owes that");
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_lease_is_over_is_not_released() {
    let mut kit = Setup::default().kit();
    let lost = kit.in_flight(message(1)).await;
    tokio::time::advance(LEASE).await;
    lost.release(&kit.dispatch, Instant::now(), ReleaseReason::Drain).await;
    assert!(kit.all_left().is_empty());
    assert_eq!((kit.abandoned(), kit.slots.counts().in_use), (1, 0));
}

/// A listener that deletes messages a minute after their first receive, and one message that was first received then.
async fn received_first(ago: Duration) -> (Kit, InFlight) {
    let mut setup = Setup::default();
    setup.settings.policy.retention = Some(MINUTE);
    let kit = setup.kit();
    tokio::time::advance(HOUR).await;
    let first_received_at = Some(kit.dispatch.ctx.wall.now() - ago);
    let message = kit.in_flight(Message { first_received_at, ..message(1) }).await;
    (kit, message)
}

#[tokio::test(start_paused = true)]
async fn a_message_older_than_the_retention_is_deleted_without_a_post_and_counted() {
    let (mut kit, old) = received_first(MINUTE).await;
    deliver(&kit, vec![old]).await;
    assert_eq!((kit.all_left(), kit.endpoint.posts()), (vec![of(1, Exit::DELETE)], Vec::new()));
    let metrics = &kit.dispatch.ctx.metrics;
    assert_eq!((metrics.expired.get(), metrics.deleted.get()), (1, 1), "the ledger counts it as deleted");
    assert_eq!(kit.slots.counts().in_use, 0);
    let (mut kit, young) = received_first(SECOND * 59).await;
    deliver(&kit, vec![young]).await;
    assert_eq!((kit.all_left(), kit.endpoint.posts()), (vec![of(1, Exit::DELETE)], vec!["m-1".to_owned()]));
    assert_eq!(kit.dispatch.ctx.metrics.expired.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_time_of_its_first_receive_is_never_too_old() {
    let (mut kit, old) = received_first(HOUR).await;
    let unknown = kit.in_flight(message(2)).await;
    deliver(&kit, vec![unknown]).await;
    assert_eq!(kit.endpoint.posts(), ["m-2"]);
    drop(old);
    kit.all_left();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_work_is_deleted_at_a_closed_gate_and_nothing_learns_of_it() {
    let mut setup = Setup { places: 1, ..Setup::default() };
    let unwrap = Unwrap { envelopes: Vec::new(), deletes_no_work: true };
    let single = Single::new(Raw::new("orders", "orders"), Success::default()).unwrapping(unwrap);
    setup.settings.exchange = Arc::new(single);
    let mut kit = setup.kit();
    let mut messages = kit.messages(2).await;
    messages[1].message.body = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#.into();
    let no_work = messages.split_off(1);
    messages.remove(0).exit(Exit::DELETE).await;
    let reservation = kit.dispatch.admission.reserve(16, None).await;
    close(&kit.dispatch.admission.gates.shared, HOUR);
    let mut delivery = pin!(Delivery::new(&kit.dispatch, no_work, reservation).run());
    assert!(timeout(SECOND, &mut delivery).await.is_err(), "settlement has no place for it yet");
    let room = timeout(SECOND, kit.dispatch.admission.membership.claim(16, None)).await;
    assert_eq!(room.map(|claims| claims.len()).ok(), Some(16), "its reservation is free");
    assert_eq!(kit.all_left(), [of(1, Exit::DELETE)]);
    delivery.await;
    assert_eq!((kit.all_left(), kit.endpoint.posts().len()), (vec![of(2, Exit::DELETE)], 0));
    let (metrics, gates) = (&kit.dispatch.ctx.metrics, &kit.dispatch.admission.gates);
    assert_eq!((metrics.no_work.get(), metrics.deleted.get()), (1, 2));
    assert!(metrics.last_success.get() == 0.0 && !gates.are_open(), "it is no success");
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_delivery_takes_no_more_than_2_560_bytes() {
    let kit = Setup::default().kit();
    let task = deliver(&kit, kit.messages(1).await);
    assert!(size_of_val(&task) <= 2_560, "{} bytes, for each message in flight", size_of_val(&task));
}
