//! Answers to health probes, in the format of Kubernetes' own components.
//!
//! Alive: every loop runs and no receive is stuck. Ready: every listener was checked (it passed or is
//! definitely faulted). At least one queue could be read in the last minute, and the process is not draining.
//! Neither depends on the answers of endpoints, because a storm of 429s must not restart pods or block a
//! rollout.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::pipeline::{Health, Preflight};

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
        // Writing into a String cannot fail.
        written.ok();
    }

    /// A faulted listener leaves the process ready for the other listeners.
    fn note_one_of_many(&mut self, name: &str, state: &str, why: String, others_work: bool) {
        if others_work {
            let line = format!("[-]{name} {state}: {why} (does not count while another is healthy)\n");
            self.checks.push_str(&line);
        } else {
            self.note(name, Err(why));
        }
    }
}

/// Whether the process should keep running, by the names and health of its listeners.
pub(super) fn live(listeners: &[(String, Arc<Health>)]) -> Verdict {
    Verdict::of(listeners.iter().map(|(name, health)| {
        let stuck = health.stuck();
        (format!("listener/{name}"), stuck.map_or(Ok(()), Err))
    }))
}

/// Whether the process does its work.
pub(super) fn ready(listeners: &[(String, Arc<Health>)], draining: bool) -> Verdict {
    let states: Vec<_> = listeners.iter().map(|(name, health)| (name, health.preflight())).collect();
    let healthy = states.iter().any(|(_, state)| *state == Preflight::Passed);
    let mut verdict = Verdict::of([]);
    verdict.note("not-draining", if draining { Err("draining".to_owned()) } else { Ok(()) });
    for (name, state) in states {
        let name = format!("listener/{name}");
        match state {
            Preflight::Passed => verdict.note(&name, Ok(())),
            Preflight::Pending => verdict.note(&name, Err("its queue has not answered yet".to_owned())),
            Preflight::Faulted(why) => verdict.note_one_of_many(&name, "faulted", why, healthy),
            Preflight::Unreachable(why) => verdict.note_one_of_many(&name, "unreachable", why, healthy),
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_is_not_ready_when_no_queue_could_be_read_for_a_minute_and_lives_on() {
        let (near, far) = (Arc::new(Health::default()), Arc::new(Health::default()));
        let listeners = [("near".to_owned(), Arc::clone(&near)), ("far".to_owned(), Arc::clone(&far))];
        for health in [&near, &far] {
            health.set_preflight(Preflight::Passed);
        }
        far.not_read(&"connection refused");
        tokio::time::advance(Duration::from_secs(30)).await;
        near.not_read(&"connection refused");
        tokio::time::advance(Duration::from_secs(30)).await;
        let verdict = ready(&listeners, false);
        assert!(verdict.good && verdict.checks.contains("[-]listener/far unreachable: "), "{verdict:?}");
        tokio::time::advance(Duration::from_secs(30)).await;
        let verdict = ready(&listeners, false);
        let words = "[-]listener/near failed: its queue could not be read for 60 s: connection refused";
        assert!(!verdict.good && verdict.checks.contains(words), "{verdict:?}");
        assert!(live(&listeners).good);
    }
}
