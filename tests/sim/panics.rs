//! Panics, which are bugs: each is counted, and the other work goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use queuepost::ports::{Operation, QueueReason};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::{ScriptedEndpoint, answer};
use super::scripted_queue::{CallBehaviour, ScriptedQueue};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A log that panics at the next warning, in the task that writes it.
#[derive(Clone, Default)]
struct PanickingLog(Arc<AtomicBool>);

impl<S: Subscriber> Layer<S> for PanickingLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let breaks = *event.metadata().level() <= Level::WARN && self.0.swap(false, Ordering::Relaxed);
        assert!(!breaks, "the log breaks");
    }
}

#[tokio::test(start_paused = true)]
async fn a_settle_loop_that_panics_is_counted_and_goes_on() {
    let log = PanickingLog::default();
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
    let mut process = SimProcess::new(130);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let queue = ScriptedQueue::new(&process.world, "orders", 130);
    process.listen_on(settings("orders", 4), Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(SECOND / 2).await;
    tracing::callsite::rebuild_interest_cache();
    log.0.store(true, Ordering::Relaxed);
    queue.set_for(Operation::Delete, CallBehaviour::Refused(QueueReason::Server));
    tokio::time::sleep(SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    assert!(!log.0.load(Ordering::Relaxed), "it has panicked");
    for number in 0..20 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.until_empty("orders", 5 * MINUTE).await;
    assert_eq!(endpoint.posts().len(), 21, "the message it had in hand is deleted when it comes again");
    assert!(process.count("panics_total", "") >= 1);
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_lease_extender_that_panics_is_counted_and_loses_no_lease() {
    let log = PanickingLog::default();
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
    let mut process = SimProcess::new(131);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::new(|_, _| (200 * SECOND, answer(429)));
    let queue = ScriptedQueue::new(&process.world, "orders", 131);
    let mut own = settings("orders", 4);
    own.timeout = 210 * SECOND;
    process.listen_on(own, Arc::clone(&queue) as _, Arc::clone(&endpoint) as _, &limits(4));
    process.world.send("orders", "x");
    tokio::time::sleep(70 * SECOND).await;
    // A lease of 120 s, extended from 75 s on.
    tracing::callsite::rebuild_interest_cache();
    log.0.store(true, Ordering::Relaxed);
    queue.set_for(Operation::ChangeVisibility, CallBehaviour::Refused(QueueReason::Server));
    tokio::time::sleep(10 * SECOND).await;
    queue.set(|_| CallBehaviour::Works);
    assert!(!log.0.load(Ordering::Relaxed), "it has panicked");
    tokio::time::sleep(150 * SECOND).await;
    assert_eq!((process.count("panics_total", ""), process.count("leases_lost_total", "")), (1, 0));
    assert_eq!(process.count("messages_parked_total", ""), 1, "nothing waits for an extension for ever");
    assert!(process.stop(MINUTE).await);
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_panic_of_every_poller_is_counted() {
    let mut process = SimProcess::new(132);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 100);
    let queue = ScriptedQueue::new(&process.world, "orders", 132);
    let (calls, panics) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&panics);
    queue.set(move |operation| {
        let panics = operation == Operation::Receive
            && calls.fetch_add(1, Ordering::Relaxed) > 20
            && counted.fetch_add(1, Ordering::Relaxed) < 20;
        if panics { CallBehaviour::Panics } else { CallBehaviour::Slow(SECOND / 10, SECOND / 10) }
    });
    for number in 0..5_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    process.listen_on(
        settings("orders", 100),
        Arc::clone(&queue) as _,
        Arc::clone(&endpoint) as _,
        &limits(100),
    );
    process.until_empty("orders", 10 * MINUTE).await;
    assert!(panics.load(Ordering::Relaxed) > 20);
    assert_eq!(process.count("panics_total", ""), 20);
    assert!(process.stop(MINUTE).await);
    assert_eq!(endpoint.accepted().len(), 5_000);
    process.assert_balanced();
}
