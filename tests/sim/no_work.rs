//! Messages that are no work are deleted without a POST, and the ledger stays balanced.

use std::sync::Arc;
use std::time::Duration;

use queuepost::exchange::{Raw, Single, Success, Unwrap};
use queuepost::localqueue::SendMessage;
use queuepost::pipeline::Settings;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::simulated_queue::{FIFO, World};

const MINUTE: Duration = Duration::from_secs(60);
const TEST_EVENT: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;

fn unwrapping(name: &str, deletes_no_work: bool) -> Settings {
    let unwrap = Unwrap { envelopes: Vec::new(), deletes_no_work };
    let single = Single::new(Raw::new(name, name), Success::default()).unwrapping(unwrap);
    Settings { exchange: Arc::new(single), ..settings(name, 4) }
}

/// Sends a message, on a FIFO queue in one group with the others.
fn send(world: &World, queue: &str, number: u32, body: &str) {
    let fifo = queue.ends_with(FIFO).then(|| ("g".to_owned(), number.to_string()));
    let (group_id, deduplication_id) = fifo.unzip();
    let message = SendMessage { body: body.to_owned(), group_id, deduplication_id, ..SendMessage::default() };
    world.with(|broker, now| broker.send(now, queue, message)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_work_is_deleted_also_within_a_fifo_group_and_every_receive_is_accounted_for() {
    for name in ["orders", "orders.fifo"] {
        let mut process = SimProcess::new(310);
        process.world.queue(name, 3);
        let endpoint = ScriptedEndpoint::always(200, 1_000);
        for number in 0..20 {
            send(&process.world, name, number, if number % 3 == 0 { TEST_EVENT } else { "work" });
        }
        process.listen(unwrapping(name, true), &endpoint, &limits(4));
        process.until_empty(name, 10 * MINUTE).await;
        assert!(process.stop(MINUTE).await);
        assert!(endpoint.posts().iter().all(|post| !post.body.contains("TestEvent")), "{name}");
        assert_eq!(process.count("messages_no_work_total", ""), 7, "{name}");
        assert_eq!((endpoint.posts().len(), process.count("messages_deleted_total", "")), (13, 20), "{name}");
        assert_eq!(process.count("deliveries_total", ""), 13, "{name}");
        process.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_work_is_posted_like_any_other_message_unless_the_listener_deletes_it() {
    let mut process = SimProcess::new(311);
    process.world.queue("orders", 3);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    process.world.send("orders", TEST_EVENT);
    process.listen(unwrapping("orders", false), &endpoint, &limits(4));
    process.until_empty("orders", MINUTE).await;
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), process.count("messages_no_work_total", "")), (1, 0));
    process.assert_balanced();
}
