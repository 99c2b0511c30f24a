//! A queue whose calls fail by a script: refused, without an answer, late, or carried out after the timeout.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::message::{Message, ReceiptHandle};
use queuepost::policy::advice::queue::Named;
use queuepost::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Operation, Queue, QueueError, QueueFacts, QueueLimits,
    QueueReason, Receive, VisibilityChange,
};
use tokio::time::Instant;

use super::simulated_queue::{SimQueue, World};

/// How a call behaves.
#[derive(Debug, Clone, Copy)]
pub enum CallBehaviour {
    /// The call is carried out.
    Works,
    /// The call fails at once and has no effect.
    Refused(QueueReason),
    /// The call has its effect, and its answer is lost.
    AnswerLost(QueueReason),
    /// The call has its effect, and times out at the caller.
    NoAnswer,
    /// The call takes this long to SQS, and its answer this long back.
    Slow(Duration, Duration),
    /// A change of visibility that times out, and has its effect this long after the call.
    Echo(Duration),
    /// The caller panics.
    Panics,
}

/// One finished call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub operation: Operation,
    pub began: Instant,
    pub worked: bool,
}

type Script = dyn Fn(Operation) -> CallBehaviour + Send;

/// A queue of the simulation with scripted calls.
pub struct ScriptedQueue {
    pub queue: Arc<SimQueue>,
    world: World,
    script: Mutex<Box<Script>>,
    calls: Mutex<Vec<Call>>,
}

impl ScriptedQueue {
    /// All calls work.
    pub fn new(world: &World, name: &str, seed: u64) -> Arc<Self> {
        let (queue, world) = (SimQueue::new(world, name, seed), world.clone());
        Arc::new(Self {
            queue,
            world,
            script: Mutex::new(Box::new(|_| CallBehaviour::Works)),
            calls: Mutex::default(),
        })
    }

    /// Sets how every call behaves from now on.
    pub fn set(&self, script: impl Fn(Operation) -> CallBehaviour + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Sets how calls of one kind behave; all others work.
    pub fn set_for(&self, operation: Operation, how: CallBehaviour) {
        self.set(move |asked| if asked == operation { how } else { CallBehaviour::Works });
    }

    /// Finished calls of one kind that began at `since` or later.
    pub fn calls(&self, operation: Operation, since: Instant) -> Vec<Call> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| call.operation == operation && call.began >= since).copied().collect()
    }

    async fn call<T>(
        &self,
        operation: Operation,
        limit: Duration,
        call: BoxFuture<'_, Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let how = self.how(operation);
        self.call_so(how, operation, limit, call).await
    }

    fn how(&self, operation: Operation) -> CallBehaviour {
        (self.script.lock().unwrap())(operation)
    }

    async fn call_so<T>(
        &self,
        mut how: CallBehaviour,
        operation: Operation,
        limit: Duration,
        call: BoxFuture<'_, Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        if !self.world.look(|broker, _| broker.queue_exists(self.queue.name())) {
            how = CallBehaviour::Refused(QueueReason::QueueMissing);
        }
        let began = Instant::now();
        let result = match how {
            CallBehaviour::Works | CallBehaviour::Echo(_) => call.await,
            CallBehaviour::Panics => panic!("by the script"),
            CallBehaviour::Refused(reason) => Err(failure(operation, reason)),
            CallBehaviour::AnswerLost(reason) => call.await.and(Err(failure(operation, reason))),
            CallBehaviour::NoAnswer => {
                let lost = call.await.and(Err(failure(operation, QueueReason::TimedOut)));
                tokio::time::sleep_until(began + limit).await;
                lost
            }
            CallBehaviour::Slow(there, back) => {
                tokio::time::sleep(there).await;
                let result = call.await;
                tokio::time::sleep(back).await;
                result
            }
        };
        self.calls.lock().unwrap().push(Call { operation, began, worked: result.is_ok() });
        result
    }
}

fn failure(operation: Operation, reason: QueueReason) -> QueueError {
    QueueError::new(operation, Arc::from("troubled"), reason, &Named::default(), "by the script".into())
}

/// Timeout of a settling call, as in the adapter.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// Timeout of a receive beyond its wait, and of an attribute call.
const OTHER_LIMIT: Duration = Duration::from_secs(10);

impl Queue for ScriptedQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        let limit = receive.wait + OTHER_LIMIT;
        Box::pin(self.call(Operation::Receive, limit, self.queue.receive(receive)))
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(self.call(Operation::Delete, SETTLE_LIMIT, self.queue.delete(handles)))
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        let operation = Operation::ChangeVisibility;
        let how = self.how(operation);
        if let CallBehaviour::Echo(after) = how {
            let (queue, changes) = (Arc::clone(&self.queue), changes.to_vec());
            return Box::pin(async move {
                tokio::task::spawn(async move {
                    tokio::time::sleep(after).await;
                    queue.change_visibility(&changes).await.ok();
                });
                tokio::time::sleep(SETTLE_LIMIT).await;
                Err(failure(operation, QueueReason::TimedOut))
            });
        }
        Box::pin(self.call_so(how, operation, SETTLE_LIMIT, self.queue.change_visibility(changes)))
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(self.call(Operation::Send, SETTLE_LIMIT, self.queue.dead_letter(message, reason)))
    }

    fn limits(&self) -> QueueLimits {
        self.queue.limits()
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(self.call(Operation::Attributes, OTHER_LIMIT, self.queue.inspect()))
    }
}
