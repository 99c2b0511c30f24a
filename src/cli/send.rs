//! `queuepost send`: put a message on a queue.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use clap::Args;

use crate::cli::{BAD_CONFIGURATION, FAILED, OK, complain};
use crate::config::{self, Overrides};
use crate::sqs;
use crate::telemetry::Chain;

const EXAMPLES: &str = "\
Examples:
  queuepost send --queue http://127.0.0.1:9324/000000000000/demo '{\"hello\":\"world\"}'
  queuepost send --queue orders --region eu-west-1 'plain text'";

/// Options of `send`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Queue to send to [env: QUEUEPOST_QUEUE]
    #[arg(long, value_name = "URL|ARN|NAME")]
    queue: Option<String>,
    /// Region; by default that of the queue's URL or ARN [env: QUEUEPOST_REGION]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Profile of the AWS configuration files [env: QUEUEPOST_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Role to assume before calling SQS [env: QUEUEPOST_ROLE_ARN]
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// External id the role demands [env: QUEUEPOST_EXTERNAL_ID]
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Body of the message
    #[arg(value_name = "BODY")]
    body: String,
}

/// Sends one message and prints its id; the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let overrides = Overrides {
        queue: options.queue.clone(),
        region: options.region.clone(),
        profile: options.profile.clone(),
        role_arn: options.role_arn.clone(),
        external_id: options.external_id.clone(),
        ..Overrides::default()
    };
    let settings = match config::queue(&overrides, &config::process_env) {
        Ok(settings) => settings,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    match sqs::Clients::default().queue(&settings).await.send(&options.body).await {
        Ok(id) => {
            println!("{id}");
            OK
        }
        Err(error) => {
            complain(&Chain(&error));
            FAILED
        }
    }
}
