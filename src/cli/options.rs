//! The options for what to run, shared by `run` and `check`.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use clap::Args;

use crate::config::{self, Overrides};

/// The options of one listener. Values are checked together with the file and the environment.
#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// YAML file with any number of listeners [env: QUEUEPOST_CONFIG; the YAML itself: QUEUEPOST_CONFIG_TEXT]
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,

    /// Queue to consume [env: QUEUEPOST_QUEUE]
    #[arg(long, value_name = "URL|ARN|NAME", help_heading = "One listener")]
    queue: Option<String>,
    /// Defaults for a kind of endpoint: raw, algorithmia, sqsd, cloudevents, lambda, matillion [default: raw] [env: QUEUEPOST_PRESET]
    #[arg(long, value_name = "NAME", help_heading = "One listener")]
    preset: Option<String>,
    /// Endpoint to POST to; with --algorithm the server's address [env: QUEUEPOST_URL]
    #[arg(long, value_name = "URL", help_heading = "One listener")]
    url: Option<String>,
    /// Algorithm to call [env: QUEUEPOST_ALGORITHM]
    #[arg(long, value_name = "OWNER/NAME[/VERSION]", help_heading = "One listener")]
    algorithm: Option<String>,
    /// Most POSTs at once, 1 to 10,000 [default: 16] [env: QUEUEPOST_WORKERS]
    #[arg(long, value_name = "N", help_heading = "One listener")]
    workers: Option<String>,
    /// Timeout of one POST, 100ms to 11h59m [default: 60s, 435s for an algorithm, 299s for sqsd] [env: QUEUEPOST_TIMEOUT]
    #[arg(long, value_name = "DURATION", help_heading = "One listener")]
    timeout: Option<String>,
    /// Statuses that delete the message, such as 2xx [default: 200] [env: QUEUEPOST_SUCCESS]
    #[arg(long, value_name = "CODES", help_heading = "One listener")]
    success: Option<String>,
    /// How long a 429 hides the message [default: 5m] [env: QUEUEPOST_THROTTLE_DELAY]
    #[arg(long, value_name = "DURATION", help_heading = "One listener")]
    throttle_delay: Option<String>,
    /// Long-poll time of an idle listener, 0s to 20s [default: 20s] [env: QUEUEPOST_RECEIVE_WAIT]
    #[arg(long, value_name = "DURATION", help_heading = "One listener")]
    receive_wait: Option<String>,
    /// How much longer a message may wait so that SQS is called less often, 0s to 20s [default: 0s] [env: QUEUEPOST_LATENCY_BUDGET]
    #[arg(long, value_name = "DURATION", help_heading = "One listener")]
    latency_budget: Option<String>,

    /// Role to assume before calling SQS [env: QUEUEPOST_ROLE_ARN]
    #[arg(long, value_name = "ARN", help_heading = "AWS")]
    role_arn: Option<String>,
    /// External id the role demands [env: QUEUEPOST_EXTERNAL_ID]
    #[arg(long, value_name = "ID", help_heading = "AWS")]
    external_id: Option<String>,
    /// Region; by default that of the queue's URL or ARN [env: QUEUEPOST_REGION]
    #[arg(long, value_name = "REGION", help_heading = "AWS")]
    region: Option<String>,
    /// Profile of the AWS configuration files [env: QUEUEPOST_PROFILE]
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    profile: Option<String>,

    /// Most POSTs at once over all listeners of the endpoint [default: all workers] [env: QUEUEPOST_SESSIONS]
    #[arg(long, value_name = "N", help_heading = "Endpoint")]
    sessions: Option<String>,
    /// Most POSTs started per second [env: QUEUEPOST_RATE]
    #[arg(long, value_name = "PER_SECOND", help_heading = "Endpoint")]
    rate: Option<String>,
    /// File with a header line sent along, such as "Authorization: Bearer …" [env: QUEUEPOST_AUTH_HEADER_FILE; the line itself: QUEUEPOST_AUTH_HEADER]
    #[arg(long, value_name = "FILE", help_heading = "Endpoint")]
    auth_header_file: Option<String>,

    /// File with the key of --algorithm, sent as "Authorization: Simple KEY" [env: QUEUEPOST_ALGORITHM_KEY_FILE; the key itself: QUEUEPOST_ALGORITHM_KEY]
    #[arg(long, value_name = "FILE", help_heading = "Endpoint")]
    algorithm_key_file: Option<String>,

    /// Directory with a file for each listener, which the console and the API may write [env: QUEUEPOST_LISTENERS_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    listeners_dir: Option<String>,
    /// Where metrics and health are served [default: 127.0.0.1:9464] [env: QUEUEPOST_ADMIN_LISTEN]
    #[arg(long, value_name = "ADDRESS", help_heading = "Process")]
    admin_listen: Option<String>,
    /// Where metrics and probes are served too, without anything else [env: QUEUEPOST_ADMIN_METRICS_LISTEN]
    #[arg(long, value_name = "ADDRESS", help_heading = "Process")]
    admin_metrics_listen: Option<String>,
    /// Let whoever shows the token of --admin-token-file make changes: pause, drain, redrive, create listeners and the like [env: QUEUEPOST_ADMIN_ALLOW_CHANGES=true]
    #[arg(long, help_heading = "Process")]
    admin_allow_changes: bool,
    /// File with the token that each change must show [env: QUEUEPOST_ADMIN_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Process")]
    admin_token_file: Option<String>,
    /// DNS name with a record for each process that shares the endpoint's limits with this one [env: QUEUEPOST_FLEET_DNS]
    #[arg(long, value_name = "NAME", help_heading = "Process")]
    fleet_dns: Option<String>,
    /// How long a stop may take before running POSTs are cut off [default: longest timeout + 15s, 25s to 110s] [env: QUEUEPOST_SHUTDOWN_DEADLINE]
    #[arg(long, value_name = "DURATION", help_heading = "Process")]
    shutdown_deadline: Option<String>,
    /// Exit with 1 if a queue cannot be read, instead of trying again
    #[arg(long, help_heading = "Process")]
    require_healthy: bool,
    /// text or json [default: text on a terminal, else json] [env: QUEUEPOST_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT", help_heading = "Process")]
    log_format: Option<String>,
    /// error, warn, info, debug, or a filter such as queuepost=debug,hyper=info [default: info] [env: QUEUEPOST_LOG]
    #[arg(long, value_name = "FILTER", help_heading = "Process")]
    log_level: Option<String>,
}

impl PlanOptions {
    /// The options in the form that the configuration takes.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            preset: self.preset.clone(),
            queue: self.queue.clone(),
            url: self.url.clone(),
            algorithm: self.algorithm.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            workers: self.workers.clone(),
            timeout: self.timeout.clone(),
            success: self.success.clone(),
            throttle_delay: self.throttle_delay.clone(),
            receive_wait: self.receive_wait.clone(),
            latency_budget: self.latency_budget.clone(),
            sessions: self.sessions.clone(),
            rate: self.rate.clone(),
            auth_header_file: self.auth_header_file.clone(),
            algorithm_key_file: self.algorithm_key_file.clone(),
            listeners_dir: self.listeners_dir.clone(),
            admin_listen: self.admin_listen.clone(),
            admin_metrics_listen: self.admin_metrics_listen.clone(),
            fleet_dns: self.fleet_dns.clone(),
            admin_allow_changes: self.admin_allow_changes.then(|| "true".to_owned()),
            admin_token_file: self.admin_token_file.clone(),
            shutdown_deadline: self.shutdown_deadline.clone(),
            log_format: self.log_format.clone(),
            log_level: self.log_level.clone(),
            require_healthy: self.require_healthy,
            variables: config::process_variables(),
        }
    }
}
