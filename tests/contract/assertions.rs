//! The assertions of the contract: the behaviour of SQS that the bridge relies on, documented or recorded.
//!
//! Every function is one assertion, made through the adapter against the given server. It uses queues of its
//! own and nothing else. It measures time only where nothing else shows the behaviour: a long poll must wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName as Name;
use bytes::Bytes;
use queuepost::message::{Attribute, AttributeValue, ReceiptHandle};
use queuepost::ports::{
    DeadLetterReason, EntryError, EntryErrorKind, Queue as _, QueueErrorKind, Receive, VisibilityChange,
};
use queuepost::sqs::{Outgoing, QueueRef, SqsQueue};
use tokio::time::{Instant, timeout};

use super::fixture::{Fixture, LONG, bodies, collect, delete, depth, hide, one, receive, until_depth};

/// Longest message (AWS limit since 2025).
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
/// Tolerance for the clocks of two processes on one machine, with a server that rounds.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

fn text(name: &str, data_type: &str, value: &str) -> Attribute {
    let value = AttributeValue::Text(value.to_owned());
    Attribute { name: name.to_owned(), data_type: data_type.to_owned(), value }
}

fn in_group(body: &str, group: &str) -> Outgoing {
    let id = Some(format!("{group}-{body}"));
    let group_id = Some(group.to_owned());
    Outgoing { body: body.to_owned(), group_id, deduplication_id: id, ..Outgoing::default() }
}

pub async fn an_empty_queue_answers_nothing(fixture: Arc<Fixture>) {
    let queue = fixture.queue("empty").await;
    assert!(receive(&queue, 10, 0, LONG).await.is_empty());
}

pub async fn an_idle_long_poll_holds_its_time(fixture: Arc<Fixture>) {
    let queue = fixture.queue("idle").await;
    let start = Instant::now();
    assert!(receive(&queue, 1, 2, LONG).await.is_empty());
    let held = start.elapsed();
    assert!(held >= Duration::from_millis(1_900), "held for {held:?}");
}

pub async fn a_long_poll_answers_when_a_message_arrives(fixture: Arc<Fixture>) {
    let queue = fixture.queue("arrival").await;
    let mut poll = Box::pin(receive(&queue, 10, 20, LONG));
    let early = timeout(Duration::from_millis(500), &mut poll).await;
    assert!(early.is_err(), "answered before there was a message");
    queue.send("x").await.unwrap();
    let answer = timeout(Duration::from_secs(10), poll).await.expect("the poll slept on");
    assert_eq!(bodies(&answer), ["x"]);
}

pub async fn a_long_poll_answers_when_a_delay_ends(fixture: Arc<Fixture>) {
    let queue = fixture.queue("delay").await;
    let delay = Some(Duration::from_secs(2));
    queue.send(Outgoing { body: "x".to_owned(), delay, ..Outgoing::default() }).await.unwrap();
    assert_eq!(queue.inspect().await.unwrap().depth, depth(0, 0, 1));
    let start = Instant::now();
    assert_eq!(bodies(&receive(&queue, 10, 20, LONG).await), ["x"]);
    assert!(start.elapsed() < Duration::from_secs(10), "the poll slept on");
}

pub async fn a_message_tells_its_count_and_its_times(fixture: Arc<Fixture>) {
    let queue = fixture.queue("times").await;
    let before = SystemTime::now() - CLOCK_SLACK;
    let id = queue.send("x").await.unwrap();
    let first = one(&queue, 1).await;
    let after = SystemTime::now() + CLOCK_SLACK;
    assert_eq!((&first.id, first.receive_count.get()), (&id, 1));
    let (sent, received) = (first.sent_at.unwrap(), first.first_received_at.unwrap());
    assert!(before <= sent && sent <= received && received <= after, "{sent:?} {received:?}");

    let second = one(&queue, LONG).await;
    assert_eq!((&second.id, second.receive_count.get()), (&id, 2));
    assert_eq!((second.sent_at, second.first_received_at), (Some(sent), Some(received)));
}

pub async fn attributes_arrive_as_they_were_sent(fixture: Arc<Fixture>) {
    let queue = fixture.queue("attributes").await;
    let bytes = Attribute {
        name: "bytes".to_owned(),
        data_type: "Binary".to_owned(),
        value: AttributeValue::Binary(Bytes::from_static(&[0, 1, 13, 10, 127, 128, 255])),
    };
    // Sorted by name, as the adapter returns them.
    let attributes = vec![
        bytes,
        text("emoji", "String", "🦀 naïve \"quoted\" \\ <&>"),
        text("lines", "String", "one\ntwo\r\n\tthree"),
        text("number", "Number", "12.5"),
        text("number.kind", "Number.int", "-7"),
        text("string.kind", "String.json", "{\"a\":[1,2]}"),
    ];
    let outgoing = Outgoing { body: "x".to_owned(), attributes: attributes.clone(), ..Outgoing::default() };
    queue.send(outgoing).await.unwrap();
    assert_eq!(one(&queue, LONG).await.attributes, attributes);
}

pub async fn a_trace_header_and_a_tenant_arrive(fixture: Arc<Fixture>) {
    let queue = fixture.queue("headers").await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    queue
        .send(Outgoing {
            body: "x".to_owned(),
            group_id: Some("tenant".to_owned()),
            trace_header: Some(trace.to_owned()),
            ..Outgoing::default()
        })
        .await
        .unwrap();
    let message = one(&queue, LONG).await;
    assert_eq!(message.trace_header.as_deref(), Some(trace));
    assert_eq!(message.group_id.as_deref(), Some("tenant"));
}

pub async fn a_body_arrives_byte_for_byte(fixture: Arc<Fixture>) {
    let queue = fixture.queue("body").await;
    let body = "{\"text\":\"🦀 naïve\",\n\t\"path\": \"C:\\\\x\", \"html\": \"<b>&amp;</b>\"}\r\n ";
    queue.send(body).await.unwrap();
    assert_eq!(bodies(&[one(&queue, LONG).await]), [body]);
}

pub async fn a_body_of_one_mebibyte_passes(fixture: Arc<Fixture>) {
    let queue = fixture.queue("mebibyte").await;
    let body: String = ('a'..='z').cycle().take(MESSAGE_MAX_BYTES).collect();
    queue.send(&body).await.unwrap();
    let message = one(&queue, LONG).await;
    assert!(message.body == body, "{} bytes came back", message.body.len());
}

pub async fn ten_are_deleted_in_one_call(fixture: Arc<Fixture>) {
    let queue = fixture.queue("ten").await;
    for number in 0..10 {
        queue.send(&number).await.unwrap();
    }
    let messages = collect(&queue, 10, LONG).await;
    let handles: Vec<ReceiptHandle> = messages.into_iter().map(|message| message.receipt).collect();
    assert_eq!(queue.delete(&handles).await.unwrap(), vec![Ok(()); 10]);
    until_depth(&queue, depth(0, 0, 0)).await;
}

pub async fn deleting_twice_is_fine(fixture: Arc<Fixture>) {
    let queue = fixture.queue("twice").await;
    queue.send("x").await.unwrap();
    let message = one(&queue, LONG).await;
    delete(&queue, &message.receipt).await;
    delete(&queue, &message.receipt).await;
}

pub async fn a_delete_with_a_bad_handle_fails_alone(fixture: Arc<Fixture>) {
    let queue = fixture.queue("bad-delete").await;
    queue.send("x").await.unwrap();
    let handles = [one(&queue, LONG).await.receipt, ReceiptHandle::new("not-a-handle")];
    let results = queue.delete(&handles).await.unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
    assert_eq!(kinds, [Ok(()), Err(EntryErrorKind::LeaseLost)]);
    until_depth(&queue, depth(0, 0, 0)).await;
}

pub async fn a_delete_after_visibility_ended_still_deletes(fixture: Arc<Fixture>) {
    let queue = fixture.queue("late-delete").await;
    queue.send("x").await.unwrap();
    let message = one(&queue, 1).await;
    until_depth(&queue, depth(1, 0, 0)).await;
    delete(&queue, &message.receipt).await;
    until_depth(&queue, depth(0, 0, 0)).await;
}

pub async fn a_change_of_visibility_hides(fixture: Arc<Fixture>) {
    let queue = fixture.queue("hides").await;
    queue.send("x").await.unwrap();
    let message = one(&queue, 2).await;
    hide(&queue, &message.receipt, LONG).await;
    assert!(receive(&queue, 10, 3, LONG).await.is_empty(), "it came back after its first visibility");
}

pub async fn visibility_zero_frees_at_once(fixture: Arc<Fixture>) {
    let queue = fixture.queue("frees").await;
    queue.send("x").await.unwrap();
    let message = one(&queue, LONG).await;
    let poll = async {
        let start = Instant::now();
        (receive(&queue, 10, 20, LONG).await, start.elapsed())
    };
    let ((again, waited), ()) = tokio::join!(poll, hide(&queue, &message.receipt, 0));
    assert_eq!((bodies(&again), again[0].receive_count.get()), (vec!["x"], 2));
    assert!(waited < Duration::from_secs(10), "the poll slept on for {waited:?}");
}

pub async fn a_change_with_a_bad_handle_fails_alone(fixture: Arc<Fixture>) {
    let queue = fixture.queue("bad-change").await;
    queue.send("x").await.unwrap();
    let receipts = [ReceiptHandle::new("not-a-handle"), one(&queue, LONG).await.receipt];
    let changes = receipts.map(|receipt| VisibilityChange { receipt, seconds: 0 });
    let results = queue.change_visibility(&changes).await.unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
    assert_eq!(kinds, [Err(EntryErrorKind::LeaseLost), Ok(())]);
    assert_eq!(one(&queue, LONG).await.receive_count.get(), 2);
}

pub async fn visibility_may_be_changed_after_it_ended(fixture: Arc<Fixture>) {
    let queue = fixture.queue("late-change").await;
    queue.send("x").await.unwrap();
    let message = one(&queue, 1).await;
    until_depth(&queue, depth(1, 0, 0)).await;
    hide(&queue, &message.receipt, LONG).await;
    until_depth(&queue, depth(0, 1, 0)).await;
}

pub async fn max_receives_moves_the_message_and_keeps_what_it_is(fixture: Arc<Fixture>) {
    let (queue, dead) = fixture.with_dead_letters("redrive", 2).await;
    let attributes = vec![text("note", "String", "kept")];
    let outgoing = Outgoing { body: "x".to_owned(), attributes: attributes.clone(), ..Outgoing::default() };
    let id = queue.send(outgoing).await.unwrap();
    for count in [1, 2] {
        let message = one(&queue, LONG).await;
        assert_eq!(message.receive_count.get(), count);
        hide(&queue, &message.receipt, 0).await;
    }
    assert!(receive(&queue, 10, 0, LONG).await.is_empty(), "a third receive handed it out");
    let moved = one(&dead, LONG).await;
    assert_eq!(bodies(std::slice::from_ref(&moved)), ["x"]);
    assert_eq!((moved.id, moved.attributes, moved.receive_count.get()), (id, attributes, 3));
    until_depth(&queue, depth(0, 0, 0)).await;
}

pub async fn a_queue_tells_its_depths_and_its_redrive_policy(fixture: Arc<Fixture>) {
    let (queue, dead) = fixture.with_dead_letters("facts", 7).await;
    for number in 0..5 {
        queue.send(&number).await.unwrap();
    }
    let delay = Some(Duration::from_secs(600));
    queue.send(Outgoing { body: "later".to_owned(), delay, ..Outgoing::default() }).await.unwrap();
    collect(&queue, 2, LONG).await;
    dead.send("x").await.unwrap();
    let facts = queue.inspect().await.unwrap();
    assert_eq!(facts.depth, depth(3, 2, 1));
    let redrive = facts.redrive.unwrap();
    assert_eq!((redrive.max_receives, redrive.dead_letter_depth), (7, Some(depth(1, 0, 0))));
    assert!(!redrive.dead_letter_fifo);
    let facts = dead.inspect().await.unwrap();
    assert_eq!((facts.depth, facts.redrive), (depth(1, 0, 0), None));
}

pub async fn a_queue_is_found_by_url_name_and_arn(fixture: Arc<Fixture>) {
    let url = fixture.create("found", &[]).await;
    let arn = fixture.arn(&url).await;
    let [_, _, _, region, account, name] = arn.split(':').collect::<Vec<_>>().try_into().unwrap();
    let arn = QueueRef::Arn { region: region.to_owned(), account: account.to_owned(), name: name.to_owned() };
    for queue in [QueueRef::Url(url.parse().unwrap()), QueueRef::Name("found".to_owned()), arn] {
        let by = queue.to_string();
        let queue = fixture.adapter(queue).await;
        queue.send(&by).await.unwrap();
        let message = one(&queue, LONG).await;
        assert_eq!(bodies(std::slice::from_ref(&message)), [by.as_str()]);
        delete(&queue, &message.receipt).await;
    }
}

pub async fn a_missing_queue_is_called_missing_by_every_call(fixture: Arc<Fixture>) {
    let url = fixture.create("there", &[]).await;
    let arn = fixture.arn(&url).await;
    let account = arn.split(':').nth(4).unwrap().to_owned();
    let name = "not-there".to_owned();
    let arn = QueueRef::Arn { region: "us-east-1".to_owned(), account, name: name.clone() };
    let mut kinds = Vec::new();
    for queue in
        [QueueRef::Url(url.replace("/there", "/not-there").parse().unwrap()), QueueRef::Name(name), arn]
    {
        let queue = fixture.adapter(queue).await;
        let ask =
            Receive { max: 1, wait: Duration::ZERO, visibility: Duration::from_secs(30), attempt: None };
        let receipt = ReceiptHandle::new("any");
        let change = VisibilityChange { receipt: receipt.clone(), seconds: 0 };
        let failures = [
            queue.receive(ask).await.err(),
            queue.delete(&[receipt]).await.err(),
            queue.change_visibility(&[change]).await.err(),
            queue.send("x").await.err(),
            queue.inspect().await.err(),
        ];
        kinds.extend(failures.map(|failure| failure.map(|failure| failure.kind)));
    }
    assert_eq!(kinds, [Some(QueueErrorKind::Missing); 15]);
}

/// A queue of this name with one message in flight: its URL, the adapter of it by URL and by name, the handle.
async fn one_in_flight(fixture: &Fixture, name: &str) -> (String, [SqsQueue; 2], ReceiptHandle) {
    let url = fixture.create(name, &[]).await;
    let queues = [fixture.by_url(&url).await, fixture.adapter(QueueRef::Name(name.to_owned())).await];
    queues[0].send("old").await.unwrap();
    let handle = one(&queues[1], LONG).await.receipt;
    (url, queues, handle)
}

/// The result of a call about one message.
fn kind(results: Vec<Result<(), EntryError>>) -> Result<(), EntryErrorKind> {
    assert_eq!(results.len(), 1);
    results.into_iter().next().unwrap().map_err(|error| error.kind)
}

pub async fn a_queue_made_anew_is_found_and_knows_no_handle_of_the_old(fixture: Arc<Fixture>) {
    let (url, queues, handle) = one_in_flight(&fixture, "anew").await;
    fixture.remove(&url).await;
    for queue in &queues {
        assert_eq!(queue.inspect().await.unwrap_err().kind, QueueErrorKind::Missing, "{queue:?}");
        let failure = queue.delete(std::slice::from_ref(&handle)).await.unwrap_err();
        assert_eq!(failure.kind, QueueErrorKind::Missing, "{queue:?}");
    }
    assert_eq!(fixture.create("anew", &[]).await, url);
    for queue in &queues {
        queue.send("new").await.unwrap();
        let message = one(queue, LONG).await;
        assert_eq!(bodies(std::slice::from_ref(&message)), ["new"]);
        delete(queue, &message.receipt).await;
        let change = VisibilityChange { receipt: handle.clone(), seconds: 60 };
        let lost = Err(EntryErrorKind::LeaseLost);
        assert_eq!(kind(queue.change_visibility(&[change]).await.unwrap()), lost);
        assert_eq!(kind(queue.delete(std::slice::from_ref(&handle)).await.unwrap()), lost);
    }
}

pub async fn a_purged_message_is_gone_and_cannot_be_hidden(fixture: Arc<Fixture>) {
    let (url, [queue, _], receipt) = one_in_flight(&fixture, "purged").await;
    queue.send("visible").await.unwrap();
    fixture.purge(&url).await;
    until_depth(&queue, depth(0, 0, 0)).await;
    let change = VisibilityChange { receipt, seconds: 60 };
    assert_eq!(kind(queue.change_visibility(&[change]).await.unwrap()), Err(EntryErrorKind::LeaseLost));
    queue.send("after").await.unwrap();
    assert_eq!(bodies(&[one(&queue, LONG).await]), ["after"]);
}

pub async fn a_purged_message_may_be_deleted(fixture: Arc<Fixture>) {
    let (url, [queue, _], handle) = one_in_flight(&fixture, "purged-then-deleted").await;
    fixture.purge(&url).await;
    until_depth(&queue, depth(0, 0, 0)).await;
    assert_eq!(queue.delete(&[handle]).await.unwrap(), [Ok(())]);
}

pub async fn changed_attributes_show_at_the_next_look(fixture: Arc<Fixture>) {
    let (queue, dead) = fixture.with_dead_letters("changing", 7).await;
    let url = queue.inspect().await.unwrap().url;
    let arn = fixture.arn(&dead.inspect().await.unwrap().url).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#);
    fixture.set(&url, &[(Name::RedrivePolicy, &policy), (Name::VisibilityTimeout, "1")]).await;
    let facts = queue.inspect().await.unwrap();
    assert_eq!((facts.redrive.unwrap().max_receives, facts.visibility), (3, Some(Duration::from_secs(1))));
    // Every receive sets a visibility of its own.
    queue.send("x").await.unwrap();
    one(&queue, LONG).await;
    assert!(receive(&queue, 10, 2, LONG).await.is_empty(), "the queue's own visibility held");
}

pub async fn a_redrive_policy_taken_away_is_gone_at_the_next_look(fixture: Arc<Fixture>) {
    let (queue, _) = fixture.with_dead_letters("taken-away", 7).await;
    let facts = queue.inspect().await.unwrap();
    assert_eq!(facts.redrive.unwrap().max_receives, 7);
    fixture.set(&facts.url, &[(Name::RedrivePolicy, "")]).await;
    assert_eq!(queue.inspect().await.unwrap().redrive, None);
}

pub async fn a_changed_retention_shows_at_the_next_look(fixture: Arc<Fixture>) {
    let url = fixture.create("retention", &[]).await;
    let queue = fixture.by_url(&url).await;
    fixture.set(&url, &[(Name::MessageRetentionPeriod, "600")]).await;
    assert_eq!(queue.inspect().await.unwrap().retention, Some(Duration::from_secs(600)));
}

pub async fn a_copy_in_the_dead_letter_queue_says_why(fixture: Arc<Fixture>) {
    let (queue, dead) = fixture.with_dead_letters("copy", 5).await;
    let attributes = vec![text("note", "String", "kept")];
    queue.send(Outgoing { body: "x".to_owned(), attributes, ..Outgoing::default() }).await.unwrap();
    let message = one(&queue, LONG).await;
    let reason = DeadLetterReason { outcome: "rejected", status: Some(422), ..DeadLetterReason::default() };
    queue.dead_letter(&message, &reason).await.unwrap();
    let copy = one(&dead, LONG).await;
    assert_eq!(bodies(std::slice::from_ref(&copy)), ["x"]);
    let expected = [
        text("note", "String", "kept"),
        text("queuepost.reason", "String", "rejected"),
        text("queuepost.source-message-id", "String", message.id.as_str()),
        text("queuepost.source-queue", "String", queue.own_name()),
        text("queuepost.status", "Number", "422"),
    ];
    assert_eq!(copy.attributes, expected);
}

pub async fn a_group_comes_in_order_and_waits_for_its_first(fixture: Arc<Fixture>) {
    let queue = fixture.fifo("groups").await;
    for message in [in_group("1", "a"), in_group("2", "a"), in_group("3", "b")] {
        queue.send(message).await.unwrap();
    }
    let first = one(&queue, LONG).await;
    assert_eq!((bodies(std::slice::from_ref(&first)), first.group_id.as_deref()), (vec!["1"], Some("a")));
    assert_eq!(first.deduplication_id.as_deref(), Some("a-1"));
    let other = one(&queue, LONG).await;
    assert_eq!(bodies(std::slice::from_ref(&other)), ["3"], "the group was not locked");
    let receipt = first.receipt.clone();
    // Compared as numbers: not every server writes twenty digits.
    let order = [first, other].map(|message| message.sequence_number.unwrap().parse::<u128>().unwrap());
    assert!(order[0] < order[1], "{order:?}");
    assert!(receive(&queue, 10, 0, LONG).await.is_empty());

    let poll = receive(&queue, 10, 20, LONG);
    let (next, ()) = tokio::join!(poll, delete(&queue, &receipt));
    assert_eq!(bodies(&next), ["2"]);
}

pub async fn a_freed_head_comes_back_alone_while_its_successor_is_in_flight(fixture: Arc<Fixture>) {
    let queue = fixture.fifo("head").await;
    for body in ["1", "2", "3"] {
        queue.send(in_group(body, "a")).await.unwrap();
    }
    let taken = receive(&queue, 2, 2, LONG).await;
    assert_eq!(bodies(&taken), ["1", "2"]);
    hide(&queue, &taken[0].receipt, 0).await;
    assert_eq!(bodies(&receive(&queue, 10, 2, LONG).await), ["1"]);
}

pub async fn what_is_given_back_stays_behind_its_hidden_head(fixture: Arc<Fixture>) {
    let queue = fixture.fifo("behind").await;
    for body in ["1", "2", "3"] {
        queue.send(in_group(body, "a")).await.unwrap();
    }
    let taken = receive(&queue, 10, 2, LONG).await;
    assert_eq!(bodies(&taken), ["1", "2", "3"]);
    hide(&queue, &taken[0].receipt, 3).await;
    // Also when the last one becomes visible before the one in the middle.
    hide(&queue, &taken[2].receipt, 0).await;
    hide(&queue, &taken[1].receipt, 0).await;
    assert!(receive(&queue, 10, 1, LONG).await.is_empty(), "the group did not wait for its head");
    assert_eq!(bodies(&receive(&queue, 10, 10, LONG).await), ["1", "2", "3"]);
}

pub async fn a_repeated_deduplication_id_is_one_message(fixture: Arc<Fixture>) {
    let queue = fixture.fifo("repeated").await;
    let ids = [queue.send(in_group("1", "a")).await.unwrap(), queue.send(in_group("1", "a")).await.unwrap()];
    assert_eq!(ids[0], ids[1]);
    let message = one(&queue, LONG).await;
    delete(&queue, &message.receipt).await;
    // The id is still known after its message is gone.
    queue.send(in_group("1", "a")).await.unwrap();
    assert!(receive(&queue, 10, 0, LONG).await.is_empty());
}

pub async fn an_expired_handle_deletes_nothing_of_a_group(fixture: Arc<Fixture>) {
    let queue = fixture.fifo("expired").await;
    queue.send(in_group("1", "a")).await.unwrap();
    let message = one(&queue, 1).await;
    until_depth(&queue, depth(1, 0, 0)).await;
    let results = queue.delete(&[message.receipt]).await.unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
    assert_eq!(kinds, [Err(EntryErrorKind::LeaseLost)]);
    assert_eq!(one(&queue, LONG).await.receive_count.get(), 2);
}
