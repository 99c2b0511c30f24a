//! The speed of the embedded queue: whether it can carry the load that a bridge is measured with.
//!
//! `cargo bench --bench localqueue` measures messages received and deleted in batches of ten. It calls the
//! broker directly, and then over HTTP a server with one thread, on one connection and on several. The client
//! is cheap and has a thread of its own. The server's CPU time per message shows its capacity on a free
//! processor, whatever else the machine does. It prints figures and asserts no speed, because machines
//! differ.
//!
//! Every run checks that as many messages were handed out as were sent, and that none is left. Linux only.
#![allow(clippy::disallowed_methods, reason = "it takes the time of real threads")]

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use queuepost::localqueue::{Broker, BrokerError, Receive, SendMessage, Server, SharedBroker, wall_clock};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::load::Client;

#[allow(dead_code, reason = "the other benchmark uses more of it")]
#[path = "throughput/http1.rs"]
mod http1;
#[path = "localqueue/load.rs"]
mod load;

/// The allocator of queuepost, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Name of the one queue.
const QUEUE: &str = "bench";
/// Most messages of a receive and entries of a batch (AWS limit).
const BATCH: usize = 10;
/// Longer than any run.
const VISIBILITY: u32 = 3_600;

/// Messages received and deleted in a second, from the embedded queue.
#[derive(Debug, Parser)]
#[command(name = "localqueue", max_term_width = 100)]
struct Options {
    /// Messages of each run
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Bytes of each body
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    body: u32,
    /// Runs of each row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Connections of the last row
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// The result of one run.
struct Figures {
    wall: Duration,
    /// CPU time of the thread that runs the queue.
    cpu: Duration,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("localqueue: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let Options { messages, body, runs, connections, .. } = options;
    println!("{messages} messages of {body} bytes, in batches of ten; median of {runs} (least–most)");
    println!("  {:<24}{:>26}{:>26}", "", "messages/s", "CPU µs/message");
    let mut rows = vec![("broker alone".to_owned(), 0), ("HTTP, 1 connection".to_owned(), 1)];
    rows.push((format!("HTTP, {connections} connections"), *connections));
    for (name, connections) in rows {
        let figures = (0..*runs).map(|_| match connections {
            0 => broker_alone(options),
            _ => over_http(options, connections),
        });
        let figures: Vec<Figures> = figures.collect::<Result<_>>()?;
        let count = f64::from(*messages);
        let rate = figures.iter().map(|run| count / run.wall.as_secs_f64()).collect();
        let cpu = figures.iter().map(|run| run.cpu.as_secs_f64() * 1e6 / count).collect();
        println!("  {name:<24}{:>26}{:>26}", spread(rate, 0), spread(cpu, 2));
    }
    Ok(())
}

/// The state machine without lock, clock or protocol.
fn broker_alone(options: &Options) -> Result<Figures> {
    let now = wall_clock()();
    let mut broker = Broker::new(1);
    broker.create_queue(now, QUEUE, &[].into())?;
    for number in 0..options.messages {
        broker.send(now, QUEUE, message(options, number))?;
    }
    let receive = Receive {
        max_messages: u32::try_from(BATCH)?,
        visibility_timeout: Some(VISIBILITY),
        attempt_id: None,
    };
    let (began, cpu) = (Instant::now(), cpu_time("thread-self")?);
    let mut handed_out = 0;
    loop {
        let received = broker.receive(now, QUEUE, &receive)?;
        for message in &received {
            broker.delete(now, QUEUE, &message.receipt_handle)?;
        }
        match received.len() {
            0 => break,
            count => handed_out += count,
        }
    }
    let figures = Figures { wall: began.elapsed(), cpu: cpu_time("thread-self")?.saturating_sub(cpu) };
    check(options, handed_out, broker.inspect(now, QUEUE).len())?;
    Ok(figures)
}

/// The server on a thread of its own, called from this one.
fn over_http(options: &Options, connections: u32) -> Result<Figures> {
    let stop = CancellationToken::new();
    let (up, started) = std::sync::mpsc::sync_channel(1);
    let stopping = stop.clone();
    let serving = std::thread::spawn(move || serve(&up, stopping));
    let (address, broker, thread) = started.recv().map_err(|_| "the server did not start")?;
    fill(options, &broker)?;
    let (began, cpu) = (Instant::now(), cpu_time(&thread)?);
    let handed_out = runtime()?.block_on(empty(address, connections))?;
    let figures = Figures { wall: began.elapsed(), cpu: cpu_time(&thread)?.saturating_sub(cpu) };
    check(options, handed_out, broker.with(|broker, now| broker.inspect(now, QUEUE).len()))?;
    stop.cancel();
    serving.join().map_err(|_| "the server panicked")??;
    Ok(figures)
}

/// The server's address, its content, and its thread in `/proc`.
type Started = (SocketAddr, SharedBroker, String);

fn serve(up: &std::sync::mpsc::SyncSender<Started>, stop: CancellationToken) -> Result<()> {
    let thread = fs::read_link("/proc/thread-self")?.to_str().ok_or("no name in /proc")?.to_owned();
    runtime()?.block_on(async {
        let mut broker = Broker::new(1);
        broker.create_queue(wall_clock()(), QUEUE, &[].into())?;
        let server = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await?;
        up.send((server.local_addr(), server.broker(), thread))?;
        server.serve(stop.cancelled_owned()).await;
        Ok(())
    })
}

fn fill(options: &Options, broker: &SharedBroker) -> Result<()> {
    broker.with(|broker, now| {
        for number in 0..options.messages {
            broker.send(now, QUEUE, message(options, number))?;
        }
        Ok::<_, BrokerError>(())
    })?;
    Ok(())
}

/// Receives and deletes on so many connections until the queue is empty; returns the number of messages.
async fn empty(address: SocketAddr, connections: u32) -> Result<usize> {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..connections {
        clients.spawn(async move { Client::connect(address, QUEUE, VISIBILITY).await?.empty().await });
    }
    let mut handed_out = 0;
    while let Some(count) = clients.join_next().await {
        handed_out += count??;
    }
    Ok(handed_out)
}

fn message(options: &Options, number: u32) -> SendMessage {
    let start = number.to_string();
    let filler = "x".repeat(usize::try_from(options.body).unwrap_or_default().saturating_sub(start.len()));
    SendMessage { body: start + &filler, ..SendMessage::default() }
}

fn check(options: &Options, handed_out: usize, left: usize) -> Result<()> {
    if (u32::try_from(handed_out)?, left) == (options.messages, 0) {
        return Ok(());
    }
    Err(format!("of {} messages {handed_out} were handed out and {left} are left", options.messages).into())
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// CPU time of a thread so far (`/proc/.../schedstat`, first field, nanoseconds).
fn cpu_time(thread: &str) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
    let nanos = text.split_whitespace().next().ok_or("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// The median, with minimum and maximum in parentheses.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return String::new() };
    let median = values.get(values.len() / 2).unwrap_or(most);
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}
