//! The result queues of one process, under watch: they fail by the plan, and say what they accepted.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::exchange::results::{ResultFacts, ResultForm};
use queuepost::pipeline::{ResultQueue, Results, When};
use queuepost::policy::advice::queue::Named;
use queuepost::ports::{
    BatchResult, BoxFuture, EntryError, EntryErrorKind, Operation, Outbox, Outgoing, QueueError, QueueReason,
};

use super::plan::ResultFaults;
use super::watched::{Process, chance};

/// Timeout of a call, as in the adapter.
const LIMIT: Duration = Duration::from_secs(5);

struct WatchedOutbox {
    process: Arc<Process>,
    success: bool,
    random: Mutex<fastrand::Rng>,
}

/// A result is the message's id.
#[derive(Debug)]
struct Id;

impl ResultForm for Id {
    fn of(&self, facts: &ResultFacts<'_>) -> Outgoing {
        Outgoing::from(facts.message.id.as_str())
    }
}

/// Queues for both kinds of results.
pub fn results(process: &Arc<Process>, seed: u64) -> Results {
    let queue = |success: bool, salt: u64| {
        let random = Mutex::new(fastrand::Rng::with_seed(seed ^ salt));
        let outbox = Arc::new(WatchedOutbox { process: Arc::clone(process), success, random });
        ResultQueue { outbox, form: Arc::new(Id), on: When::Final }
    };
    Results { success: Some(queue(true, 4)), failure: Some(queue(false, 5)) }
}

impl WatchedOutbox {
    fn faults(&self) -> ResultFaults {
        let p = &self.process;
        let now = p.world.started().elapsed();
        let times = p.plan.results.iter().flatten();
        let bad = times.clone().find(|(from, to, _)| (*from..*to).contains(&now) && now < p.plan.calm_at);
        bad.map(|(.., faults)| *faults).unwrap_or_default()
    }

    fn chance(&self, percent: u32) -> bool {
        chance(&self.random, percent)
    }

    /// The queue takes them; `heard`: the process learns of that.
    fn takes(&self, messages: &[Outgoing], faults: ResultFaults, heard: bool) -> Vec<Result<(), EntryError>> {
        let p = &self.process;
        let take = |message: &Outgoing| {
            let failed = |kind| Err(EntryError { kind, code: "ByThePlan".to_owned() });
            if self.chance(faults.entry_failed) {
                return failed(EntryErrorKind::Retryable);
            }
            if self.chance(faults.entry_refused) {
                return failed(EntryErrorKind::Refused);
            }
            let heard = heard && !p.dead.load(Ordering::Relaxed);
            p.watch.told(p.number, &message.body, self.success, heard);
            Ok(())
        };
        messages.iter().map(take).collect()
    }
}

impl Outbox for WatchedOutbox {
    fn name(&self) -> &'static str {
        "results"
    }

    fn send<'a>(&'a self, messages: &'a [Outgoing]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            let (p, faults) = (&self.process, self.faults());
            p.calls().await;
            let error = |reason| {
                let named = Named::default();
                Err(QueueError::new(Operation::Send, Arc::from("results"), reason, &named, "planned".into()))
            };
            let result = if self.chance(faults.refused) {
                error(QueueReason::Throttled)
            } else if self.chance(faults.denied) {
                error(if self.chance(50) { QueueReason::AccessDenied } else { QueueReason::QueueMissing })
            } else if self.chance(faults.timed_out) {
                if self.chance(50) {
                    self.takes(messages, faults, false);
                }
                tokio::time::sleep(LIMIT).await;
                error(QueueReason::TimedOut)
            } else if self.chance(faults.answer_lost) {
                self.takes(messages, faults, false);
                error(QueueReason::Server)
            } else {
                Ok(self.takes(messages, faults, true))
            };
            p.answered(result).await
        })
    }
}
