//! Throughput: the cost of a message, compared with the cheapest possible loop.
//!
//! `cargo bench --bench throughput` measures two programs. One is `queuepost run`, the program itself. The
//! other is a bare loop of aws-sdk-sqs and reqwest. It batches but handles no error: a lower bound, not a
//! bridge. Each runs once without waits and once with realistic waits. It prints figures and asserts no
//! speed, because machines differ. The ratio of CPU time per message between the two is comparable between
//! machines.
//!
//! Each part is a process of its own (this program again, with a role as argument). So `/proc` has its
//! figures alone. Each row is measured several times in turn with the others. So other load on the machine
//! affects all rows. Every run also checks that each message arrived exactly once.
//!
//! `cargo bench` builds both without link-time optimisation; `--profile dist` measures them as shipped.
//!
//! `--batch 1,10,100,1000` adds rows of queuepost with so many messages in a POST, as the event of AWS Lambda.
//! `--listeners 1,10,100` has them shared by so many queues with a listener each.
//! `--groups 1000` has them in FIFO queues. `--tls http1` and `--tls http2` have an endpoint with https.
//! `--idle 60` measures instead what listeners cost while nothing comes.
//! `--only queuepost,bare,each,boto3,sqs-consumer,sqs-consumer-batch` measures workers of others in the same run.
//!
//! Linux only. Reading order: `measure`, `programs`, then the roles `queue_server`, `null_endpoint` and `bare`.
#![allow(clippy::disallowed_methods, reason = "it takes the time of real processes")]

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Options, Role};

#[path = "throughput/bare.rs"]
mod bare;
#[path = "throughput/child.rs"]
mod child;
#[path = "throughput/http1.rs"]
mod http1;
#[path = "throughput/idle.rs"]
mod idle;
#[path = "throughput/measure.rs"]
mod measure;
#[path = "throughput/null_endpoint.rs"]
mod null_endpoint;
#[path = "throughput/options.rs"]
mod options;
#[path = "throughput/process.rs"]
mod process;
#[path = "throughput/programs.rs"]
mod programs;
#[path = "throughput/protocol.rs"]
mod protocol;
#[path = "throughput/queue_server.rs"]
mod queue_server;
#[path = "throughput/table.rs"]
mod table;
#[path = "throughput/tls.rs"]
mod tls;

/// The allocator of queuepost, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match &options.role {
        None => run(Threads::One, until_interrupted(&options)),
        Some(Role::QueueServer(role)) => run(Threads::One, queue_server::serve(role)),
        Some(Role::NullEndpoint(role)) => run(Threads::One, null_endpoint::serve(role)),
        Some(Role::Bare(role)) => run(role.threads, bare::run(role)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many threads a part's runtime has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Threads {
    /// tokio's current-thread runtime.
    One,
    /// tokio's multi-thread runtime with a worker for each processor.
    Many,
}

impl Threads {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Many => "many",
        }
    }
}

/// Ends early, with all children, on SIGINT and SIGTERM.
async fn until_interrupted(options: &Options) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let measured = async {
        match options.idle {
            Some(seconds) => idle::rows(options, seconds).await,
            None => measure::rows(options).await,
        }
    };
    tokio::select! {
        measured = measured => measured,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

fn run(threads: Threads, work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(work);
    // A role's reader of standard input may still wait for a line.
    runtime.shutdown_background();
    result
}
