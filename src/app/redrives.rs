//! Redrives that were begun by request: one at a time for each listener, and how each stands.
//!
//! A redrive is a task of this process. It goes on when whoever began it has left, and ends when the process drains: a
//! move task is cancelled, by hand what is under way is finished. The rest stays in the dead-letter queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Refused;
use crate::hands::Report;
use crate::hands::redrive::{End, Job, Order, Way};
use crate::limit::clock::Wall;
use crate::ports::QueueError;
use crate::sqs::SqsQueue;
use crate::telemetry::Chain;

/// Lines kept of what a redrive said.
const LINES_MAX: usize = 20;
/// Longest line.
const LINE_MAX: usize = 500;
/// How long an answer waits for the end of what was cancelled.
const CANCEL_MAX: Duration = Duration::from_secs(10);

/// The latest redrive of each listener.
#[derive(Debug, Default)]
pub(super) struct Redrives {
    latest: Mutex<BTreeMap<String, Arc<Redrive>>>,
    tasks: TaskTracker,
    /// Cancelled when the process drains.
    stop: CancellationToken,
}

/// One redrive.
#[derive(Debug)]
struct Redrive {
    stop: CancellationToken,
    ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: &'static str,
    dead_letter_queue: String,
    way: Option<&'static str>,
    /// Moved and not movable.
    moved: [u64; 2],
    total: Option<u64>,
    started: SystemTime,
    ended: Option<SystemTime>,
    error: Option<String>,
    said: VecDeque<String>,
}

const RUNNING: &str = "running";

impl Redrives {
    /// Begins to move the messages of `letters` back; how it stands.
    pub(super) fn begin(
        self: &Arc<Self>,
        listener: &str,
        letters: SqsQueue,
        order: Order,
    ) -> Result<Value, Refused> {
        let redrive = Arc::new(Redrive::of(letters.own_name(), self.stop.child_token()));
        // Held until the task is there: `stop` finds all of them.
        let mut latest = self.lock();
        if self.stop.is_cancelled() || latest.get(listener).is_some_and(|other| other.is_running()) {
            return Err(Refused::Invalid {
                why: format!("a redrive of {listener} runs already, or the process drains"),
                fix: "wait for its end, or cancel it".to_owned(),
            });
        }
        // Else a listener that is long gone would be remembered for ever.
        latest.retain(|_, other| other.is_running() || !other.is_older_than_a_day());
        latest.insert(listener.to_owned(), Arc::clone(&redrive));
        self.tasks.spawn(moved(letters, order, Telling(redrive), listener.to_owned()));
        drop(latest);
        Ok(self.document(listener))
    }

    /// What a redrive would do.
    pub(super) async fn words(
        &self,
        listener: &str,
        letters: &SqsQueue,
        order: Order,
    ) -> Result<Value, QueueError> {
        let mut telling = Telling(Arc::new(Redrive::of(letters.own_name(), CancellationToken::new())));
        let job = Job::prepare(letters, order, None, &mut telling).await?;
        let said: Vec<String> = telling.0.state().said.iter().cloned().chain(job.words()).collect();
        Ok(json!({
            "listener": listener,
            "dead_letter_queue": letters.own_name(),
            "dry_run": true,
            "way": if job.way() == Way::Task { "task" } else { "by_hand" },
            "total": job.total(),
            "words": said.join("\n"),
        }))
    }

    /// Ends the redrive that runs; how it stands then.
    pub(super) async fn cancel(&self, listener: &str) -> Result<Value, Refused> {
        let redrive = self.lock().get(listener).filter(|redrive| redrive.is_running()).map(Arc::clone);
        let Some(redrive) = redrive else {
            let fix = "GET the same path without /cancel says how the latest one ended".to_owned();
            return Err(Refused::Invalid { why: format!("no redrive of {listener} runs"), fix });
        };
        redrive.stop.cancel();
        // The answer says in either case how it stands.
        tokio::time::timeout(CANCEL_MAX, redrive.ended.cancelled()).await.ok();
        Ok(self.document(listener))
    }

    /// How the latest redrive of a listener stands.
    pub(super) fn document(&self, listener: &str) -> Value {
        let redrive = self.lock().get(listener).map(Arc::clone);
        let Some(redrive) = redrive else {
            return json!({
                "listener": listener, "state": "none", "dead_letter_queue": null, "way": null, "moved": 0, "total": null,
                "failed": 0, "started": null, "ended": null, "error": null, "said": [],
            });
        };
        let state = redrive.state();
        let time = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
        let [moved, failed] = state.moved;
        json!({
            "listener": listener,
            "state": state.phase,
            "dead_letter_queue": state.dead_letter_queue,
            "way": state.way,
            "moved": moved,
            "total": state.total,
            "failed": failed,
            "started": time(state.started),
            "ended": state.ended.map(time),
            "error": state.error,
            "said": state.said,
        })
    }

    /// Ends all of them, and none begins any more.
    pub(super) fn stop(&self) {
        let _none_begins = self.lock();
        self.stop.cancel();
        self.tasks.close();
    }

    /// Completes when all have ended after [`Self::stop`].
    pub(super) async fn all_ended(&self) {
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Redrive>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves the messages, and notes how that ends.
async fn moved(letters: SqsQueue, order: Order, mut telling: Telling, listener: String) {
    let stop = telling.0.stop.clone();
    let ended = match Job::prepare(&letters, order, None, &mut telling).await {
        Ok(job) => job.run(&mut telling, &stop).await,
        Err(error) => Err(error),
    };
    telling.0.end(&ended);
    let [moved, failed] = telling.0.state().moved;
    let state = telling.0.state().phase;
    tracing::info!(listener, state, moved, failed, "a redrive has ended");
}

impl Redrive {
    fn of(dead_letter_queue: &str, stop: CancellationToken) -> Self {
        let state = State {
            phase: RUNNING,
            dead_letter_queue: dead_letter_queue.to_owned(),
            way: None,
            moved: [0, 0],
            total: None,
            started: Wall::System.now(),
            ended: None,
            error: None,
            said: VecDeque::new(),
        };
        Self { stop, ended: CancellationToken::new(), state: Mutex::new(state) }
    }

    fn is_running(&self) -> bool {
        self.state().phase == RUNNING
    }

    fn is_older_than_a_day(&self) -> bool {
        let age = Wall::System.now().duration_since(self.state().started).unwrap_or_default();
        age > Duration::from_secs(24 * 60 * 60)
    }

    fn end(&self, ended: &Result<End, QueueError>) {
        let (state, error) = match ended {
            Ok(End::All) => ("done", None),
            Ok(End::Stopped) => ("cancelled", None),
            Ok(End::NotAll) => {
                ("failed", Some("not everything was moved; `said` has the reasons".to_owned()))
            }
            Err(error) => ("failed", Some(format!("{}; fix: {}", Chain(error), error.advice.fix))),
        };
        self.end_as(state, error);
    }

    fn end_as(&self, state: &'static str, error: Option<String>) {
        let mut now = self.state();
        (now.phase, now.error, now.ended) = (state, error, Some(Wall::System.now()));
        drop(now);
        self.ended.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what a redrive tells. One whose task ends by a panic has failed, or it would run for ever.
struct Telling(Arc<Redrive>);

impl Drop for Telling {
    fn drop(&mut self) {
        if self.0.is_running() {
            self.0.end_as(
                "failed",
                Some("an error of queuepost itself ended this; look at its log".to_owned()),
            );
        }
    }
}

impl Report for Telling {
    fn say(&mut self, words: &str) {
        let mut state = self.0.state();
        if state.said.len() == LINES_MAX {
            state.said.pop_front();
        }
        state.said.push_back(words.split_at(words.floor_char_boundary(LINE_MAX)).0.to_owned());
    }

    fn fail(&mut self, error: &QueueError) {
        self.say(&format!("{}; fix: {}", Chain(error), error.advice.fix));
    }

    fn begin(&mut self, by_hand: bool, total: u64) {
        let mut state = self.0.state();
        state.way = Some(if by_hand { "by_hand" } else { "task" });
        // What a task moved before it gave up is not moved again.
        state.total = Some(total);
    }

    fn count(&mut self, moved: u64, failed: u64) {
        self.0.state().moved = [moved, failed];
    }

    fn moved(&mut self, _new: &str, _old: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_whose_task_panics_has_failed_and_does_not_run_for_ever() {
        let redrives = Redrives::default();
        assert_eq!(redrives.document("orders")["state"], "none");
        let redrive = Arc::new(Redrive::of("orders-dlq", CancellationToken::new()));
        redrives.lock().insert("orders".to_owned(), Arc::clone(&redrive));
        let mut telling = Telling(Arc::clone(&redrive));
        for line in 0..50 {
            telling.say(&format!("{line} {}", "ä".repeat(1_000)));
        }
        telling.begin(true, 7);
        telling.count(3, 1);
        let running = redrives.document("orders");
        assert_eq!(
            (&running["state"], &running["moved"], &running["failed"]),
            (&json!("running"), &json!(3), &json!(1))
        );
        let said = running["said"].as_array().unwrap();
        assert!(said.len() == LINES_MAX && said.iter().all(|line| line.as_str().unwrap().len() <= LINE_MAX));
        drop(telling);
        let ended = redrives.document("orders");
        assert!(
            ended["state"] == "failed" && ended["error"].as_str().unwrap().contains("queuepost itself"),
            "{ended}"
        );
    }
}
