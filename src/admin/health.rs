//! Answers to probes, in the manner of Kubernetes' own components.
//!
//! Alive: every loop turns and no receive is stuck. Ready: every listener has been looked at (it passed or it
//! is definitely at fault), at least one is healthy, and the process is not draining. Neither depends on what
//! endpoints answer: a storm of 429s must not restart or block a rollout.

use std::fmt::Write as _;

use crate::admin::View;
use crate::pipeline::Preflight;

/// The answer to one probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) good: bool,
    /// One line per check, `[+]` or `[-]`.
    pub(super) checks: String,
}

impl Verdict {
    fn of(checks: impl IntoIterator<Item = (String, Result<(), String>)>) -> Self {
        let mut verdict = Self { good: true, checks: String::new() };
        for (name, result) in checks {
            verdict.note(&name, result);
        }
        verdict
    }

    fn note(&mut self, name: &str, result: Result<(), String>) {
        let written = match result {
            Ok(()) => writeln!(self.checks, "[+]{name} ok"),
            Err(why) => {
                self.good = false;
                writeln!(self.checks, "[-]{name} failed: {why}")
            }
        };
        // Writing into a String does not fail.
        written.ok();
    }
}

/// Whether the process should go on living.
pub(super) fn live(view: &View) -> Verdict {
    Verdict::of(view.listeners.iter().map(|(name, health)| {
        let stuck = health.stuck();
        (format!("listener/{name}"), stuck.map_or(Ok(()), Err))
    }))
}

/// Whether the process does its work.
pub(super) fn ready(view: &View) -> Verdict {
    let states: Vec<(String, Preflight)> =
        view.listeners.iter().map(|(name, health)| (name.clone(), health.preflight())).collect();
    let healthy = states.iter().any(|(_, state)| *state == Preflight::Passed);
    let mut verdict = Verdict::of([]);
    verdict.note("not-draining", if view.drain.is_draining() { Err("draining".to_owned()) } else { Ok(()) });
    for (name, state) in states {
        let name = format!("listener/{name}");
        match state {
            Preflight::Passed => verdict.note(&name, Ok(())),
            Preflight::Pending => verdict.note(&name, Err("its queue has not answered yet".to_owned())),
            // A definite fault of one listener leaves the process ready for the others.
            Preflight::Faulted(why) if healthy => {
                writeln!(
                    verdict.checks,
                    "[-]{name} faulted: {why} (does not count while another is healthy)"
                )
                .ok();
            }
            Preflight::Faulted(why) => verdict.note(&name, Err(why)),
        }
    }
    verdict
}
