//! The queue and the endpoint of one process, under watch; both stop answering when the process is killed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::drain::Drain;
use queuepost::exchange::Request;
use queuepost::limit::{Gate, GateState};
use queuepost::message::{Message, ReceiptHandle};
use queuepost::policy::advice::queue::Named;
use queuepost::policy::outcome::{Attempt, Break, Broken};
use queuepost::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Endpoint, Operation, Queue, QueueError, QueueFacts,
    QueueLimits, QueueReason, Receive, VisibilityChange,
};
use tokio::time::Instant;

use super::super::batches_gathered::names_failed;
use super::super::scripted_endpoint::{answer, answer_with_retry_after, refused};
use super::super::simulated_queue::{SimQueue, World, dead_letter_name};
use super::plan::{Answer, Plan};
use super::watch::{Ended, Watch};

/// More calls of one process at one moment than any correct process makes.
const CALLS_AT_ONCE_MAX: u32 = 10_000;
/// More calls of one process in its life than any correct process makes.
const CALLS_MAX: u32 = 2_000_000;

/// Failed receives in a row within a minute, without back-off.
const FAILURES_MAX: usize = 200;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// Timeout of a settling call, as in the adapter.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// Timeout of a receive beyond its wait, and of an attribute call.
const OTHER_LIMIT: Duration = Duration::from_secs(10);

/// The state that the watched queue and endpoint of one process share.
pub struct Process {
    pub number: usize,
    pub dead: AtomicBool,
    pub calls: Mutex<Calls>,
    pub drain: Drain,
    pub gate: Arc<Gate>,
    pub watch: Arc<Watch>,
    pub world: World,
    pub plan: Plan,
}

/// How many calls a process has made: a spinning process would make them for ever.
#[derive(Default)]
pub struct Calls {
    in_all: u32,
    at: Option<Instant>,
    at_once: u32,
    /// Receives begun.
    receives: u32,
    /// When the latest receives failed, without a successful one since.
    failed: VecDeque<Instant>,
}

impl Calls {
    fn are_too_many(&mut self) -> bool {
        let now = Some(Instant::now());
        if std::mem::replace(&mut self.at, now) != now {
            self.at_once = 0;
        }
        self.at_once += 1;
        self.in_all += 1;
        self.at_once > CALLS_AT_ONCE_MAX || self.in_all > CALLS_MAX
    }

    /// Whether a receive that ended now shows a missing back-off.
    fn presses(&mut self, failed: bool) -> bool {
        if !failed {
            self.failed.clear();
            return false;
        }
        self.failed.push_back(Instant::now());
        if self.failed.len() > FAILURES_MAX {
            self.failed.pop_front();
        }
        self.failed.len() == FAILURES_MAX && self.failed[0].elapsed() < FAILURES_WITHIN
    }

    /// How many receives were begun.
    pub fn receives(&self) -> u32 {
        self.receives
    }
}

impl Process {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// A call begins, unless the process was killed. Promise 7: no process calls without pause or end.
    pub async fn calls(&self) {
        let too_many = self.calls.lock().unwrap().are_too_many();
        self.watch.must(!too_many, || format!("promise 7: process {} spins", self.number));
        if too_many {
            std::future::pending::<()>().await;
        }
        self.answered(()).await;
    }

    /// An answer, unless the process was killed.
    pub async fn answered<T>(&self, answer: T) -> T {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        answer
    }
}

pub struct WatchedQueue {
    pub inner: Arc<SimQueue>,
    pub process: Arc<Process>,
    pub random: Arc<Mutex<fastrand::Rng>>,
}

pub fn chance(random: &Mutex<fastrand::Rng>, percent: u32) -> bool {
    random.lock().unwrap().u32(..100) < percent
}

/// A slow call: its time to SQS, the time of its answer, and its timeout.
#[derive(Clone, Copy)]
struct Slow {
    there: Duration,
    back: Duration,
    limit: Duration,
}

impl Slow {
    fn is_given_up(self) -> bool {
        self.there + self.back >= self.limit
    }
}

impl WatchedQueue {
    fn chance(&self, percent: u32) -> bool {
        chance(&self.random, percent)
    }

    /// How slow SQS is with a call that begins now.
    fn slow(&self, limit: Duration) -> Option<Slow> {
        let p = &self.process;
        let now = p.world.started().elapsed();
        let spike = p.plan.spikes.iter().find(|(from, to, _)| (*from..*to).contains(&now));
        let (.., most) = spike.filter(|_| now < p.plan.calm_at)?;
        let mut random = self.random.lock().unwrap();
        let mut takes = || most.mul_f64(random.f64() * random.f64());
        let (there, back) = (takes(), takes());
        (random.u8(..3) > 0).then_some(Slow { there, back, limit })
    }

    /// Makes a call, which is carried out even after its caller's timeout.
    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        slow: Option<Slow>,
        call: impl Future<Output = Result<T, QueueError>> + Send + 'static,
    ) -> Result<T, QueueError> {
        let Some(slow) = slow else { return call.await };
        let running = tokio::task::spawn(async move {
            tokio::time::sleep(slow.there).await;
            let result = call.await;
            tokio::time::sleep(slow.back).await;
            result
        });
        let given_up = || {
            let named = Named::default();
            QueueError::new(operation, Arc::from("slow"), QueueReason::TimedOut, &named, "slow".into())
        };
        tokio::time::timeout(slow.limit, running).await.map_or_else(|_| Err(given_up()), Result::unwrap)
    }

    /// After a timeout the process is not responsible for what happens to these messages.
    fn excuse_slow<'a>(&self, slow: Option<Slow>, handles: impl Iterator<Item = &'a ReceiptHandle>) {
        if slow.is_some_and(Slow::is_given_up) {
            handles.for_each(|handle| self.process.watch.excuse(handle.expose()));
        }
    }
}

impl Queue for WatchedQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let p = &self.process;
            p.calls().await;
            p.watch.must(!p.drain.is_draining(), || "promise 6: a receive starts in a drain".to_owned());
            let state = p.gate.snapshot().state;
            p.watch.must(state != GateState::Closed, || {
                "promise 8: a receive starts at a closed gate".to_owned()
            });
            p.watch.must(state == GateState::Open || receive.max == 1, || {
                format!("promise 8: a probe asks for {} messages", receive.max)
            });
            p.calls.lock().unwrap().receives += 1;
            let inner = Arc::clone(&self.inner);
            let slow = self.slow(receive.wait + OTHER_LIMIT);
            let call = async move { inner.receive(receive).await };
            let result = self.call(Operation::Receive, slow, call).await;
            let presses = p.calls.lock().unwrap().presses(result.is_err());
            p.watch.must(!presses, || format!("promise 7: process {} fails without back-off", p.number));
            for message in result.iter().flatten() {
                let body = String::from_utf8(message.body.to_vec()).unwrap();
                let handle = message.receipt.expose();
                p.watch.received(p.number, &body, handle, message.receive_count.get());
                if p.is_dead() || p.drain.is_aborting() {
                    p.watch.excuse(handle);
                }
                if self.chance(p.plan.doubled) && !p.plan.fifo {
                    // SQS hands the message out again although it is in flight.
                    p.watch.note(&format!("doubled {body}"));
                    p.watch.excuse(handle);
                    let queue = self.inner.name().to_owned();
                    p.world.with(|broker, now| broker.change_visibility(now, &queue, handle, 0)).ok();
                }
            }
            p.answered(result).await
        })
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            let p = &self.process;
            p.calls().await;
            // A standard queue may confirm a delete and forget it.
            let forgets = !p.plan.fifo && self.chance(p.plan.doubled);
            let (inner, own, process) = (Arc::clone(&self.inner), handles.to_vec(), Arc::clone(p));
            let call = async move {
                let result = if forgets { Ok(vec![Ok(()); own.len()]) } else { inner.delete(&own).await };
                for (index, handle) in own.iter().enumerate() {
                    let worked = result.as_ref().is_ok_and(|entries| entries[index].is_ok());
                    let has_results = process.plan.results.is_some();
                    process.watch.deletes(process.number, handle.expose(), (worked, has_results), |body| {
                        let dead = dead_letter_name(inner.name());
                        let dead = process.world.look(|broker, now| broker.inspect(now, &dead));
                        dead.iter().any(|message| message.body == body)
                    });
                    if forgets {
                        process.watch.excuse(handle.expose());
                    }
                }
                result
            };
            let slow = self.slow(SETTLE_LIMIT);
            self.excuse_slow(slow, handles.iter());
            let result = self.call(Operation::Delete, slow, call).await;
            p.answered(result).await
        })
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            let p = &self.process;
            p.calls().await;
            let (inner, own, process) = (Arc::clone(&self.inner), changes.to_vec(), Arc::clone(p));
            let random = Arc::clone(&self.random);
            let call = async move {
                let p = process;
                let result = inner.change_visibility(&own).await;
                for (index, change) in own.iter().enumerate() {
                    let worked = result.as_ref().is_ok_and(|entries| entries[index].is_ok());
                    let handle = change.receipt.expose();
                    p.watch.hides(p.number, handle, change.seconds, worked);
                    if worked && change.seconds > 0 && chance(&random, p.plan.doubled) && !p.plan.fifo {
                        // SQS has a copy of the message that is not hidden.
                        p.watch.excuse(handle);
                        let queue = inner.name();
                        p.world.with(|broker, now| broker.change_visibility(now, queue, handle, 0)).ok();
                    }
                }
                result
            };
            let slow = self.slow(SETTLE_LIMIT);
            self.excuse_slow(slow, changes.iter().map(|change| &change.receipt));
            let result = self.call(Operation::ChangeVisibility, slow, call).await;
            p.answered(result).await
        })
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            self.process.calls().await;
            let p = &self.process;
            let (inner, message, reason) = (Arc::clone(&self.inner), message.clone(), reason.clone());
            p.watch.note(&format!("p{} copies {}", p.number, message.id));
            let slow = self.slow(SETTLE_LIMIT);
            let call = async move { inner.dead_letter(&message, &reason).await };
            let result = self.call(Operation::Send, slow, call).await;
            p.answered(result).await
        })
    }

    fn limits(&self) -> QueueLimits {
        self.inner.limits()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(async move {
            self.process.calls().await;
            let inner = Arc::clone(&self.inner);
            let slow = self.slow(OTHER_LIMIT);
            let result = self.call(Operation::Attributes, slow, async move { inner.inspect().await }).await;
            self.process.answered(result).await
        })
    }
}

pub struct WatchedEndpoint {
    pub process: Arc<Process>,
    pub random: Mutex<fastrand::Rng>,
}

impl WatchedEndpoint {
    /// How the endpoint treats a POST that comes now, and how long that takes.
    fn decide(&self) -> (Duration, Answer) {
        let p = &self.process;
        let now = p.world.started().elapsed();
        let mut random = self.random.lock().unwrap();
        let takes = p.plan.slowest.mul_f64(random.f64());
        if now >= p.plan.calm_at {
            return (takes.min(Duration::from_secs(1)), Answer::Status(200));
        }
        let outage = p.plan.outages.iter().find(|(from, to, _)| (*from..*to).contains(&now));
        if let Some((.., answer)) = outage {
            return (Duration::from_millis(5), *answer);
        }
        let mut roll = random.u32(..100);
        for (percent, answer) in &p.plan.answers {
            if roll < *percent {
                return (takes, *answer);
            }
            roll -= percent;
        }
        (takes, Answer::Status(200))
    }

    /// Which messages of a batch fail though the POST does not. Behind one of a group the rest of it fails too.
    fn fails(&self, bodies: &[&str]) -> Vec<bool> {
        let p = &self.process;
        let is_calm = p.world.started().elapsed() >= p.plan.calm_at;
        let mut failed = vec![false; bodies.len()];
        if p.plan.batch.is_none() || is_calm {
            return failed;
        }
        for place in 0..bodies.len() {
            let behind = p.watch.earlier(bodies[place]);
            let stands_behind = (0..place)
                .any(|before| failed[before] && behind.iter().any(|earlier| earlier == bodies[before]));
            failed[place] = stands_behind || self.random.lock().unwrap().u8(..20) == 0;
        }
        failed
    }
}

/// Ends a POST for the watch, also when it is cut off.
struct Posting<'a> {
    process: &'a Process,
    /// The messages, and whether the answer calls each failed.
    bodies: Vec<(String, bool)>,
    status: Option<u16>,
    park: Duration,
    unsent: bool,
    answered: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        let p = self.process;
        let is_alone = self.bodies.len() == 1;
        p.watch.ends(p.number);
        for (body, failed) in &self.bodies {
            let ended = Ended {
                status: self.status.filter(|_| !failed),
                park: self.park,
                unsent: self.unsent,
                gives_up: p.plan.dead_letters() && self.status == Some(422) && is_alone,
                seen_by_process: self.answered && !p.is_dead(),
            };
            p.watch.posted(p.number, body, ended);
        }
    }
}

impl Endpoint for WatchedEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let p = &self.process;
            p.calls().await;
            let body = String::from_utf8(request.body.to_vec()).unwrap();
            p.watch.must(!p.drain.is_draining(), || format!("promise 6: {body} is posted in a drain"));
            let bodies: Vec<&str> = body.lines().collect();
            let stored = p.world.with(|broker, now| broker.inspect(now, "orders.fifo"));
            p.watch.begins(p.number, &p.plan);
            for (place, body) in bodies.iter().enumerate() {
                // Those before it may be in the same POST.
                let is_before = |earlier: &String| bodies[..place].contains(&earlier.as_str());
                let waits = |earlier: &String| stored.iter().any(|message| message.body == *earlier);
                let mut earlier = p.watch.earlier(body).into_iter();
                p.watch.posts(p.number, body, earlier.find(|earlier| waits(earlier) && !is_before(earlier)));
            }
            let (takes, answers) = self.decide();
            let failed = self.fails(&bodies);
            let named: Vec<usize> = (0..bodies.len()).filter(|place| failed[*place]).collect();
            let is_whole = named.is_empty() || answers != Answer::Status(200);
            let failed = failed.into_iter().map(|failed| failed && !is_whole);
            let mut posting = Posting {
                process: p,
                bodies: bodies.iter().map(|body| (*body).to_owned()).zip(failed).collect(),
                status: None,
                park: p.plan.throttle_delay,
                unsent: false,
                answered: false,
            };
            let attempt = match answers {
                Answer::Status(_) if !is_whole => names_failed(&named),
                Answer::Status(status) => answer(status),
                Answer::Pause(status, seconds) => answer_with_retry_after(status, seconds),
                Answer::Unsent => refused(),
                Answer::Broken => {
                    Attempt::Broken(Broken { at: Break::BeforeAnswer, text: "reset".to_owned() })
                }
                Answer::Hangs => Attempt::TimedOut,
            };
            let takes = if answers == Answer::Hangs { p.plan.timeout } else { takes };
            let (takes, attempt) =
                if takes > p.plan.timeout { (p.plan.timeout, Attempt::TimedOut) } else { (takes, attempt) };
            tokio::time::sleep(takes).await;
            if let Attempt::Answered(answer) = &attempt {
                // A status of its own says that the answer tells messages apart.
                posting.status = Some(if is_whole { answer.status } else { 200 });
            }
            posting.unsent = matches!(attempt, Attempt::Unsent(_));
            posting.answered = true;
            drop(posting);
            p.answered(attempt).await
        })
    }
}
