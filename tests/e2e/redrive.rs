//! `queuepost redrive`: letters go back, none is lost, and none stays hidden.

use std::collections::BTreeMap;
use std::time::Duration;

use queuepost::hands::Report;
use queuepost::hands::redrive::{End, Job, Order};
use queuepost::localqueue::{BrokerError, FaultPlan, FaultRates, MessageState, Operation, SendMessage};
use queuepost::ports::{Queue as _, QueueError};
use queuepost::sqs::{Clients, QueueRef, Settings};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::process::{Ended, Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

async fn ran(args: &[&str]) -> Ended {
    Queuepost::start(args, &[]).ended().await
}

/// Runs the command and expects this exit code; its output.
async fn redrive(dlq: &str, more: &[&str], code: i32) -> String {
    let ended = ran(&[&["redrive", "--queue", dlq], more].concat()).await;
    assert_eq!(ended.code, Some(code), "{}", ended.output);
    ended.output
}

/// The messages of a queue as `receive --delete` prints them, by body.
async fn taken(queue: &str) -> BTreeMap<String, Value> {
    let ended = ran(&["receive", "--queue", queue, "--wait", "0s", "--max", "1000", "--delete"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let lines = ended.output.lines().filter(|line| line.starts_with('{'));
    let messages = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages.map(|message| (message["body"].as_str().unwrap().to_owned(), message)).collect()
}

/// SQS dead-letters what is in the queue, which allows one receive.
async fn dead_letter(queues: &QueueServer, name: &str, letters: usize) {
    for _ in 0..2 {
        let queue = queues.url(name);
        let look = ["receive", "--queue", &queue, "--visibility", "0s", "--wait", "0s", "--max", "1000"];
        for _ in 0..letters.div_ceil(10) {
            ran(&look).await;
        }
    }
    assert_eq!(queues.census(name), (0, 0, letters));
}

/// Ids of the messages of a queue.
fn ids(queues: &QueueServer, queue: &str) -> Vec<String> {
    let all = queues.broker.with(|broker, now| broker.inspect(now, queue));
    all.into_iter().map(|message| message.message_id).collect()
}

/// How many messages of a queue are not visible.
fn hidden(queues: &QueueServer, queue: &str) -> usize {
    let all = queues.broker.with(|broker, now| broker.inspect(now, queue));
    all.iter().filter(|message| message.state != MessageState::Visible).count()
}

/// A copy as queuepost sends it to a dead-letter queue.
fn send_copy(queues: &QueueServer, dlq: &str, source: &str, body: &str) {
    let more = [
        ("queuepost.reason", "rejected"),
        ("queuepost.source-queue", source),
        ("queuepost.source-message-id", "gone"),
        ("tenant", "acme"),
    ];
    queues.send_with(dlq, body, &more);
}

#[tokio::test]
async fn what_sqs_dead_lettered_goes_back_by_a_task_with_everything_it_had() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 1);
    let sent = ran(&["send", "--queue", &queue, "--attribute", "key:Binary=AP8=", "x"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    dead_letter(&queues, "orders", 1).await;
    let output = redrive(&queues.url("orders-dlq"), &[], 0).await;
    assert!(output.contains("moved 1 of about 1") && !output.contains("by hand"), "{output}");
    let back = taken(&queue).await;
    assert_eq!(back["x"]["attributes"]["key"]["value"], "AP8=");
    assert_eq!(back["x"]["receive_count"], 1);
    assert_eq!(queues.census("orders"), (0, 0, 0));
}

#[tokio::test]
async fn a_dry_run_receives_and_moves_nothing() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    queues.send("orders-dlq", "x");
    let dlq = queues.url("orders-dlq");
    for more in [&["--dry-run"][..], &["--dry-run", "--by-hand"], &["--dry-run", "--id", "m"]] {
        let output = redrive(&dlq, more, 0).await;
        assert!(output.contains("would move") && output.contains("orders"), "{output}");
    }
    assert_eq!((queues.receive_counts("orders-dlq"), queues.census("orders")), (vec![0], (0, 0, 1)));
}

#[tokio::test]
async fn chosen_messages_go_back_and_the_others_stay_visible() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for body in ["a", "b", "c"] {
        queues.send("orders-dlq", body);
    }
    let all = ids(&queues, "orders-dlq");
    let dlq = queues.url("orders-dlq");
    let output = redrive(&dlq, &["--id", &all[1]], 0).await;
    assert!(output.contains(&format!(" {}", all[1])), "{output}");
    assert_eq!((queues.census("orders"), hidden(&queues, "orders-dlq")), ((1, 0, 2), 0));
    assert!(taken(&queue).await.contains_key("b"));

    let output = redrive(&dlq, &["--id", "nobody"], 1).await;
    assert!(output.contains("not found: nobody"), "{output}");
    assert!(output.contains("about 2 messages remain in orders-dlq"), "{output}");
    assert_eq!(hidden(&queues, "orders-dlq"), 0);
}

#[tokio::test]
async fn copies_of_queuepost_lose_what_it_added_and_go_home() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..25 {
        send_copy(&queues, "orders-dlq", "orders", &number.to_string());
    }
    let output = redrive(&queues.url("orders-dlq"), &[], 0).await;
    assert!(output.contains("by hand") && output.contains("moved 25 messages"), "{output}");
    assert_eq!(queues.census("orders"), (25, 0, 0));
    for message in taken(&queue).await.values() {
        let names: Vec<&String> = message["attributes"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["tenant"]);
    }
}

#[tokio::test]
async fn of_a_dead_letter_queue_that_queues_share_each_message_goes_where_it_came_from() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq","maxReceiveCount":1}"#;
    let attributes = [("RedrivePolicy".to_owned(), policy.to_owned())].into();
    queues.broker.with(|broker, now| broker.create_queue(now, "refunds", &attributes)).unwrap();
    for number in 0..6 {
        let source = if number % 2 == 0 { "orders" } else { "refunds" };
        send_copy(&queues, "orders-dlq", source, &format!("{source} {number}"));
    }
    redrive(&queues.url("orders-dlq"), &[], 0).await;
    for (name, count) in [("orders", 3), ("refunds", 3)] {
        let back = taken(&queues.url(name)).await;
        assert!(back.len() == count && back.keys().all(|body| body.starts_with(name)), "{name}: {back:?}");
    }
}

#[tokio::test]
async fn a_message_that_says_where_it_came_from_does_not_go_to_the_only_source_instead() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    queues.queue("refunds", 10);
    send_copy(&queues, "orders-dlq", "refunds", "x");
    queues.send("orders-dlq", "does not say");
    // Whoever sends messages can write such a name; refunds has a dead-letter queue of its own.
    let output = redrive(&queues.url("orders-dlq"), &[], 1).await;
    assert!(output.contains("it says that it came from refunds"), "{output}");
    assert_eq!((queues.census("orders"), queues.census("refunds")), ((1, 0, 1), (0, 0, 0)));

    send_copy(&queues, "orders-dlq", "refunds", "y");
    redrive(&queues.url("orders-dlq"), &["--to", &queues.url("orders")], 0).await;
    assert_eq!((queues.census("orders"), queues.census("refunds")), ((3, 0, 0), (0, 0, 0)));
}

#[tokio::test]
async fn groups_keep_their_order_and_letters_with_one_deduplication_id_all_arrive() {
    let queues = QueueServer::start().await;
    let dlq = queues.fifo("orders-dlq.fifo");
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:orders-dlq.fifo","maxReceiveCount":9}"#;
    let attributes = [("FifoQueue", "true"), ("RedrivePolicy", policy)];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    queues.broker.with(|broker, now| broker.create_queue(now, "orders.fifo", &attributes)).unwrap();
    let queue = queues.url("orders.fifo");
    for number in 0..24 {
        let attribute = |value: &str| queuepost::localqueue::AttributeValue {
            data_type: "String".to_owned(),
            value: queuepost::localqueue::AttributeData::Text(value.to_owned()),
        };
        let attributes = [("reason", "rejected"), ("source-deduplication-id", "the same")];
        let message = SendMessage {
            body: format!("{number:02}"),
            attributes: attributes
                .into_iter()
                .map(|(name, value)| (format!("queuepost.{name}"), attribute(value)))
                .collect(),
            group_id: Some(format!("g{}", number % 2)),
            deduplication_id: Some(number.to_string()),
            ..SendMessage::default()
        };
        queues.broker.with(|broker, now| broker.send(now, "orders-dlq.fifo", message)).unwrap();
    }
    let output = redrive(&dlq, &[], 0).await;
    assert!(output.contains("moved 24 messages"), "{output}");
    let all = queues.broker.with(|broker, now| broker.inspect(now, "orders.fifo"));
    for parity in [0, 1] {
        let of_group = |body: &String| body.parse::<u32>().unwrap() % 2 == parity;
        let bodies: Vec<String> = all.iter().map(|message| message.body.clone()).filter(of_group).collect();
        assert!(bodies.len() == 12 && bodies.is_sorted(), "{bodies:?}");
    }
    assert_eq!(taken(&queue).await.values().next().unwrap()["message_group_id"], "g0");
}

#[tokio::test]
async fn ctrl_c_by_hand_loses_and_hides_nothing() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    for number in 0..30 {
        queues.send("orders-dlq", &number.to_string());
    }
    let dlq = queues.url("orders-dlq");
    let mut moving = Queuepost::start(&["redrive", "--queue", &dlq, "--by-hand", "--rate", "2"], &[]);
    let two = until(|| (queues.census("orders").0 >= 2).then_some(())).await;
    assert!(two.is_some(), "{}", moving.output());
    moving.signal("INT");
    let ended = moving.ended().await;
    assert_eq!(ended.code, Some(130), "{}", ended.output);
    let (back, in_flight, left) = queues.census("orders");
    assert!(back + left == 30 && in_flight == 0 && left > 20, "{back} {in_flight} {left}");
    assert_eq!(hidden(&queues, "orders-dlq"), 0);
    assert!(ended.output.contains(&format!("about {left} messages remain")), "{}", ended.output);
}

#[tokio::test]
async fn ctrl_c_cancels_a_task_and_a_cancel_finds_nothing_more() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 1);
    for number in 0..20 {
        queues.send("orders", &number.to_string());
    }
    dead_letter(&queues, "orders", 20).await;
    let dlq = queues.url("orders-dlq");
    let mut moving = Queuepost::start(&["redrive", "--queue", &dlq, "--rate", "1"], &[]);
    let one = until(|| (queues.census("orders").0 >= 1).then_some(())).await;
    assert!(one.is_some(), "{}", moving.output());
    moving.signal("INT");
    let ended = moving.ended().await;
    assert_eq!(ended.code, Some(130), "{}", ended.output);
    assert!(ended.output.contains("cancelled; "), "{}", ended.output);
    let (back, in_flight, left) = queues.census("orders");
    assert!(back + left == 20 && in_flight == 0 && left > 0, "{back} {in_flight} {left}");
    assert!(redrive(&dlq, &["--cancel"], 1).await.contains("no move task runs"));
}

fn refusing(operation: Operation, rate: f64, error: BrokerError) -> FaultPlan {
    let rates = FaultRates { refuse: vec![(rate, error)], ..FaultRates::default() };
    FaultPlan { seed: 5, rates: [(operation, rates)].into() }
}

#[tokio::test]
async fn a_server_without_tasks_has_them_moved_by_hand() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 1);
    queues.send("orders", "x");
    dead_letter(&queues, "orders", 1).await;
    let error = BrokerError::UnsupportedOperation("no tasks".to_owned());
    queues.faults.start(refusing(Operation::ListMessageMoveTasks, 1.0, error));
    let output = redrive(&queues.url("orders-dlq"), &[], 0).await;
    assert!(output.contains("by hand: this server has no move tasks"), "{output}");
    assert!(taken(&queue).await.contains_key("x"));
}

#[tokio::test]
async fn entries_that_sqs_refuses_are_sent_again_and_all_arrive() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    for number in 0..60 {
        queues.send("orders-dlq", &number.to_string());
    }
    let rates = FaultRates { failed_entry: 0.2, ..FaultRates::default() };
    queues.faults.start(FaultPlan { seed: 7, rates: [(Operation::SendMessageBatch, rates)].into() });
    let output = redrive(&queues.url("orders-dlq"), &["--by-hand"], 0).await;
    assert!(queues.faults.injected() > 3, "only {} faults", queues.faults.injected());
    assert!(output.contains("moved 60 messages"), "{output}");
    assert_eq!(queues.census("orders"), (60, 0, 0));
}

#[tokio::test]
async fn where_deletes_are_refused_one_message_is_in_both_queues_and_not_all() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    for number in 0..12 {
        queues.send("orders-dlq", &number.to_string());
    }
    let error = BrokerError::QueueDoesNotExist;
    queues.faults.start(refusing(Operation::DeleteMessageBatch, 1.0, error));
    let output = redrive(&queues.url("orders-dlq"), &["--by-hand"], 1).await;
    assert!(output.contains("it is in both queues"), "{output}");
    assert_eq!((queues.census("orders"), hidden(&queues, "orders-dlq")), ((1, 0, 12), 0));
}

#[tokio::test]
async fn a_queue_that_cannot_be_received_from_is_said_and_its_letters_are_not_called_missing() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 10);
    queues.send("orders-dlq", "x");
    let id = ids(&queues, "orders-dlq").remove(0);
    let error = BrokerError::QueueDoesNotExist;
    queues.faults.start(refusing(Operation::ReceiveMessage, 1.0, error));
    let output = redrive(&queues.url("orders-dlq"), &["--id", &id], 1).await;
    assert!(!output.contains("not found: ") && output.contains("does not exist"), "{output}");
}

#[tokio::test]
async fn what_fails_again_meanwhile_is_not_moved_again_and_again() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..15 {
        queues.send("orders-dlq", &number.to_string());
    }
    let endpoint = HttpEndpoint::start(422, Duration::ZERO).await;
    let config = format!(
        "listeners:\n  - {{name: orders, queue: '{queue}', url: '{}', timeout: 10s, \
         on_response: [{{status: 422, action: dead_letter}}]}}\n\
         admin: {{listen: 127.0.0.1:0}}\nlog: {{format: json}}\n",
        endpoint.url
    );
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("redrive-again-{}.yaml", std::process::id()));
    std::fs::write(&file, config).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", file.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    let output = redrive(&queues.url("orders-dlq"), &["--by-hand", "--rate", "20"], 0).await;
    assert!(output.contains("moved 15 messages"), "{output}");
    queues.until_empty("orders").await;
    assert_eq!(endpoint.seen.count(), 15);
    assert_eq!(bridge.stop().await.code, Some(0));
}

/// Nobody is told.
struct Silent;

impl Report for Silent {
    fn say(&mut self, _: &str) {}
    fn fail(&mut self, _: &QueueError) {}
    fn begin(&mut self, _: bool, _: u64) {}
    fn count(&mut self, _: u64, _: u64) {}
    fn moved(&mut self, _: &str, _: &str) {}
}

#[tokio::test]
async fn a_redrive_that_is_to_stop_before_it_began_starts_no_task() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 1);
    queues.send("orders", "x");
    dead_letter(&queues, "orders", 1).await;
    let queue = QueueRef::Url(queues.url("orders-dlq").parse().unwrap());
    let settings = Settings { queue, region: None, profile: None, role: None, address: None };
    let letters = Clients::default().queue(&settings).await;
    let job = Job::prepare(&letters, Order::default(), None, &mut Silent).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(job.run(&mut Silent, &stop).await.unwrap(), End::Stopped);
    let arn = letters.inspect().await.unwrap().arn.expect("an ARN");
    assert_eq!(letters.latest_move(&arn).await.unwrap(), None);
    assert_eq!(queues.census("orders"), (0, 0, 1));
}
