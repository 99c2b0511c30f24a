//! Messages whose body is in S3: fetched before the POST, bad ones dead-lettered, deleted after their message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use queuepost::exchange::Pointer;
use queuepost::localqueue::{AttributeData, AttributeValue, SendMessage};
use queuepost::pipeline::{ClaimChecks, Settings};
use queuepost::policy::decide::{Action, Policy, Row};
use queuepost::policy::outcome::StatusSet;
use queuepost::ports::{BoxFuture, ObjectError, ObjectErrorKind, ObjectStore};

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer};
use super::simulated_queue::{Faults, World};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Objects of one bucket in memory.
#[derive(Default)]
struct Store {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// What every call fails with, and how long calls take.
    fails: Mutex<Option<ObjectErrorKind>>,
    takes: Mutex<Duration>,
    fetches: Mutex<usize>,
}

impl Store {
    fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn error(kind: ObjectErrorKind) -> ObjectError {
        ObjectError { kind, text: "by the script".to_owned() }
    }

    fn failure(&self) -> Result<(), ObjectError> {
        self.fails.lock().unwrap().map_or(Ok(()), |kind| Err(Self::error(kind)))
    }
}

impl ObjectStore for Store {
    fn fetch<'a>(&'a self, pointer: &'a Pointer, max: usize) -> BoxFuture<'a, Result<Bytes, ObjectError>> {
        assert_eq!(pointer.bucket, "payloads");
        let takes = *self.takes.lock().unwrap();
        *self.fetches.lock().unwrap() += 1;
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            self.failure()?;
            let object = self.objects.lock().unwrap().get(&pointer.key).cloned();
            let object = object.ok_or_else(|| Self::error(ObjectErrorKind::Missing))?;
            if object.len() > max { Err(Self::error(ObjectErrorKind::TooLarge)) } else { Ok(object) }
        })
    }

    fn delete<'a>(&'a self, pointer: &'a Pointer) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            self.failure()?;
            self.objects.lock().unwrap().remove(&pointer.key);
            Ok(())
        })
    }
}

/// Puts `body` into the store and sends its claim check.
fn send(world: &World, store: &Store, bucket: &str, key: &str, body: &str) {
    store.objects.lock().unwrap().insert(key.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
    send_pointer(world, &pointer(bucket, key));
}

fn pointer(bucket: &str, key: &str) -> String {
    format!(
        r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"{bucket}","s3Key":"{key}"}}]"#
    )
}

fn send_pointer(world: &World, body: &str) {
    let size = AttributeValue { data_type: "Number".to_owned(), value: AttributeData::Text("1".to_owned()) };
    let attributes = [("ExtendedPayloadSize".to_owned(), size)].into();
    let message = SendMessage { body: body.to_owned(), attributes, ..SendMessage::default() };
    world.with(|broker, now| broker.send(now, "orders", message)).unwrap();
}

fn process(seed: u64, deletes: bool) -> (SimProcess, Arc<Store>) {
    let (mut process, store) = (SimProcess::new(seed), Arc::new(Store::default()));
    let buckets = vec!["payloads".to_owned()];
    process.claim_checks =
        Some(ClaimChecks { store: Arc::clone(&store) as _, buckets, max_size: 20, deletes });
    process.world.queue("orders", 3);
    (process, store)
}

fn bodies(endpoint: &ScriptedEndpoint) -> Vec<String> {
    endpoint.posts().into_iter().map(|post| post.body).collect()
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_gets_the_object_and_the_object_stays_unless_the_listener_deletes_it() {
    for deletes in [false, true] {
        let (mut process, store) = process(320, deletes);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        send(&process.world, &store, "payloads", "a/1", "the body");
        process.world.send("orders", "plain");
        process.listen(settings("orders", 4), &endpoint, &limits(4));
        process.until_empty("orders", MINUTE).await;
        assert!(process.stop(MINUTE).await);
        let mut posted = bodies(&endpoint);
        posted.sort();
        assert_eq!(posted, ["plain", "the body"]);
        assert_eq!(store.keys().len(), usize::from(!deletes));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_check_that_cannot_be_redeemed_is_a_bad_message_and_dead_lettered_after_max_receives() {
    let (mut process, store) = process(321, true);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    send(&process.world, &store, "payloads", "long", "longer than twenty bytes");
    send(&process.world, &store, "secrets", "other", "of another bucket");
    for body in [pointer("payloads", "missing"), "no pointer".to_owned()] {
        send_pointer(&process.world, &body);
    }
    let (_, health) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.until_empty("orders", 10 * MINUTE).await;
    assert_eq!(process.census("orders").dead, 4);
    assert!(health.preflight() == queuepost::pipeline::Preflight::Passed);
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), store.keys()), (0, vec!["long".to_owned(), "other".to_owned()]));
    assert_eq!(process.count("deliveries_total", "unshapeable"), 12, "four of three receives");
    assert_eq!(process.count("messages_deferred_total", r#"reason="message""#), 12);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn while_s3_fails_claim_checks_are_held_and_the_endpoint_is_not_blamed() {
    for kind in [ObjectErrorKind::Unavailable, ObjectErrorKind::Denied] {
        let (mut process, store) = process(322, false);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        *store.fails.lock().unwrap() = Some(kind);
        for number in 0..30 {
            send(&process.world, &store, "payloads", &format!("k-{number}"), "the body");
        }
        let limits = limits(4);
        process.listen(settings("orders", 4), &endpoint, &limits);
        tokio::time::sleep(5 * SECOND).await;
        process.world.send("orders", "plain");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(bodies(&endpoint), ["plain"], "other messages are posted at once");
        assert!(limits.gate.is_open(), "{kind:?}");
        assert!(process.count("deliveries_total", "unfetched") >= 30);
        assert_eq!(process.count("messages_received_total", ""), 31, "no receive is spent");
        *store.fails.lock().unwrap() = None;
        process.until_empty("orders", 2 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), process.census("orders").dead), (31, 0));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn the_object_is_deleted_only_after_its_message_and_never_after_a_failure() {
    let (mut process, store) = process(323, true);
    let statuses = [500, 200];
    let endpoint = ScriptedEndpoint::new(move |_, number| (SECOND, answer(statuses[number.min(1)])));
    send(&process.world, &store, "payloads", "k", "the body");
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!((endpoint.posts().len(), store.keys().len()), (1, 1), "its POST failed");
    queue.set_faults(Faults { entry_failed: 1.0, ..Faults::default() });
    tokio::time::sleep(MINUTE).await;
    assert_eq!((endpoint.posts().len(), store.keys().len()), (2, 1), "its delete is not confirmed yet");
    queue.set_faults(Faults::default());
    process.until_empty("orders", MINUTE).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(store.keys(), Vec::<String>::new());
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_deleted_stays_and_its_message_is_gone() {
    let (mut process, store) = process(324, true);
    let fails = Arc::clone(&store);
    let endpoint = ScriptedEndpoint::new(move |_, _| {
        *fails.fails.lock().unwrap() = Some(ObjectErrorKind::Denied);
        (SECOND, answer(200))
    });
    send(&process.world, &store, "payloads", "k", "the body");
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(store.keys(), ["k"]);
    let count = |result: &str| process.metric("object_requests_total", result);
    assert_eq!(
        (count(r#"operation="GetObject",result="ok""#), count(r#"operation="DeleteObject",result="denied""#)),
        (1.0, 1.0)
    );
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_copy_for_the_dead_letter_queue_is_the_claim_check_as_it_came() {
    let (mut process, store) = process(325, true);
    let endpoint = ScriptedEndpoint::always(422, 1_000);
    send(&process.world, &store, "payloads", "k", "the body");
    let mut with_row = settings("orders", 4);
    let row = Row { status: StatusSet::new([(422, 422)]), action: Action::DeadLetter, delay: None };
    with_row.policy = Policy { rows: vec![row], ..Policy::default() };
    process.listen(with_row, &endpoint, &limits(4));
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!((bodies(&endpoint), store.keys()), (vec!["the body".to_owned()], vec!["k".to_owned()]));
    let dead = process.world.look(|broker, now| broker.inspect(now, "orders-dlq"));
    assert_eq!(dead[0].body, pointer("payloads", "k"));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_takes_long_holds_no_session_loses_no_lease_and_is_released_by_a_drain() {
    let (mut process, store) = process(326, false);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    *store.takes.lock().unwrap() = 10 * MINUTE;
    send(&process.world, &store, "payloads", "slow", "the body");
    let limits = limits(1);
    process.listen(settings("orders", 4), &endpoint, &limits);
    tokio::time::sleep(5 * MINUTE).await;
    process.world.send("orders", "plain");
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!((bodies(&endpoint), limits.sessions.running()), (vec!["plain".to_owned()], 0));
    assert_eq!(process.count("leases_lost_total", ""), 0);
    assert!(process.stop(MINUTE).await, "nobody waits for the object");
    assert_eq!(process.census("orders"), Census { visible: 1, ..Census::default() });
    assert_eq!(*store.fetches.lock().unwrap(), 1);
    process.assert_balanced();
}

/// Claim checks of a listener with four workers meet an S3 that fails so, each call after `takes`.
fn without_s3(seed: u64, count: usize, kind: ObjectErrorKind, takes: Duration) -> (SimProcess, Arc<Store>) {
    let (process, store) = process(seed, false);
    *store.fails.lock().unwrap() = Some(kind);
    *store.takes.lock().unwrap() = takes;
    for number in 0..count {
        send(&process.world, &store, "payloads", &format!("k-{number}"), "the body");
    }
    (process, store)
}

fn s3_works_again(store: &Store) {
    *store.fails.lock().unwrap() = None;
    *store.takes.lock().unwrap() = Duration::ZERO;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_s3_spends_one_receive_of_each_claim_check_and_dead_letters_none() {
    let (denied, silent) = (ObjectErrorKind::Denied, ObjectErrorKind::Unavailable);
    for (kind, takes) in [(denied, Duration::ZERO), (silent, Duration::ZERO), (silent, MINUTE)] {
        let (mut process, store) = without_s3(327, 200, kind, takes);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        process.listen(settings("orders", 4), &endpoint, &limits(4));
        tokio::time::sleep(55 * MINUTE).await;
        assert_eq!(process.census("orders"), Census { in_flight: 200, ..Census::default() }, "{kind:?}");
        s3_works_again(&store);
        process.until_empty("orders", 4 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), process.census("orders").dead), (200, 0));
        assert_eq!(process.count("messages_received_total", ""), 200, "{kind:?} {takes:?}");
        assert_eq!(process.count("leases_lost_total", ""), 0);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn plain_messages_flow_beside_claim_checks_while_s3_is_gone_or_hangs() {
    for takes in [Duration::ZERO, MINUTE] {
        let (mut process, store) = without_s3(328, 200, ObjectErrorKind::Unavailable, takes);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        process.listen(settings("orders", 4), &endpoint, &limits(4));
        tokio::time::sleep(3 * MINUTE).await;
        for number in 1..=50 {
            process.world.send("orders", "plain");
            tokio::time::sleep(MINUTE).await;
            assert_eq!(endpoint.posts().len(), number, "{takes:?}");
        }
        assert!(endpoint.posts().iter().all(|post| post.body == "plain"));
        s3_works_again(&store);
        process.until_empty("orders", 4 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!((endpoint.posts().len(), process.census("orders").dead), (250, 0));
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_thousand_claim_checks_are_held_and_all_workers_have_one_nothing_more_is_received() {
    let (mut process, store) = without_s3(329, 1_100, ObjectErrorKind::Unavailable, Duration::ZERO);
    let endpoint = ScriptedEndpoint::always(200, 10);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(process.census("orders"), Census { visible: 96, in_flight: 1_004, dead: 0 });
    s3_works_again(&store);
    process.until_empty("orders", 10 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), process.count("messages_received_total", "")), (1_100, 1_100));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_long_claim_check_keeps_its_worker_while_its_object_cannot_be_fetched() {
    let (mut process, store) = without_s3(330, 0, ObjectErrorKind::Denied, Duration::ZERO);
    for number in 0..5 {
        let long = format!("long/{number}/{}", "x".repeat(16 * 1024));
        send(&process.world, &store, "payloads", &long, "the body");
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(process.census("orders"), Census { visible: 1, in_flight: 4, dead: 0 });
    s3_works_again(&store);
    process.until_empty("orders", 2 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn beside_a_closed_gate_a_claim_check_that_cannot_be_fetched_passes_the_turn_on_for_a_while() {
    let (mut process, store) = without_s3(331, 0, ObjectErrorKind::Denied, Duration::ZERO);
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let says = Arc::clone(&works);
    let endpoint = ScriptedEndpoint::new(move |_, _| {
        (SECOND, answer(if says.load(std::sync::atomic::Ordering::Relaxed) { 200 } else { 503 }))
    });
    let limits = limits(4);
    let mut patient = settings("orders", 4);
    patient.policy.retry_delay = Some(60 * MINUTE);
    process.listen(patient, &endpoint, &limits);
    while limits.gate.is_open() {
        process.world.send("orders", "plain");
        tokio::time::sleep(3 * SECOND).await;
    }
    let before = process.count("messages_received_total", "");
    for number in 0..200 {
        send(&process.world, &store, "payloads", &format!("k-{number}"), "the body");
    }
    tokio::time::sleep(MINUTE).await;
    let received = process.count("messages_received_total", "") - before;
    assert!((1..=40).contains(&received), "{received} in a minute");
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    s3_works_again(&store);
    tokio::time::sleep(2 * MINUTE).await;
    assert!(limits.gate.is_open(), "a claim check that could be fetched was its probe");
    process.until_empty("orders", 61 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(process.census("orders").dead, 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn claim_checks_that_are_held_are_released_when_the_drain_begins() {
    let (mut process, _store) = without_s3(332, 30, ObjectErrorKind::Denied, Duration::ZERO);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(5 * MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!(process.census("orders"), Census { visible: 30, ..Census::default() });
    assert!(process.count("messages_released_total", r#"reason="drain""#) >= 30);
    assert_eq!(process.count("messages_deferred_total", ""), 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_claim_check_that_is_denied_for_longer_than_an_hour_is_deferred() {
    let (mut process, _store) = without_s3(333, 1, ObjectErrorKind::Denied, Duration::ZERO);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(settings("orders", 4), &endpoint, &limits(4));
    tokio::time::sleep(59 * MINUTE).await;
    assert_eq!(process.count("messages_deferred_total", ""), 0);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(process.count("messages_deferred_total", r#"reason="failure""#), 1);
    assert_eq!(process.count("messages_received_total", ""), 2, "its second receive has begun");
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn claim_checks_whose_hour_is_over_are_deferred_and_not_fetched_all_at_once() {
    let (mut process, store) = without_s3(335, 100, ObjectErrorKind::Denied, Duration::ZERO);
    let endpoint = ScriptedEndpoint::always(200, 20 * 60 * 1_000);
    let settings = Settings { timeout: 30 * MINUTE, ..settings("orders", 2) };
    process.listen(settings, &endpoint, &limits(2));
    tokio::time::sleep(50 * MINUTE).await;
    *store.fails.lock().unwrap() = None;
    tokio::time::sleep(9 * MINUTE).await;
    let before = *store.fetches.lock().unwrap();
    tokio::time::sleep(2 * MINUTE).await;
    let fetches = *store.fetches.lock().unwrap() - before;
    assert!(fetches <= 4, "{fetches} objects in two minutes, of which two can be posted");
    assert!(process.count("messages_deferred_total", "") > 80);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_fifo_group_waits_for_the_object_of_its_head_and_others_go_on() {
    let (mut process, store) = process(334, false);
    process.world.queue("orders.fifo", 3);
    *store.fails.lock().unwrap() = Some(ObjectErrorKind::Unavailable);
    store.objects.lock().unwrap().insert("k".to_owned(), Bytes::from_static(b"a-1"));
    let size = AttributeValue { data_type: "Number".to_owned(), value: AttributeData::Text("3".to_owned()) };
    let head = SendMessage {
        body: pointer("payloads", "k"),
        attributes: [("ExtendedPayloadSize".to_owned(), size)].into(),
        group_id: Some("a".to_owned()),
        deduplication_id: Some("a-1".to_owned()),
        ..SendMessage::default()
    };
    process.world.with(|broker, now| broker.send(now, "orders.fifo", head)).unwrap();
    for (group, body) in [("a", "a-2"), ("b", "b-1"), ("a", "a-3"), ("b", "b-2")] {
        process.world.send_to("orders.fifo", group, body);
    }
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.listen(settings("orders.fifo", 2), &endpoint, &limits(2));
    tokio::time::sleep(30 * MINUTE).await;
    assert_eq!(bodies(&endpoint), ["b-1", "b-2"]);
    s3_works_again(&store);
    process.until_empty("orders.fifo", MINUTE).await;
    assert_eq!(bodies(&endpoint), ["b-1", "b-2", "a-1", "a-2", "a-3"]);
    assert!(process.stop(MINUTE).await);
    assert_eq!(process.census("orders.fifo").dead, 0);
    process.assert_balanced();
}
