//! Outages: what an endpoint that accepts nothing for a while costs the queue, and how soon deliveries
//! resume.
//!
//! `cargo bench --bench outages` simulates every scenario of `tests/sim/outage`, with the real pipeline over
//! the embedded broker on paused time. It compares three consumers: queuepost, queuepost with the adaptive
//! limit off, and a fixed pool of workers; for FIFO queues and batches others. It prints the page that is committed as `docs/outages.md`;
//! `--write` rewrites that file. Equal seeds give equal figures, so the page does not depend on the machine.
//!
//! Each run is a runtime of its own on one thread; the runs are spread over all processors.
//!
//! `--without NAME` does the same without one mechanism of flow control. `--flow-control` runs each mechanism's own rows
//! with and without it, and prints `docs/flow-control.md`.
//!
//! Reading order: `options`, `runs`, `goals`, `page`, `batches`, `flow_control`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    reason = "as in the tests, whose simulation this is"
)]
#![allow(unreachable_pub, reason = "one binary; `pub` says what a module offers the others")]

use std::process::ExitCode;

use clap::Parser as _;

use crate::options::Options;

#[path = "outages/batches.rs"]
mod batches;
#[path = "outages/flow_control.rs"]
mod flow_control;
#[path = "outages/goals.rs"]
mod goals;
#[path = "outages/options.rs"]
mod options;
#[path = "outages/page.rs"]
mod page;
#[path = "outages/runs.rs"]
mod runs;

#[path = "../tests/sim/outage/mod.rs"]
mod outage;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/sim/process.rs"]
mod process;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/sim/simulated_queue.rs"]
mod simulated_queue;

/// Path of the page.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/outages.md");
/// And the one of the mechanisms.
const FLOW_CONTROL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/flow-control.md");

fn main() -> ExitCode {
    let options = Options::parse();
    let (path, page) = if options.flow_control {
        (FLOW_CONTROL, flow_control::page(options.without.as_deref()))
    } else {
        (PAGE, page::render(&runs::all(&options)))
    };
    if !options.write {
        print!("{page}");
        return ExitCode::SUCCESS;
    }
    match std::fs::write(path, page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outages: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}
