//! The command line.

use clap::Parser;

/// Dead-lettered messages, receives and throughput in outages of the endpoint.
#[derive(Debug, Parser)]
#[command(name = "outages", max_term_width = 100)]
pub struct Options {
    /// Only these scenarios
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO", conflicts_with = "write")]
    pub only: Vec<String>,
    /// Only with so many processes
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "write")]
    pub processes: Vec<usize>,
    /// Only queuepost as it comes
    #[arg(long, conflicts_with = "write")]
    pub ours: bool,
    /// Of the random numbers; the page is that of 1
    #[arg(long, default_value_t = 1, conflicts_with = "write")]
    pub seed: u64,
    /// Rewrite docs/outages.md instead of printing
    #[arg(long)]
    pub write: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}
