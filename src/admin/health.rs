//! Answers to health probes, in the format of Kubernetes' own components.
//!
//! Alive: every loop runs and no receive is stuck. Ready: every listener was checked (it passed or is
//! definitely faulted). At least one queue could be read in the last minute, and the process is not draining.
//! Who asks for all listeners is told "not ready" by one that has not worked since its start as well: a rollout
//! then stops at a configuration that breaks one listener of many. A queue that fails later takes no pod out.
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

/// How many listeners have to be healthy for a process that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// One.
    Any,
    /// One, and each of the others has worked since its start.
    All,
}

/// Whether the process does its work.
pub(super) fn ready(listeners: &[(String, Arc<Health>)], draining: bool, demand: Demand) -> Verdict {
    let states: Vec<_> =
        listeners.iter().map(|(name, health)| (name, health.preflight(), health.is_proven())).collect();
    let healthy = states.iter().any(|(_, state, _)| *state == Preflight::Passed);
    let mut verdict = Verdict::of([]);
    verdict.note("not-draining", if draining { Err("draining".to_owned()) } else { Ok(()) });
    for (name, state, proven) in states {
        let name = format!("listener/{name}");
        let others_work = healthy && (proven || demand == Demand::Any);
        match state {
            Preflight::Passed => verdict.note(&name, Ok(())),
            Preflight::Pending => verdict.note(&name, Err("its queue has not answered yet".to_owned())),
            Preflight::Faulted(why) => verdict.note_one_of_many(&name, "faulted", why, others_work),
            Preflight::Unreachable(why) => verdict.note_one_of_many(&name, "unreachable", why, others_work),
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
        let verdict = ready(&listeners, false, Demand::All);
        assert!(verdict.good && verdict.checks.contains("[-]listener/far unreachable: "), "{verdict:?}");
        tokio::time::advance(Duration::from_secs(30)).await;
        let verdict = ready(&listeners, false, Demand::All);
        let words = "[-]listener/near failed: its queue could not be read for 60 s: connection refused";
        assert!(!verdict.good && verdict.checks.contains(words), "{verdict:?}");
        assert!(live(&listeners).good);
    }

    fn one_works_and_the_other_not() -> (Arc<Health>, [(String, Arc<Health>); 2]) {
        let (good, bad) = (Arc::new(Health::default()), Arc::new(Health::default()));
        good.set_preflight(Preflight::Passed);
        let listeners = [("good".to_owned(), good), ("bad".to_owned(), Arc::clone(&bad))];
        (bad, listeners)
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_all_listeners_hears_of_one_that_never_worked() {
        let (bad, listeners) = one_works_and_the_other_not();
        bad.set_preflight(Preflight::Faulted("no such queue".to_owned()));
        assert!(ready(&listeners, false, Demand::Any).good);
        let verdict = ready(&listeners, false, Demand::All);
        assert!(
            !verdict.good && verdict.checks.contains("[-]listener/bad failed: no such queue"),
            "{verdict:?}"
        );
        bad.set_preflight(Preflight::Passed);
        assert!(ready(&listeners, false, Demand::All).good);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_is_denied_soon_after_its_preflight_has_not_worked() {
        for settling in [false, true] {
            let (bad, listeners) = one_works_and_the_other_not();
            bad.set_preflight(Preflight::Passed);
            tokio::time::advance(Duration::from_secs(5)).await;
            if settling {
                bad.set_settle_fault(Some("may not delete".to_owned()));
            } else {
                bad.set_preflight(Preflight::Faulted("may not receive".to_owned()));
            }
            tokio::time::advance(Duration::from_secs(3600)).await;
            assert!(
                !ready(&listeners, false, Demand::All).good && ready(&listeners, false, Demand::Any).good
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_fails_at_run_time_takes_no_process_out() {
        let (bad, listeners) = one_works_and_the_other_not();
        bad.set_preflight(Preflight::Passed);
        tokio::time::advance(Duration::from_secs(60)).await;
        bad.set_preflight(Preflight::Faulted("deleted".to_owned()));
        tokio::time::advance(Duration::from_secs(3600)).await;
        let verdict = ready(&listeners, false, Demand::All);
        assert!(verdict.good && verdict.checks.contains("does not count"), "{verdict:?}");
    }
}
