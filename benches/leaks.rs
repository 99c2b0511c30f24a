//! Leaks: whether memory, file descriptors or tasks of a long-running process grow.
//!
//! `cargo bench --bench leaks -- --minutes 10` runs the program under steady load. Its endpoint succeeds,
//! throttles, fails, refuses and hangs. Every few seconds it reads memory and file descriptors from the
//! system, and the number of tasks from the runtime. It prints these at the start, after a warm-up and at the
//! end, with the slope in between. The exit code is 1 when one of them has grown by more than a stated bound.
//!
//! The program runs in a process of its own (this one again, with a role as argument). Only that process can
//! count its tasks. The warm-up ends after as many messages as a process remembers: until then that memory
//! fills, as it should. The limit on sessions is fixed: an adaptive one would fall to one request at a time.
//! Each figure is the mean over a tenth of the run, since all figures fluctuate.
//!
//! Linux only. Reading order: `measure`, then the roles `bridge` and `load`.
//!
//! Linux only. Reading order: `measure`, then the roles `bridge` and `load`.
#![allow(clippy::disallowed_methods, reason = "it takes the time of real processes")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[path = "leaks/bridge.rs"]
mod bridge;
#[allow(dead_code, reason = "the other benchmark uses more of it")]
#[path = "throughput/child.rs"]
mod child;
#[path = "leaks/load.rs"]
mod load;
#[path = "leaks/measure.rs"]
mod measure;
#[allow(dead_code, reason = "the other benchmark uses more of it")]
#[path = "throughput/process.rs"]
mod process;
#[allow(dead_code, reason = "the other benchmark uses more of it")]
#[path = "throughput/protocol.rs"]
mod protocol;

/// The allocator of queuepost, so that it makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Memory, file descriptors and tasks of a program under steady load.
#[derive(Debug, Parser)]
#[command(name = "leaks", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Options {
    /// How long, after the warm-up
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Successes until the process counts as warm: as many as it remembers
    #[arg(long, default_value_t = 65_536)]
    warm_up: u64,
    /// Most POSTs at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// Seed of the endpoint's answers
    #[arg(long)]
    seed: Option<u64>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    role: Option<Role>,
}

/// A part of the measurement, as a process of its own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Role {
    Bridge(Bridge),
}

/// The program under test.
#[derive(Debug, Args)]
struct Bridge {
    #[arg(long)]
    queue: String,
    #[arg(long)]
    url: String,
    #[arg(long)]
    workers: u32,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| {
        let ended = match &options.role {
            Some(Role::Bridge(role)) => runtime.block_on(bridge::run(role)).map(|()| true),
            None => runtime.block_on(measure::run(&options)),
        };
        // A reader of standard input may still wait for a line.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("leaks: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This program, to be started with a role.
fn myself() -> Result<PathBuf> {
    Ok(std::env::current_exe()?)
}
