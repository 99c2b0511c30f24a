//! The command line: the options for people, and the roles that the program gives itself.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::Threads;
use crate::tls::{Inside, Tls};

/// CPU time, calls and memory per message, of queuepost and of a bare loop.
#[derive(Debug, Parser)]
#[command(name = "throughput", max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// Messages of each run, after a warm-up of a tenth as many
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) messages: u32,
    /// Most POSTs at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) workers: u32,
    /// Bytes of each body, a JSON object
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(32..=1_048_576))]
    pub(crate) body: u32,
    /// Runs of each row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Which programs; those of others are installed from their registries into `target/`
    #[arg(long, value_delimiter = ',', default_value = "queuepost,bare")]
    pub(crate) only: Vec<Program>,
    /// Which surroundings
    #[arg(long, value_delimiter = ',', default_value = "instant,waiting")]
    pub(crate) setting: Vec<Setting>,
    /// Messages of each POST of queuepost; with more than one it runs with `preset: lambda` and a window of 1 s
    #[arg(long, value_delimiter = ',', value_name = "SIZE", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: Vec<u32>,
    /// Listeners of queuepost, each with a queue of its own and all workers
    #[arg(long, value_delimiter = ',', value_name = "COUNT", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) listeners: Vec<u32>,
    /// An endpoint with https, and what is spoken inside; for queuepost and the bare loop
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub(crate) tls: Option<Inside>,
    /// FIFO queues, whose messages are of so many groups in turn
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) groups: Option<u32>,
    /// Measure queuepost while nothing comes, for so many seconds, instead
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) idle: Option<u32>,
    /// Write every run's figures to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Print Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// The program under test on processor 0 and the rest on 1, with taskset; runtimes then see one processor
    #[arg(long)]
    pub(crate) pin: bool,
    /// The runtime of the bare loop; one thread is the cheapest
    #[arg(long, value_enum, default_value_t = Threads::One)]
    pub(crate) bare_threads: Threads,
    /// Measure this build of queuepost instead of the one made along with the benchmark
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_queuepost"))]
    pub(crate) queuepost: PathBuf,
    /// Shell command to run beside each measurement, with $PID and $NAME; ended by SIGINT
    #[arg(long, value_name = "COMMAND")]
    pub(crate) beside: Option<String>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// The measured program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Program {
    /// `queuepost run`.
    Queuepost,
    /// The bare loop.
    Bare,
    /// The bare loop with a call for each delete.
    Each,
    /// boto3 and requests, a thread for each POST.
    Boto3,
    /// sqs-consumer and undici on Node, a call for each delete.
    SqsConsumer,
    /// The same, with deletes in batches.
    SqsConsumerBatch,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queuepost => "queuepost",
            Self::Bare => "bare loop",
            Self::Each => "bare loop, deletes one by one",
            Self::Boto3 => "boto3 and requests, threads",
            Self::SqsConsumer => "sqs-consumer and undici",
            Self::SqsConsumerBatch => "sqs-consumer and undici, batches",
        }
    }
}

/// The servers it is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Setting {
    /// Endpoint and queue answer at once: the program is busy all the time.
    Instant,
    /// The endpoint takes 20 ms and calls to the queue 5 to 10 ms: mostly waiting, more wake-ups per message.
    Waiting,
}

impl Setting {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instant => "endpoint 0 ms, SQS 0 ms",
            Self::Waiting => "endpoint 20 ms, SQS 5–10 ms",
        }
    }

    pub(crate) fn endpoint_millis(self) -> u64 {
        match self {
            Self::Instant => 0,
            Self::Waiting => 20,
        }
    }

    /// Minimum and maximum.
    pub(crate) fn queue_millis(self) -> (u64, u64) {
        match self {
            Self::Instant => (0, 0),
            Self::Waiting => (5, 10),
        }
    }
}

/// A part of a measurement, as a process of its own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Role {
    QueueServer(QueueServer),
    NullEndpoint(NullEndpoint),
    Bare(Bare),
}

/// The embedded queue behind a front that counts calls.
#[derive(Debug, Args)]
pub(crate) struct QueueServer {
    #[arg(long)]
    pub(crate) least_millis: u64,
    #[arg(long)]
    pub(crate) most_millis: u64,
    /// How many queues share the messages
    #[arg(long)]
    pub(crate) queues: u32,
    /// FIFO queues with so many groups
    #[arg(long)]
    pub(crate) groups: Option<u32>,
}

/// An endpoint that answers 200 and nothing else.
#[derive(Debug, Args)]
pub(crate) struct NullEndpoint {
    #[arg(long)]
    pub(crate) millis: u64,
    #[arg(long)]
    pub(crate) body: u32,
    #[command(flatten)]
    pub(crate) tls: Option<Tls>,
}

/// The bare loop.
#[derive(Debug, Args)]
pub(crate) struct Bare {
    #[arg(long)]
    pub(crate) queue: url::Url,
    #[arg(long)]
    pub(crate) url: url::Url,
    #[arg(long)]
    pub(crate) workers: usize,
    #[arg(long)]
    pub(crate) threads: Threads,
    /// Delete each message by a call of its own
    #[arg(long)]
    pub(crate) each: bool,
    /// The authority of the endpoint, as PEM
    #[arg(long)]
    pub(crate) certificate: Option<PathBuf>,
}
