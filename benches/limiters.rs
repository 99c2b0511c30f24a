//! Limiters: what queuepost uses of an endpoint that takes only so much, compared with an oracle that knows the limit.
//!
//! `cargo bench --bench limiters` simulates the cases of `tests/sim/limiters`, with the real pipeline over the embedded
//! broker on paused time, and prints the page that is committed as `docs/limiters.md`; `--write` rewrites that file. Equal
//! seeds give equal figures, so the page does not depend on the machine. `--only TEXT` selects rows by their words.
//!
//! Reading order: `rows`, `others`, `page`.
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

#[path = "limiters/others.rs"]
mod others;
#[path = "limiters/page.rs"]
mod page;
#[path = "limiters/rows.rs"]
mod rows;

#[allow(dead_code, unused_imports, reason = "the tests use more of it")]
#[path = "../tests/sim/limiters/mod.rs"]
mod limiters;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/sim/process.rs"]
mod process;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/sim/simulated_queue.rs"]
mod simulated_queue;

/// Path of the page.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limiters.md");

#[derive(Debug, clap::Parser)]
struct Options {
    /// Rewrites docs/limiters.md instead of printing it.
    #[arg(long)]
    write: bool,
    /// Only rows whose words contain all of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let rows = rows::all(&options.only);
    let page = if options.only.is_empty() {
        page::whole(&rows, &others::changes(), &others::faults())
    } else {
        page::of_rows(&rows)
    };
    if !options.write {
        print!("{page}");
        return ExitCode::SUCCESS;
    }
    match std::fs::write(PAGE, page) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limiters: {PAGE}: {error}");
            ExitCode::FAILURE
        }
    }
}
