//! What each listener counted in the last quarter of an hour, step by step: for pictures without a Prometheus.
//!
//! One task looks at the counters of all listeners once a step. A step's point is the difference to the look before. In
//! memory only, [`POINTS_MAX`] points for each listener; a listener that is not shown any more is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::{Running, RunningListener};
use crate::limit::clock::Wall;
use crate::telemetry::handles::Totals;

/// Time between two looks.
const STEP: Duration = Duration::from_secs(15);
/// Points of a listener: fifteen minutes.
const POINTS_MAX: usize = 60;

/// The points of all listeners.
#[derive(Debug)]
pub struct History {
    wall: Wall,
    rings: Mutex<BTreeMap<String, Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The counters at the last look; zero before the first one, as those of a new listener are.
    last: Totals,
    /// The oldest first.
    points: VecDeque<Point>,
}

/// What was counted in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    /// The end of the step.
    at: SystemTime,
    counted: Totals,
}

impl History {
    /// No points; `wall` dates those to come.
    pub fn new(wall: Wall) -> Self {
        Self { wall, rings: Mutex::default() }
    }

    /// Looks once a step, for ever.
    pub async fn follow(&self, running: &Running) {
        // Not the status: that would make every listener look at its queue.
        let totals = |listener: Arc<RunningListener>| (listener.name.clone(), listener.totals());
        self.each_step(|| running.listeners().into_iter().map(totals).collect()).await;
    }

    async fn each_step(&self, totals: impl Fn() -> Vec<(String, Totals)>) {
        let mut steps = interval(STEP);
        // After a machine has slept there is one long step, and not many empty ones.
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, when nothing was counted yet.
        steps.tick().await;
        loop {
            steps.tick().await;
            self.look(totals());
        }
    }

    fn look(&self, listeners: Vec<(String, Totals)>) {
        let at = self.wall.now();
        let mut rings = self.lock();
        let mut former = std::mem::take(&mut *rings);
        for (name, now) in listeners {
            let mut ring = former.remove(&name).unwrap_or_default();
            if ring.points.len() == POINTS_MAX {
                ring.points.pop_front();
            }
            ring.points.push_back(Point { at, counted: since(&ring.last, &now) });
            ring.last = now;
            rings.insert(name, ring);
        }
    }

    /// The points of one listener as a document.
    pub(super) fn document(&self, listener: &str) -> Value {
        let rings = self.lock();
        let points: Vec<Value> =
            rings.get(listener).map(|ring| ring.points.iter().map(point).collect()).unwrap_or_default();
        json!({ "listener": listener, "step_seconds": STEP.as_secs(), "points": points })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn point(Point { at, counted }: &Point) -> Value {
    json!({
        "time": humantime::format_rfc3339_seconds(*at).to_string(),
        "received": counted.received,
        "deleted": counted.deleted,
        "parked": counted.parked,
        "deferred": counted.deferred,
        "released": counted.released,
        "dead_lettered": counted.dead_lettered,
        "abandoned": counted.abandoned,
    })
}

/// What was counted from `before` to `now`. Counters that began anew are taken as they are.
fn since(before: &Totals, now: &Totals) -> Totals {
    let counted = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now);
    Totals {
        received: counted(before.received, now.received),
        deleted: counted(before.deleted, now.deleted),
        parked: counted(before.parked, now.parked),
        deferred: counted(before.deferred, now.deferred),
        released: counted(before.released, now.released),
        dead_lettered: counted(before.dead_lettered, now.dead_lettered),
        abandoned: counted(before.abandoned, now.abandoned),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::Instant;

    use super::*;

    fn history() -> History {
        History::new(Wall::Anchored { at: SystemTime::UNIX_EPOCH, instant: Instant::now() })
    }

    fn totals(received: u64, parked: u64) -> Totals {
        Totals { received, parked, ..Totals::default() }
    }

    fn look(history: &History, name: &str, totals: Totals) {
        history.look(vec![(name.to_owned(), totals)]);
    }

    /// Received and parked of each point.
    fn points(history: &History, name: &str) -> Vec<(u64, u64)> {
        let document = history.document(name);
        let points = document["points"].as_array().unwrap().clone();
        let number = |point: &Value, key: &str| point[key].as_u64().unwrap();
        points.iter().map(|point| (number(point, "received"), number(point, "parked"))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_point_has_what_its_step_counted_and_the_time_of_its_end() {
        let history = history();
        tokio::time::advance(STEP).await;
        look(&history, "orders", totals(10, 2));
        tokio::time::advance(STEP).await;
        look(&history, "orders", totals(25, 2));
        assert_eq!(points(&history, "orders"), [(10, 2), (15, 0)]);
        let document = history.document("orders");
        assert_eq!(document["points"][1]["time"], "1970-01-01T00:00:30Z");
        assert_eq!((&document["listener"], &document["step_seconds"]), (&json!("orders"), &json!(15)));
        assert_eq!(points(&history, "mails"), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_an_hour_is_kept_and_no_more() {
        let history = history();
        for received in 1..=100 {
            look(&history, "orders", totals(received * received, 0));
        }
        let points = points(&history, "orders");
        assert_eq!((points.len(), points[0], points[59]), (60, (81, 0), (199, 0)));
        assert_eq!(STEP * 60, Duration::from_secs(900));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_is_gone_is_forgotten_and_one_that_begins_anew_counts_from_zero() {
        let history = history();
        look(&history, "orders", totals(10, 2));
        look(&history, "mails", totals(1, 0));
        assert_eq!(points(&history, "orders"), []);
        look(&history, "orders", totals(4, 0));
        look(&history, "orders", totals(3, 0));
        assert_eq!(points(&history, "orders"), [(4, 0), (3, 0)], "fewer than before is a new count");
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_every_fifteen_seconds_and_once_after_a_long_sleep() {
        let history = history();
        let received = AtomicU64::new(1);
        let all = || vec![("orders".to_owned(), totals(received.load(Ordering::Relaxed), 0))];
        let hours = async {
            tokio::time::sleep(STEP * 2 + STEP / 2).await;
            received.store(5, Ordering::Relaxed);
            // The task is not polled meanwhile, as on a machine that sleeps.
            tokio::time::advance(STEP * 10).await;
            tokio::time::sleep(STEP + STEP / 2).await;
        };
        tokio::select! {
            () = history.each_step(all) => unreachable!("it never ends"),
            () = hours => {}
        }
        assert_eq!(points(&history, "orders"), [(1, 0), (0, 0), (4, 0), (0, 0)]);
    }
}
