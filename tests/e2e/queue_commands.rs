//! `queues`, `peek`, `delete` and `purge`, and what `receive` printed as input of `send`.

use queuepost::localqueue::MessageState;
use serde_json::Value;

use super::process::{Ended, Queuepost};
use super::servers::QueueServer;

async fn ran(args: &[&str]) -> Ended {
    Queuepost::start(args, &[]).ended().await
}

/// The JSON objects among the lines of output.
fn objects(ended: &Ended) -> Vec<Value> {
    let lines = ended.output.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many messages of a queue are not visible.
fn hidden(queues: &QueueServer, queue: &str) -> usize {
    let all = queues.broker.with(|broker, now| broker.inspect(now, queue));
    all.iter().filter(|message| message.state != MessageState::Visible).count()
}

#[tokio::test]
async fn queues_are_listed_with_what_is_in_them() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 3);
    queues.send("orders", "x");
    let server = format!("http://{}", queues.address);
    let listed = ran(&["queues", "--endpoint-url", &server, "--prefix", "ord"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.output);
    let [orders, dead] = &objects(&listed)[..] else { panic!("{}", listed.output) };
    assert_eq!((&orders["name"], &orders["visible"]), (&"orders".into(), &1.into()));
    assert_eq!((&orders["dead_letter_queue"], &orders["max_receives"]), (&"orders-dlq".into(), &3.into()));
    assert!(dead["name"] == "orders-dlq" && dead["dead_letter_queue"].is_null(), "{dead}");
    let none = ran(&["queues", "--endpoint-url", &server, "--prefix", "none"]).await;
    assert_eq!(none.code, Some(0), "{}", none.output);
    assert!(none.output.contains("no such queues"), "{}", none.output);
}

#[tokio::test]
async fn a_peek_prints_letters_once_and_hides_none() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 3);
    for number in 0..25 {
        queues.send("orders-dlq", &number.to_string());
    }
    let looked = ran(&["peek", "--queue", &queues.url("orders-dlq"), "--max", "100"]).await;
    assert_eq!(looked.code, Some(0), "{}", looked.output);
    let bodies: std::collections::BTreeSet<String> =
        objects(&looked).iter().map(|line| line["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!((objects(&looked).len(), bodies.len()), (25, 25));
    assert_eq!((queues.census("orders").2, hidden(&queues, "orders-dlq")), (25, 0));
}

#[tokio::test]
async fn a_peek_that_may_dead_letter_is_asked_for() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 3);
    queues.send("orders", "x");
    let refused = ran(&["peek", "--queue", &queue]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    assert!(refused.output.contains("fix: --yes"), "{}", refused.output);
    assert_eq!(queues.receive_counts("orders"), [0]);
    let looked = ran(&["peek", "--queue", &queue, "--yes"]).await;
    assert_eq!((looked.code, objects(&looked).len()), (Some(0), 1), "{}", looked.output);
    assert_eq!((queues.receive_counts("orders"), queues.census("orders")), (vec![1], (1, 0, 0)));
}

#[tokio::test]
async fn ctrl_c_gives_back_what_a_peek_has_hidden() {
    let queues = QueueServer::start().await;
    queues.queue("orders", 3);
    for number in 0..10 {
        queues.send("orders-dlq", &number.to_string());
    }
    // After ten messages it looks for more.
    let looking = ["peek", "--queue", &queues.url("orders-dlq"), "--max", "11"];
    let mut looking = Queuepost::start(&looking, &[]);
    looking.until_line("\"body\"").await;
    looking.signal("INT");
    let ended = looking.ended().await;
    assert_eq!(ended.code, Some(130), "{}", ended.output);
    assert_eq!((queues.census("orders").2, hidden(&queues, "orders-dlq")), (10, 0));
}

#[tokio::test]
async fn a_message_is_deleted_by_the_handle_that_receive_printed() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 3);
    queues.send("orders", "x");
    let received = objects(&ran(&["receive", "--queue", &queue]).await);
    let handle = received[0]["receipt_handle"].as_str().unwrap();
    let wrong = ran(&["delete", "--queue", &queue, "--receipt-handle", "nonsense"]).await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.output);
    assert!(wrong.output.contains("handle 1 of 1: not deleted"), "{}", wrong.output);
    let deleted = ran(&["delete", "--queue", &queue, "--receipt-handle", handle]).await;
    assert_eq!(deleted.code, Some(0), "{}", deleted.output);
    assert_eq!(queues.census("orders"), (0, 0, 0));
    assert_eq!(ran(&["delete", "--queue", &queue]).await.code, Some(2));
}

#[tokio::test]
async fn a_purge_is_confirmed() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 3);
    queues.send("orders", "x");
    let refused = ran(&["purge", "--queue", &queue]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.output);
    assert_eq!(queues.census("orders"), (1, 0, 0));
    let purged = ran(&["purge", "--queue", &queue, "--yes"]).await;
    assert_eq!(purged.code, Some(0), "{}", purged.output);
    assert!(purged.output.contains("orders has about 1 messages"), "{}", purged.output);
    assert_eq!(queues.census("orders"), (0, 0, 0));
}

#[tokio::test]
async fn what_receive_printed_is_sent_as_the_message_that_it_shows() {
    let queues = QueueServer::start().await;
    let (first, second) = (queues.fifo("first.fifo"), queues.fifo("second.fifo"));
    let with = ["--group-id", "acme", "--deduplication-id", "d-7", "--attribute", "key:Binary=AP8="];
    let sent = ran(&[&["send", "--queue", &first][..], &with, &["hello"]].concat()).await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    let printed = ran(&["receive", "--queue", &first, "--delete"]).await;
    let original = &objects(&printed)[0];
    let line = original.to_string();

    let refused = ran(&["send", "--queue", &second, "--group-id", "g", &line]).await;
    assert_eq!(refused.code, Some(2), "{}", refused.output);
    assert!(refused.output.contains("--from-receive"), "{}", refused.output);

    // Twice, as after a lost answer: SQS drops the second.
    for _ in 0..2 {
        let args = ["send", "--queue", &second, "--from-receive"];
        let sent = Queuepost::with_input(&args, line.as_bytes()).ended().await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
    }
    let again = objects(&ran(&["receive", "--queue", &second, "--delete", "--max", "10"]).await);
    let [again] = again.as_slice() else { panic!("{again:?}") };
    for same in ["body", "attributes", "message_group_id"] {
        assert_eq!(again[same], original[same], "{same}");
    }
    let new = format!("again-{}", original["message_id"].as_str().unwrap());
    assert_eq!(again["message_deduplication_id"], new.as_str());
}

#[tokio::test]
async fn a_line_of_receive_is_sent_as_it_is_when_that_is_asked_for() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 3);
    queues.send("orders", "x");
    let printed = ran(&["receive", "--queue", &queue, "--delete"]).await;
    let line = printed.output.lines().find(|line| line.starts_with('{')).unwrap().to_owned();
    assert_eq!(ran(&["send", "--queue", &queue, &line]).await.code, Some(2));
    assert_eq!(queues.census("orders"), (0, 0, 0));
    let sent = ran(&["send", "--queue", &queue, "--as-is", &line]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    assert_eq!(objects(&ran(&["receive", "--queue", &queue]).await)[0]["body"], line.as_str());
}
