//! `queuepost purge`: drops all messages of a queue, after it was confirmed.

use std::io::IsTerminal as _;

use clap::Args;

use crate::cli::queue_options::QueueOptions;
use crate::cli::terminal::begin_line;
use crate::cli::{FAILED, OK, USAGE, complain, complain_of};
use crate::escape;
use crate::ports::Queue as _;

const EXAMPLES: &str = "\
Examples:
  Asks for the queue's name before it does anything:
    queuepost purge --queue orders-dlq --region eu-west-1

  In a script, where nobody is asked:
    queuepost purge --queue orders-dlq --yes

  To keep a copy, do not purge: each message is deleted once it is printed.
    queuepost receive --queue orders-dlq --max 100000 --delete > letters.jsonl

All messages are lost, those in flight too. SQS takes up to a minute for it, in
which it also drops messages that arrive, and allows one purge a minute.

Permissions: sqs:PurgeQueue, and sqs:GetQueueAttributes for how many there are.

Exit codes: 0 purged, 1 failure or not confirmed, 2 usage, 78 bad configuration.";

/// Options of `purge`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    queue: QueueOptions,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Asks and purges; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let on_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !options.yes && !on_terminal {
        complain(&"a purge is confirmed on a terminal, or with --yes where there is none");
        return USAGE;
    }
    let queue = match options.queue.open().await {
        Ok(queue) => queue,
        Err(code) => return code,
    };
    let name = escape::line(queue.own_name()).into_owned();
    match queue.inspect().await {
        Ok(facts) => {
            let all = facts
                .depth
                .visible
                .saturating_add(facts.depth.not_visible)
                .saturating_add(facts.depth.delayed);
            complain(&format!(
                "{name} has about {all} messages, of which {} are in flight and {} delayed",
                facts.depth.not_visible, facts.depth.delayed
            ));
        }
        Err(error) => {
            complain_of(&error);
            return FAILED;
        }
    }
    if !options.yes && !confirmed(&name) {
        complain(&"not purged: that is not the queue's name");
        return FAILED;
    }
    match queue.purge().await {
        Ok(()) => {
            complain(&format!("purged {name}; SQS may take a minute"));
            OK
        }
        Err(error) => {
            complain_of(&error);
            FAILED
        }
    }
}

/// Whether the person at the terminal types the queue's name.
fn confirmed(name: &str) -> bool {
    begin_line("All of them will be lost. Type the queue's name to go on: ");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).is_ok() && typed.trim() == name
}
