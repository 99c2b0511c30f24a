//! The command line: one file per subcommand, nothing decided here but how they are called.

mod check;
mod dev;
mod options;
mod run;
mod sample_algorithm;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything went as asked.
const OK: u8 = 0;
/// Something failed while running, or a drain was cut off.
const FAILED: u8 = 1;
/// The configuration is not valid (`EX_CONFIG` of sysexits).
const BAD_CONFIGURATION: u8 = 78;

const AFTER_HELP: &str = "\
Examples:
  queuepost dev
  queuepost run --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders --url http://127.0.0.1:8080/orders
  queuepost run --config queuepost.yaml
  queuepost check --config queuepost.yaml
  queuepost send --queue orders --region eu-west-1 '{\"hello\":\"world\"}'

Every option of `run` has an environment variable and a key in the file; an option wins over the variable, the
variable over the file. Exit codes: 0 clean, 1 failure or a drain cut off, 2 usage, 78 bad configuration.";

/// SQS queues to HTTP endpoints: 200 deletes, 429 parks for five minutes, everything else is retried.
#[derive(Debug, Parser)]
#[command(name = "queuepost", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Consume queues and POST each message to an endpoint
    Run(Box<run::Options>),
    /// Try out what `run` would do, without receiving or posting anything
    Check(Box<check::Options>),
    /// Everything on this machine: embedded queue, sample endpoint, one listener
    Dev(dev::Options),
    /// Put a message on a queue
    Send(send::Options),
}

/// Parses the command line, does what it says, and tells how it went.
pub async fn main() -> ExitCode {
    let code = match Cli::parse().command {
        Command::Run(options) => run::run(&options).await,
        Command::Check(options) => check::run(&options).await,
        Command::Dev(options) => dev::run(&options).await,
        Command::Send(options) => send::run(&options).await,
    };
    ExitCode::from(code)
}

/// Tells a person on standard error what went wrong.
fn complain(message: &dyn std::fmt::Display) {
    eprintln!("queuepost: {message}");
}
