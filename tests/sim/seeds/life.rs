//! Runs a plan to its end and checks the result.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::limit::{self, EndpointLimits};
use queuepost::localqueue::SendMessage;
use queuepost::policy::decide::{Action, Row};
use queuepost::policy::outcome::StatusSet;
use queuepost::tuning::Tuning;
use tokio::time::Instant;

use super::super::batches_gathered::Lines;
use super::super::process::{SimProcess, Stopped, settings};
use super::super::simulated_queue::{Faults, SimQueue, World, dead_letter_name};
use super::outbox::results;
use super::plan::{End, Plan};
use super::watch::Watch;
use super::watched::{Calls, Process, WatchedEndpoint, WatchedQueue};

/// How often planned events happen.
const STEP: Duration = Duration::from_secs(1);
/// The same after the last planned event.
const CALM_STEP: Duration = Duration::from_secs(20);
/// How many steps lie between two checks of the ledger, which is read from the text of the metrics.
const STEPS_PER_LOOK: u32 = 10;
/// How long after the calm everything must be done.
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);
/// How long before a deadline the running POSTs are counted.
const JUST_BEFORE: Duration = Duration::from_millis(1);
/// How long after its deadline a process may take to settle the work that was cut off.
const GRACE: Duration = Duration::from_secs(4);

struct Alive {
    sim: SimProcess,
    process: Arc<Process>,
    queue: Arc<SimQueue>,
    ends: Option<(Duration, End)>,
}

/// Afterwards the watch has the trace, and the first broken promise.
pub async fn live(plan: &Plan, watch: &Arc<Watch>) {
    let world = World::new(plan.seed);
    let name = if plan.fifo { "orders.fifo" } else { "orders" };
    world.queue(name, plan.max_receives);
    if plan.fifo && plan.high_throughput {
        world.high_throughput(name);
    }
    let mut random = fastrand::Rng::with_seed(plan.seed ^ 1);
    let mut alive: Vec<Alive> = Vec::new();
    let mut waiting: Vec<(usize, super::plan::Process)> =
        plan.processes.iter().copied().enumerate().collect();
    let (mut unsent, mut step) = (0, 0_u32);
    let began = Instant::now();
    loop {
        let now = began.elapsed();
        while unsent < plan.messages && (random.u8(..3) == 0 || now >= plan.calm_at) {
            send(&world, watch, plan, name, unsent, &mut random);
            unsent += 1;
        }
        waiting.retain(|(number, process)| {
            let starts = process.starts <= now;
            if starts {
                alive.push(start(plan, &world, watch, name, *number, process.ends));
            }
            !starts
        });
        for each in &alive {
            each.queue.set_faults(faults(plan, now));
        }
        let mut ending = Vec::new();
        while let Some(index) = alive.iter().position(|each| each.ends.is_some_and(|(at, _)| at <= now)) {
            ending.push(alive.swap_remove(index));
        }
        for each in ending {
            end(plan, each, watch).await;
        }
        if step.is_multiple_of(STEPS_PER_LOOK) {
            take_stock(&world, watch, name, unsent);
        }
        for each in &mut alive {
            watch.must(!each.sim.has_ended(), || "promise 7: a listener ended by itself".to_owned());
            if step.is_multiple_of(STEPS_PER_LOOK) {
                look(plan, each, watch);
            }
        }
        step += 1;
        let stored = world.with(|broker, now| broker.inspect(now, name)).len();
        // A POST that hangs since before the calm, of a message dead-lettered meanwhile, would be cut off.
        let posting = alive.iter().any(|each| watch.running(each.process.number) > 0);
        let done = unsent == plan.messages && stored == 0 && !posting;
        if watch.is_broken() || (done && now >= plan.calm_at) {
            break;
        }
        if now > plan.calm_at + PATIENCE {
            watch.must(false, || format!("{stored} messages are still in the queue long after the calm"));
            break;
        }
        let nothing_happens = now > plan.calm_at && alive.iter().all(|each| each.ends.is_none());
        tokio::time::sleep(if nothing_happens { CALM_STEP } else { STEP }).await;
    }
    if !watch.is_broken() {
        for each in &alive {
            still_receives(each, watch).await;
        }
        for each in alive {
            drain(plan, each, watch, Duration::from_secs(30), true).await;
        }
        take_stock(&world, watch, name, plan.messages);
    }
}

/// Promise 4: every message sent so far is done, in the queue, in flight or dead-lettered.
fn take_stock(world: &World, watch: &Watch, name: &str, sent: usize) {
    let bodies = |queue: &str| world.look(|broker, now| broker.inspect(now, queue));
    let there: BTreeSet<String> = [bodies(name), bodies(&dead_letter_name(name))]
        .into_iter()
        .flatten()
        .map(|message| message.body)
        .collect();
    for number in 0..sent {
        let body = format!("m-{number}");
        watch.must(there.contains(&body) || watch.accepted(&body), || format!("promise 4: {body} is lost"));
    }
}

/// Promises 5 and 11, by the process's own metrics.
fn look(plan: &Plan, alive: &Alive, watch: &Watch) {
    let (received, settled) = alive.sim.books();
    watch.must((received - settled).abs() < f64::EPSILON, || {
        format!("promise 11: {received} received, {settled} accounted for")
    });
    if plan.is_kind() {
        let count = |metric: &str| alive.sim.count(metric, "");
        watch.must(count("leases_lost_total") == 0, || {
            "promise 5: a lease is lost without a cause".to_owned()
        });
        watch.must(count("duplicates_suppressed_total") == 0, || {
            "promise 5: a message comes again while it is in flight here".to_owned()
        });
        watch.must(count("messages_abandoned_total") == 0, || {
            "a message is abandoned without a cause".to_owned()
        });
    }
}

/// Promise 7: after any failure a process receives again.
async fn still_receives(alive: &Alive, watch: &Watch) {
    let receives = || alive.process.calls.lock().unwrap().receives();
    let (so_far, began) = (receives(), Instant::now());
    while receives() == so_far {
        if began.elapsed() > PATIENCE {
            watch.must(false, || format!("promise 7: process {} receives no more", alive.process.number));
            return;
        }
        tokio::time::sleep(CALM_STEP).await;
    }
}

fn send(world: &World, watch: &Watch, plan: &Plan, name: &str, number: usize, random: &mut fastrand::Rng) {
    let body = format!("m-{number}");
    let group = plan.fifo.then(|| format!("g-{}", random.usize(..plan.groups)));
    watch.sent(&body, group.as_deref(), number);
    let message = SendMessage {
        body: body.clone(),
        deduplication_id: plan.fifo.then(|| body.clone()),
        group_id: group,
        ..SendMessage::default()
    };
    let sent = world.with(|broker, now| broker.send(now, name, message)).unwrap();
    watch.identified(&sent.message_id, &body);
}

fn faults(plan: &Plan, now: Duration) -> Faults {
    let bad = plan.faults.iter().find(|(from, to, _)| (*from..*to).contains(&now) && now < plan.calm_at);
    bad.map(|(.., faults)| *faults).unwrap_or_default()
}

fn start(
    plan: &Plan,
    world: &World,
    watch: &Arc<Watch>,
    name: &str,
    number: usize,
    ends: Option<(Duration, End)>,
) -> Alive {
    let seed = plan.seed.wrapping_mul(31).wrapping_add(number as u64);
    let mut sim = SimProcess::in_world(world, seed);
    let limits = EndpointLimits::new(
        "api",
        &limit::Settings {
            sessions: plan.sessions,
            divided: false,
            adaptive: plan.adaptive,
            rate: plan.rate(),
            tuning: Tuning::default(),
        },
        seed,
    );
    let process = Arc::new(Process {
        number,
        dead: AtomicBool::new(false),
        calls: Mutex::new(Calls::default()),
        drain: sim.drain.clone(),
        gate: Arc::clone(&limits.gate),
        watch: Arc::clone(watch),
        world: world.clone(),
        plan: plan.clone(),
    });
    let queue = SimQueue::new(world, name, seed);
    let told = Arc::clone(watch);
    queue.tell_of_late(move |change, worked| {
        told.hides(number, change.receipt.expose(), change.seconds, worked);
    });
    let watched = WatchedQueue {
        inner: Arc::clone(&queue),
        process: Arc::clone(&process),
        random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed ^ 2))),
    };
    let endpoint = WatchedEndpoint {
        process: Arc::clone(&process),
        random: Mutex::new(fastrand::Rng::with_seed(seed ^ 3)),
    };
    let mut own = settings(name, plan.workers);
    own.timeout = plan.timeout;
    own.policy.throttle_delay = plan.throttle_delay;
    if let Some((size, window)) = plan.batch {
        own.exchange = Arc::new(Lines(size));
        own.receiving.window = window;
    }
    if plan.dead_letters() {
        let row = Row { status: StatusSet::new([(422, 422)]), action: Action::DeadLetter, delay: None };
        own.policy.rows.push(row);
    }
    if plan.results.is_some() {
        sim.results = results(&process, seed);
    }
    sim.listen_on(own, Arc::new(watched), Arc::new(endpoint), &limits);
    watch.note(&format!("p{number} starts"));
    Alive { sim, process, queue, ends }
}

async fn end(plan: &Plan, alive: Alive, watch: &Watch) {
    if let Some((_, End::Drain(deadline))) = alive.ends {
        return drain(plan, alive, watch, deadline, false).await;
    }
    watch.note(&format!("p{} dies", alive.process.number));
    alive.process.dead.store(true, Ordering::Relaxed);
    watch.excuse_all_of(alive.process.number);
}

/// Promise 6: a drain ends in time, cuts off nothing but POSTs, and settles every message.
async fn drain(plan: &Plan, mut alive: Alive, watch: &Watch, deadline: Duration, calm: bool) {
    let number = alive.process.number;
    watch.note(&format!("p{number} drains for {deadline:?}"));
    let running_at_the_end = async {
        tokio::time::sleep(deadline.saturating_sub(JUST_BEFORE)).await;
        watch.running(number)
    };
    let stop = async {
        let stopped = alive.sim.stop_within(deadline, GRACE).await;
        watch.note(&format!("p{number} has stopped: {stopped:?}"));
        stopped
    };
    let (stopped, running) = tokio::join!(stop, running_at_the_end);
    watch.must(stopped == Stopped::Clean || !calm, || "promise 6: a calm drain had to be cut off".to_owned());
    watch.must(stopped == Stopped::Clean || running > 0 || !plan.sqs_is_well(), || {
        "promise 6: a drain did not end although nothing ran".to_owned()
    });
    watch.must(stopped != Stopped::Unsettled || !plan.sqs_is_well(), || {
        "promise 6: what was cut off was not settled in time".to_owned()
    });
    if stopped != Stopped::Unsettled {
        look(plan, &alive, watch);
        let left = alive.sim.count("messages_in_progress", "");
        watch.must(left == 0, || format!("promise 11: {left} messages are in progress after a drain"));
    }
    // Its process is gone, even if tasks of it still run here.
    alive.process.dead.store(true, Ordering::Relaxed);
    let (received, settled) = alive.sim.books();
    watch.must((received - settled).abs() < f64::EPSILON, || {
        format!("promise 11: {received} received, {settled} accounted for after a drain")
    });
    // Messages that could not be settled, or were cut off, come back by themselves.
    watch.excuse_all_of(number);
}
