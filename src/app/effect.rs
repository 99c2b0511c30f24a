//! What a change of the configuration asks of what runs. Pure.
//!
//! A listener whose keys are all of [`ADJUSTED`] is adjusted while it runs. Any other change replaces it: a key that nobody
//! thought of costs a drain, and never runs by halves. Keys of [`RESTARTED`] are the process's and stay as they were.

/// Keys that are adjusted while the listener runs. A name stands for what is below it, too.
pub const ADJUSTED: [&str; 19] = [
    "workers",
    "paused",
    "success",
    "error_in_body",
    "on_response",
    "throttle_delay",
    "retry_delay",
    "retention",
    "receive_wait",
    "latency_budget",
    "endpoint.sessions",
    "endpoint.rate_limit",
    "endpoint.adaptive",
    "endpoint.connect_timeout",
    "endpoint.pool_idle_timeout",
    "endpoint.retry_after_scope",
    "endpoint.auth",
    "endpoint.sign",
    "endpoint.tls",
];

/// Keys of the process that change without a restart.
pub const FOLLOWED: [&str; 2] = ["log.level", "shutdown.deadline"];

/// Keys that only a restart changes.
pub const RESTARTED: [&str; 5] =
    ["admin.listen", "admin.metrics_listen", "admin.allow_changes", "admin.token_file", "log.format"];

/// What a change asks of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing.
    Kept,
    /// It goes on by other numbers.
    Adjusted,
    /// It drains, and another starts when it has ended.
    Replaced,
}

impl Effect {
    /// The effect of a change of `key`, as [`crate::config::WrittenKeys`] names it.
    pub fn of(key: &str) -> Self {
        let is_below = |above: &&str| {
            key.strip_prefix(*above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if ADJUSTED.iter().any(is_below) { Self::Adjusted } else { Self::Replaced }
    }

    /// The effect of a change of all these keys.
    pub fn of_all<'a>(keys: impl IntoIterator<Item = &'a String>) -> Self {
        keys.into_iter().map(|key| Self::of(key)).max().unwrap_or(Self::Kept)
    }
}

/// What became of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It runs as before.
    Kept,
    /// It goes on by other numbers.
    Adjusted,
    /// It drains, and another follows.
    Replaced,
    /// It was drained by hand and stays so. Once it is started it goes by the new plan.
    Drained,
    /// It is new.
    Added,
    /// It drains for good.
    Removed,
}

impl Became {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Adjusted => "adjusted",
            Self::Replaced => "replaced",
            Self::Drained => "drained",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

impl From<Effect> for Became {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Kept => Self::Kept,
            Effect::Adjusted => Self::Adjusted,
            Effect::Replaced => Self::Replaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_adjusted_with_what_is_below_it_and_every_other_replaces() {
        for (keys, effect) in [
            (&[][..], Effect::Kept),
            (&["workers"], Effect::Adjusted),
            (&["workers", "throttle_delay", "on_response[0]"], Effect::Adjusted),
            (&["endpoint.rate_limit.per_second", "endpoint.auth.bearer.file"], Effect::Adjusted),
            (&["workers", "queue"], Effect::Replaced),
            (&["timeout"], Effect::Replaced),
            (&["endpoint.url"], Effect::Replaced),
            (&["endpoint.headers.X-Key"], Effect::Replaced),
            (&["workers_of_tomorrow"], Effect::Replaced),
        ] {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(Effect::of_all(&keys), effect, "{keys:?}");
        }
    }
}
