//! Clients that send nothing, send too much or read nothing, over loopback.

use std::net::SocketAddr;

use axum::Extension;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::*;
use crate::serve::{Cut, Hosts, Limits, Refusal, feed};

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);
/// More than sockets buffer.
const LARGE_BYTES: usize = 64 * 1024 * 1024;

/// A running server, stopped when dropped.
struct Running {
    address: SocketAddr,
    /// Notified of each request to `/held`.
    begun: mpsc::Receiver<()>,
    /// Lets requests to `/held` finish.
    release: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), limits)
    }

    fn on(listener: TcpListener, limits: Limits) -> Self {
        let address = listener.local_addr().unwrap();
        let release = Arc::new(Semaphore::new(0));
        let (started, begun) = mpsc::channel(16);
        let held = Arc::clone(&release);
        let router = Router::new()
            .route("/", get(async || "ok"))
            .route("/large", get(async || vec![b'x'; LARGE_BYTES]))
            .route("/fed", get(fed))
            .route(
                "/held",
                get(async move || {
                    started.send(()).await.unwrap();
                    held.acquire().await.unwrap().forget();
                    "held"
                }),
            );
        let hosts = Hosts::only(&[], "foreign");
        let settings = Settings { limits, hosts, refusal: Refusal::plain };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, settings, stop.clone()));
        Self { address, begun, release, stop, tasks }
    }

    /// A connection that has sent something.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn get(&self, path: &str) -> TcpStream {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }
}

fn limits(connections: usize, head: Duration, request: Duration) -> Limits {
    Limits { connections, head, request, end: Duration::from_secs(1) }
}

/// Writes pieces for ever, and lets the answer take a little longer with each.
async fn fed(Extension(cut): Extension<Cut>) -> Body {
    let (sender, pieces) = mpsc::channel(1);
    TaskTracker::new().spawn(async move {
        let began = Instant::now();
        while sender.send(vec![b'x'; 64 * 1024].into()).await.is_ok() {
            cut.allow(began.elapsed() + SHORT);
        }
    });
    feed(pieces)
}

/// Reads until the text arrives.
async fn until_text(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    let found = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            let more = stream.read_buf(&mut read).await.unwrap();
            assert!(more > 0, "ended after {:?}", String::from_utf8_lossy(&read));
        }
    };
    assert!(tokio::time::timeout(PATIENCE, found).await.is_ok(), "no {text:?}");
}

/// Reads until the server closes or resets the connection; returns what was read.
async fn until_end(mut stream: TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await;
    assert!(ended.is_ok(), "still open");
    read
}

#[tokio::test]
async fn an_http_2_preface_is_not_answered_in_http_2() {
    let server = Running::start(limits(8, LONG, LONG)).await;
    // The preface and an empty SETTINGS frame (RFC 9113, section 3.4).
    let stream = server.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let read = until_end(stream).await;
    assert!(read.is_empty() || read.starts_with(b"HTTP/1.1 400 "), "{read:?}");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off_by_time_and_by_size() {
    let server = Running::start(limits(8, SHORT, LONG)).await;
    let half = server.send("GET / HTTP/1.1\r\nHost: loc").await;
    assert!(until_end(half).await.is_empty());
    let server = Running::start(limits(8, LONG, LONG)).await;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(BUFFER_MAX_BYTES));
    let answer = until_end(server.send(&head).await).await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn a_connection_between_two_requests_is_ended_like_one_with_half_a_head() {
    let server = Running::start(limits(8, SHORT, LONG)).await;
    let answer = until_end(server.get("/").await).await;
    assert!(answer.ends_with(b"ok"));
}

#[tokio::test]
async fn when_all_connections_are_taken_the_one_that_waits_longest_for_a_head_is_dropped() {
    let server = Running::start(limits(3, LONG, LONG)).await;
    let mut half = Vec::new();
    for _ in 0..3 {
        // Idle after an answer: dropped in the order of the answers.
        let mut stream = server.get("/").await;
        until_text(&mut stream, "ok").await;
        stream.write_all(b"G").await.unwrap();
        half.push(stream);
    }
    let mut newcomer = server.get("/").await;
    until_text(&mut newcomer, "ok").await;
    assert!(until_end(half.remove(0)).await.is_empty());
    for stream in &mut half {
        stream.write_all(b"ET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        until_text(stream, "ok").await;
    }
}

#[tokio::test]
async fn newcomers_are_answered_however_many_clients_send_one_byte() {
    let server = Running::start(limits(8, LONG, LONG)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(server.send("G").await);
    }
    let mut newcomer = server.get("/").await;
    until_text(&mut newcomer, "ok").await;
    for stream in silent.drain(..92) {
        assert!(until_end(stream).await.is_empty());
    }
}

#[tokio::test]
async fn a_connection_whose_request_is_served_is_not_dropped_and_a_newcomer_waits_for_it() {
    let mut server = Running::start(limits(2, LONG, LONG)).await;
    let mut first = server.get("/held").await;
    server.begun.recv().await.unwrap();
    let half = server.send("G").await;
    let mut second = server.get("/held").await;
    server.begun.recv().await.unwrap();
    // The half head made room; now all connections serve requests.
    assert!(until_end(half).await.is_empty());
    let mut newcomer = server.get("/").await;
    server.release.add_permits(2);
    until_text(&mut first, "held").await;
    until_text(&mut second, "held").await;
    until_text(&mut newcomer, "ok").await;
}

#[tokio::test]
async fn whole_requests_that_came_before_their_connection_was_looked_at_are_all_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut clients = Vec::new();
    // Fewer than fit into any system's backlog of a listening socket.
    for _ in 0..100 {
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        clients.push(stream);
    }
    let _server = Running::on(listener, limits(8, LONG, LONG));
    let mut lost = 0;
    for mut stream in clients {
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") && stream.read_buf(&mut answer).await.is_ok_and(|more| more > 0) {}
        lost += usize::from(!answer.starts_with(b"HTTP/1.1 200 "));
    }
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn an_answer_reaches_its_client_although_the_connection_was_dropped_for_a_newcomer() {
    let server = Running::start(limits(1, LONG, LONG)).await;
    let first = server.get("/").await;
    let mut newcomer = server.get("/").await;
    until_text(&mut newcomer, "ok").await;
    assert!(until_end(first).await.ends_with(b"ok"));
}

#[tokio::test]
async fn clients_that_ask_and_take_no_answer_do_not_keep_a_newcomer_out() {
    let server = Running::start(limits(4, LONG, LONG)).await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        deaf.push(server.send(&"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(16)).await);
    }
    let mut newcomer = server.get("/").await;
    until_text(&mut newcomer, "ok").await;
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_take_is_cut_off() {
    let server = Running::start(limits(1, LONG, SHORT)).await;
    let large = server.get("/large").await;
    let mut newcomer = server.get("/").await;
    until_text(&mut newcomer, "ok").await;
    assert!(until_end(large).await.len() < LARGE_BYTES);
}

#[tokio::test]
async fn requests_sent_in_one_go_are_all_answered_in_their_order() {
    let server = Running::start(limits(1, LONG, LONG)).await;
    let head = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    let all = [head("/", ""), head("/none", ""), head("/", "Connection: close\r\n")].concat();
    let answers = String::from_utf8(until_end(server.send(&all).await).await).unwrap();
    let statuses: Vec<_> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
}

#[tokio::test]
async fn told_to_end_it_ends_idle_connections_at_once_and_running_requests_with_their_answer() {
    let mut server = Running::start(Limits { end: LONG, ..limits(4, LONG, LONG) }).await;
    let mut idle = server.get("/").await;
    until_text(&mut idle, "ok").await;
    let held = server.get("/held").await;
    server.begun.recv().await.unwrap();
    server.stop.cancel();
    assert!(until_end(idle).await.is_empty());
    server.release.add_permits(1);
    assert!(until_end(held).await.ends_with(b"held"));
    assert!(tokio::time::timeout(PATIENCE, server.tasks.join_next()).await.is_ok());
}

#[tokio::test]
async fn an_answer_without_end_lasts_while_its_client_reads_and_is_cut_off_when_it_does_not() {
    let server = Running::start(limits(1, SHORT, SHORT)).await;
    let mut client = server.get("/fed").await;
    let began = Instant::now();
    let mut piece = vec![0; 1024 * 1024];
    while began.elapsed() < SHORT * 10 {
        assert!(client.read(&mut piece).await.unwrap() > 0, "cut off after {:?}", began.elapsed());
    }
    // The only place is free when that client was cut off.
    let mut next = server.get("/").await;
    until_text(&mut next, "ok").await;
    drop(client);
}
