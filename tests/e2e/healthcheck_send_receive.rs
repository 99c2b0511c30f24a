//! The commands beside `run`: `healthcheck`, `send` and `receive`.

use std::time::Duration;

use queuepost::localqueue::{BrokerError, FaultPlan, FaultRates, Operation};
use serde_json::{Value, json};

use super::process::{Ended, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

async fn ran(args: &[&str], env: &[(&str, &str)]) -> Ended {
    Queuepost::start(args, env).ended().await
}

/// An address without a listener.
fn nobody() -> String {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bound.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_healthcheck_asks_the_running_process() {
    let queues = QueueServer::start().await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queues.url("later"), &endpoint.url, &[]).await;
    bridge.until_line("faulted").await;
    let address = bridge.admin_address().to_owned();
    let port = address.rsplit(':').next().unwrap();
    let any = format!("0.0.0.0:{port}");

    let alive = ran(&["healthcheck", "--admin-address", &address], &[]).await;
    assert_eq!((alive.code, alive.output.as_str()), (Some(0), ""));
    let alive = ran(&["healthcheck"], &[("QUEUEPOST_ADMIN_LISTEN", &any)]).await;
    assert_eq!((alive.code, alive.output.as_str()), (Some(0), ""));
    let unready = ran(&["healthcheck", "--ready", "--admin-address", &address], &[]).await;
    assert_eq!(unready.code, Some(1), "{}", unready.output);
    assert!(unready.output.contains("[-]listener/later failed"), "{}", unready.output);
    assert!(unready.output.contains("answered 503"), "{}", unready.output);

    queues.queue("later", 10);
    queues.send("later", "x");
    queues.until_empty("later").await;
    let ready = ran(&["healthcheck", "--ready", "--admin-address", &address], &[]).await;
    assert_eq!((ready.code, ready.output.as_str()), (Some(0), ""));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_healthcheck_of_nothing_fails_and_says_why() {
    let gone = ran(&["healthcheck", "--admin-address", &nobody()], &[]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.output.contains("refused"), "{}", gone.output);

    // A socket that accepts connections and sends nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let silence = ran(&["healthcheck"], &[("QUEUEPOST_ADMIN_LISTEN", &address)]).await;
    assert_eq!(silence.code, Some(1));
    assert!(silence.output.contains("no answer within 2 s"), "{}", silence.output);

    let wrong = ran(&["healthcheck", "--admin-address", "nonsense"], &[]).await;
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.output.contains("--admin-address"), "{}", wrong.output);
}

/// The JSON objects among the lines of output.
fn objects(ended: &Ended) -> Vec<Value> {
    let lines = ended.output.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn received(queue: &str, more: &[&str]) -> Vec<Value> {
    let ended = ran(&[&["receive", "--queue", queue, "--wait", "0s"], more].concat(), &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    objects(&ended)
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_sent_is_received_with_everything_it_had() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let body = "first\nsecond \"quoted\" \u{1f600}";
    let attributes = ["tenant=acme=1", "size:Number.int=5", "key:Binary=AP8="];
    let mut args = vec!["send", "--queue", &queue, body];
    args.extend(attributes.iter().flat_map(|attribute| ["--attribute", attribute]));
    let sent = ran(&args, &[]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);

    let messages = received(&queue, &["--visibility", "0s"]).await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message["message_id"], sent.output.trim());
    assert_eq!(message["body"], body);
    assert_eq!(message["receive_count"], 1);
    assert_eq!(message["queue_url"], queue);
    let expected = json!({
        "key": {"data_type": "Binary", "value": "AP8="},
        "size": {"data_type": "Number.int", "value": "5"},
        "tenant": {"data_type": "String", "value": "acme=1"},
    });
    assert_eq!(message["attributes"], expected);
    for time in ["sent_at", "first_received_at"] {
        let text = message[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{time}: {text}");
    }
    for absent in ["message_group_id", "message_deduplication_id", "sequence_number", "aws_trace_header"] {
        assert!(message[absent].is_null(), "{absent}: {message}");
    }

    // With visibility 0 the message stayed; now it is deleted.
    let again = received(&queue, &["--delete"]).await;
    assert_eq!(again[0]["receive_count"], 2);
    assert_eq!(queues.census("orders"), (0, 0, 0));
    assert!(received(&queue, &["--max", "3"]).await.is_empty());
}

#[tokio::test]
async fn a_look_does_not_use_up_the_receives_of_what_is_back_already() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 3);
    queues.send("orders", "a");
    queues.send("orders", "b");
    let messages = received(&queue, &["--max", "100", "--visibility", "0s"]).await;
    assert_eq!(bodies(&messages), ["a", "b"]);
    let args = ["receive", "--queue", &queue, "--max", "100", "--visibility", "1s", "--wait", "5s"];
    let messages = objects(&ran(&args, &[]).await);
    assert_eq!(bodies(&messages), ["a", "b"]);
    let (visible, in_flight, dead) = queues.census("orders");
    assert_eq!((visible + in_flight, dead), (2, 0));
}

#[tokio::test]
async fn lines_become_messages_and_come_off_again_in_batches() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let lines: Vec<String> = (0..25).map(|number| format!("line {number} \u{1f600}")).collect();
    for args in [vec!["send", "--queue", &queue], vec!["send", "--queue", &queue, "-"]] {
        let sent = Queuepost::with_input(&args, lines.join("\n").as_bytes()).ended().await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
        // Ids and nothing else: no progress line without a terminal.
        assert_eq!(sent.output.lines().count(), 25, "{}", sent.output);
        let messages = received(&queue, &["--max", "1000", "--delete"]).await;
        let (mut found, mut expected) =
            (bodies(&messages), lines.iter().map(String::as_str).collect::<Vec<_>>());
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(queues.census("orders"), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_sent_is_named_and_the_others_go() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let sent =
        Queuepost::with_input(&["send", "--queue", &queue], b"a\n\n\xff\nbell \x07\nb\n").ended().await;
    assert_eq!(sent.code, Some(1), "{}", sent.output);
    assert!(sent.output.contains("line 3: not UTF-8"), "{}", sent.output);
    assert!(sent.output.contains("line 4: "), "{}", sent.output);
    let messages = received(&queue, &["--max", "10"]).await;
    assert_eq!(bodies(&messages), ["a", "b"]);

    let nowhere = Queuepost::with_input(&["send", "--queue", &queues.url("none")], b"a\nb\n").ended().await;
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.output.contains("the queue does not exist"), "{}", nowhere.output);
}

#[tokio::test]
async fn lines_that_sqs_would_take_later_are_sent_again() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let refuse = vec![(0.1, BrokerError::RequestThrottled)];
    let rates = FaultRates { refuse, failed_entry: 0.1, ..FaultRates::default() };
    let rates = Operation::ALL.into_iter().map(|operation| (operation, rates.clone())).collect();
    queues.faults.start(FaultPlan { seed: 11, rates });
    let lines: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let args = ["send", "--queue", &queue];
    let sent = Queuepost::with_input(&args, lines.join("\n").as_bytes()).ended().await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    assert!(queues.faults.injected() > 5, "only {} faults", queues.faults.injected());
    assert_eq!(sent.output.lines().count(), 200);
    assert_eq!(queues.census("orders"), (200, 0, 0));
}

#[tokio::test]
async fn a_single_message_is_sent_again_while_that_may_help() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let refusing = |rate, error| {
        let rates = FaultRates { refuse: vec![(rate, error)], ..FaultRates::default() };
        FaultPlan { seed: 2, rates: [(Operation::SendMessage, rates)].into() }
    };
    for error in [BrokerError::RequestThrottled, BrokerError::ServiceUnavailable] {
        queues.faults.start(refusing(0.5, error));
        let sent = ran(&["send", "--queue", &queue, "x"], &[]).await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
        assert!(queues.faults.injected() > 0, "nothing went wrong");
    }
    assert_eq!(queues.census("orders"), (2, 0, 0));

    for (error, sends) in [(BrokerError::RequestThrottled, 5), (BrokerError::QueueDoesNotExist, 1)] {
        queues.faults.start(refusing(1.0, error));
        let sent = ran(&["send", "--queue", &queue, "x"], &[]).await;
        assert_eq!(sent.code, Some(1), "{}", sent.output);
        assert_eq!(queues.faults.injected(), sends);
    }
    assert_eq!(queues.census("orders"), (2, 0, 0));
}

#[tokio::test]
async fn a_file_is_one_message_and_a_delay_hides_it() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("send-body.txt");
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let path = path.to_str().unwrap();
    let env = [("QUEUEPOST_QUEUE", queue.as_str())];
    assert_eq!(ran(&["send", "--file", path], &env).await.code, Some(0));
    assert_eq!(ran(&["send", "--delay", "10m", "later"], &env).await.code, Some(0));
    let messages = received(&queue, &["--max", "10"]).await;
    assert_eq!(bodies(&messages), ["one\ntwo\n"]);

    let missing = ran(&["send", "--file", "/does/not/exist"], &env).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.output.contains("/does/not/exist"), "{}", missing.output);
}

#[tokio::test]
async fn a_fifo_queue_keeps_order_and_drops_repetitions() {
    let queues = QueueServer::start().await;
    let queue = queues.fifo("orders.fifo");
    let once = ["send", "--queue", &queue, "--group-id", "g", "--deduplication-id", "d", "first"];
    for _ in 0..2 {
        assert_eq!(ran(&once, &[]).await.code, Some(0));
    }
    let lines: Vec<String> = (0..12).map(|number| format!("line {number}")).collect();
    let args = ["send", "--queue", &queue, "--group-id", "g", "--deduplication-id", "import-"];
    for _ in 0..2 {
        let sent = Queuepost::with_input(&args, lines.join("\n").as_bytes()).ended().await;
        assert_eq!(sent.code, Some(0), "{}", sent.output);
    }

    // The same attempt id returns the same messages.
    let look = ["--max", "10", "--request-attempt-id", "a1", "--visibility", "60s"];
    let (seen, again) = (received(&queue, &look).await, received(&queue, &look).await);
    assert_eq!(bodies(&seen), bodies(&again));
    assert_eq!(seen[0]["body"], "first");
    assert_eq!(seen[0]["message_group_id"], "g");
    assert_eq!(seen[0]["message_deduplication_id"], "d");
    assert_eq!(seen[1]["message_deduplication_id"], "import-1");
    assert_eq!(seen[0]["sequence_number"].as_str().map(str::len), Some(20));

    let two = ran(&["receive", "--queue", &queue, "--request-attempt-id", "a", "--max", "11"], &[]).await;
    assert_eq!(two.code, Some(2), "{}", two.output);
}

#[tokio::test]
async fn a_fifo_queue_is_emptied_in_order() {
    let queues = QueueServer::start().await;
    let queue = queues.fifo("orders.fifo");
    let lines: Vec<String> = (0..25).map(|number| format!("line {number}")).collect();
    let args = ["send", "--queue", &queue, "--group-id", "g", "--deduplication-id", "i"];
    let sent = Queuepost::with_input(&args, lines.join("\n").as_bytes()).ended().await;
    assert_eq!(sent.code, Some(0), "{}", sent.output);
    let messages = received(&queue, &["--max", "100", "--delete"]).await;
    assert_eq!(bodies(&messages), lines);
}

#[tokio::test]
async fn a_receive_waits_and_ends_with_ctrl_c() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let mut waiting = Queuepost::start(&["receive", "--queue", &queue, "--wait", "20s", "--max", "2"], &[]);
    queues.send("orders", "x");
    waiting.until_line("\"body\":\"x\"").await;
    waiting.signal("INT");
    assert_eq!(waiting.ended().await.code, Some(130));

    let nothing = ran(&["receive", "--queue", &queues.url("none")], &[]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.output.contains("the queue does not exist"), "{}", nothing.output);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_before_any_call() {
    let cases: &[&[&str]] = &[
        &["send", "--attribute", "nothing", "x"],
        &["send", "--attribute", "a=1", "--attribute", "a=2", "x"],
        &["send", "--delay", "16m", "x"],
        &["send", "--file", "a", "x"],
        &["receive", "--wait", "21s"],
        &["receive", "--max", "0"],
        &["receive", "--visibility", "13h"],
    ];
    for args in cases {
        let ended = ran(args, &[("QUEUEPOST_QUEUE", "http://127.0.0.1:1/0/orders")]).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.output);
    }
}

#[tokio::test]
async fn a_mistyped_option_is_refused_with_its_rule_before_any_call() {
    let file = std::env::temp_dir().join(format!("queuepost-{}-empty-body", std::process::id()));
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (args, words) in [
        (vec!["send", "--queue", "q", ""], "the body is empty, and SQS takes no message without one"),
        (
            vec!["send", "--queue", "q", "--file", file],
            "the body is empty, and SQS takes no message without one",
        ),
        (vec!["receive", "--queue", "q", "--max", "0"], "write a whole number, 1 or more"),
        (vec!["rnu"], "'run'"),
    ] {
        let ended = Queuepost::start(&args, &[]).ended().await;
        assert_eq!(ended.code, Some(2), "{args:?}\n{}", ended.output);
        assert!(ended.output.contains(words) && !ended.output.contains("FIFO"), "{}", ended.output);
    }
    std::fs::remove_file(file).unwrap();
}
