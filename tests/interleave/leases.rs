//! The lease table and its extender: a park stays, what is settled is extended no more, every receive is settled once.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn};
use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;

use super::lease::{Asked, Lease, LeaseTable};
use super::ledger::Settled;
use crate::message::{Message, MessageId, ReceiptHandle};
use crate::observe::event_log::EventLog;
use crate::observe::health::Health;
use crate::ports::{BatchResult, BoxFuture, Queue, QueueLimits, VisibilityChange};
use crate::telemetry::handles::ListenerMetrics;
use crate::telemetry::labels::{ReleaseReason, Stage};

const LENGTH: Duration = Duration::from_secs(90);
const PARK: Duration = Duration::from_secs(300);

/// A queue that notes which extensions arrive once the message in question is settled.
#[derive(Default)]
struct Sqs {
    late: Mutex<Late>,
    /// The lease of another message was extended.
    other: Notify,
}

#[derive(Default)]
struct Late {
    is_settled: bool,
    handles: Vec<String>,
}

impl Sqs {
    /// The call arrives that parks or deletes the message.
    fn settles(&self) {
        self.late.lock().unwrap().is_settled = true;
    }

    /// Extensions that arrived after that, by these handles.
    fn late(&self, handles: &[&str]) -> usize {
        let late = self.late.lock().unwrap();
        late.handles.iter().filter(|late| handles.contains(&late.as_str())).count()
    }
}

impl Queue for Sqs {
    fn change_visibility<'a>(&'a self, changes: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        Box::pin(async move {
            shuttle::future::yield_now().await;
            for change in changes {
                let mut late = self.late.lock().unwrap();
                if late.is_settled {
                    late.handles.push(change.receipt.expose().to_owned());
                }
                drop(late);
                if change.receipt.expose() == "other" {
                    self.other.notify_one();
                }
            }
            shuttle::future::yield_now().await;
            Ok(changes.iter().map(|_| Ok(())).collect())
        })
    }
}

/// A listener: its table, its queue, its extender.
struct Listener {
    table: Arc<LeaseTable>,
    metrics: Arc<ListenerMetrics>,
    sqs: Arc<Sqs>,
    stop: CancellationToken,
    extender: JoinHandle<()>,
}

impl Listener {
    fn new() -> Self {
        let (metrics, sqs) = (Arc::new(ListenerMetrics::default()), Arc::new(Sqs::default()));
        let limits = QueueLimits { batch: 10, longest_visibility: Duration::from_secs(43_195) };
        let table = LeaseTable::new(LENGTH, limits, Arc::clone(&metrics), Arc::new(EventLog), 1);
        let stop = CancellationToken::new();
        let (extends, stops, queue) = (Arc::clone(&table), stop.clone(), Arc::clone(&sqs) as Arc<dyn Queue>);
        let extender = spawn(async move {
            let tick = Arc::new(Health::default()).watch("extend");
            extends.run(&queue, &tick, &stops).await;
        });
        Self { table, metrics, sqs, stop, extender }
    }

    /// No call is under way, and none follows.
    async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.extender).await.unwrap();
    }

    /// The ledger is even: so many receives were deleted, parked and released, and no other.
    fn assert_settled(&self, expected: (i64, i64, i64)) {
        let ListenerMetrics { in_progress, deleted, parked, released, abandoned, .. } = &*self.metrics;
        assert_eq!((deleted.get(), parked.get(), released.get()), expected);
        assert_eq!((in_progress.get(), abandoned.get()), (0, 0));
    }
}

/// SQS handed a message out just now.
fn receive(table: &Arc<LeaseTable>, id: &str, handle: &str) -> Option<Lease> {
    let (now, receipt) = (Instant::now(), ReceiptHandle::new(handle));
    Lease::begin(table, &Message::new(MessageId::new(id), receipt, ""), Asked { first: now, last: now })
}

/// Parks as settlement does.
async fn park(lease: Lease, sqs: &Sqs) {
    lease.close(Instant::now() + PARK).await;
    shuttle::future::yield_now().await;
    sqs.settles();
    lease.settled(Settled::Parked);
}

/// The time to extend comes while the message is being parked.
pub(crate) async fn a_park_is_not_undone_by_an_extension() {
    let mut listener = Listener::new();
    let lease = receive(&listener.table, "message", "first").unwrap();
    let time = spawn(async { advance(LENGTH * 2 / 3) });
    park(lease, &listener.sqs).await;
    time.await.unwrap();
    advance(LENGTH);
    listener.stop().await;
    assert_eq!(listener.sqs.late(&["first"]), 0, "an extension arrived after the park");
    listener.assert_settled((0, 1, 0));
}

/// SQS hands the message out once more while it is being parked, and the time to extend comes.
pub(crate) async fn a_park_is_not_undone_although_the_message_comes_again() {
    let mut listener = Listener::new();
    let lease = receive(&listener.table, "message", "first").unwrap();
    let (table, other) = (Arc::clone(&listener.table), receive(&listener.table, "other", "other").unwrap());
    let again = spawn(async move { receive(&table, "message", "second") });
    let time = spawn(async { advance(LENGTH * 2 / 3) });
    lease.close(Instant::now() + PARK).await;
    listener.sqs.settles();
    // The park is under way for long enough to extend twice.
    for _ in 0..2 {
        advance(LENGTH);
        listener.sqs.other.notified().await;
    }
    lease.settled(Settled::Parked);
    time.await.unwrap();
    let again = again.await.unwrap();
    listener.stop().await;
    // A lease of its own began after the park: that is extended.
    let ours: &[_] = if again.is_some() { &["first"] } else { &["first", "second"] };
    assert_eq!(listener.sqs.late(ours), 0, "an extension arrived after the park");
    other.settled(Settled::Deleted);
    let deleted = 1 + i64::from(again.is_some());
    again.into_iter().for_each(|lease| lease.settled(Settled::Deleted));
    listener.assert_settled((deleted, 3 - deleted, 0));
}

/// An extension may be under way when the message is deleted; none follows, however long the listener runs.
pub(crate) async fn nothing_is_extended_after_its_settlement() {
    let mut listener = Listener::new();
    let lease = receive(&listener.table, "message", "first").unwrap();
    let other = receive(&listener.table, "other", "other").unwrap();
    let sqs = Arc::clone(&listener.sqs);
    let deletes = spawn(async move {
        lease.deletes();
        sqs.settles();
        lease.settled(Settled::Deleted);
    });
    advance(LENGTH * 2 / 3);
    deletes.await.unwrap();
    for _ in 0..3 {
        listener.sqs.other.notified().await;
        advance(LENGTH * 2 / 3);
    }
    listener.stop().await;
    assert!(listener.sqs.late(&["first"]) <= 1, "what is settled is extended");
    other.settled(Settled::Deleted);
    listener.assert_settled((2, 0, 0));
}

/// A message comes again while it moves on and is settled: every receive of it leaves the ledger, and once.
pub(crate) async fn every_receive_is_settled_once() {
    let mut listener = Listener::new();
    let lease = receive(&listener.table, "message", "first").unwrap();
    let again = |handle: &'static str| {
        let table = Arc::clone(&listener.table);
        spawn(async move {
            if let Some(lease) = receive(&table, "message", handle) {
                lease.settled(Settled::Deleted);
            }
        })
    };
    let tasks = [again("second"), again("third")];
    lease.enter(Stage::Delivering);
    lease.enter(Stage::Settling);
    lease.settled(Settled::Deleted);
    for task in tasks {
        task.await.unwrap();
    }
    listener.stop().await;
    listener.assert_settled((3, 0, 0));
}

/// A released message may be here again before its release is confirmed. Then it is a message like any other.
pub(crate) async fn a_released_message_that_comes_again_has_a_lease_of_its_own() {
    let mut listener = Listener::new();
    let lease = receive(&listener.table, "message", "first").unwrap();
    lease.close(Instant::now()).await;
    let table = Arc::clone(&listener.table);
    let again = spawn(async move {
        let lease = receive(&table, "message", "second").expect("it was released");
        shuttle::future::yield_now().await;
        assert_eq!(lease.handle().expose(), "second");
        assert!(receive(&table, "message", "third").is_none(), "it is in flight");
        lease.settled(Settled::Deleted);
    });
    lease.settled(Settled::Released(ReleaseReason::Drain));
    again.await.unwrap();
    listener.stop().await;
    listener.assert_settled((2, 0, 1));
}
