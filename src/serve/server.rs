//! Accepts connections and answers their requests until it is stopped.

use std::convert::Infallible;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::Settings;
use super::connection::{Answer, Connection};
use super::connections::{Connections, Open};
use super::stream::Stream;

/// Longest request head, and most bytes of a body per read. The routers limit the bodies themselves.
const BUFFER_MAX_BYTES: usize = 16 * 1024;
/// Pause after an accept failed without descriptors or memory: an immediate repeat would only use CPU time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop`, then until every connection has ended or [`super::Limits::end`] is over.
///
/// # Cancel safety
///
/// Dropping the future cuts all connections.
pub async fn serve(listener: TcpListener, router: Router, settings: Settings, stop: CancellationToken) {
    let connections = Arc::new(Connections::new(settings.limits.connections));
    let cut_all = CancellationToken::new();
    let _cut_when_dropped = cut_all.clone().drop_guard();
    let port = Arc::new(Port { router: router.with_state(()), settings, stop });
    let tasks = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            biased;
            () = port.stop.cancelled() => break,
            socket = next(&listener, &connections) => socket,
        };
        let open = connections.open(cut_all.child_token());
        tasks.spawn(run(socket, open, Arc::clone(&port)));
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(port.settings.limits.end, tasks.wait()).await.is_err() {
        cut_all.cancel();
        tasks.wait().await;
    }
}

/// The next connection, once there is room for it.
async fn next(listener: &TcpListener, connections: &Connections) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Otherwise small answers would wait for the client's delayed acknowledgement.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a connection stays without TCP_NODELAY");
                }
                connections.make_room().await;
                return socket;
            }
            // The client caused this error; the next connection may work.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The state that all connections of a port share.
pub(super) struct Port {
    pub(super) router: Router,
    pub(super) settings: Settings,
    pub(super) stop: CancellationToken,
}

/// Answers the requests of one connection, one after the other.
async fn run(socket: TcpStream, open: Open, port: Arc<Port>) {
    let connection = &open.connection;
    let peer = Peer(socket.peer_addr().ok());
    let service = service_fn(|request| answer(&port, connection, peer, request));
    let stream = TokioIo::new(Stream::new(socket, Arc::clone(connection)));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_MAX_BYTES);
    let mut served = pin!(builder.serve_connection(stream, service));
    // Checked when the time may be over. hyper's own timeout for heads would set a timer for each request.
    let mut alarm = pin!(tokio::time::sleep_until(connection.deadline(&port.settings.limits)));
    // A token per connection: thousands of connections would contend for the lock of a shared token.
    let stop = port.stop.child_token();
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection failed");
                }
                return;
            }
            () = connection.until_cut() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = alarm.as_mut() => {
                let deadline = connection.deadline(&port.settings.limits);
                if deadline <= Instant::now() {
                    return;
                }
                alarm.as_mut().reset(deadline);
            }
        }
    }
}

/// Who sent a request; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// The connection was dropped before this request had arrived in full.
#[derive(Debug, thiserror::Error)]
#[error("dropped to make room for another connection")]
pub(super) struct Dropped;

pub(super) async fn answer(
    port: &Port,
    connection: &Arc<Connection>,
    peer: Peer,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, Dropped> {
    let serving = connection.begin().ok_or(Dropped)?;
    let response = match port.settings.hosts.check(&request) {
        Ok(()) => {
            request.extensions_mut().insert(connection.cut());
            request.extensions_mut().insert(peer);
            let answered: Result<_, Infallible> = port.router.clone().oneshot(request.map(Body::new)).await;
            answered.unwrap_or_else(|never| match never {})
        }
        Err(refusal) => (port.settings.refusal)(refusal),
    };
    Ok(response.map(|body| Answer::new(body, serving)))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
