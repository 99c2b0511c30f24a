//! The bare loop: the least that aws-sdk-sqs and reqwest cost when calls are batched.
//!
//! Receives of ten, as many tasks as workers, deletes of ten or after 10 ms; every library with its defaults.
//! It handles no error, extends no lease, drains nothing and reports nothing: a lower bound, not a bridge.
//! With `--each` it deletes each message by itself, as most workers do that are written at home.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::options::Bare;

/// Enough that the workers never wait for a receive.
const POLLERS: usize = 4;
const BATCH: usize = 10;
const LONG_POLL_SECONDS: i32 = 20;
const DELETE_LINGER: Duration = Duration::from_millis(10);

/// Runs until it is ended by a signal.
pub(crate) async fn run(options: &Bare) -> Result<()> {
    let address = options.queue.origin().ascii_serialization();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("x", "x", None, None, "bench"))
        .endpoint_url(address)
        .load()
        .await;
    let part = Part {
        sqs: Client::new(&config),
        queue: options.queue.to_string(),
        http: http(options)?,
        url: options.url.clone(),
        workers: Arc::new(Semaphore::new(options.workers)),
        each: options.each,
    };
    let (done, finished) = mpsc::channel(options.workers);
    let mut loops = JoinSet::new();
    loops.spawn(part.clone().delete(finished));
    for _ in 0..POLLERS {
        loops.spawn(part.clone().poll(done.clone()));
    }
    match loops.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

/// The values that every loop needs.
#[derive(Clone)]
struct Part {
    sqs: Client,
    queue: String,
    http: reqwest::Client,
    url: url::Url,
    workers: Arc<Semaphore>,
    each: bool,
}

impl Part {
    async fn poll(self, done: mpsc::Sender<String>) -> Result<()> {
        let mut posts = JoinSet::new();
        loop {
            let receive = self.sqs.receive_message().queue_url(&self.queue);
            let receive = receive.max_number_of_messages(10).wait_time_seconds(LONG_POLL_SECONDS);
            for message in receive.send().await?.messages.unwrap_or_default() {
                let permit = Arc::clone(&self.workers).acquire_owned().await?;
                let (part, done) = (self.clone(), done.clone());
                posts.spawn(async move {
                    let receipt = post(&part.http, part.url, message).await?;
                    if part.each {
                        let delete = part.sqs.delete_message().queue_url(part.queue).receipt_handle(receipt);
                        delete.send().await?;
                    } else {
                        done.send(receipt).await?;
                    }
                    drop(permit);
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                });
            }
            while let Some(posted) = posts.try_join_next() {
                posted??;
            }
        }
    }

    async fn delete(self, mut finished: mpsc::Receiver<String>) -> Result<()> {
        let mut calls = JoinSet::new();
        while let Some(first) = finished.recv().await {
            let until = Instant::now() + DELETE_LINGER;
            let mut receipts = vec![first];
            while receipts.len() < BATCH {
                match timeout_at(until, finished.recv()).await {
                    Ok(Some(receipt)) => receipts.push(receipt),
                    Ok(None) | Err(_) => break,
                }
            }
            let mut delete = self.sqs.delete_message_batch().queue_url(&self.queue);
            for (id, receipt) in receipts.into_iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
                delete = delete.entries(entry.receipt_handle(receipt).build()?);
            }
            calls.spawn(delete.send());
            while let Some(deleted) = calls.try_join_next() {
                deleted??;
            }
        }
        Ok(())
    }
}

fn http(options: &Bare) -> Result<reqwest::Client> {
    let Some(certificate) = &options.certificate else { return Ok(reqwest::Client::new()) };
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(certificate)?)?;
    Ok(reqwest::Client::builder().tls_certs_only([certificate]).build()?)
}

/// Posts a message and reads the whole answer; returns the handle that deletes the message.
async fn post(http: &reqwest::Client, url: url::Url, message: Message) -> Result<String> {
    let answer = http.post(url).body(message.body.unwrap_or_default()).send().await?.error_for_status()?;
    answer.bytes().await?;
    message.receipt_handle.ok_or_else(|| "a message without a handle".into())
}
