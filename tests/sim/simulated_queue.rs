//! The embedded broker behind the queue port, on the runtime's clock, with failures on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use queuepost::localqueue::{
    self, AttributeData, Broker, BrokerError, FaultPlan, FaultRates, Receive as BrokerReceive, Received,
    SendMessage, Timestamp,
};
use queuepost::message::{Attribute, AttributeValue, Message, MessageId, ReceiptHandle, ReceiveCount};
use queuepost::policy::advice::queue::Named;
use queuepost::ports::{
    BatchResult, BoxFuture, DeadLetterReason, EntryError, EntryErrorKind, Operation, Queue, QueueDepth,
    QueueError, QueueErrorKind, QueueFacts, QueueLimits, QueueReason, Receive, Redrive, VisibilityChange,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How a FIFO queue's name ends.
pub const FIFO: &str = ".fifo";
/// How long a visibility change waits for its answer, and the latest time it may take effect after its begin.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
const CHANGE_LATEST: Duration = Duration::from_secs(9);
/// Wall-clock time at the start of every simulation.
pub const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// The probability of each fault, in `[0, 1]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A call is refused before it has any effect.
    pub throttled: f64,
    /// A call has its effect and its answer is lost.
    pub answer_lost: f64,
    /// An entry of a batch fails alone.
    pub entry_failed: f64,
    /// How every delete behaves.
    pub deletes: Deletes,
    /// Every visibility change is refused.
    pub changes_refused: bool,
    /// Every message sent to the dead-letter queue is denied.
    pub sends_denied: bool,
    /// A message received from a standard queue stays visible.
    pub duplicate: f64,
    /// A receive returns nothing although there are messages.
    pub blind: f64,
    /// A visibility change gets no answer in time, and has its effect at some time until soon after.
    pub late: f64,
    /// Longest time a call takes.
    pub latency: Duration,
    /// And shortest.
    pub latency_least: Duration,
}

/// How every delete behaves.
#[derive(Debug, Clone, Copy, Default)]
pub enum Deletes {
    #[default]
    Work,
    /// Deletes are denied.
    Denied,
    /// Deletes are confirmed and have no effect, as rarely happens on a standard queue.
    Forgotten,
    /// The connection ends before the delete has an effect.
    CutOff,
}

/// One broker for all queues of a simulation.
#[derive(Clone)]
pub struct World {
    broker: Arc<Mutex<Broker>>,
    changed: Arc<Notify>,
    started: Instant,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            broker: Arc::new(Mutex::new(Broker::new(seed))),
            changed: Arc::new(Notify::new()),
            started: Instant::now(),
        }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap();
        Timestamp(EPOCH_MILLIS + elapsed)
    }

    /// Runs code on the broker and wakes every long poll.
    pub fn with<T>(&self, work: impl FnOnce(&mut Broker, Timestamp) -> T) -> T {
        let result = work(&mut self.broker.lock().unwrap(), self.now());
        self.changed.notify_waiters();
        result
    }

    /// Reads the broker and wakes no poll.
    pub fn look<T>(&self, at: impl FnOnce(&Broker, Timestamp) -> T) -> T {
        at(&self.broker.lock().unwrap(), self.now())
    }

    /// A queue with a dead-letter queue after so many receives; a FIFO queue if its name says so.
    pub fn queue(&self, name: &str, max_receives: u32) {
        let dlq = dead_letter_name(name);
        self.queue_with(&dlq, &[]);
        let policy = format!(
            r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{dlq}","maxReceiveCount":{max_receives}}}"#
        );
        self.queue_with(name, &[("RedrivePolicy", &policy)]);
    }

    /// A queue with these attributes, and without a dead-letter queue if they name none.
    pub fn queue_with(&self, name: &str, attributes: &[(&str, &str)]) {
        let fifo = name.ends_with(FIFO).then_some(("FifoQueue", "true"));
        let attributes = fifo.iter().chain(attributes);
        let attributes = attributes.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.with(|broker, now| broker.create_queue(now, name, &attributes)).unwrap();
    }

    /// Makes a FIFO queue a high-throughput one.
    pub fn high_throughput(&self, name: &str) {
        let attributes =
            [("DeduplicationScope", "messageGroup"), ("FifoThroughputLimit", "perMessageGroupId")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.with(|broker, now| broker.set_attributes(now, name, &attributes)).unwrap();
    }

    /// Sends to a group of a FIFO queue, or for a tenant of a standard one.
    pub fn send_to(&self, queue: &str, group: &str, body: &str) -> String {
        let message = SendMessage {
            body: body.to_owned(),
            group_id: Some(group.to_owned()),
            deduplication_id: queue.ends_with(FIFO).then(|| body.to_owned()),
            ..SendMessage::default()
        };
        self.with(|broker, now| broker.send(now, queue, message)).unwrap().message_id
    }

    pub fn send(&self, queue: &str, body: &str) -> String {
        let message = SendMessage { body: body.to_owned(), ..SendMessage::default() };
        self.with(|broker, now| broker.send(now, queue, message)).unwrap().message_id
    }
}

/// One queue of a world, as a listener sees it.
pub struct SimQueue {
    world: World,
    name: String,
    faults: Mutex<Faults>,
    random: Mutex<fastrand::Rng>,
    /// When each receive began, and how many messages it asked for.
    pub receives: Mutex<Vec<(Duration, usize)>>,
    /// Calls of every kind.
    calls: AtomicU64,
    /// Latest handle issued for each body.
    handles: Mutex<BTreeMap<String, String>>,
    /// Calls whose caller no longer waits.
    late: Mutex<JoinSet<()>>,
    /// Whether the process of this queue was killed.
    dead: AtomicBool,
    /// Called for a change that takes effect late, with whether it worked.
    told_of_late: Mutex<Option<Arc<LateChange>>>,
}

type LateChange = dyn Fn(&VisibilityChange, bool) + Send + Sync;

impl SimQueue {
    pub fn new(world: &World, name: &str, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            name: name.to_owned(),
            faults: Mutex::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            receives: Mutex::default(),
            calls: AtomicU64::new(0),
            handles: Mutex::default(),
            late: Mutex::default(),
            dead: AtomicBool::new(false),
            told_of_late: Mutex::default(),
        })
    }

    /// Calls `tell` when a change takes effect late, whether its caller still waits or not.
    pub fn tell_of_late(&self, tell: impl Fn(&VisibilityChange, bool) + Send + Sync + 'static) {
        *self.told_of_late.lock().unwrap() = Some(Arc::new(tell));
    }

    /// Deletes a message in flight, as another process with its handle would.
    pub fn delete_behind(&self, body: &str) {
        let handle = self.handles.lock().unwrap()[body].clone();
        self.world.with(|broker, now| broker.delete(now, &self.name, &handle)).unwrap();
    }

    /// The visibility of a message in flight ends, and another process receives it for that many seconds.
    pub fn steal(&self, body: &str, seconds: u32) {
        let handle = self.handles.lock().unwrap()[body].clone();
        let ask = BrokerReceive { max_messages: 1, visibility_timeout: Some(seconds), attempt_id: None };
        let mut broker = self.world.broker.lock().unwrap();
        let now = self.world.now();
        broker.change_visibility(now, &self.name, &handle, 0).unwrap();
        let stolen = broker.receive(now, &self.name, &ask).unwrap();
        assert_eq!(stolen[0].body, body);
    }

    /// Hides a message in flight for that long from now; its visibility cannot end earlier.
    pub fn hide(&self, body: &str, time: Duration) {
        let handle = self.handles.lock().unwrap()[body].clone();
        let seconds = u32::try_from(time.as_secs()).unwrap();
        self.world.with(|broker, now| broker.change_visibility(now, &self.name, &handle, seconds)).unwrap();
    }

    /// Kills the process of this queue: from now on no call begins and no answer arrives.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Never ends for a killed process.
    pub async fn alive(&self) {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// How many calls have begun.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    fn chance(&self, of: impl Fn(&Faults) -> f64) -> bool {
        let share = of(&self.faults.lock().unwrap());
        self.random.lock().unwrap().f64() < share
    }

    /// The fault of a call before it has an effect.
    async fn before(&self, operation: Operation) -> Result<(), QueueError> {
        self.alive().await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let Faults { latency, latency_least: least, .. } = *self.faults.lock().unwrap();
        if !latency.is_zero() {
            let share = self.random.lock().unwrap().f64();
            tokio::time::sleep(least + latency.saturating_sub(least).mul_f64(share)).await;
        }
        if self.chance(|faults| faults.throttled) {
            return Err(failure(operation, QueueErrorKind::Throttled));
        }
        Ok(())
    }

    /// The fault of its answer.
    async fn after<T>(&self, operation: Operation, answer: T) -> Result<T, QueueError> {
        self.alive().await;
        if self.chance(|faults| faults.answer_lost) {
            return Err(failure(operation, QueueErrorKind::Network));
        }
        Ok(answer)
    }

    /// The call reaches the queue late, perhaps only after its caller's timeout.
    async fn change_late(&self, changes: &[VisibilityChange]) -> QueueError {
        let takes = CHANGE_LATEST.mul_f64(self.random.lock().unwrap().f64());
        let (world, queue, changes) = (self.world.clone(), self.name.clone(), changes.to_vec());
        let tell = self.told_of_late.lock().unwrap().clone();
        self.late.lock().unwrap().spawn(async move {
            tokio::time::sleep(takes).await;
            for change in changes {
                let VisibilityChange { receipt, seconds } = &change;
                // The message may have been deleted, or received by another process.
                let result = world
                    .with(|broker, now| broker.change_visibility(now, &queue, receipt.expose(), *seconds));
                if let Some(tell) = &tell {
                    tell(&change, result.is_ok());
                }
            }
        });
        tokio::time::sleep(CHANGE_TIMEOUT).await;
        failure(Operation::ChangeVisibility, QueueErrorKind::TimedOut)
    }

    fn given(&self, broker: &mut Broker, now: Timestamp, place: usize, message: &Received) {
        let handle = &message.receipt_handle;
        self.handles.lock().unwrap().insert(message.body.clone(), handle.clone());
        if self.chance(|faults| faults.duplicate) {
            let rates = FaultRates { duplicate: 1.0, ..FaultRates::default() };
            let rates = [(localqueue::Operation::ReceiveMessage, rates)].into();
            let decision = localqueue::Faults::new(FaultPlan { seed: 0, rates })
                .decide(localqueue::Operation::ReceiveMessage);
            decision.disturb(broker, now, &self.name, place, handle);
        }
    }

    fn batch<T>(
        &self,
        entries: &[T],
        apply: impl Fn(&mut Broker, Timestamp, &T) -> Result<(), BrokerError>,
    ) -> Vec<Result<(), EntryError>> {
        entries
            .iter()
            .map(|entry| {
                if self.chance(|faults| faults.entry_failed) {
                    return Err(EntryError {
                        kind: EntryErrorKind::Retryable,
                        code: "InternalError".to_owned(),
                    });
                }
                self.world.with(|broker, now| apply(broker, now, entry)).map_err(|error| EntryError {
                    kind: EntryErrorKind::LeaseLost,
                    code: error.code().to_owned(),
                })
            })
            .collect()
    }
}

/// `orders-dlq`, or `orders-dlq.fifo`: a FIFO queue's dead-letter queue is one too.
pub fn dead_letter_name(queue: &str) -> String {
    queue.strip_suffix(FIFO).map_or_else(|| format!("{queue}-dlq"), |stem| format!("{stem}-dlq{FIFO}"))
}

/// Any reason of this kind: the simulation branches on kinds alone.
fn reason(kind: QueueErrorKind) -> QueueReason {
    *QueueReason::ALL.iter().find(|reason| reason.kind() == kind).unwrap()
}

fn failure(operation: Operation, kind: QueueErrorKind) -> QueueError {
    let named = Named::default();
    QueueError::new(operation, Arc::from("simulated"), reason(kind), &named, "simulated".into())
}

fn refused(operation: Operation, error: BrokerError) -> QueueError {
    let kind = match error {
        BrokerError::QueueDoesNotExist => QueueErrorKind::Missing,
        _ => QueueErrorKind::Invalid,
    };
    QueueError::new(operation, Arc::from("simulated"), reason(kind), &Named::default(), Box::new(error))
}

impl Queue for SimQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            self.receives.lock().unwrap().push((self.world.started.elapsed(), receive.max));
            self.before(Operation::Receive).await?;
            let until = Instant::now() + receive.wait;
            let ask = BrokerReceive {
                max_messages: u32::try_from(receive.max).unwrap(),
                visibility_timeout: Some(u32::try_from(receive.visibility.as_secs()).unwrap()),
                attempt_id: receive.attempt.map(|number| format!("{number:032x}")),
            };
            if self.chance(|faults| faults.blind) {
                tokio::time::sleep(receive.wait).await;
                return Ok(Vec::new());
            }
            loop {
                let changed = self.world.changed.notified();
                let now = self.world.now();
                let (received, next) = {
                    let mut broker = self.world.broker.lock().unwrap();
                    let received = broker.receive(now, &self.name, &ask);
                    for (place, message) in received.iter().flatten().enumerate() {
                        self.given(&mut broker, now, place, message);
                    }
                    (received, broker.next_change(now, &self.name))
                };
                let received = received.map_err(|error| refused(Operation::Receive, error))?;
                if !received.is_empty() || Instant::now() >= until {
                    let messages = received.into_iter().map(message).collect();
                    return self.after(Operation::Receive, messages).await;
                }
                let next = next
                    .map_or(until, |at| Instant::now() + Duration::from_millis(at.millis_since(now).max(1)));
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(next.min(until)) => {}
                }
            }
        })
    }

    fn delete<'a>(&'a self, handles: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            self.before(Operation::Delete).await?;
            let deletes = self.faults.lock().unwrap().deletes;
            match deletes {
                Deletes::Work => {}
                Deletes::Denied => return Err(failure(Operation::Delete, QueueErrorKind::Denied)),
                Deletes::CutOff => return Err(failure(Operation::Delete, QueueErrorKind::Network)),
                Deletes::Forgotten => return Ok(vec![Ok(()); handles.len()]),
            }
            let results =
                self.batch(handles, |broker, now, handle| broker.delete(now, &self.name, handle.expose()));
            self.after(Operation::Delete, results).await
        })
    }

    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            self.before(Operation::ChangeVisibility).await?;
            if self.faults.lock().unwrap().changes_refused {
                return Err(failure(Operation::ChangeVisibility, QueueErrorKind::Throttled));
            }
            if self.chance(|faults| faults.late) {
                return Err(self.change_late(changes).await);
            }
            let results = self.batch(changes, |broker, now, change| {
                broker.change_visibility(now, &self.name, change.receipt.expose(), change.seconds)
            });
            self.after(Operation::ChangeVisibility, results).await
        })
    }

    fn dead_letter<'a>(
        &'a self,
        message: &'a Message,
        _reason: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            self.before(Operation::Send).await?;
            if self.faults.lock().unwrap().sends_denied {
                return Err(failure(Operation::Send, QueueErrorKind::Denied));
            }
            let body = String::from_utf8(message.body.to_vec()).unwrap();
            let dlq = dead_letter_name(&self.name);
            let id = dlq.ends_with(FIFO).then(|| message.id.as_str().to_owned());
            let group_id = message.group_id.clone();
            let copy = SendMessage { body, group_id, deduplication_id: id, ..SendMessage::default() };
            self.world
                .with(|broker, now| broker.send(now, &dlq, copy))
                .map_err(|error| refused(Operation::Send, error))?;
            self.after(Operation::Send, ()).await
        })
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::of_sqs(self.name.ends_with(FIFO))
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        Box::pin(async move {
            self.before(Operation::Attributes).await?;
            let attributes = self
                .world
                .with(|broker, now| broker.attributes(now, &self.name))
                .map_err(|error| refused(Operation::Attributes, error))?;
            let redrive = attributes.get("RedrivePolicy").map(|policy| {
                let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
                let arn = policy["deadLetterTargetArn"].as_str().unwrap();
                let name = arn.rsplit(':').next().unwrap();
                let dead = self.world.with(|broker, now| broker.attributes(now, name)).ok();
                Redrive {
                    max_receives: u32::try_from(policy["maxReceiveCount"].as_u64().unwrap()).unwrap(),
                    dead_letter_name: name.to_owned(),
                    dead_letter_fifo: name.ends_with(FIFO),
                    dead_letter_retention: dead
                        .as_ref()
                        .and_then(|dead| time(dead, "MessageRetentionPeriod")),
                    dead_letter_depth: dead.as_ref().map(depth),
                    dead_letter_unread: None,
                }
            });
            let facts = QueueFacts {
                url: format!("http://127.0.0.1/000000000000/{}", self.name),
                arn: attributes.get("QueueArn").cloned(),
                fifo: self.name.ends_with(FIFO),
                retention: time(&attributes, "MessageRetentionPeriod"),
                visibility: time(&attributes, "VisibilityTimeout"),
                depth: depth(&attributes),
                redrive,
            };
            self.after(Operation::Attributes, facts).await
        })
    }
}

fn time(attributes: &BTreeMap<String, String>, name: &str) -> Option<Duration> {
    attributes.get(name).and_then(|value| value.parse().ok()).map(Duration::from_secs)
}

fn depth(attributes: &BTreeMap<String, String>) -> QueueDepth {
    let number = |name: &str| attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    QueueDepth {
        visible: number("ApproximateNumberOfMessages"),
        not_visible: number("ApproximateNumberOfMessagesNotVisible"),
        delayed: number("ApproximateNumberOfMessagesDelayed"),
    }
}

fn attribute((name, sent): (String, localqueue::AttributeValue)) -> Attribute {
    let value = match sent.value {
        AttributeData::Text(text) => AttributeValue::Text(text),
        AttributeData::Binary(bytes) => AttributeValue::Binary(bytes.into()),
    };
    Attribute { name, data_type: sent.data_type, value }
}

fn message(received: Received) -> Message {
    let wall = |at: Timestamp| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(at.0));
    Message {
        id: MessageId::new(received.message_id),
        receipt: ReceiptHandle::new(received.receipt_handle),
        body: Bytes::from(received.body),
        receive_count: ReceiveCount::new(received.receive_count),
        sent_at: wall(received.sent_at),
        first_received_at: wall(received.first_received_at),
        group_id: received.group_id,
        deduplication_id: received.deduplication_id,
        sequence_number: received.sequence_number,
        trace_header: received.trace_header,
        sender_id: None,
        attributes: received.attributes.into_iter().map(attribute).collect(),
    }
}
