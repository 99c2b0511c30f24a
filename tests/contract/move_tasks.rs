//! The assertions about a person's calls: lists of queues, and the move tasks that send dead letters back.
//!
//! They use the client beside the adapter. A server without an operation is named in its table of `queue`.

use std::sync::Arc;

use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry as Task;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use queuepost::message::{Attribute, AttributeValue};
use queuepost::ports::Queue as _;
use queuepost::sqs::{Outgoing, SqsQueue};
use tokio::time::{Duration, Instant, sleep};

use super::fixture::{Fixture, LONG, collect, hide, one, receive};
use crate::e2e::process::PATIENCE;

/// The names that URLs end with, sorted.
fn names(urls: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = urls.iter().filter_map(|url| url.rsplit('/').next()).collect();
    names.sort_unstable();
    names
}

/// Queue `name` with its dead-letter queue, the latter's ARN, and `letters` that SQS dead-lettered.
async fn with_letters(fixture: &Fixture, name: &str, letters: usize) -> (SqsQueue, SqsQueue, String) {
    let (queue, dead) = fixture.with_dead_letters(name, 1).await;
    for number in 0..letters {
        let value = AttributeValue::Binary(vec![0, 255].into());
        let key = Attribute { name: "key".to_owned(), data_type: "Binary".to_owned(), value };
        let body = number.to_string();
        queue.send(Outgoing { body, attributes: vec![key], ..Outgoing::default() }).await.unwrap();
    }
    for message in collect(&queue, letters, LONG).await {
        hide(&queue, &message.receipt, 0).await;
    }
    assert!(receive(&queue, 10, 0, LONG).await.is_empty(), "a second receive handed one out");
    let url = fixture.admin.get_queue_url().queue_name(format!("{name}-dlq")).send().await.unwrap();
    let arn = fixture.arn(&url.queue_url.unwrap()).await;
    (queue, dead, arn)
}

/// The latest task of `source` once it runs no more.
async fn ended(fixture: &Fixture, source: &str) -> Task {
    let began = Instant::now();
    loop {
        let asked = fixture.admin.list_message_move_tasks().source_arn(source);
        let task = asked.send().await.unwrap().results.unwrap_or_default().into_iter().next();
        match task {
            Some(task) if !matches!(task.status(), Some("RUNNING" | "CANCELLING")) => return task,
            None => panic!("no task is listed"),
            last => assert!(began.elapsed() < PATIENCE, "the task has not ended: {last:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

pub async fn queues_are_listed_by_the_beginning_of_their_name(fixture: Arc<Fixture>) {
    for name in ["listed-b", "listed-a", "not-listed-a"] {
        fixture.create(name, &[]).await;
    }
    let list = fixture.admin.list_queues().queue_name_prefix("listed-");
    let found = list.send().await.unwrap().queue_urls.unwrap_or_default();
    assert_eq!(names(&found), ["listed-a", "listed-b"]);
}

pub async fn a_dead_letter_queue_names_the_queues_it_belongs_to(fixture: Arc<Fixture>) {
    let dlq = fixture.create("sources-dlq", &[]).await;
    let arn = fixture.arn(&dlq).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#);
    for name in ["sources-b", "sources-a"] {
        fixture.create(name, &[(Name::RedrivePolicy, &policy)]).await;
    }
    let list = fixture.admin.list_dead_letter_source_queues().queue_url(dlq);
    let found = list.send().await.unwrap().queue_urls;
    assert_eq!(names(&found), ["sources-a", "sources-b"]);
}

pub async fn a_move_task_sends_letters_back_as_they_were(fixture: Arc<Fixture>) {
    let (queue, dead, source) = with_letters(&fixture, "moved", 3).await;
    fixture.admin.start_message_move_task().source_arn(&source).send().await.unwrap();
    assert_eq!(ended(&fixture, &source).await.status(), Some("COMPLETED"));
    let back = collect(&queue, 3, LONG).await;
    let mut bodies: Vec<&[u8]> = back.iter().map(|message| &*message.body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, [b"0", b"1", b"2"]);
    for message in &back {
        assert_eq!(message.receive_count.get(), 1);
        let values: Vec<_> = message.attributes.iter().map(|attribute| &attribute.value).collect();
        assert_eq!(values, [&AttributeValue::Binary(vec![0, 255].into())]);
    }
    assert!(receive(&dead, 10, 0, LONG).await.is_empty(), "one is in both queues");
}

pub async fn a_move_task_leaves_what_was_sent_to_the_dead_letter_queue(fixture: Arc<Fixture>) {
    let (_, dead, source) = with_letters(&fixture, "unplaced", 0).await;
    dead.send("x").await.unwrap();
    fixture.admin.start_message_move_task().source_arn(&source).send().await.unwrap();
    let task = ended(&fixture, &source).await;
    assert_eq!((task.status(), task.failure_reason().is_some()), (Some("FAILED"), true), "{task:?}");
    one(&dead, LONG).await;
}

pub async fn a_cancelled_move_task_leaves_every_message_in_one_queue(fixture: Arc<Fixture>) {
    let (queue, dead, source) = with_letters(&fixture, "cancelled", 9).await;
    let start = fixture.admin.start_message_move_task().source_arn(&source);
    let handle = start.max_number_of_messages_per_second(1).send().await.unwrap().task_handle.unwrap();
    fixture.admin.cancel_message_move_task().task_handle(handle).send().await.unwrap();
    assert_eq!(ended(&fixture, &source).await.status(), Some("CANCELLED"));
    let (back, left) = (queue.inspect().await.unwrap().depth, dead.inspect().await.unwrap().depth);
    assert_eq!(back.visible + left.visible, 9, "{back:?} {left:?}");
    assert!(left.visible > 0, "all were moved at one a second: {back:?}");
}
