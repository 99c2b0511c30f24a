//! Which filter the running log has: the configured one, or another for as long as somebody asks.
//!
//! What somebody asked for lasts until it is taken back or the process ends; a reload of the configuration does not end
//! it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::telemetry::log::{self, LogError};

/// Longest text of a filter.
const TEXT_MAX: usize = 1_000;

/// The filter of the log.
#[derive(Debug)]
pub struct LogLevel(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Directives, as made by [`log::filter`].
    configured: String,
    asked: Option<String>,
}

impl LogLevel {
    /// The configured filter, with which the log was started.
    pub fn new(configured: &str) -> Self {
        Self(Mutex::new(State { configured: configured.to_owned(), asked: None }))
    }

    /// The configuration has this filter from now on.
    pub fn configure(&self, filter: &str) -> Result<(), LogError> {
        let mut state = self.state();
        if state.asked.is_none() {
            log::refilter(filter)?;
        }
        filter.clone_into(&mut state.configured);
        Ok(())
    }

    /// Somebody asks for a level or directives; `None`: for the configured ones again.
    pub fn ask(&self, text: Option<&str>) -> Result<(), LogError> {
        if let Some(text) = text.filter(|text| text.len() > TEXT_MAX) {
            let beginning: String = text.chars().take(20).collect();
            return Err(LogError::Filter(format!("{beginning}…"), None));
        }
        let asked = text.map(log::filter).transpose()?;
        let mut state = self.state();
        log::refilter(asked.as_deref().unwrap_or(&state.configured))?;
        state.asked = asked;
        Ok(())
    }

    /// The filter in force and the configured one: a level where there is a word for it, else directives.
    pub fn shown(&self) -> (String, String) {
        let state = self.state();
        let now = state.asked.as_ref().unwrap_or(&state.configured);
        (log::level(now).to_owned(), log::level(&state.configured).to_owned())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(level: &LogLevel) -> [String; 2] {
        let (now, configured) = level.shown();
        [now, configured]
    }

    #[test]
    fn what_somebody_asked_for_lasts_over_a_reload_until_it_is_taken_back() {
        let level = LogLevel::new(log::DEFAULT_FILTER);
        assert_eq!(shown(&level), ["info", "info"]);
        level.ask(Some("DEBUG")).unwrap();
        assert_eq!(shown(&level), ["debug", "info"]);
        level.configure("error").unwrap();
        assert_eq!(shown(&level), ["debug", "error"]);
        level.ask(None).unwrap();
        assert_eq!(shown(&level), ["error", "error"]);
        level.ask(Some("info,hyper=debug")).unwrap();
        assert_eq!(shown(&level), ["info,hyper=debug", "error"]);
    }

    #[test]
    fn what_is_no_filter_changes_nothing_and_a_long_text_is_none() {
        let level = LogLevel::new("warn");
        for text in ["loud", "", "a=b=c", &"a=debug,".repeat(200)] {
            let error = level.ask(Some(text)).unwrap_err().to_string();
            assert!(error.contains("no log filter") && error.len() < 60, "{error}");
        }
        assert_eq!(shown(&level), ["warn", "warn"]);
    }
}
