//! The command line.

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::outage::MECHANISMS;

/// Dead-lettered messages, receives and throughput in outages of the endpoint.
#[derive(Debug, Parser)]
#[command(name = "outages", max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Options {
    /// Only these scenarios
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO", conflicts_with = "write")]
    pub only: Vec<String>,
    /// Without one mechanism of flow control; of queuepost as it comes
    #[arg(long, value_name = "NAME", conflicts_with = "write", value_parser = names())]
    pub without: Option<String>,
    /// What each mechanism is worth: docs/flow-control.md; of one with --without
    #[arg(long)]
    pub flow_control: bool,
    /// Only with so many processes
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with = "write")]
    pub processes: Vec<usize>,
    /// Only FIFO queues
    #[arg(long, conflicts_with = "write")]
    pub fifo: bool,
    /// Only POSTs of several messages
    #[arg(long, conflicts_with_all = ["write", "fifo"])]
    pub batches: bool,
    /// Only queuepost as it comes
    #[arg(long, conflicts_with = "write")]
    pub ours: bool,
    /// Only queuepost with `fleet`
    #[arg(long, conflicts_with_all = ["write", "ours", "without"])]
    pub fleet: bool,
    /// Of the random numbers; the page is that of 1
    #[arg(long, default_value_t = 1, conflicts_with = "write")]
    pub seed: u64,
    /// Rewrite docs/outages.md, or docs/flow-control.md, instead of printing
    #[arg(long)]
    pub write: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(MECHANISMS.iter().map(|mechanism| mechanism.name))
}
