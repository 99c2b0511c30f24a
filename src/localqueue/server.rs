//! The embedded queue as a server: binds a port, serves, and stops on request.
//!
//! When it stops, long polls answer at once, running requests finish and idle connections close. Connections
//! that are still open two seconds later are cut. `front` handles requests; `serve` decides which connections
//! stay open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::front::{Front, refuse};
use super::shared::{Clock, SharedBroker, SharedFaults};
use super::{Broker, FaultPlan, Timestamp};
use crate::serve::{self, Hosts, Limits};

const LIMITS: Limits = Limits {
    // Each waiting poller of a client holds one connection; the benchmark opens up to 1,000.
    connections: 1_024,
    // SDKs keep idle connections for up to 90 s. If the server closes one first, the SDK's next call may
    // fail.
    head: Duration::from_secs(120),
    // The longest poll is 20 s (AWS limit), and injected faults may delay it.
    request: Duration::from_secs(60),
    // Enough for any answer, short for a client that sends nothing.
    end: Duration::from_secs(2),
};
/// The answer to a request for a foreign host name.
const FOREIGN_HOST: &str = "The embedded queue does not answer to the name in the Host header, so that no web page reaches \
    it by pointing its own name here. Use an IP address or localhost, or start dev with --allow-host NAME.";

/// An embedded queue that is bound to its port, and not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    broker: SharedBroker,
    faults: SharedFaults,
    hosts: Hosts,
}

impl Server {
    /// Binds the port (0: any free one) and owns the broker; no faults are injected.
    pub async fn bind(address: SocketAddr, broker: Broker, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self {
            listener,
            local_addr,
            broker: SharedBroker::new(broker, clock),
            faults: SharedFaults::default(),
            hosts: Hosts::only(&[], FOREIGN_HOST),
        })
    }

    /// Injects faults from the first request on.
    #[must_use]
    pub fn with_faults(self, plan: FaultPlan) -> Self {
        self.faults.start(plan);
        self
    }

    /// Answers to these host names too, beside IP addresses and `localhost`.
    #[must_use]
    pub fn with_hosts(self, names: &[String]) -> Self {
        Self { hosts: Hosts::only(names, FOREIGN_HOST), ..self }
    }

    /// The address the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle on the broker, which stays usable while the server runs.
    pub fn broker(&self) -> SharedBroker {
        self.broker.clone()
    }

    /// A handle on the faults, which can be changed while the server runs.
    pub fn faults(&self) -> SharedFaults {
        self.faults.clone()
    }

    /// Serves until `shutdown` resolves, then until every connection has ended.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let closing = CancellationToken::new();
        let front = Front::new(self.broker, self.faults, self.local_addr, closing.clone());
        let settings = serve::Settings { limits: LIMITS, hosts: self.hosts, refusal: refuse };
        tracing::info!(
            address = %self.local_addr,
            "embedded queue listening: for development only, nothing is stored on disk or authenticated"
        );
        let serving = serve::serve(self.listener, Arc::new(front).router(), settings, closing.clone());
        let closing = async {
            shutdown.await;
            closing.cancel();
        };
        tokio::join!(serving, closing);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use super::*;
    use crate::localqueue::{BrokerError, FaultRates, Operation};

    /// A running server; [`Running::end`] stops it and waits for it.
    struct Running {
        address: SocketAddr,
        broker: SharedBroker,
        faults: SharedFaults,
        stop: CancellationToken,
        tasks: JoinSet<()>,
    }

    impl Running {
        async fn start() -> Self {
            let mut broker = Broker::new(1);
            broker.create_queue(Timestamp(0), "q", &std::collections::BTreeMap::new()).unwrap();
            let server = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await.unwrap();
            let (address, broker, faults) = (server.local_addr(), server.broker(), server.faults());
            let stop = CancellationToken::new();
            let mut tasks = JoinSet::new();
            tasks.spawn(server.serve(stop.clone().cancelled_owned()));
            Self { address, broker, faults, stop, tasks }
        }

        async fn end(mut self) {
            self.stop.cancel();
            self.tasks.join_next().await.unwrap().unwrap();
        }

        async fn post(&self, target: &str, body: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let head = format!(
                "POST / HTTP/1.1\r\nHost: {HOST}\r\nX-Amz-Target: AmazonSQS.{target}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
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

    const HOST: &str = "localhost:9324";
    const POLL: &str = r#"{"QueueUrl":"http://h/0/q","WaitTimeSeconds":20}"#;

    #[tokio::test]
    async fn a_queue_url_starts_with_the_host_the_client_used() {
        let server = Running::start().await;
        let answer = server.call("GetQueueUrl", r#"{"QueueName":"q"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(r#"{"QueueUrl":"http://localhost:9324/000000000000/q"}"#), "{answer}");
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
        until(|| server.broker.waiting("q") == 1).await;
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

    #[tokio::test]
    async fn a_client_that_sends_half_a_request_does_not_keep_the_server_from_ending() {
        let server = Running::start().await;
        let mut half = TcpStream::connect(server.address).await.unwrap();
        half.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
        // Answered after the first half was accepted.
        server.call("ListQueues", "{}").await;
        let ended = tokio::time::timeout(Duration::from_secs(20), server.end()).await;
        assert!(ended.is_ok());
    }

    #[tokio::test]
    async fn bodies_that_come_slowly_cannot_fill_the_memory_and_short_requests_are_still_answered() {
        let server = Running::start().await;
        let most = 8 * 1024 * 1024;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nContent-Length: {most}\r\n\r\n"
        );
        let part = vec![b' '; most - 1];
        let mut slow = Vec::new();
        for _ in 0..33 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            // A connection beyond the limit may be closed meanwhile.
            stream.write_all(&part).await.ok();
            slow.push(stream);
        }
        let long = format!(r#"{{"QueueUrl":"q","MessageBody":"{}"}}"#, "x".repeat(100_000));
        let answer = server.call("SendMessage", &long).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let answer = server.call("SendMessage", r#"{"QueueUrl":"q","MessageBody":"x"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(slow);
        server.end().await;
    }

    #[tokio::test]
    async fn a_lost_answer_resets_the_connection_after_the_effect_and_a_reset_before_it() {
        let server = Running::start().await;
        let body = r#"{"QueueUrl":"q","MessageBody":"x"}"#;
        let stored = || server.broker.with(|broker, now| broker.inspect(now, "q").len());
        for (rates, expected) in [
            (FaultRates { reset: 1.0, ..Default::default() }, 0),
            (FaultRates { lost_answer: 1.0, ..Default::default() }, 1),
        ] {
            server.faults.set_rates(Operation::SendMessage, rates);
            let mut answer = String::new();
            let result = server.post("SendMessage", body).await.read_to_string(&mut answer).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            assert_eq!((answer.as_str(), stored()), ("", expected));
        }
        assert_eq!(server.faults.injected(), 2);
        server.end().await;
    }

    #[tokio::test]
    async fn injected_errors_and_failed_entries_are_answered_as_amazon_would() {
        let server = Running::start().await;
        server.send("x");
        let refuse =
            FaultRates { refuse: vec![(1.0, BrokerError::ServiceUnavailable)], ..Default::default() };
        server.faults.set_rates(Operation::ReceiveMessage, refuse);
        let answer = server.call("ReceiveMessage", r#"{"QueueUrl":"q"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let entries = FaultRates { failed_entry: 1.0, ..Default::default() };
        server.faults.set_rates(Operation::DeleteMessageBatch, entries);
        let body = r#"{"QueueUrl":"q","Entries":[{"Id":"a","ReceiptHandle":"h"}]}"#;
        let answer = server.call("DeleteMessageBatch", body).await;
        assert!(answer.contains(r#""SenderFault":false,"Code":"InternalError""#), "{answer}");
        server.end().await;
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
