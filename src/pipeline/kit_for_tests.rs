//! For unit tests of a stage: what stands around it, on paused time.
//!
//! A [`Kit`] starts nothing. The queue and the endpoint answer by a script, and no loop extends leases or settles. What
//! leaves a stage comes out at the kit, and the test settles it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::exchange::{Exchange, Raw, Request, Single, Success, Unshapeable, Verdicts};
use crate::limit::clock::Wall;
use crate::limit::{self, Circumstances, EndpointLimits, Gate, RunAhead, Slots};
use crate::message::{Message, MessageId, ReceiptHandle, ReceiveCount};
use crate::observe::event_log::EventLog;
use crate::observe::health::Health;
use crate::pipeline::admit::{Admission, Patience};
use crate::pipeline::context::Context;
use crate::pipeline::controls::Handle;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::gates::Gates;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::lease::{Asked, Lease, LeaseTable};
use crate::pipeline::memory::Memory;
use crate::pipeline::queue_view::QueueView;
use crate::pipeline::settle::Settler;
use crate::pipeline::settle::exit::{Exit, Successor};
use crate::pipeline::settle::taken_for_tests::{Left, Taken, settler};
use crate::pipeline::wait_out::InProcessWaits;
use crate::pipeline::{Receiving, Settings};
use crate::policy::advice::queue::{Named, QueueReason};
use crate::policy::decide::Policy;
use crate::policy::final_receive::FinalReceive;
use crate::policy::outcome::{Answer, Attempt, Step, Unsent};
use crate::policy::retry_after::RetryAfter;
use crate::ports::{
    BatchResult, BoxFuture, DeadLetterReason, Endpoint, Operation, Queue, QueueError, QueueFacts,
    QueueLimits, Receive, Redrive, VisibilityChange,
};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Journey;
use crate::tuning::Tuning;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// The lease of every message; nothing extends it here.
pub(super) const LEASE: Duration = Duration::from_secs(10 * 3_600);

/// The answer of a receive, and how long it takes.
type Received = (Duration, Result<Vec<Message>, QueueError>);

/// Answers receives from a list, then no more. Nothing else may be asked of it.
pub(super) struct ScriptedQueue {
    answers: Mutex<VecDeque<Received>>,
    receives: Mutex<Vec<Receive>>,
}

impl ScriptedQueue {
    /// Every receive so far.
    pub(super) fn receives(&self) -> Vec<Receive> {
        self.receives.lock().unwrap().clone()
    }
}

impl Queue for ScriptedQueue {
    fn receive(&self, receive: Receive) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        self.receives.lock().unwrap().push(receive);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            let Some((takes, answer)) = answer else { std::future::pending().await };
            tokio::time::sleep(takes).await;
            answer
        })
    }

    fn delete<'a>(&'a self, _: &'a [ReceiptHandle]) -> BoxFuture<'a, BatchResult> {
        unreachable!("only settlement deletes")
    }

    fn change_visibility<'a>(&'a self, _: &'a [VisibilityChange]) -> BoxFuture<'a, BatchResult> {
        unreachable!("only settlement and the lease extender change visibilities")
    }

    fn dead_letter<'a>(
        &'a self,
        _: &'a Message,
        _: &'a DeadLetterReason,
    ) -> BoxFuture<'a, Result<(), QueueError>> {
        unreachable!("only settlement forwards")
    }

    fn inspect(&self) -> BoxFuture<'_, Result<QueueFacts, QueueError>> {
        unreachable!("no stage looks at the queue")
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::of_sqs(false)
    }
}

/// Answers the POST of a number, from 0, with a body; and how long that takes.
type Answers = Box<dyn Fn(usize, &str) -> (Duration, Attempt) + Send + Sync>;

/// Answers POSTs by a function.
pub(super) struct ScriptedEndpoint {
    answers: Answers,
    posts: Mutex<Vec<String>>,
}

impl ScriptedEndpoint {
    /// The body of every POST so far.
    pub(super) fn posts(&self) -> Vec<String> {
        self.posts.lock().unwrap().clone()
    }
}

impl Endpoint for ScriptedEndpoint {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let mut posts = self.posts.lock().unwrap();
        let (takes, attempt) = (self.answers)(posts.len(), &body);
        posts.push(body);
        drop(posts);
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            attempt
        })
    }
}

/// Joins the bodies of several messages; a body `unshapeable` makes no request.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) most: usize,
    pub(super) verdicts: Verdicts,
}

impl Exchange for Together {
    fn messages_max(&self) -> usize {
        self.most
    }

    fn request(&self, messages: &[&Message]) -> Result<Request, Unshapeable> {
        if let Some(position) = messages.iter().position(|message| message.body == "unshapeable") {
            return Err(Unshapeable { position, why: "by the script".to_owned() });
        }
        let bodies: Vec<_> = messages.iter().map(|message| message.body.as_ref()).collect();
        Ok(Request::new(HeaderMap::new(), bodies.join(&b' ').into()))
    }

    fn verdicts(&self, _: &Answer, _: &[MessageId]) -> Verdicts {
        self.verdicts.clone()
    }
}

/// What a kit is made with.
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) limits: limit::Settings,
    /// What receives bring, in turn.
    pub(super) receives: Vec<Received>,
    pub(super) answers: Answers,
    /// Messages in settlement at once.
    pub(super) places: usize,
}

impl Default for Setup {
    /// A standard queue, 16 workers, one message in a POST; every POST is answered 200 at once.
    fn default() -> Self {
        let settings = Settings {
            name: "orders".to_owned(),
            queue_name: "orders".to_owned(),
            workers: 16,
            timeout: MINUTE,
            receiving: Receiving {
                wait: 20 * SECOND,
                latency_budget: Duration::ZERO,
                visibility: None,
                window: Duration::ZERO,
                paused: false,
            },
            policy: Policy::default(),
            exchange: Arc::new(Single::new(Raw::new("orders", "orders"), Success::default())),
            retry_after_closes_gate: true,
            tuning: Tuning::default(),
        };
        let limits = limit::Settings {
            sessions: 16,
            divided: false,
            adaptive: false,
            rate: None,
            tuning: Tuning::default(),
        };
        let answers = Box::new(|_: usize, _: &str| (Duration::ZERO, status(200)));
        Self { settings, limits, receives: Vec::new(), answers, places: 100 }
    }
}

impl Setup {
    /// Posts that are answered by `answers`.
    pub(super) fn answering(
        answers: impl Fn(usize, &str) -> (Duration, Attempt) + Send + Sync + 'static,
    ) -> Self {
        Self { answers: Box::new(answers), ..Self::default() }
    }

    /// Puts it together; nothing runs.
    pub(super) fn kit(self) -> Kit {
        let Self { settings, limits, receives, answers, places } = self;
        let queue =
            Arc::new(ScriptedQueue { answers: Mutex::new(receives.into()), receives: Mutex::default() });
        let endpoint = Arc::new(ScriptedEndpoint { answers, posts: Mutex::default() });
        let metrics = Arc::new(Metrics::new().listener("orders", "api"));
        let wall = Wall::Anchored { at: SystemTime::UNIX_EPOCH, instant: Instant::now() };
        let events = Arc::new(EventLog::new("orders", "orders", "api", wall));
        let leases = LeaseTable::new(LEASE, queue.limits(), Arc::clone(&metrics), Arc::clone(&events), 1);
        let slots = Slots::new(settings.room(settings.workers).0, settings.room(settings.workers).1);
        let room = settings.room_for_longest(settings.workers);
        let waits = InProcessWaits::new(room, settings.tuning.last_receive);
        let memory = Arc::new(Memory::new(settings.tuning.memory));
        let limits = EndpointLimits::new("api", &limits, 2);
        let own = Gate::new(limits.gate.tuning(), 3);
        let (shared, sessions) = (Arc::clone(&limits.gate), Arc::clone(&limits.sessions));
        let gates = Gates { own, shared, sessions, events: Arc::clone(&events) };
        let admission = Admission { gates, membership: limits.sessions.join(settings.workers), limits };
        let drain = Drain::new();
        let handle = Handle::new(settings, drain.clone());
        let ctx = Arc::new(Context {
            settings: handle.settings(),
            queue: Arc::<ScriptedQueue>::clone(&queue),
            endpoint: Arc::<ScriptedEndpoint>::clone(&endpoint),
            drain,
            wall,
            random: Mutex::new(fastrand::Rng::with_seed(4)),
            metrics,
            events,
            health: Arc::new(Health::default()),
            view: QueueView::default(),
        });
        let (settler, taken) = settler(places, &memory);
        let not_receiving = tokio::sync::watch::Sender::default();
        let (kit_leases, kit_slots) = (Arc::clone(&leases), Arc::clone(&slots));
        let dispatch = Arc::new(Dispatch {
            ctx,
            handle,
            slots,
            not_receiving,
            leases,
            admission,
            claim_checks: None,
            memory,
            waits,
        });
        Kit { dispatch, queue, endpoint, leases: kit_leases, slots: kit_slots, settler, taken }
    }
}

/// A listener in parts: whatever a stage needs, and what has left it.
pub(super) struct Kit {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) queue: Arc<ScriptedQueue>,
    pub(super) endpoint: Arc<ScriptedEndpoint>,
    pub(super) leases: Arc<LeaseTable>,
    pub(super) slots: Arc<Slots>,
    pub(super) settler: Arc<Settler>,
    taken: Taken,
}

impl Kit {
    /// The message, received just now.
    pub(super) async fn in_flight(&self, message: Message) -> InFlight {
        let now = Instant::now();
        let asked = Asked { first: now, last: now };
        let lease = Lease::begin(&self.leases, &message, asked).unwrap();
        InFlight {
            share_of_request: message.bytes(),
            trace: Journey::begin("orders", &message),
            message: Box::new(message),
            redeemed: None,
            lease,
            slot: self.slots.reserve(1, RunAhead::NONE).await.take(1).unwrap(),
            final_receive: None,
            successor: Successor::default(),
            settler: Arc::clone(&self.settler),
        }
    }

    /// Its queue has a dead-letter queue, for messages that were received so often.
    pub(super) fn dead_letters_after(&self, max_receives: u32) {
        let redrive = Redrive {
            max_receives,
            dead_letter_name: "dead".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: None,
            dead_letter_depth: None,
            dead_letter_unread: None,
        };
        let facts = QueueFacts { redrive: Some(redrive), ..QueueFacts::default() };
        let ctx = &self.dispatch.ctx;
        ctx.view.note(&facts, QueueLimits::of_sqs(false), &ctx.metrics, &ctx.events);
    }

    /// Messages 1 to `count`, received just now.
    pub(super) async fn messages(&self, count: usize) -> Vec<InFlight> {
        let mut messages = Vec::new();
        for number in 1..=count {
            messages.push(self.in_flight(message(number)).await);
        }
        messages
    }

    /// Message 1 on the last of three receives.
    pub(super) async fn last_try(&self) -> InFlight {
        let message = Message { receive_count: ReceiveCount::new(3), ..message(1) };
        let final_receive = Some(FinalReceive { max: 3, dead_letter_queue: None });
        InFlight { final_receive, ..self.in_flight(message).await }
    }

    /// The next message that leaves, not settled yet. Fails when none does within a day of paused time.
    pub(super) async fn left(&mut self) -> Left {
        tokio::time::timeout(24 * HOUR, self.taken.next()).await.unwrap().unwrap()
    }

    /// What has left by now; each is settled.
    pub(super) fn all_left(&mut self) -> Vec<(String, Exit)> {
        let mut all = Vec::new();
        while let Some(left) = self.taken.now() {
            all.push(left.exit());
            left.confirm();
        }
        all
    }

    /// Messages that were dropped and left to SQS.
    pub(super) fn abandoned(&self) -> u64 {
        self.dispatch.ctx.metrics.abandoned.get()
    }
}

/// A patience that outlasts every test.
pub(super) fn patient(rank: limit::Rank) -> Patience {
    Patience { rank, longest: 24 * HOUR, until: Instant::now() + 24 * HOUR }
}

/// Closes a gate for `pause` and a fifth at most.
pub(super) fn close(gate: &Gate, pause: Duration) {
    gate.close_for(pause, circumstances());
}

/// Nothing special.
pub(super) fn circumstances() -> Circumstances {
    Circumstances {
        limit: 16,
        running: 4,
        took: Duration::ZERO,
        spare_receives: 0,
        throttle_delay: 5 * MINUTE,
    }
}

/// Message `m-1` with the handle `h-1` and the body `m-1`, or another number.
pub(super) fn message(number: usize) -> Message {
    Message::new(
        MessageId::new(format!("m-{number}")),
        ReceiptHandle::new(format!("h-{number}")),
        format!("m-{number}"),
    )
}

/// An answer of this status.
pub(super) fn status(status: u16) -> Attempt {
    Attempt::Answered(Answer { status, ..Answer::default() })
}

/// An answer of this status with Retry-After.
pub(super) fn asking(status: u16, pause: Duration) -> Attempt {
    let retry_after = Some(RetryAfter::Delay(pause));
    Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
}

/// Nothing was sent.
pub(super) fn unsent() -> Attempt {
    Attempt::Unsent(Unsent { step: Step::Refused, text: "by the script".to_owned() })
}

/// A receive that failed.
pub(super) fn failed(reason: QueueReason) -> QueueError {
    let named = Named::default();
    QueueError::new(Operation::Receive, Arc::from("orders"), reason, &named, "by the script".into())
}
