//! Queues on a server: created with a client of the test's own, and used through the adapter.
//!
//! Every assertion uses queue names of its own, so that all may run at once on one server.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use queuepost::message::{Message, ReceiptHandle};
use queuepost::ports::{Queue as _, QueueDepth, Receive, VisibilityChange};
use queuepost::sqs::{Clients, QueueRef, Settings, SqsQueue};

use super::server::Server;
use crate::e2e::process::PATIENCE;

/// A visibility longer than any assertion runs.
pub const LONG: u32 = 600;

/// A server, the adapter's clients, and a client beside the adapter.
pub struct Fixture {
    pub server: Server,
    clients: Clients,
    pub admin: Client,
}

impl Fixture {
    pub fn new(server: Server) -> Arc<Self> {
        // The adapter's placeholder credentials: the same account on servers that have several.
        let admin = server.client("queuepost");
        Arc::new(Self { server, clients: Clients::default(), admin })
    }

    /// Creates a queue with attributes; returns its URL.
    pub async fn create(&self, name: &str, attributes: &[(Name, &str)]) -> String {
        let attributes = attributes.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
        let create = self.admin.create_queue().queue_name(name).set_attributes(Some(attributes));
        create.send().await.unwrap().queue_url.unwrap()
    }

    /// Changes attributes of a queue, as its owner would.
    pub async fn set(&self, url: &str, attributes: &[(Name, &str)]) {
        let attributes = attributes.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
        let set = self.admin.set_queue_attributes().queue_url(url).set_attributes(Some(attributes));
        set.send().await.unwrap();
    }

    pub async fn purge(&self, url: &str) {
        self.admin.purge_queue().queue_url(url).send().await.unwrap();
    }

    pub async fn remove(&self, url: &str) {
        self.admin.delete_queue().queue_url(url).send().await.unwrap();
    }

    pub async fn arn(&self, url: &str) -> String {
        let ask = self.admin.get_queue_attributes().queue_url(url).attribute_names(Name::QueueArn);
        ask.send().await.unwrap().attributes.unwrap().remove(&Name::QueueArn).unwrap()
    }

    /// A queue, existing or not, as the adapter sees it.
    pub async fn adapter(&self, queue: QueueRef) -> SqsQueue {
        let settings = Settings {
            queue,
            region: Some("us-east-1".to_owned()),
            profile: None,
            role: None,
            address: Some(self.server.url.parse().unwrap()),
        };
        self.clients.queue(&settings).await
    }

    pub async fn by_url(&self, url: &str) -> SqsQueue {
        self.adapter(QueueRef::Url(url.parse().unwrap())).await
    }

    /// A new standard queue.
    pub async fn queue(&self, name: &str) -> SqsQueue {
        self.by_url(&self.create(name, &[]).await).await
    }

    /// A new FIFO queue; `name` without its suffix.
    pub async fn fifo(&self, name: &str) -> SqsQueue {
        self.by_url(&self.create(&format!("{name}.fifo"), &[(Name::FifoQueue, "true")]).await).await
    }

    /// A new queue and its dead-letter queue.
    pub async fn with_dead_letters(&self, name: &str, max_receives: u32) -> (SqsQueue, SqsQueue) {
        let dlq = self.create(&format!("{name}-dlq"), &[]).await;
        let arn = self.arn(&dlq).await;
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receives}}}"#);
        let url = self.create(name, &[(Name::RedrivePolicy, &policy)]).await;
        (self.by_url(&url).await, self.by_url(&dlq).await)
    }
}

/// One receive of up to `max`, waiting `wait` seconds, hidden for `visibility` seconds.
pub async fn receive(queue: &SqsQueue, max: usize, wait: u64, visibility: u32) -> Vec<Message> {
    let visibility = Duration::from_secs(visibility.into());
    let receive = Receive { max, wait: Duration::from_secs(wait), visibility, attempt: None };
    queue.receive(receive).await.unwrap()
}

/// Receives until there are `count` messages: a server may return fewer than requested.
pub async fn collect(queue: &SqsQueue, count: usize, visibility: u32) -> Vec<Message> {
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut found = Vec::new();
    while found.len() < count {
        assert!(tokio::time::Instant::now() < end, "{} of {count} messages came", found.len());
        found.extend(receive(queue, (count - found.len()).min(10), 2, visibility).await);
    }
    found
}

/// The next message.
pub async fn one(queue: &SqsQueue, visibility: u32) -> Message {
    collect(queue, 1, visibility).await.remove(0)
}

/// Deletes one message and expects that to work.
pub async fn delete(queue: &SqsQueue, receipt: &ReceiptHandle) {
    assert_eq!(queue.delete(std::slice::from_ref(receipt)).await.unwrap(), [Ok(())]);
}

/// Sets the visibility of one message and expects that to work.
pub async fn hide(queue: &SqsQueue, receipt: &ReceiptHandle, seconds: u32) {
    let change = VisibilityChange { receipt: receipt.clone(), seconds };
    assert_eq!(queue.change_visibility(&[change]).await.unwrap(), [Ok(())]);
}

/// Bodies as text.
pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect()
}

/// A depth from its three numbers.
pub fn depth(visible: u64, not_visible: u64, delayed: u64) -> QueueDepth {
    QueueDepth { visible, not_visible, delayed }
}

/// Waits until the queue has this depth.
pub async fn until_depth(queue: &SqsQueue, expected: QueueDepth) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = queue.inspect().await.unwrap().depth;
        if now == expected {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "it is {now:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
