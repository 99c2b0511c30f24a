//! The command line.

use clap::Parser;

/// Dead-lettered messages, receives and throughput in outages of the endpoint.
#[derive(Debug, Parser)]
#[command(name = "outages", max_term_width = 100)]
pub struct Options {
    /// Few rows: two scenarios and one process
    #[arg(long, conflicts_with = "write")]
    pub quick: bool,
    /// Only these scenarios
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO", conflicts_with = "write")]
    pub only: Vec<String>,
    /// Only with so many processes
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "write")]
    pub processes: Vec<usize>,
    /// Rewrite docs/outages.md instead of printing
    #[arg(long)]
    pub write: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}
