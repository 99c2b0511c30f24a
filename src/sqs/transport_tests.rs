//! The transport against hostile servers, through a queue made as in production.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use url::Url;

use super::transport;
use crate::ports::{LeftOut, Queue as _, QueueErrorKind, QueueReason, Receive};
use crate::sqs::scripted::settings;
use crate::sqs::{Clients, QueueRef, SqsQueue};

const RECEIVE: Receive =
    Receive { max: 10, wait: Duration::ZERO, visibility: Duration::from_secs(30), attempt: None };

/// The queue on the server at `port`, made as for a listener. Its address is set, so its credentials are the
/// placeholder.
async fn queue(port: u16) -> SqsQueue {
    let url = |path: &str| Url::parse(&format!("http://127.0.0.1:{port}/{path}")).unwrap();
    let mut settings = settings(QueueRef::Url(url("000000000000/orders")));
    settings.address = Some(url(""));
    Clients::default().queue(&settings).await
}

/// A server that answers every connection with `answer`, until the test ends.
fn serve(answer: impl Fn(&mut dyn std::io::Write) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 8192];
            if stream.read(&mut asked).is_ok() {
                answer(&mut stream);
            }
        }
    });
    port
}

fn json(stream: &mut dyn std::io::Write, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(body.as_bytes()).ok();
}

#[tokio::test]
async fn an_endless_answer_is_read_to_16_mib_and_no_further() {
    let sent = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&sent);
    let port = serve(move |stream| {
        let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok();
        while written.load(Ordering::SeqCst) < 256 && stream.write_all(&chunk).is_ok() {
            written.fetch_add(1, Ordering::SeqCst);
        }
    });
    let error = queue(port).await.receive(RECEIVE).await.unwrap_err();
    assert_eq!((error.reason, error.kind), (QueueReason::AnswerTooLong, QueueErrorKind::Network));
    // The sockets' buffers come on top.
    assert!(sent.load(Ordering::SeqCst) < 64, "{} MiB were taken", sent.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_answer_of_nearly_16_mib_is_read() {
    let port = serve(|stream| {
        let body = format!(
            r#"{{"Messages":[{{"MessageId":"a","ReceiptHandle":"1","Body":"{}"}}]}}"#,
            "x".repeat(16 * 1024 * 1024 - 100)
        );
        json(stream, &body);
    });
    assert_eq!(queue(port).await.receive(RECEIVE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_malformed_attribute_leaves_out_its_own_message_and_no_other() {
    let port = serve(|stream| {
        json(
            stream,
            r#"{"Messages":[
                {"MessageId":"a","ReceiptHandle":"1","Body":"x","MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"!!"}}},
                {"MessageId":"b","ReceiptHandle":"2","Body":"y","MD5OfBody":"415290769594460e2e485922904f345d",
                 "Attributes":{"ApproximateReceiveCount":"3"},
                 "MessageAttributes":{"k":{"DataType":"Binary","BinaryValue":"AP8="},"s":{"DataType":"String","StringValue":"v"}}},
                {"MessageId":"c","ReceiptHandle":"3","Body":"z","MessageAttributes":{"k":{"StringValue":"no type"}}},
                {"MessageId":"d","ReceiptHandle":"4","Body":7}
            ]}"#,
        );
    });
    let queue = queue(port).await;
    let messages = queue.receive(RECEIVE).await.unwrap();
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((message.id.as_str(), &message.body[..], message.receive_count.get()), ("b", &b"y"[..], 3));
    assert_eq!(message.attributes.len(), 2);
    assert_eq!(queue.left_out(), [(LeftOut::Malformed, 3)]);
    assert_eq!(queue.left_out(), [], "counted once");
}

#[tokio::test]
async fn a_page_that_is_no_answer_of_sqs_stays_a_failure() {
    for body in ["<html>", "[]", r#"{"Messages":"none"}"#] {
        let port = serve(move |stream| json(stream, body));
        let error = queue(port).await.receive(RECEIVE).await.unwrap_err();
        assert_eq!(error.reason, QueueReason::NotSqs, "{body}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_counted_by_reason() {
    let port = serve(|stream| {
        let (id, handle) = ("i".repeat(257), "h".repeat(4097));
        let body = format!(
            r#"{{"Messages":[
                {{"MessageId":"{id}","ReceiptHandle":"1","Body":"x"}},
                {{"MessageId":"a","ReceiptHandle":"{handle}","Body":"x"}},
                {{"MessageId":"b","ReceiptHandle":"2","Body":"x","MD5OfBody":"00000000000000000000000000000000"}},
                {{"MessageId":"c","Body":"x"}},
                {{"MessageId":"d","ReceiptHandle":"3","Body":"x"}}
            ]}}"#
        );
        json(stream, &body);
    });
    let queue = queue(port).await;
    let ids: Vec<String> =
        queue.receive(RECEIVE).await.unwrap().iter().map(|message| message.id.to_string()).collect();
    assert_eq!(ids, ["d"]);
    let expected = [(LeftOut::Unidentified, 1), (LeftOut::TooLong, 2), (LeftOut::Damaged, 1)];
    assert_eq!(queue.left_out(), expected);
}

#[test]
fn only_a_token_over_plain_http_beyond_this_machine_is_noticed() {
    let is_exposed = |url: &str, token| transport::is_exposed(Url::parse(url).ok().as_ref(), token);
    assert!(is_exposed("http://queue.example/", true));
    assert!(!is_exposed("http://queue.example/", false));
    for url in ["https://queue.example/", "http://127.0.0.1:9324/", "http://localhost:9324/", "http://[::1]/"]
    {
        assert!(!is_exposed(url, true), "{url}");
    }
}
