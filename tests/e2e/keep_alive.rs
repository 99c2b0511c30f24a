//! Endpoints that keep idle connections for a second, and announce that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::process::Queuepost;
use super::servers::QueueServer;

/// An HTTP/1.1 server that keeps a connection for a second after each answer, and announces that.
///
/// A second request on a connection always arrives too late. The second ends while the request is in transit,
/// and the server resets the connection without reading it.
struct ShortKeepAlive {
    url: String,
    connections: Arc<AtomicUsize>,
    resets: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl ShortKeepAlive {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/work", listener.local_addr().unwrap());
        let (connections, resets) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (accepted, reset) = (Arc::clone(&connections), Arc::clone(&resets));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, Arc::clone(&reset)));
            }
        });
        Self { url, connections, resets, _server: tasks }
    }
}

async fn serve(mut stream: TcpStream, resets: Arc<AtomicUsize>) {
    if !read_request(&mut stream).await {
        return;
    }
    let answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=100\r\nContent-Length: 2\r\n\r\nok";
    if stream.write_all(answer).await.is_err() {
        return;
    }
    if matches!(timeout(Duration::from_secs(1), stream.readable()).await, Ok(Ok(())))
        && stream.peek(&mut [0]).await.is_ok_and(|count| count > 0)
    {
        resets.fetch_add(1, Ordering::SeqCst);
        // A close with unread bytes resets the connection.
    }
}

/// Reads one request; returns whether it arrived in full.
async fn read_request(stream: &mut TcpStream) -> bool {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return false };
        request.extend_from_slice(&buffer[..count]);
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if request.len() >= end + 4 + length.unwrap_or(0) {
            return true;
        }
    }
}

#[tokio::test]
async fn a_connection_is_not_kept_for_longer_than_the_endpoint_announces() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = ShortKeepAlive::start().await;
    queues.send("orders", "first");
    // The first answer announces the time; requests sent beside it could not know.
    let mut bridge = Queuepost::run(&queue, &endpoint.url, &[]).await;
    queues.until_empty("orders").await;
    for number in 0..40 {
        queues.send("orders", &format!("m-{number}"));
    }
    queues.until_empty("orders").await;
    assert_eq!(endpoint.resets.load(Ordering::SeqCst), 0, "no connection is used again");
    assert_eq!(endpoint.connections.load(Ordering::SeqCst), 41);
    let again = bridge.metric("messages_received_total", r#"first="false""#).await;
    assert!(again.abs() < f64::EPSILON, "no receive is spent on it");
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}
