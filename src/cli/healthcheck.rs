//! `queuepost healthcheck`: asks the process on this machine for its health, for container images without
//! `curl`.
//!
//! It requests `/livez` or `/readyz` from the admin port and reports the result as its exit code.

use std::time::Duration;

use clap::Args;

use crate::cli::admin_client::{self, Answer, Bounds, Process, Request};
use crate::cli::{BAD_CONFIGURATION, FAILED, OK, complain, terminal};

/// The default timeout of Kubernetes is 1 s, of Docker 30 s. Several hundred listeners have one line each.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(2), bytes: 64 * 1024 };

const EXAMPLES: &str = "\
Examples:
  queuepost healthcheck
  queuepost healthcheck --ready --admin-address 127.0.0.1:9464

In a Dockerfile:
  HEALTHCHECK CMD [\"queuepost\", \"healthcheck\"]

Exit codes: 0 well, 1 not well or no answer within 2 s (standard error says
why), 2 usage, 78 bad address.";

/// Options of `healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    process: Process,
    /// Ask whether it does its work (/readyz) instead of whether it lives (/livez)
    #[arg(long)]
    ready: bool,
}

/// Asks once; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let address = match options.process.address() {
        Ok(address) => address,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    let path = if options.ready { "/readyz" } else { "/livez" };
    let why = match admin_client::ask(address, Request::get(path), BOUNDS).await {
        Ok(Answer { status: 200, .. }) => return OK,
        Ok(Answer { status, body }) => {
            // The lines of the answer name the failure.
            terminal::pass_on(&body);
            format!("http://{address}{path} answered {status}")
        }
        Err(error) => format!("http://{address}{path}: {error}"),
    };
    complain(&why);
    FAILED
}
