//! The poller: how many messages are asked for, when, and what happens to what comes.
//!
//! Idle (the last receive was empty): one long poll for one message, holding one worker and no session. Busy:
//! up to ten, sized by free workers, by room at the endpoint and by the pace, with a wait of a second at most;
//! more pollers while receives come back full. Nothing is received that no worker stands ready for, and while
//! the gate is closed nothing is received but a probe of one. While a group of a FIFO queue is in trouble every
//! receive is for one message, and there are more pollers.
//!
//! A receive under way is never cancelled: SQS would hide what it was about to hand out. In a drain it is
//! awaited, and what it brings is given back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::limit::{Claim, PaceClaims, Rank, Reservation, WorkerPermit};
use crate::message::Message;
use crate::pipeline::admit::Ticket;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::gates::Probes;
use crate::pipeline::group::{Successor, give_back_later, split};
use crate::pipeline::health::Preflight;
use crate::pipeline::in_house::InHouse;
use crate::pipeline::listener::Core;
use crate::pipeline::ports::{BATCH_MAX, QueueError};
use crate::pipeline::settlement::Settler;
use crate::pipeline::wheel::Asked;
use crate::policy::backoff;
use crate::telemetry::trace::Journey;

/// How long a busy poller waits for a batch's worth of free workers.
const LINGER: Duration = Duration::from_millis(20);
/// Long-poll time of a busy or probing listener.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How often a poller looks whether settling works again.
const SETTLE_FAULT_CHECK: Duration = Duration::from_millis(500);
/// A listener may have one poller for each so many workers.
const WORKERS_PER_POLLER: usize = 10;
/// Pollers of a listener that receives one message at a time, at most.
const SINGLE_POLLERS_MAX: usize = 100;

/// One polling loop of a listener.
pub(super) struct Poller {
    pub(super) core: Arc<Core>,
    pub(super) settler: Settler,
    pub(super) deliveries: TaskTracker,
    pub(super) pollers: TaskTracker,
}

/// How many messages a receive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// The queue is empty, or holds nothing that may be handed out.
    Nothing,
    /// Fewer than asked for.
    Some,
    /// As many as asked for.
    Full,
}

/// What a receive was prepared with.
struct Prepared {
    workers: Reservation,
    claims: Vec<Claim>,
    pace: Option<PaceClaims>,
    probes: Probes,
    wait: Duration,
}

impl Poller {
    /// Polls until the drain begins; the listener's first poller.
    pub(super) async fn run(self) {
        let mut failures = 0_u32;
        let mut first = true;
        while let Some(mut prepared) = self.prepare().await {
            let no_wait = prepared.wait.is_zero();
            if std::mem::take(&mut first) {
                prepared.wait = Duration::ZERO;
            }
            match self.receive(prepared).await {
                Some(Ok(came)) => {
                    failures = 0;
                    match came {
                        Came::Full => self.call_in_help(),
                        // Without a long poll an empty queue would be asked as fast as it answers.
                        Came::Nothing if no_wait => self.pause(BUSY_WAIT).await,
                        Came::Some | Came::Nothing => {}
                    }
                }
                Some(Err(error)) => {
                    failures = failures.saturating_add(1);
                    self.core.receive_failed(&error);
                    self.pause(backoff::call(failures, self.core.unit())).await;
                }
                None => {}
            }
        }
    }

    /// Waits, unless the drain begins.
    pub(super) async fn pause(&self, pause: Duration) {
        tokio::select! {
            biased;
            () = self.core.drain.draining() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Starts one more poller while the queue gives all that is asked for.
    fn call_in_help(&self) {
        let most = self.most();
        let pollers = &self.core.pollers;
        let raise = |now: usize| (now < most).then_some(now + 1);
        if pollers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise).is_err() {
            return;
        }
        let helper = Poller {
            core: Arc::clone(&self.core),
            settler: self.settler.clone(),
            deliveries: self.deliveries.clone(),
            pollers: self.pollers.clone(),
        };
        let counted = Counted(Arc::clone(&self.core));
        self.pollers.spawn(async move {
            let _counted = counted;
            helper.help().await;
        });
    }

    /// How many pollers the listener may have now.
    fn most(&self) -> usize {
        let workers = self.core.settings.workers;
        let most = workers.div_ceil(WORKERS_PER_POLLER);
        if self.core.is_careful() { most.max(workers.min(SINGLE_POLLERS_MAX)) } else { most }
    }

    /// Polls as long as receives come back full. Errors are left to the first poller to back off from.
    async fn help(self) {
        let core = &self.core;
        // When receives are for more than one message again, those that were for one would never end: one is full.
        let needed = || core.pollers.load(Ordering::Relaxed) <= self.most();
        while core.busy.load(Ordering::Relaxed) && core.gates.are_open() && needed() {
            let Some(prepared) = self.prepare().await else { return };
            let probing = !prepared.probes.is_empty();
            match self.receive(prepared).await {
                Some(Ok(Came::Full)) if !probing => {}
                _ => return,
            }
        }
    }

    /// Waits for the gates, workers and room; `None` when the drain begins.
    async fn prepare(&self) -> Option<Prepared> {
        let core = &self.core;
        loop {
            while core.health.has_settle_fault() && !core.drain.is_draining() {
                self.pause(SETTLE_FAULT_CHECK).await;
            }
            let busy = core.busy.load(Ordering::Relaxed);
            let idle_wait = core.settings.receive_wait;
            if !core.gates.are_open() {
                let (workers, probes) = self.prepare_probe(busy).await?;
                if probes.is_empty() || core.health.has_settle_fault() {
                    continue;
                }
                // A long poll would keep the turn from other listeners.
                let may_wait = probes.are_idle() && core.limits.sessions.seats() == 1;
                let wait = if may_wait { idle_wait } else { BUSY_WAIT.min(idle_wait) };
                let (claims, pace) = (Vec::new(), None);
                return Some(Prepared { workers, claims, pace, probes, wait });
            }
            let most = if busy && !core.is_careful() { BATCH_MAX.min(core.seat.share()) } else { 1 };
            let enough = |of: usize| most.min(of.div_ceil(3));
            let few_workers = enough(core.workers.limit());
            let mut workers = tokio::select! {
                biased;
                () = core.drain.draining() => return None,
                workers = core.workers.reserve(few_workers, most, LINGER) => workers,
            };
            let (mut claims, mut pace) = (Vec::new(), None);
            if busy {
                let few_sessions = enough(core.limits.sessions.limit()).min(workers.len());
                (claims, pace) = tokio::select! {
                    biased;
                    () = core.drain.draining() => return None,
                    claimed = self.claim(few_sessions, workers.len()) => claimed,
                };
                workers.keep(claims.len());
            }
            // Both may have changed while it waited.
            if core.gates.are_open() && !core.health.has_settle_fault() {
                let wait = if busy { BUSY_WAIT.min(idle_wait) } else { idle_wait };
                return Some(Prepared { workers, claims, pace, probes: Probes::default(), wait });
            }
        }
    }

    /// Waits at closed gates with one worker: without, a poller would keep the turn from the held messages that
    /// have them all. `None` when the drain begins; no probes when the gates have opened.
    async fn prepare_probe(&self, busy: bool) -> Option<(Reservation, Probes)> {
        let core = &self.core;
        let mut probes = Probes::default();
        // Who was refused last lets others look, whose way may be healthy.
        let in_trouble = core.probe_refused.load(Ordering::Relaxed);
        let rank = if busy && !in_trouble { Rank::BusyPoller } else { Rank::IdlePoller };
        tokio::select! {
            biased;
            () = core.drain.draining() => None,
            workers = async {
                let workers = core.workers.reserve(1, 1, Duration::ZERO).await;
                core.gates.pass(rank, &mut probes).await;
                workers
            } => Some((workers, probes)),
        }
    }

    /// Claims room at the endpoint: places in the pace's line, and sessions.
    async fn claim(&self, enough: usize, most: usize) -> (Vec<Claim>, Option<PaceClaims>) {
        let pace = self.core.limits.pace.claim(most).await;
        let most = pace.as_ref().map_or(most, |pace| pace.len().min(most));
        (self.core.seat.claim(enough.min(most), most, LINGER).await, pace)
    }

    /// Receives and starts a delivery for each message. `None` when the drain did not wait for the answer any
    /// longer.
    async fn receive(&self, prepared: Prepared) -> Option<Result<Came, QueueError>> {
        let core = &self.core;
        let Prepared { mut workers, mut claims, mut pace, mut probes, wait } = prepared;
        let max = workers.len();
        let give_up_room = || {
            claims.clear();
            pace = None;
            probes = Probes::default();
        };
        let (messages, asked) = match self.ask(max, wait, give_up_room).await? {
            Ok(received) => received,
            Err(error) => return Some(Err(error)),
        };
        core.received(messages.len());
        let came = match messages.len() {
            0 => Came::Nothing,
            count if count < max => Came::Some,
            _ => Came::Full,
        };
        if messages.iter().all(|message| core.is_last_chance(message)) {
            // Refused once more such a message would be dead-lettered: it is kept, and the turn passes on.
            std::mem::take(&mut probes).found_nothing(came != Came::Nothing);
        }
        if messages.len() > max {
            // No SQS does that; without a worker they could not be taken.
            core.narrator.surplus(messages.len() - max);
        }
        let mut ticket = || {
            let pace = pace.as_mut().and_then(PaceClaims::take);
            Ticket::new(claims.pop(), pace, std::mem::take(&mut probes))
        };
        let mut grouped = Vec::new();
        for message in messages {
            let Some(permit) = workers.take() else { break };
            let group = core.settings.fifo.then(|| message.group_id.clone().unwrap_or_default());
            let delivery = self.take_in(message, asked, permit);
            if let Some(group) = group {
                grouped.push((group, delivery));
            } else if let Some(mut delivery) = delivery {
                delivery.ticket = ticket();
                self.deliveries.spawn(delivery.run(Arc::clone(core)));
            }
        }
        self.start_groups(grouped, ticket);
        Some(Ok(came))
    }

    /// Takes the message into the house. `None` when it is there already; its handle is now the newer one.
    fn take_in(&self, message: Message, asked: Asked, permit: WorkerPermit) -> Option<Delivery> {
        let core = &self.core;
        core.observe(&message);
        let Some((lease, books)) = core.wheel.admit(&message, asked, InHouse::new(&core.metrics)) else {
            core.metrics.duplicates_suppressed.inc();
            return None;
        };
        let (settler, ticket, permit) = (self.settler.clone(), Ticket::default(), Arc::new(permit));
        let journey = Journey::begin(&core.settings.queue_name, &message);
        Some(Delivery {
            message,
            lease,
            permit,
            books,
            ticket,
            settler,
            successor: Successor::default(),
            journey,
        })
    }

    /// Starts a run for each group, with one worker. Only its head gets a ticket: what waits for others must keep no
    /// room, and no probe that those may need.
    fn start_groups(&self, messages: Vec<(String, Option<Delivery>)>, mut ticket: impl FnMut() -> Ticket) {
        for mut arrived in split(messages) {
            if let Some(worker) = arrived.run.front().map(|head| Arc::clone(&head.permit)) {
                arrived.run.iter_mut().for_each(|delivery| delivery.permit = Arc::clone(&worker));
            }
            let share =
                |waiting: &Delivery, joined: &mut Delivery| joined.permit = Arc::clone(&waiting.permit);
            if let Some(run) = self.core.groups.join(&arrived.group, arrived.run, share) {
                run.with_head(|head| head.ticket = ticket());
                self.deliveries.spawn(run.run(Arc::clone(&self.core), self.deliveries.clone()));
            }
            if !arrived.blocked.is_empty() {
                let core = Arc::clone(&self.core);
                self.deliveries.spawn(give_back_later(core, arrived.group, arrived.blocked));
            }
        }
    }
}

/// A helping poller, counted until it ends.
struct Counted(Arc<Core>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.pollers.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            self.0.metrics.panics.inc();
        }
    }
}

/// Reads the queue's own words before the first receive, again and again until it can be read; whether it
/// could before the drain began.
pub(super) async fn preflight(core: &Core) -> bool {
    let mut failures = 0_u32;
    loop {
        let inspected = tokio::select! {
            biased;
            () = core.drain.draining() => return false,
            inspected = core.queue.inspect() => inspected,
        };
        match inspected {
            Ok(facts) => {
                let findings = core.inspected(&facts);
                if core.health.set_preflight(Preflight::Passed) {
                    core.metrics.set_faulted(core.health.is_faulted());
                    core.narrator.healthy(Some(&facts));
                }
                core.narrator.findings(&findings);
                return true;
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                core.receive_failed(&error);
            }
        }
        tokio::select! {
            biased;
            () = core.drain.draining() => return false,
            () = tokio::time::sleep(backoff::call(failures, core.unit())) => {}
        }
    }
}
