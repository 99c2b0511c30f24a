//! The servers that the binary calls in these tests: the embedded queue, and good and bad endpoints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::serve::Listener;
use queuepost::localqueue::{
    AttributeData, AttributeValue, Broker, MessageState, SendMessage, Server, SharedBroker, SharedFaults,
    wall_clock,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::process::until;

/// The embedded queue on a port of its own.
pub struct QueueServer {
    pub broker: SharedBroker,
    pub faults: SharedFaults,
    pub address: SocketAddr,
    _server: JoinSet<()>,
}

impl QueueServer {
    pub async fn start() -> Self {
        let server =
            Server::bind("127.0.0.1:0".parse().unwrap(), Broker::new(1), wall_clock()).await.unwrap();
        let (broker, faults, address) = (server.broker(), server.faults(), server.local_addr());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.serve(std::future::pending()).await });
        Self { broker, faults, address, _server: tasks }
    }

    /// Creates a FIFO queue; returns its URL.
    pub fn fifo(&self, name: &str) -> String {
        let attributes = [("FifoQueue".to_owned(), "true".to_owned())].into();
        self.broker.with(|broker, now| broker.create_queue(now, name, &attributes)).unwrap();
        self.url(name)
    }

    /// Creates a queue with a dead-letter queue; returns its URL.
    pub fn queue(&self, name: &str, max_receives: u32) -> String {
        self.broker.with(|broker, now| {
            let dlq = format!("{name}-dlq");
            broker.create_queue(now, &dlq, &BTreeMap::new()).unwrap();
            let policy = format!(
                r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{dlq}","maxReceiveCount":{max_receives}}}"#
            );
            broker.create_queue(now, name, &[("RedrivePolicy".to_owned(), policy)].into()).unwrap();
        });
        self.url(name)
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}/000000000000/{name}", self.address)
    }

    pub fn send(&self, queue: &str, body: &str) {
        self.send_with(queue, body, &[]);
    }

    pub fn send_with(&self, queue: &str, body: &str, attributes: &[(&str, &str)]) {
        let attribute = |(name, value): &(&str, &str)| {
            let value = AttributeData::Text((*value).to_owned());
            ((*name).to_owned(), AttributeValue { data_type: "String".to_owned(), value })
        };
        let attributes = attributes.iter().map(attribute).collect();
        let message = SendMessage { body: body.to_owned(), attributes, ..SendMessage::default() };
        self.broker.with(|broker, now| broker.send(now, queue, message)).unwrap();
    }

    pub fn send_to(&self, queue: &str, group: &str, body: &str) {
        let message = SendMessage {
            body: body.to_owned(),
            group_id: Some(group.to_owned()),
            deduplication_id: Some(body.to_owned()),
            ..SendMessage::default()
        };
        self.broker.with(|broker, now| broker.send(now, queue, message)).unwrap();
    }

    /// Counts of messages visible, in flight, in the dead-letter queue.
    pub fn census(&self, queue: &str) -> (usize, usize, usize) {
        self.broker.with(|broker, now| {
            let all = broker.inspect(now, queue);
            let visible = all.iter().filter(|message| message.state == MessageState::Visible).count();
            (visible, all.len() - visible, broker.inspect(now, &format!("{queue}-dlq")).len())
        })
    }

    /// How often each message of the queue was received.
    pub fn receive_counts(&self, queue: &str) -> Vec<u32> {
        self.broker.with(|broker, now| {
            broker.inspect(now, queue).into_iter().map(|message| message.receive_count).collect()
        })
    }

    /// Seconds for which each in-flight message of the queue stays hidden.
    pub fn hidden_for(&self, queue: &str) -> Vec<f64> {
        self.broker.with(|broker, now| {
            let hidden = |state| match state {
                MessageState::InFlight { until } => Some(until.millis_since(now) as f64 / 1_000.0),
                MessageState::Visible | MessageState::Delayed { .. } => None,
            };
            broker.inspect(now, queue).into_iter().filter_map(|message| hidden(message.state)).collect()
        })
    }

    pub async fn until_empty(&self, queue: &str) {
        let empty = || {
            let (visible, in_flight, _) = self.census(queue);
            (visible + in_flight == 0).then_some(())
        };
        assert!(until(empty).await.is_some(), "{queue} still holds {:?}", self.census(queue));
    }
}

/// An endpoint with configurable answers and a record of its requests.
pub struct HttpEndpoint {
    pub url: String,
    pub seen: Arc<Seen>,
    _server: JoinSet<()>,
}

#[derive(Default)]
pub struct Seen {
    pub status: AtomicU16,
    pub delay_ms: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    pub requests: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// Head and body of each request, in order.
    pub versions: Mutex<Vec<Version>>,
}

impl Seen {
    pub fn most_running(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// How often each body arrived.
    pub fn bodies(&self) -> BTreeMap<String, usize> {
        let mut bodies = BTreeMap::new();
        for (_, body) in self.requests.lock().unwrap().iter() {
            *bodies.entry(String::from_utf8(body.to_vec()).unwrap()).or_default() += 1;
        }
        bodies
    }
}

impl HttpEndpoint {
    pub async fn start(status: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, status, delay)
    }

    pub fn on(listener: TcpListener, status: u16, delay: Duration) -> Self {
        let url = format!("http://{}/work", listener.local_addr().unwrap());
        Self::over(listener, url, status, delay)
    }

    /// Serves whatever kind of connection the listener makes.
    pub fn over<L: Listener<Addr: std::fmt::Debug>>(
        listener: L,
        url: String,
        status: u16,
        delay: Duration,
    ) -> Self {
        let seen = Arc::new(Seen {
            status: AtomicU16::new(status),
            delay_ms: AtomicUsize::new(usize::try_from(delay.as_millis()).unwrap()),
            ..Seen::default()
        });
        let router =
            Router::new().fallback(take).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&seen));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, _server: tasks }
    }
}

/// Counts a request while it runs, also when its client disconnects.
struct Running(Arc<Seen>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn take(
    State(seen): State<Arc<Seen>>,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most.fetch_max(running, Ordering::SeqCst);
    let running = Running(Arc::clone(&seen));
    let delay = seen.delay_ms.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(u64::try_from(delay).unwrap())).await;
    seen.versions.lock().unwrap().push(version);
    seen.requests.lock().unwrap().push((headers, body));
    drop(running);
    (StatusCode::from_u16(seen.status.load(Ordering::SeqCst)).unwrap(), "done")
}

/// How a bad endpoint treats a connection once a request has begun to arrive.
#[derive(Debug, Clone, Copy)]
pub enum Bad {
    /// It closes the connection.
    Closes,
    /// It sends nothing.
    Hangs,
    /// It sends bytes that are no HTTP.
    Garbage,
    /// It sends a body without end.
    Endless,
}

/// An endpoint that misbehaves until it is switched to good; then it answers 200 and closes.
pub struct BadEndpoint {
    pub url: String,
    good: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl BadEndpoint {
    pub async fn start(bad: Bad) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/work", listener.local_addr().unwrap());
        let good = Arc::new(AtomicUsize::new(0));
        let is_good = Arc::clone(&good);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let good = is_good.load(Ordering::SeqCst) == 1;
                connections.spawn(misbehave(stream, bad, good));
            }
        });
        Self { url, good, _server: tasks }
    }

    pub fn be_good(&self) {
        self.good.store(1, Ordering::SeqCst);
    }
}

async fn misbehave(mut stream: TcpStream, bad: Bad, good: bool) {
    let mut request = vec![0; 64 * 1024];
    if stream.read(&mut request).await.unwrap_or(0) == 0 {
        return;
    }
    // Errors from here on are what the test is about.
    if good {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
        stream.shutdown().await.ok();
        while stream.read(&mut request).await.is_ok_and(|count| count > 0) {}
        return;
    }
    match bad {
        Bad::Closes => {}
        Bad::Hangs => std::future::pending().await,
        Bad::Garbage => {
            stream.write_all(b"\x16\x03\x01 what? \r\n\r\n").await.ok();
        }
        Bad::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok();
            while stream.write_all(b"4\r\nmore\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
