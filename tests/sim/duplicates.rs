//! Messages received twice: during their delivery, during their settlement, after their delete.

use std::time::Duration;

use queuepost::localqueue::MessageState;

use super::process::{Census, SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer};
use super::simulated_queue::{Deletes, EPOCH_MILLIS, Faults};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn count(process: &SimProcess, name: &str) -> u64 {
    process.count(name, "")
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_during_the_post_is_not_posted_and_its_handle_deletes() {
    for name in ["orders", "orders.fifo"] {
        let mut process = SimProcess::new(80);
        process.world.queue(name, 10);
        let endpoint = ScriptedEndpoint::always(200, 30_000);
        let (queue, _) = process.listen(settings(name, 4), &endpoint, &limits(4));
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(5 * SECOND).await;
        queue.hide("x", Duration::ZERO);
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(process.census(name), Census { in_flight: 1, ..Census::default() }, "{name}: taken again");
        assert_eq!(
            process.count("messages_in_progress", r#"stage="delivering""#),
            2,
            "both are being delivered"
        );
        process.until_empty(name, 21 * SECOND).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!(endpoint.posts().len(), 1, "{name}");
        assert_eq!(count(&process, "duplicates_suppressed_total"), 1);
        assert_eq!(count(&process, "messages_deleted_total"), 2, "both receives are settled");
        assert_eq!(count(&process, "messages_abandoned_total"), 0);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_during_the_post_is_parked_and_extended_by_its_handle() {
    for name in ["orders", "orders.fifo"] {
        let mut process = SimProcess::new(81);
        process.world.queue(name, 10);
        let statuses = [429, 200];
        // Longer than a lease: an extension with the older handle would lose the message.
        let endpoint = ScriptedEndpoint::new(move |_, number| {
            (Duration::from_secs(200), answer(statuses[number.min(1)]))
        });
        let mut slow = settings(name, 4);
        slow.timeout = Duration::from_secs(300);
        let (queue, _) = process.listen(slow, &endpoint, &limits(4));
        process.world.send_to(name, "g", "x");
        tokio::time::sleep(5 * SECOND).await;
        queue.hide("x", Duration::ZERO);
        tokio::time::sleep(200 * SECOND).await;
        let state = process.world.with(|broker, now| broker.inspect(now, name))[0].state;
        let MessageState::InFlight { until } = state else { panic!("{name}: {state:?}") };
        let ended = endpoint.posts()[0].ended.unwrap();
        let parked = Duration::from_millis(until.0 - EPOCH_MILLIS) - ended;
        assert!(parked.abs_diff(5 * MINUTE) <= SECOND, "{name}: {parked:?}");
        assert_eq!((count(&process, "messages_parked_total"), count(&process, "leases_lost_total")), (2, 0));
        process.until_empty(name, 10 * MINUTE).await;
        process.stop(MINUTE).await;
        assert_eq!(endpoint.posts().len(), 2);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_while_its_delete_is_retried_lends_its_handle_to_that() {
    let mut process = SimProcess::new(82);
    process.world.queue("orders", 100);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "x");
    queue.set_faults(Faults { entry_failed: 1.0, ..Faults::default() });
    tokio::time::sleep(20 * SECOND).await;
    queue.hide("x", Duration::ZERO);
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(count(&process, "duplicates_suppressed_total"), 1);
    queue.set_faults(Faults::default());
    process.until_empty("orders", 31 * SECOND).await;
    process.stop(MINUTE).await;
    assert_eq!((endpoint.posts().len(), count(&process, "messages_deleted_total")), (1, 2));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_delete_confirmed_for_an_older_handle_is_sent_again_with_the_newer() {
    // A standard queue confirms it and deletes nothing.
    let mut process = SimProcess::new(83);
    process.world.queue("orders", 100);
    let endpoint = ScriptedEndpoint::always(200, 10_000);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    for number in 0..20 {
        let body = format!("m-{number}");
        process.world.send("orders", &body);
        tokio::time::sleep(Duration::from_millis(9_900)).await;
        // The copy is received while the delete is on its way.
        queue.set_faults(Faults { latency: 5 * SECOND, ..Faults::default() });
        tokio::time::sleep(Duration::from_millis(250)).await;
        if !process.world.look(|broker, now| broker.inspect(now, "orders")).is_empty() {
            queue.hide(&body, Duration::ZERO);
        }
        process.until_empty("orders", 20 * SECOND).await;
        queue.set_faults(Faults::default());
        tokio::time::sleep(30 * SECOND).await;
    }
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 20);
    assert!(count(&process, "duplicates_suppressed_total") > 10);
    assert_eq!(count(&process, "messages_abandoned_total"), 0);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn duplicates_late_answers_and_failed_entries_together_post_nothing_twice() {
    for seed in 0..10 {
        let mut process = SimProcess::new(seed);
        process.world.queue("orders", 1_000);
        let endpoint = ScriptedEndpoint::always(200, 3_000);
        let mut own = settings("orders", 200);
        own.timeout = 5 * SECOND;
        let (queue, _) = process.listen(own, &endpoint, &limits(200));
        queue.set_faults(Faults {
            duplicate: 0.6,
            latency: 4 * SECOND,
            entry_failed: 0.1,
            throttled: 0.05,
            ..Faults::default()
        });
        for number in 0..300 {
            process.world.send("orders", &format!("m-{number}"));
        }
        process.until_empty("orders", 60 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert_eq!(endpoint.posts().len(), 300, "seed {seed}");
        let suppressed = count(&process, "duplicates_suppressed_total");
        assert!(suppressed > 50, "seed {seed}: {suppressed}");
        process.assert_balanced();
        assert_eq!(count(&process, "messages_in_progress"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_deleted_five_minutes_ago_that_reappears_is_deleted_not_posted() {
    let mut process = SimProcess::new(84);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    queue.set_faults(Faults { deletes: Deletes::Forgotten, ..Faults::default() });
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    assert_eq!(count(&process, "messages_deleted_total"), 1);
    queue.set_faults(Faults::default());
    queue.hide("x", 5 * MINUTE);
    process.until_empty("orders", 5 * MINUTE + SECOND).await;
    process.stop(MINUTE).await;
    assert_eq!((endpoint.posts().len(), count(&process, "duplicates_suppressed_total")), (1, 1));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_message_deleted_more_than_ten_minutes_ago_that_reappears_is_posted_again() {
    let mut process = SimProcess::new(85);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 20);
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    queue.set_faults(Faults { deletes: Deletes::Forgotten, ..Faults::default() });
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    queue.set_faults(Faults::default());
    queue.hide("x", 10 * MINUTE);
    process.until_empty("orders", 10 * MINUTE + SECOND).await;
    process.stop(MINUTE).await;
    assert_eq!((endpoint.posts().len(), count(&process, "duplicates_suppressed_total")), (2, 0));
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_ledger_entry_of_a_copy_is_closed_when_its_delivery_panics() {
    let mut process = SimProcess::new(86);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, number| {
        assert!(number > 0, "the endpoint's own fault");
        (Duration::from_secs(30), answer(200))
    });
    let (queue, _) = process.listen(settings("orders", 1), &endpoint, &limits(1));
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    assert_eq!((count(&process, "panics_total"), count(&process, "messages_abandoned_total")), (1, 1));
    queue.hide("x", Duration::ZERO);
    process.until_empty("orders", 2 * MINUTE).await;
    process.stop(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 2, "a message whose delivery panicked is not in flight here any more");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_hidden_message_is_hidden_for_the_rest_of_the_time_and_not_posted() {
    for (name, status, metric, earliest, latest) in [
        ("orders", 429, "messages_parked_total", 5 * MINUTE, 5 * MINUTE),
        ("orders.fifo", 429, "messages_parked_total", 5 * MINUTE, 5 * MINUTE),
        ("orders", 500, "messages_deferred_total", 5 * SECOND, 10 * SECOND),
    ] {
        let mut process = SimProcess::new(87);
        process.world.queue(name, 10);
        let statuses = [status, 200];
        let endpoint = ScriptedEndpoint::new(move |_, number| (SECOND / 10, answer(statuses[number.min(1)])));
        let (queue, _) = process.listen(settings(name, 4), &endpoint, &limits(4));
        process.world.send_to(name, "g", "x");
        for _ in 0..2 {
            tokio::time::sleep(SECOND).await;
            queue.hide("x", Duration::ZERO);
        }
        tokio::time::sleep(SECOND).await;
        assert_eq!(count(&process, "duplicates_suppressed_total"), 2, "{name} {status}");
        assert_eq!(count(&process, metric), 3, "{name} {status}: each receive is settled");
        process.until_empty(name, 6 * MINUTE).await;
        process.stop(MINUTE).await;
        let posts = endpoint.posts();
        let waited = posts[1].began - posts[0].ended.unwrap();
        assert!((earliest..=latest + SECOND).contains(&waited), "{name} {status}: {waited:?}");
        assert_eq!(posts.len(), 2);
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_park_that_sqs_did_not_take_is_kept_when_its_message_comes_back() {
    let mut process = SimProcess::new(88);
    process.world.queue("orders", 10);
    let statuses = [429, 200];
    let endpoint = ScriptedEndpoint::new(move |_, number| (SECOND, answer(statuses[number.min(1)])));
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    queue.set_faults(Faults { changes_refused: true, ..Faults::default() });
    process.world.send("orders", "x");
    // Its lease of 90 s ends.
    tokio::time::sleep(80 * SECOND).await;
    queue.set_faults(Faults::default());
    process.until_empty("orders", 6 * MINUTE).await;
    process.stop(MINUTE).await;
    let posts = endpoint.posts();
    let waited = posts[1].began - posts[0].ended.unwrap();
    assert!((5 * MINUTE..=5 * MINUTE + SECOND).contains(&waited), "{waited:?}");
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn on_its_last_receive_a_copy_of_a_parked_message_is_posted_rather_than_dead_lettered() {
    let mut process = SimProcess::new(89);
    process.world.queue("orders", 2);
    let statuses = [429, 200];
    let endpoint = ScriptedEndpoint::new(move |_, number| (SECOND / 10, answer(statuses[number.min(1)])));
    let (queue, _) = process.listen(settings("orders", 4), &endpoint, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND).await;
    queue.hide("x", Duration::ZERO);
    process.until_empty("orders", 5 * SECOND).await;
    process.stop(MINUTE).await;
    assert_eq!((endpoint.posts().len(), process.census("orders").dead), (2, 0));
    process.assert_balanced();
}
