//! The queue: the embedded server, behind a front that counts calls and may make them slow.
//!
//! The front forwards bytes, with one connection to the server per client connection. So the answers are the
//! embedded server's own. Filling the queue and reading its depth bypass both and use the broker directly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use queuepost::localqueue::{Broker, SendMessage, Server, SharedBroker, wall_clock};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::http1::{Message, Messages};
use crate::options::QueueServer;
use crate::protocol::{Calls, Depth, Emptied, Orders, QueueOrder, say};

/// Name of a queue, by its number.
pub(crate) fn queue_name(number: u32, is_fifo: bool) -> String {
    format!("bench-{number}{}", if is_fifo { ".fifo" } else { "" })
}

/// How each body begins, before the message's number and a comma.
pub(crate) const BODY_START: &str = r#"{"n":"#;
/// What the head of a receive has.
const RECEIVE: &[u8] = b"AmazonSQS.ReceiveMessage";
/// How often the queue is checked for being empty.
const LOOK: Duration = Duration::from_millis(2);
/// How long connections get to end.
const STOP: Duration = Duration::from_secs(1);

/// Serves until it is told to close or until its input ends.
pub(crate) async fn serve(options: &QueueServer) -> Result<()> {
    let mut broker = Broker::new(1);
    let queues = Queues { count: options.queues, groups: options.groups };
    for number in 0..queues.count {
        broker.create_queue(wall_clock()(), &queues.name(number), &queues.attributes())?;
    }
    let server = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await?;
    let (behind, broker) = (server.local_addr(), server.broker());
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(server.serve(stop.clone().cancelled_owned()));

    let front = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut orders = Orders::listening(front.local_addr()?)?;
    let calls = Arc::new(Counted::default());
    let millis = options.least_millis..=options.most_millis;
    let mut connections = JoinSet::new();
    let mut filling = Filling { sent: 0, at: Instant::now(), calls_before: 0 };
    let mut awaited = false;
    loop {
        tokio::select! {
            order = orders.next() => match order? {
                Some(QueueOrder::Fill { count, body }) => {
                    filling = filling.more(&broker, queues, count, body, calls.get().all)?;
                    say(&())?;
                }
                Some(QueueOrder::AwaitEmpty) => awaited = true,
                Some(QueueOrder::Calls) => say(&calls.get())?,
                Some(QueueOrder::Look) => say(&depth(&broker, queues)?)?,
                Some(QueueOrder::Close) | None => break,
            },
            accepted = front.accept() => {
                connections.spawn(hand_through(accepted?.0, behind, Arc::clone(&calls), millis.clone()));
            }
            () = sleep(LOOK), if awaited => {
                if is_empty(&broker, queues)? {
                    let micros = u64::try_from(filling.at.elapsed().as_micros())?;
                    say(&Emptied { micros, calls: calls.get().all - filling.calls_before })?;
                    awaited = false;
                }
            }
            // The measured program may close its connections at any time.
            Some(_ended) = connections.join_next() => {}
        }
    }
    stop.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(STOP, ended).await.ok();
    Ok(())
}

/// The queues, which share the messages.
#[derive(Debug, Clone, Copy)]
struct Queues {
    count: u32,
    /// Of FIFO queues.
    groups: Option<u32>,
}

impl Queues {
    fn name(self, number: u32) -> String {
        queue_name(number, self.groups.is_some())
    }

    fn attributes(self) -> BTreeMap<String, String> {
        self.groups.map(|_| ("FifoQueue".to_owned(), "true".to_owned())).into_iter().collect()
    }

    /// Group and deduplication id of a message.
    fn ids(self, message: u32) -> Option<(String, String)> {
        self.groups.map(|groups| ((message / self.count % groups).to_string(), message.to_string()))
    }
}

/// The calls that arrived.
#[derive(Default)]
struct Counted {
    all: AtomicU32,
    receives: AtomicU32,
}

impl Counted {
    fn add(&self, request: &Message) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if request.head().windows(RECEIVE.len()).any(|window| window == RECEIVE) {
            self.receives.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Calls {
        Calls { all: self.all.load(Ordering::Relaxed), receives: self.receives.load(Ordering::Relaxed) }
    }
}

/// The last filling of the queue.
struct Filling {
    /// Messages sent in total: the number of the next one.
    sent: u32,
    at: Instant,
    calls_before: u32,
}

impl Filling {
    /// Sends messages to the queues in turn, in one step; its time counts from before the first.
    fn more(
        &self,
        broker: &SharedBroker,
        queues: Queues,
        count: u32,
        length: u32,
        calls_before: u32,
    ) -> Result<Self> {
        let numbers = self.sent..self.sent + count;
        let length = usize::try_from(length)?;
        let at = Instant::now();
        broker.with(|broker, now| {
            for number in numbers.clone() {
                let (group_id, deduplication_id) = queues.ids(number).unzip();
                let body = body(number, length);
                let message = SendMessage { body, group_id, deduplication_id, ..SendMessage::default() };
                broker.send(now, &queues.name(number % queues.count), message)?;
            }
            Ok::<_, queuepost::localqueue::BrokerError>(())
        })?;
        Ok(Self { sent: numbers.end, at, calls_before })
    }
}

/// A JSON object of exactly so many bytes that carries the number of its message.
fn body(number: u32, length: usize) -> String {
    let start = format!(r#"{BODY_START}{number},"text":""#);
    let filler = "x".repeat(length.saturating_sub(start.len() + 2));
    format!(r#"{start}{filler}"}}"#)
}

/// Whether every queue is; looks no further than the first that is not.
fn is_empty(broker: &SharedBroker, queues: Queues) -> Result<bool> {
    for number in 0..queues.count {
        let Depth { visible, in_flight } = depth_of(broker, &queues.name(number))?;
        if visible + in_flight > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Of all queues together.
fn depth(broker: &SharedBroker, queues: Queues) -> Result<Depth> {
    let mut all = Depth { visible: 0, in_flight: 0 };
    for number in 0..queues.count {
        let Depth { visible, in_flight } = depth_of(broker, &queues.name(number))?;
        all.visible += visible;
        all.in_flight += in_flight;
    }
    Ok(all)
}

fn depth_of(broker: &SharedBroker, queue: &str) -> Result<Depth> {
    let attributes = broker.with(|broker, now| broker.attributes(now, queue))?;
    let count = |name: &str| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Depth {
        visible: count("ApproximateNumberOfMessages"),
        in_flight: count("ApproximateNumberOfMessagesNotVisible"),
    })
}

async fn hand_through(
    mut client: TcpStream,
    behind: SocketAddr,
    calls: Arc<Counted>,
    millis: RangeInclusive<u64>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(behind).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, mut to_client) = client.split();
    let (server_reads, mut to_server) = server.split();
    let (mut requests, mut answers) = (Messages::new(client_reads), Messages::new(server_reads));
    while let Some(request) = requests.next().await? {
        calls.add(&request);
        let pause = Duration::from_millis(fastrand::u64(millis.clone()));
        if !pause.is_zero() {
            sleep(pause).await;
        }
        to_server.write_all(&request.bytes).await?;
        let Some(answer) = answers.next().await? else { return Ok(()) };
        to_client.write_all(&answer.bytes).await?;
    }
    Ok(())
}
