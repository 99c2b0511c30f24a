//! The HTTP front: one port that speaks the AWS JSON 1.0 protocol of SQS.
//!
//! Every request is a POST, to any path; the operation is in `X-Amz-Target`. Signatures are not looked at. Queue URLs
//! start with the host the client used, so they work from wherever the client is. The server ends when it is told to: long
//! polls answer at once, running requests finish, idle connections close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::shared::{Clock, SharedBroker};
use super::wire::{self, Call};
use super::{Broker, BrokerError, Operation, Timestamp, long_poll};

/// Longest request body: a batch of 1 MiB whose every byte is escaped as six characters of JSON, with room to spare.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TARGET_PREFIX: &str = "AmazonSQS.";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// An embedded queue bound to its port, not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    broker: SharedBroker,
}

/// What every request needs.
struct Front {
    broker: SharedBroker,
    local_addr: SocketAddr,
    closing: CancellationToken,
    requests: AtomicU64,
}

impl Server {
    /// Binds the port (0: any free one) and takes over the broker.
    pub async fn bind(address: SocketAddr, broker: Broker, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, broker: SharedBroker::new(broker, clock) })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle on the broker, which stays usable while the server runs.
    pub fn broker(&self) -> SharedBroker {
        self.broker.clone()
    }

    /// Serves until `shutdown` resolves, then until every connection has ended.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let closing = CancellationToken::new();
        let front = Arc::new(Front {
            broker: self.broker,
            local_addr: self.local_addr,
            closing: closing.clone(),
            requests: AtomicU64::new(0),
        });
        let router =
            Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)).with_state(front);
        let listener = self.listener.tap_io(|stream| {
            // Without it small answers would wait for the client's delayed acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection of the embedded queue stays without TCP_NODELAY");
            }
        });
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                shutdown.await;
                closing.cancel();
            })
            .await
    }
}

/// The time of the machine's clock.
pub fn wall_clock() -> Clock {
    Arc::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the embedded queue learns the time"
        )]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}

async fn answer(
    State(front): State<Arc<Front>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let result = if method == Method::POST {
        front.perform(&headers, &body).await
    } else {
        Err(wire::unsupported(method.as_str()))
    };
    front.respond(result)
}

impl Front {
    async fn perform(&self, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
        let operation = operation(headers)?;
        if operation == Operation::ReceiveMessage {
            let request = wire::receive::Request::parse(body)?;
            let messages = long_poll::receive(&self.broker, &request, &self.closing).await?;
            return request.answer(messages);
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin =
            host.map_or_else(|| format!("http://{}", self.local_addr), |host| format!("http://{host}"));
        self.broker
            .with(|broker, now| wire::answer(operation, &mut Call { broker, now, origin: &origin }, body))
    }

    fn respond(&self, result: Result<Vec<u8>, BrokerError>) -> Response {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (status, query_error, body) = match result {
            Ok(body) => (StatusCode::OK, None, body),
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let fault = if error.sender_fault() { "Sender" } else { "Receiver" };
                let body = serde_json::json!({ "__type": error.type_name(), "message": error.to_string() });
                (status, Some(format!("{};{fault}", error.code())), body.to_string().into_bytes())
            }
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        let texts = [
            (REQUEST_ID, Some(format!("00000000-0000-4000-8000-{number:012x}"))),
            (QUERY_ERROR, query_error),
        ];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

fn operation(headers: &HeaderMap) -> Result<Operation, BrokerError> {
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok()).ok_or_else(|| {
        BrokerError::UnsupportedOperation("The embedded queue speaks the AWS JSON protocol only.".to_owned())
    })?;
    let name = target.strip_prefix(TARGET_PREFIX).unwrap_or(target);
    Operation::from_name(name).ok_or_else(|| wire::unsupported(name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use super::*;

    /// A running server, ended and awaited by [`Running::end`].
    struct Running {
        address: SocketAddr,
        broker: SharedBroker,
        stop: CancellationToken,
        tasks: JoinSet<io::Result<()>>,
    }

    impl Running {
        async fn start() -> Self {
            let mut broker = Broker::new(1);
            broker.create_queue(Timestamp(0), "q", &std::collections::BTreeMap::new()).unwrap();
            let server = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await.unwrap();
            let (address, broker, stop) = (server.local_addr(), server.broker(), CancellationToken::new());
            let mut tasks = JoinSet::new();
            tasks.spawn(server.serve(stop.clone().cancelled_owned()));
            Self { address, broker, stop, tasks }
        }

        async fn end(mut self) {
            self.stop.cancel();
            self.tasks.join_next().await.unwrap().unwrap().unwrap();
        }

        async fn post(&self, target: &str, body: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let head = format!(
                "POST / HTTP/1.1\r\nHost: queue.test:9324\r\nX-Amz-Target: AmazonSQS.{target}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            stream
        }

        async fn call(&self, target: &str, body: &str) -> String {
            let mut answer = String::new();
            self.post(target, body).await.read_to_string(&mut answer).await.unwrap();
            answer
        }

        fn send(&self, body: &str) {
            let message = crate::localqueue::SendMessage { body: body.into(), ..Default::default() };
            self.broker.with(|broker, now| broker.send(now, "q", message)).unwrap();
        }
    }

    const POLL: &str = r#"{"QueueUrl":"http://h/0/q","WaitTimeSeconds":20}"#;

    #[tokio::test]
    async fn a_queue_url_starts_with_the_host_the_client_used() {
        let server = Running::start().await;
        let answer = server.call("GetQueueUrl", r#"{"QueueName":"q"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(r#"{"QueueUrl":"http://queue.test:9324/000000000000/q"}"#), "{answer}");
        assert!(answer.contains("x-amzn-requestid: "), "{answer}");
        server.end().await;
    }

    #[tokio::test]
    async fn an_error_has_its_type_in_the_body_and_its_code_in_the_header() {
        let server = Running::start().await;
        let answer = server.call("ReceiveMessage", r#"{"QueueUrl":"http://h/0/none"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains("x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender"),
            "{answer}"
        );
        assert!(answer.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{answer}");
        assert!(server.call("AddPermission", "{}").await.contains("UnsupportedOperation"));
        server.end().await;
    }

    #[tokio::test]
    async fn a_long_poll_is_woken_by_a_message_from_inside_the_program() {
        let server = Running::start().await;
        let mut poll = server.post("ReceiveMessage", POLL).await;
        server.send("hello");
        let mut answer = String::new();
        poll.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("hello"), "{answer}");
        server.end().await;
    }

    #[tokio::test]
    async fn a_long_poll_whose_client_went_away_takes_no_message() {
        let server = Running::start().await;
        let waits = || server.broker.waiting("q");
        let poll = server.post("ReceiveMessage", POLL).await;
        until(|| waits() == 1).await;
        drop(poll);
        until(|| waits() == 0).await;
        server.send("kept");
        let seen = server.broker.with(|broker, now| broker.inspect(now, "q"));
        assert_eq!(seen[0].receive_count, 0);
        server.end().await;
    }

    #[tokio::test]
    async fn a_long_poll_ends_when_the_server_does() {
        let server = Running::start().await;
        let mut poll = server.post("ReceiveMessage", POLL).await;
        until(|| server.broker.waiting("q") == 1).await;
        let ended = tokio::time::timeout(Duration::from_secs(10), server.end()).await;
        assert!(ended.is_ok());
        let mut answer = String::new();
        poll.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("{}"), "{answer}");
    }

    async fn until(condition: impl Fn() -> bool) {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not within 10 s");
    }
}
