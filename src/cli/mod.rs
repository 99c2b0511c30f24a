//! The command line: one file per subcommand. This file only dispatches.

mod admin_client;
mod check;
mod control;
mod delete;
mod demo;
mod dev;
mod dev_config;
mod dev_plan;
mod envelope;
mod explain;
mod healthcheck;
mod interrupt;
mod line_shape;
mod manual;
mod options;
mod peek;
mod progress;
mod proxy;
mod purge;
mod queue_options;
mod queues;
mod receive;
mod redrive;
mod render;
mod run;
mod sample_endpoint;
mod send;
mod send_lines;
mod status;
mod status_page;
mod table;
mod terminal;
mod test_post;
mod told;
mod value;
mod workbench;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::telemetry::output;
use terminal::{complain, complain_of, print_lines};

/// The command succeeded.
const OK: u8 = 0;
/// The command failed while running, or a drain was cut off.
const FAILED: u8 = 1;
/// The command line is not valid.
const USAGE: u8 = 2;
/// Ended by Ctrl-C, with the code that shells use.
const INTERRUPTED: u8 = 130;
/// The configuration is not valid (`EX_CONFIG` of sysexits).
const BAD_CONFIGURATION: u8 = 78;

/// Every exit code and its meaning, for the documentation.
pub const EXIT_CODES: [(u8, &str); 5] = [
    (OK, "everything went as asked; `run` was drained after a signal, with nothing cut off"),
    (
        FAILED,
        "something failed while running: standard error or the log says what; after `run` also a drain that was cut \
         off by `shutdown.deadline`, after `check` a queue or endpoint that will not do, after `healthcheck` a process \
         that is not well, after `pause` and its like a change that was refused",
    ),
    (USAGE, "the command line makes no sense; standard error says why"),
    (BAD_CONFIGURATION, "the configuration is not valid; standard error lists every problem with its fix"),
    (INTERRUPTED, "`receive`, `peek`, `redrive`, `status --watch` or `dev --demo` was ended by Ctrl-C"),
];

const AFTER_HELP: &str = "\
Begin here, without an AWS account:
  queuepost dev            queue, listener and sample endpoint on this machine
  queuepost dev --demo     what an overloaded endpoint costs, in a minute

Examples:
  queuepost run --url http://127.0.0.1:8080/orders \\
    --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders
  queuepost run --config queuepost.yaml
  queuepost check --config queuepost.yaml
  queuepost send --queue orders --region eu-west-1 '{\"hello\":\"world\"}'
  queuepost receive --queue orders-dlq --region eu-west-1 --max 10
  queuepost status --watch
  queuepost pause orders --token-file token

Every option of `run` has an environment variable and a key in the file; an
option wins over the variable, the variable over the file.

Exit codes: 0 clean, 1 failure or a drain cut off, 2 usage, 78 bad
configuration.";

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
    /// Try out what `run` would do; receives and posts nothing
    Check(Box<check::Options>),
    /// All on this machine: embedded queue, listener, sample endpoint
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::Options),
    /// Put messages on a queue
    Send(Box<send::Options>),
    /// Read messages off a queue, one JSON object per line
    Receive(Box<receive::Options>),
    /// Show what a running process does: listeners, endpoints, failures
    Status(status::Options),
    /// Let a listener of a running process receive nothing
    #[command(after_help = control::PAUSE)]
    Pause(control::OfListener),
    /// Let a paused or drained listener receive again
    #[command(after_help = control::RESUME)]
    Resume(control::OfListener),
    /// Set how many POSTs a running listener may have at once
    Workers(control::Workers),
    /// End a listener of a running process once what runs has finished
    #[command(after_help = control::DRAIN)]
    Drain(control::OfListener),
    /// Let a running process read its configuration anew
    Reload(control::Reload),
    /// List queues, with what is in them and where their failures go
    Queues(queues::Options),
    /// Print messages of a queue and leave them there
    Peek(peek::Options),
    /// Delete messages by their receipt handles
    Delete(delete::Options),
    /// Drop all messages of a queue
    Purge(purge::Options),
    /// Send messages of a dead-letter queue back where they came from
    Redrive(Box<redrive::Options>),
    /// Ask the process on this machine whether it is alive, or ready
    Healthcheck(healthcheck::Options),
    /// Print the JSON Schema of the configuration file, for editors
    Schema(manual::SchemaOptions),
    /// Print completions for a shell
    Completions(manual::CompletionsOptions),
    /// Print the manual page, or write those of all subcommands
    Man(manual::ManOptions),
}

/// Parses the command line, runs the command and returns the exit code.
pub async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| suggesting(error).exit());
    let code = match cli.command {
        Command::Run(options) => Box::pin(run::run(&options)).await,
        Command::Check(options) => check::run(&options).await,
        Command::Dev(options) => Box::pin(dev::run(&options)).await,
        Command::Send(options) => send::run(&options).await,
        Command::Receive(options) => receive::run(&options).await,
        Command::Status(options) => status::run(&options).await,
        Command::Pause(options) => control::of_listener("pause", &options).await,
        Command::Resume(options) => control::of_listener("resume", &options).await,
        Command::Workers(options) => control::workers(&options).await,
        Command::Drain(options) => control::of_listener("drain", &options).await,
        Command::Reload(options) => control::reload(&options).await,
        Command::Queues(options) => queues::run(&options).await,
        Command::Peek(options) => peek::run(&options).await,
        Command::Delete(options) => delete::run(&options).await,
        Command::Purge(options) => purge::run(&options).await,
        Command::Redrive(options) => redrive::run(&options).await,
        Command::Healthcheck(options) => healthcheck::run(&options).await,
        Command::Schema(options) => manual::schema(&options),
        Command::Completions(options) => manual::completions(&options, Cli::command()),
        Command::Man(options) => manual::man(&options, Cli::command()),
    };
    output::finish();
    ExitCode::from(code)
}

/// The same error with a suggested subcommand where clap makes no suggestion: `rnu`.
fn suggesting(mut error: clap::Error) -> clap::Error {
    let unknown = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if error.kind() == ErrorKind::InvalidSubcommand => typed.clone(),
        Some(_) | None => return error,
    };
    let command = Cli::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    let near = names.map(|name| (strsim::osa_distance(&unknown, name), name)).min();
    if let Some((1, name)) = near
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![name.to_owned()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_the_wrong_order_still_lead_to_the_subcommand() {
        for (typed, meant) in [("rnu", "run"), ("dve", "dev"), ("chekc", "check"), ("recieve", "receive")] {
            let error = Cli::try_parse_from(["queuepost", typed]).expect_err(typed);
            let text = suggesting(error).to_string();
            assert!(text.contains("similar") && text.contains(&format!("'{meant}'")), "{text}");
        }
        let error = Cli::try_parse_from(["queuepost", "xyzzy"]).expect_err("no such subcommand");
        assert!(!suggesting(error).to_string().contains("similar"));
    }

    /// The program and every subcommand, at 80 columns.
    fn at_80_columns() -> Vec<clap::Command> {
        let program = Cli::command();
        let commands = std::iter::once(&program).chain(program.get_subcommands());
        commands.map(|command| command.clone().term_width(80)).collect()
    }

    #[test]
    fn no_example_is_wrapped_at_80_columns() {
        for mut command in at_80_columns() {
            let Some(examples) = command.get_after_help().map(ToString::to_string) else { continue };
            let help = command.render_long_help().to_string();
            assert!(help.contains(examples.trim_end()), "{help}");
        }
    }

    #[test]
    fn no_line_of_help_is_wider_than_80_columns() {
        for mut command in at_80_columns() {
            for help in [command.render_help(), command.render_long_help()].map(|help| help.to_string()) {
                for line in help.lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
        }
    }

    #[test]
    fn each_subcommand_has_one_line_in_the_list() {
        let mut command = Cli::command().term_width(80);
        let help = command.render_help().to_string();
        let (_, list) = help.split_once("Commands:\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        // With `help`, which clap adds.
        assert_eq!(list.lines().count(), command.get_subcommands().count(), "{list}");
    }
}
