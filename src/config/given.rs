//! Values that a flag or a variable gives in the place of the file's.
//!
//! The tables of them are where their keys are read: `load.rs`, and `admin.rs` for the admin port.

use crate::config::env::{Lookup, set};
use crate::config::problem::{Place, Written};

/// The command line as typed.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config`
    pub config: Option<String>,
    /// `--preset`
    pub preset: Option<String>,
    /// `--queue`
    pub queue: Option<String>,
    /// `--url`
    pub url: Option<String>,
    /// `--algorithm`
    pub algorithm: Option<String>,
    /// `--role-arn`
    pub role_arn: Option<String>,
    /// `--external-id`
    pub external_id: Option<String>,
    /// `--region`
    pub region: Option<String>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--workers`
    pub workers: Option<String>,
    /// `--timeout`
    pub timeout: Option<String>,
    /// `--success`
    pub success: Option<String>,
    /// `--throttle-delay`
    pub throttle_delay: Option<String>,
    /// `--receive-wait`
    pub receive_wait: Option<String>,
    /// `--latency-budget`
    pub latency_budget: Option<String>,
    /// `--sessions`
    pub sessions: Option<String>,
    /// `--rate`
    pub rate: Option<String>,
    /// `--auth-header-file`
    pub auth_header_file: Option<String>,
    /// `--algorithm-key-file`
    pub algorithm_key_file: Option<String>,
    /// `--listeners-dir`
    pub listeners_dir: Option<String>,
    /// `--admin-listen`
    pub admin_listen: Option<String>,
    /// `--admin-metrics-listen`
    pub admin_metrics_listen: Option<String>,
    /// `--fleet-dns`
    pub fleet_dns: Option<String>,
    /// `--admin-allow-changes`
    pub admin_allow_changes: Option<String>,
    /// `--admin-token-file`
    pub admin_token_file: Option<String>,
    /// `--shutdown-deadline`
    pub shutdown_deadline: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--require-healthy`
    pub require_healthy: bool,
    /// The names of variables that are set, to find misspelt ones among them.
    pub variables: Vec<String>,
}

/// A flag, its variable, and the key of `T` that they replace.
pub(super) struct Given<T> {
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
    pub(super) typed: fn(&Overrides) -> Option<&String>,
    pub(super) put: Put<T>,
}

/// Puts a text into its field.
pub(super) type Put<T> = fn(&mut T, Written);

/// The given values of `table`: the flag if there is one, else its variable.
pub(super) fn given<T>(table: &[Given<T>], overrides: &Overrides, env: Lookup<'_>) -> Vec<(Put<T>, Written)> {
    let written = |row: &Given<T>| {
        let (place, raw) = match (row.typed)(overrides) {
            Some(typed) => (Place::Flag(row.flag), typed.clone()),
            None => (Place::Variable(row.variable), set(env, row.variable)?),
        };
        Some((row.put, Written::plain(row.flag.to_owned(), place, raw)))
    };
    table.iter().filter_map(written).collect()
}
