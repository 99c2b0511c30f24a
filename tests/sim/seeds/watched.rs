//! A queue and an endpoint of one process, under watch; both fall silent when the process dies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::drain::Drain;
use queuepost::limit::{Gate, GateState};
use queuepost::message::{Message, ReceiptHandle};
use queuepost::pipeline::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Endpoint, Queue, QueueError, QueueFacts, Receive,
    VisibilityChange,
};
use queuepost::policy::outcome::{Attempt, Break, Broken};
use queuepost::shape::Request;

use super::super::endpoint::{answer, answer_with_retry_after, refused};
use super::super::queue::{SimQueue, World};
use super::plan::{Answer, Plan};
use super::watch::Watch;

/// What the watched parts of one process share.
pub struct Process {
    pub number: usize,
    pub dead: AtomicBool,
    pub drain: Drain,
    pub gate: Arc<Gate>,
    pub watch: Arc<Watch>,
    pub world: World,
    pub plan: Plan,
}

impl Process {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// An answer, unless nobody is there to hear it.
    async fn heard<T>(&self, answer: T) -> T {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        answer
    }
}

pub struct WatchedQueue {
    pub inner: Arc<SimQueue>,
    pub process: Arc<Process>,
    pub random: Mutex<fastrand::Rng>,
}

impl WatchedQueue {
    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap().u32(..100) < percent
    }
}

impl Queue for WatchedQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let p = &self.process;
            p.heard(()).await;
            p.watch.must(!p.drain.is_draining(), || "promise 6: a receive starts in a drain".to_owned());
            let state = p.gate.snapshot().state;
            p.watch.must(state != GateState::Closed, || {
                "promise 8: a receive starts at a closed gate".to_owned()
            });
            p.watch.must(state == GateState::Open || receive.max == 1, || {
                format!("promise 8: a probe asks for {} messages", receive.max)
            });
            let result = self.inner.receive(receive).await;
            for message in result.iter().flatten() {
                let body = String::from_utf8(message.body.to_vec()).unwrap();
                let handle = message.receipt.expose();
                p.watch.received(p.number, &body, handle, message.receive_count.get());
                if p.is_dead() || p.drain.is_aborting() {
                    p.watch.excuse(handle);
                }
                if self.chance(p.plan.doubled) && !p.plan.fifo {
                    // SQS hands it out again although it is in flight.
                    p.watch.note(&format!("doubled {body}"));
                    p.watch.excuse(handle);
                    let queue = self.inner.name().to_owned();
                    p.world.with(|broker, now| broker.change_visibility(now, &queue, handle, 0)).ok();
                }
            }
            p.heard(result).await
        })
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            let p = &self.process;
            p.heard(()).await;
            let result = self.inner.delete(handles).await;
            for (index, handle) in handles.iter().enumerate() {
                let worked = result.as_ref().is_ok_and(|entries| entries[index].is_ok());
                p.watch.deletes(p.number, handle.expose(), worked);
            }
            p.heard(result).await
        })
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            let p = &self.process;
            p.heard(()).await;
            let result = self.inner.change_visibility(changes).await;
            for (index, change) in changes.iter().enumerate() {
                let worked = result.as_ref().is_ok_and(|entries| entries[index].is_ok());
                p.watch.hides(p.number, change.receipt.expose(), change.seconds, worked);
            }
            p.heard(result).await
        })
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            self.process.heard(()).await;
            let result = self.inner.dead_letter(message, reason).await;
            self.process.heard(result).await
        })
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(async move {
            self.process.heard(()).await;
            let result = self.inner.inspect().await;
            self.process.heard(result).await
        })
    }
}

pub struct WatchedEndpoint {
    pub process: Arc<Process>,
    pub random: Mutex<fastrand::Rng>,
}

impl WatchedEndpoint {
    /// What it does with a POST that comes now, and how long that takes.
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
}

/// Ends a POST for the watch, also when it is cut off.
struct Posting<'a> {
    process: &'a Process,
    body: String,
    status: Option<u16>,
    park: Duration,
    answered: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        let p = self.process;
        p.watch.posted(p.number, &self.body, self.status, self.park, self.answered && !p.is_dead());
    }
}

impl Endpoint for WatchedEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let p = &self.process;
            p.heard(()).await;
            let body = String::from_utf8(request.body.to_vec()).unwrap();
            let earlier = p.watch.earlier(&body);
            let stored = p.world.with(|broker, now| broker.inspect(now, "orders.fifo"));
            let waiting = earlier.into_iter().find(|body| stored.iter().any(|message| message.body == *body));
            p.watch.posts(p.number, &body, p.plan.sessions.min(p.plan.workers), waiting);
            let (takes, answers) = self.decide();
            let mut posting =
                Posting { process: p, body, status: None, park: p.plan.throttle_delay, answered: false };
            let attempt = match answers {
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
                posting.status = Some(answer.status);
            }
            posting.answered = true;
            drop(posting);
            p.heard(attempt).await
        })
    }
}
