//! `queuepost run`: consumes queues and posts their messages until a signal.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Source};
use crate::cli::options::PlanOptions;
use crate::cli::{BAD_CONFIGURATION, FAILED, OK, complain};
use crate::config::{self, ConfigErrors, Overrides, Plan, Trial};
use crate::telemetry::Chain;
use crate::telemetry::log;

const EXAMPLES: &str = "\
Examples:
  One listener, credentials from the usual AWS places:
    queuepost run --url http://127.0.0.1:8080/orders \\
      --queue https://sqs.eu-west-1.amazonaws.com/123456789012/orders

  In another account, at most 8 at once and 50 a second:
    queuepost run --queue arn:aws:sqs:eu-west-1:210987654321:orders \\
      --role-arn arn:aws:iam::210987654321:role/consumer \\
      --url https://orders.example.com/events --workers 8 --rate 50 \\
      --auth-header-file /etc/queuepost/auth

  Several listeners:
    queuepost run --config queuepost.yaml

  Listeners that are created in the console or by the API:
    queuepost run --listeners-dir listeners --admin-allow-changes \\
      --admin-token-file token";

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    plan: PlanOptions,
}

/// Runs until a signal; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let (terminal, overrides) = (std::io::stdout().is_terminal(), options.plan.overrides());
    let (load, source) = source(overrides, terminal);
    match load(None) {
        Ok(plan) => match log(&plan) {
            Ok(()) => start(plan, source).await,
            Err(code) => code,
        },
        Err(errors) => {
            complain(&errors);
            BAD_CONFIGURATION
        }
    }
}

/// What reads the configuration, and where it comes from if that can change.
fn source(
    overrides: Overrides,
    terminal: bool,
) -> (impl Fn(Option<&Trial>) -> Result<Plan, ConfigErrors>, Option<Source>) {
    let env = &config::process_env;
    let (file, can_change) = (config::file_of(&overrides, env), config::can_change(&overrides, env));
    let explained = overrides.clone();
    let explain = move || config::explain(&explained, &config::process_env, terminal);
    let load =
        move |trial: Option<&Trial>| config::load_with(&overrides, &config::process_env, terminal, trial);
    let source = can_change.then(|| Source::new(file.map(PathBuf::from), load.clone(), explain));
    (load, source)
}

/// Starts the log of a plan; otherwise returns the exit code.
pub(super) fn log(plan: &Plan) -> Result<(), u8> {
    log::init(&plan.log).map_err(|error| {
        complain(&Chain(&error));
        BAD_CONFIGURATION
    })
}

/// Runs a plan until a signal, and follows its source; returns the exit code.
pub(super) async fn start(plan: Plan, source: Option<Source>) -> u8 {
    start_until(plan, source, CancellationToken::new()).await
}

/// Runs a plan until a signal or `stop`, and follows its source; returns the exit code.
pub(super) async fn start_until(plan: Plan, source: Option<Source>, stop: CancellationToken) -> u8 {
    match app::run(plan, source, stop).await {
        Ok(app::End::Clean) => OK,
        Ok(app::End::CutOff) => FAILED,
        Err(error) => {
            complain(&Chain(&error));
            if error.is_configuration() { BAD_CONFIGURATION } else { FAILED }
        }
    }
}
