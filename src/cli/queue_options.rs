//! Options for a queue and its credentials, shared by every command that calls SQS.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use clap::Args;

use crate::cli::{BAD_CONFIGURATION, complain};
use crate::config::{self, Overrides};
use crate::sqs::{Clients, QueueRef, Settings, SqsQueue};

/// Credentials to call SQS with.
#[derive(Debug, Args)]
pub(super) struct AwsOptions {
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

/// A queue and the credentials to call it with.
#[derive(Debug, Args)]
pub(super) struct QueueOptions {
    /// Queue, standard or FIFO [env: QUEUEPOST_QUEUE]
    #[arg(long, value_name = "URL|ARN|NAME", help_heading = "Queue")]
    queue: Option<String>,
    #[command(flatten)]
    aws: AwsOptions,
}

impl AwsOptions {
    /// The queue of this name; otherwise the exit code, with the error on standard error.
    pub(super) async fn open(&self, queue: Option<&str>) -> Result<SqsQueue, u8> {
        Ok(Clients::default().queue(&self.settings(queue)?).await)
    }

    /// The queue of this URL, name or ARN at the server of `other`.
    pub(super) fn beside(&self, queue: &str, other: &SqsQueue) -> Result<SqsQueue, u8> {
        Ok(other.beside(self.settings(Some(queue))?.queue))
    }

    fn settings(&self, queue: Option<&str>) -> Result<Settings, u8> {
        let overrides = Overrides {
            queue: queue.map(str::to_owned),
            region: self.region.clone(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            ..Overrides::default()
        };
        config::queue(&overrides, &config::process_env).map_err(|errors| {
            complain(&errors);
            BAD_CONFIGURATION
        })
    }
}

impl QueueOptions {
    /// The queue; otherwise the exit code, with the error on standard error.
    pub(super) async fn open(&self) -> Result<SqsQueue, u8> {
        self.aws.open(self.queue.as_deref()).await
    }

    /// Another queue with the same credentials: a name at the server of `queue`, or wherever a URL or ARN says.
    pub(super) async fn open_other(&self, other: &str, queue: &SqsQueue) -> Result<SqsQueue, u8> {
        let settings = self.aws.settings(Some(other))?;
        match settings.queue {
            QueueRef::Name(_) => Ok(queue.beside(settings.queue)),
            QueueRef::Url(_) | QueueRef::Arn { .. } => Ok(Clients::default().queue(&settings).await),
        }
    }
}
