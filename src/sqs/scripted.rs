//! For tests: a scripted server on a loopback socket, and clients of it.
//!
//! The server is a thread that takes one connection per scripted answer and ends with the last. Its clients
//! get credentials, so no test depends on those of the machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use serde_json::{Value, json};

use super::transport;
use crate::sqs::{QueueRef, Settings};

/// One recorded request: `X-Amz-Target` without its service, and the body.
pub(super) type Asked = (String, Value);

/// One answer: status, extra header lines, body.
pub(super) type Answer = (u16, &'static str, String);

/// A successful answer.
pub(super) fn ok(body: &Value) -> Answer {
    (200, "", body.to_string())
}

/// A refusal with SQS's `code`.
pub(super) fn refusal(code: &str) -> Answer {
    (400, "", json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "no"}).to_string())
}

/// Starts a server that gives these answers, one per connection, and then ends.
pub(super) fn serve(answers: Vec<Answer>) -> (SocketAddr, JoinHandle<Vec<Asked>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        answers.into_iter().map(|answer| answer_one(&listener, &answer)).collect()
    });
    (address, server)
}

fn answer_one(listener: &TcpListener, (status, headers, body): &Answer) -> Asked {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, asked) = loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the client closed early");
        read.extend_from_slice(&buffer[..count]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let length: usize = header("content-length: ").unwrap().parse().unwrap();
        if read.len() == end + 4 + length {
            let target = header("x-amz-target: AmazonSQS.").unwrap_or_default();
            break (target, read[end + 4..].to_vec());
        }
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    (head, serde_json::from_slice(&asked).unwrap_or_default())
}

/// Settings of `queue` and nothing else.
pub(super) fn settings(queue: QueueRef) -> Settings {
    Settings { queue, region: None, profile: None, role: None, address: None }
}

/// A client of the server at `address`, with credentials of its own.
pub(super) fn client(address: SocketAddr) -> Client {
    let credentials = Credentials::new("AKID", "swordfish", Some("session-token".to_owned()), None, "test");
    Client::from_conf(
        aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .http_client(transport::client(Arc::default(), transport::ANSWER_MAX))
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://{address}"))
            .credentials_provider(credentials)
            .build(),
    )
}

/// The requests, once the server has ended. Waits without blocking the runtime, which has connections to
/// close.
pub(super) async fn asked(server: JoinHandle<Vec<Asked>>) -> Vec<Asked> {
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap()
}
