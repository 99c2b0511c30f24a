//! Options for a queue and its credentials, shared by every command that calls SQS.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use clap::Args;

use crate::cli::{BAD_CONFIGURATION, complain};
use crate::config::{self, Overrides};
use crate::sqs::{Clients, SqsQueue};

/// A queue and the credentials to call it with.
#[derive(Debug, Args)]
pub(super) struct QueueOptions {
    /// Queue, standard or FIFO [env: QUEUEPOST_QUEUE]
    #[arg(long, value_name = "URL|ARN|NAME", help_heading = "Queue")]
    queue: Option<String>,
    /// Region; by default that of the queue's URL or ARN [env: QUEUEPOST_REGION]
    #[arg(long, value_name = "REGION", help_heading = "Queue")]
    region: Option<String>,
    /// Profile of the AWS configuration files [env: QUEUEPOST_PROFILE]
    #[arg(long, value_name = "NAME", help_heading = "Queue")]
    profile: Option<String>,
    /// Role to assume before calling SQS [env: QUEUEPOST_ROLE_ARN]
    #[arg(long, value_name = "ARN", help_heading = "Queue")]
    role_arn: Option<String>,
    /// External id the role demands [env: QUEUEPOST_EXTERNAL_ID]
    #[arg(long, value_name = "ID", help_heading = "Queue")]
    external_id: Option<String>,
}

impl QueueOptions {
    /// The queue; otherwise the exit code, with the error on standard error.
    pub(super) async fn open(&self) -> Result<SqsQueue, u8> {
        let overrides = Overrides {
            queue: self.queue.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            ..Overrides::default()
        };
        match config::queue(&overrides, &config::process_env) {
            Ok(settings) => Ok(Clients::default().queue(&settings).await),
            Err(errors) => {
                complain(&errors);
                Err(BAD_CONFIGURATION)
            }
        }
    }
}
