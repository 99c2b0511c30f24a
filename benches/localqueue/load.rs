//! The cheapest client that receives messages from an SQS server and deletes them.
//!
//! Requests are prepared texts, with headers like an SDK's. Of an answer only the receipt handles are read.
//! Any status but 200, and any batch entry without success, is an error.

use std::net::SocketAddr;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::http1::{Message, Messages};
use crate::{BATCH, Result};

/// As long as a real signature.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250101/us-east-1/sqs/aws4_request, \
     SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// A connection to the server.
pub(crate) struct Client {
    answers: Messages<OwnedReadHalf>,
    requests: OwnedWriteHalf,
    address: SocketAddr,
    /// The receive request, the same each time.
    receive: Vec<u8>,
    queue_url: String,
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(rename = "Messages", borrow, default)]
    messages: Vec<Handed<'a>>,
}

#[derive(Deserialize)]
struct Handed<'a> {
    #[serde(rename = "ReceiptHandle")]
    receipt_handle: &'a str,
}

#[derive(Deserialize)]
struct Deleted {
    #[serde(rename = "Successful", default)]
    successful: Vec<serde::de::IgnoredAny>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, queue: &str, visibility: u32) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reads, requests) = stream.into_split();
        let queue_url = format!("http://{address}/000000000000/{queue}");
        let body = format!(
            r#"{{"QueueUrl":"{queue_url}","MaxNumberOfMessages":{BATCH},"VisibilityTimeout":{visibility},"WaitTimeSeconds":0,"MessageSystemAttributeNames":["All"],"MessageAttributeNames":["All"]}}"#
        );
        let receive = request(address, "ReceiveMessage", &body);
        Ok(Self { answers: Messages::new(reads), requests, address, receive, queue_url })
    }

    /// Receives and deletes until the queue is empty; returns the number of messages.
    pub(crate) async fn empty(mut self) -> Result<usize> {
        let mut total = 0;
        loop {
            self.requests.write_all(&self.receive).await?;
            let answer = self.answer().await?;
            let Received { messages } = serde_json::from_slice(answer.body())?;
            if messages.is_empty() {
                return Ok(total);
            }
            let entries: Vec<String> = messages
                .iter()
                .enumerate()
                .map(|(id, handed)| format!(r#"{{"Id":"{id}","ReceiptHandle":"{}"}}"#, handed.receipt_handle))
                .collect();
            let body = format!(r#"{{"QueueUrl":"{}","Entries":[{}]}}"#, self.queue_url, entries.join(","));
            let delete = request(self.address, "DeleteMessageBatch", &body);
            self.requests.write_all(&delete).await?;
            let answer = self.answer().await?;
            let Deleted { successful } = serde_json::from_slice(answer.body())?;
            if successful.len() != messages.len() {
                return Err(format!("{} of {} were deleted", successful.len(), messages.len()).into());
            }
            total += messages.len();
        }
    }

    async fn answer(&mut self) -> Result<Message> {
        let answer = self.answers.next().await?.ok_or("the server closed the connection")?;
        if answer.start() == b"HTTP/1.1 200 OK" {
            return Ok(answer);
        }
        Err(String::from_utf8_lossy(&answer.bytes).into_owned().into())
    }
}

fn request(address: SocketAddr, operation: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: AmazonSQS.{operation}\r\nx-amz-date: 20250101T000000Z\r\nauthorization: {AUTHORIZATION}\r\n\
         user-agent: aws-sdk-rust/1.0 os/linux lang/rust\r\namz-sdk-request: attempt=1; max=1\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
