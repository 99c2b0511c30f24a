//! Serves one connection without a socket, for fuzzers: bytes of a client in, bytes of the server out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::connections::Connections;
use super::server::{Peer, Port, answer};

/// How long a connection lasts; on paused time that is no time.
const LASTS: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// What a router answers to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The status; `None`: the connection ended without an answer.
    pub(crate) status: Option<u16>,
    /// The head, in small letters.
    pub(crate) head: String,
    /// What follows the head.
    pub(crate) body: Vec<u8>,
}

/// Has `router` answer a request: head with lines ended by `\n`, and after the byte 0x1F the body.
pub(crate) async fn ask(router: &Router, settings: &Settings, request: &[u8]) -> Answered {
    let connections = Arc::new(Connections::new(1));
    let open = connections.open(CancellationToken::new());
    let port = Port { router: router.clone(), settings: settings.clone(), stop: CancellationToken::new() };
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let connection = &open.connection;
    let service = service_fn(|request| answer(&port, connection, Peer(None), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let written = written(request);
    let talking = async {
        let (read, mut write) = tokio::io::split(&mut client);
        let mut answered = Vec::new();
        let mut bounded = read.take(ANSWER_MAX);
        // The client does not close its half: hyper would take that for the end of the connection.
        let both = async { tokio::join!(write.write_all(&written), bounded.read_to_end(&mut answered)) };
        drop(tokio::time::timeout(LASTS, both).await);
        answered
    };
    let answered = tokio::select! {
        biased;
        answered = talking => answered,
        () = async {
            drop(serving.await);
            std::future::pending::<()>().await;
        } => Vec::new(),
    };
    read(&answered)
}

/// The request as a client would write it.
fn written(request: &[u8]) -> Vec<u8> {
    let mut parts = request.splitn(2, |byte| *byte == 0x1f);
    let head = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default();
    let mut written = Vec::new();
    for line in head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        written.extend_from_slice(line);
        written.extend_from_slice(b"\r\n");
    }
    // A head may say itself how long its body is.
    let says = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !says.contains("transfer-encoding") && !says.contains("content-length") {
        written.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    written.extend_from_slice(b"Connection: close\r\n\r\n");
    written.extend_from_slice(body);
    written
}

fn read(answered: &[u8]) -> Answered {
    let end = answered.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end.and_then(|end| answered.split_at_checked(end + 4)).unwrap_or((answered, &[]));
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    assert!(status.is_some() || answered.is_empty(), "no answer of HTTP: {head:?}");
    Answered { status, head, body: body.to_vec() }
}

/// Runs `work` on a runtime whose time passes at once.
pub(crate) fn on_paused_time(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    if let Ok(runtime) = runtime {
        runtime.block_on(work);
    }
}
