//! What a message costs in allocations: a guard against a cost that grows unseen.
//!
//! Counts are the same on every machine and under any load, unlike times. The whole program runs on one thread, over
//! real sockets, with everything at its default. Queue and endpoint run on another thread, whose allocations are not
//! counted. A first round warms up: connections are made and tables have grown.
//!
//! A test binary of its own: it replaces the allocator, and the program takes over the signals of its process.
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a test that fails should say where"
)]
#![allow(clippy::disallowed_methods, reason = "it runs in real time")]

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure, opt_out};
use axum::Router;
use axum::body::Bytes;
use queuepost::app;
use queuepost::config::{self, Overrides};
use queuepost::localqueue::{Broker, SendMessage, Server, SharedBroker, wall_clock};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

const QUEUE: &str = "counted";
const WORKERS: &str = "64";
const BODY_BYTES: usize = 1_024;
/// Messages of a round.
const MESSAGES: usize = 1_000;
const ROUNDS: usize = 5;
/// Most allocations of one message. Lower it when they become fewer; raise it only for what is worth its price.
const ALLOCATIONS_MAX: f64 = 180.0;
/// Most bytes of them.
const BYTES_MAX: f64 = 53_000.0;
/// Longer than any machine takes for a round.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_message_costs_no_more_allocations_than_it_did() {
    let served = Served::start();
    let runtime = runtime();
    let (stop, overrides) = (CancellationToken::new(), served.overrides());
    let plan = config::load(&overrides, &|_| None, false).unwrap();
    let running = runtime.spawn(app::run(plan, None, stop.clone()));
    served.deliver(&runtime, MESSAGES);

    // On a busy machine a round may have receives that bring little; the cheapest round has the fewest.
    let rounds = (0..ROUNDS).map(|_| served.counted(&runtime, MESSAGES));
    let cheapest = rounds.min_by_key(|round| round.count_total).unwrap();
    let each = |total: u64| total as f64 / MESSAGES as f64;
    let (allocations, bytes) = (each(cheapest.count_total), each(cheapest.bytes_total));
    println!("one message: {allocations:.1} allocations, {bytes:.0} bytes");

    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
    let most = format!("at most {ALLOCATIONS_MAX} allocations and {BYTES_MAX} bytes are allowed");
    assert!(allocations <= ALLOCATIONS_MAX, "a message takes {allocations:.1} allocations; {most}");
    assert!(bytes <= BYTES_MAX, "a message allocates {bytes:.0} bytes; {most}");
    assert!(allocations > 50.0, "{allocations:.1} allocations are too few: the wrong thread is counted");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Queue and endpoint, on a thread that ends with the process.
struct Served {
    broker: SharedBroker,
    queue: String,
    url: String,
}

impl Served {
    fn start() -> Self {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            runtime().block_on(async {
                let mut broker = Broker::new(1);
                broker.create_queue(wall_clock()(), QUEUE, &BTreeMap::new()).unwrap();
                let queues = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await.unwrap();
                let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let queue = format!("http://{}/000000000000/{QUEUE}", queues.local_addr());
                let url = format!("http://{}/work", endpoint.local_addr().unwrap());
                tell.send(Self { broker: queues.broker(), queue, url }).unwrap();
                let router = Router::new().fallback(async |_: Bytes| ());
                let ((), served) = tokio::join!(queues.serve(std::future::pending()), async move {
                    axum::serve(endpoint, router).await
                });
                served.unwrap();
            });
        });
        told.recv().unwrap()
    }

    fn overrides(&self) -> Overrides {
        let some = |text: &str| Some(text.to_owned());
        Overrides {
            queue: some(&self.queue),
            url: some(&self.url),
            workers: some(WORKERS),
            admin_listen: some("127.0.0.1:0"),
            receive_wait: some("1s"),
            ..Overrides::default()
        }
    }

    /// The allocations of so many messages, from receive to delete.
    fn counted(&self, runtime: &Runtime, messages: usize) -> AllocationInfo {
        measure(|| self.deliver(runtime, messages))
    }

    fn deliver(&self, runtime: &Runtime, messages: usize) {
        opt_out(|| self.send(messages));
        runtime.block_on(async { tokio::time::timeout(PATIENCE, self.until_empty()).await }).unwrap();
    }

    fn send(&self, messages: usize) {
        let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(BODY_BYTES - 11));
        for _ in 0..messages {
            let message = SendMessage { body: body.clone(), ..SendMessage::default() };
            self.broker.with(|broker, now| broker.send(now, QUEUE, message)).unwrap();
        }
    }

    async fn until_empty(&self) {
        let mut left = true;
        while left {
            tokio::time::sleep(Duration::from_millis(2)).await;
            opt_out(|| left = self.broker.with(|broker, now| !broker.inspect(now, QUEUE).is_empty()));
        }
    }
}
