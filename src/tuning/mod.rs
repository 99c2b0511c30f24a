//! Every number of intake and flow control that is not a setting, in one value.
//!
//! The product runs with the defaults; tests and benches set what they measure. By values alone every mechanism can be
//! switched off: each field says with which. What each is worth is measured in `docs/flow-control.md`.
//!
//! Pure data. What SQS prescribes (batches of ten, twelve hours) is no tunable and stands in `ports` and `policy`.

mod learned;

use std::time::Duration;

pub use learned::{Background, InVain, Learned, LearnedRate, Quota};

/// All of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tuning {
    /// How messages are asked for.
    pub intake: Intake,
    /// What may be on its way before it can start.
    pub ahead: Ahead,
    /// How long messages that cannot be posted stay.
    pub hold: Hold,
    /// Messages on their final receive.
    pub last_receive: LastReceive,
    /// Groups of FIFO queues whose head has failed.
    pub groups: Groups,
    /// What is remembered of messages.
    pub memory: Memory,
    /// The learned limit of an endpoint.
    pub learned: Learned,
    /// What rate-limit headers say.
    pub quota: Quota,
    /// The gates, of endpoints and of listeners.
    pub gate: Gate,
}

/// How messages are asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intake {
    /// Messages one receive asks for at most; SQS grants ten. 1: no batches.
    pub batch: usize,
    /// A listener may have one receive under way for each so many workers. `usize::MAX`: never two side by side.
    pub workers_per_receive: usize,
    /// Receives under way of a listener that receives one message at a time, at most.
    pub single_receives_max: usize,
    /// How long a receive waits for as many slots as it may bring messages, where a POST carries several. Zero: not at all.
    pub batch_linger: Duration,
    /// Long-poll time of a busy or probing listener, and the pause of one without long polls after an empty receive.
    pub busy_wait: Duration,
    /// How long a receive of a FIFO queue is repeated under its id; SQS knows it for 300 s. Zero: never.
    pub repeat_for: Duration,
    /// With a latency budget: a message that has waited for longer than the budget and this, by SQS's clock, is of a backlog.
    pub backlog_after: Duration,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            batch: 10,
            workers_per_receive: 10,
            single_receives_max: 100,
            batch_linger: Duration::from_millis(20),
            busy_wait: Duration::from_secs(1),
            repeat_for: Duration::from_secs(240),
            backlog_after: Duration::from_millis(200),
        }
    }
}

/// What may be on its way before it can start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// A message that is received before a session is free waits no longer, by what receives and POSTs take lately. Zero:
    /// none is received before. Otherwise each session would stand idle for the time of a receive: with POSTs of 20 ms for
    /// a third of the time.
    pub posts: Duration,
    /// With fewer receives before the dead-letter queue none is received before: one that is released loses a receive.
    pub receives_min: u32,
    /// Messages are claimed for the starts of so long, where starts are limited. At least one is.
    pub starts: Duration,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { posts: Duration::from_secs(1), receives_min: 3, starts: Duration::from_secs(1) }
    }
}

/// How long messages that cannot be posted stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// How long a message waits at closed gates, in total, before it is released. Zero: it is released at once.
    pub at_gates: Duration,
    /// First pause before a message nothing could be sent of is posted again; doubles.
    pub pause: Duration,
    /// Longest such pause.
    pub pause_max: Duration,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            at_gates: Duration::from_secs(120),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
        }
    }
}

/// Messages on their final receive: they go alone, and refused for lack of capacity they wait in this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastReceive {
    /// How often one message waits; one refused again and again is not wanted. Zero: never.
    pub waits_max: u32,
    /// One of so many workers may wait with such a message.
    pub workers_per_place: usize,
    /// An endpoint that did some work so lately takes messages.
    pub works_for: Duration,
    /// Longest wait; beyond it the worker is worth more.
    pub longest: Duration,
    /// Whether a message has a POST for itself, so that it does not fail with others. `false`: it gathers as they do.
    pub alone: bool,
}

impl Default for LastReceive {
    fn default() -> Self {
        Self {
            waits_max: 2,
            workers_per_place: 4,
            works_for: Duration::from_secs(60),
            longest: Duration::from_secs(3_600),
            alone: true,
        }
    }
}

/// Groups of FIFO queues whose head has failed: receives are for one message while one is in trouble.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// Groups in trouble known by name; of any more only when the last of them is over. Zero: none is ever known.
    pub troubled_max: usize,
    /// How long after its head is visible again a group counts as in trouble at least. A backlog may stand before it:
    /// where messages wait longer for their first receive, it is as long as that. Somebody else may have taken the
    /// group over, so it ends.
    pub trouble_lingers: Duration,
    /// With fewer receives a tail that comes along once may be dead-lettered without having been tried: then receives
    /// are always for one message. Zero: never.
    pub receives_min: u32,
}

impl Default for Groups {
    fn default() -> Self {
        Self { troubled_max: 1_024, trouble_lingers: Duration::from_secs(300), receives_min: 3 }
    }
}

/// What is remembered of messages that are done or hidden.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Ids of messages that are done, per listener: 1.5 MiB of confirmed ones, 8 of others at worst, 11 of hidden ones. Zero: none.
    pub done_max: usize,
    /// Ids of hidden ones, likewise.
    pub hidden_max: usize,
    /// How long a confirmed delete is remembered.
    pub confirmed_for: Duration,
    /// SQS counts whole seconds on a clock of its own: a message that is due within so long is on time.
    pub slack: Duration,
    /// Ids of messages whose batch has failed, likewise. Zero: none.
    pub suspects_max: usize,
    /// How long they are remembered: longer than SQS hides one.
    pub suspected_for: Duration,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            done_max: 65_536,
            hidden_max: 65_536,
            confirmed_for: Duration::from_secs(600),
            slack: Duration::from_secs(2),
            suspects_max: 65_536,
            suspected_for: Duration::from_secs(24 * 3_600),
        }
    }
}

/// The numbers of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// Fewest rejections in a row that close: two may be chance.
    pub rejections_min: usize,
    /// Most: at a large limit a small backlog would be used up before more were rejected.
    pub rejections_max: usize,
    /// Refused credentials, or messages nobody takes at the listener's path, in a row that close.
    pub faults: usize,
    /// Times between probes.
    pub pauses: Pauses,
    /// Probes out at once while the endpoint hangs: a pause apart they cover a time-out of a minute and more.
    pub probes_max: usize,
    /// Messages of a batch that a probe carries; the others wait for what comes of it. `usize::MAX`: all of them.
    pub probe_carries: usize,
    /// A probe without an answer for so long was taken. To connect takes 5 s at most, and who refuses is faster.
    pub taken_after: Duration,
    /// Between two rounds of receives that find no message.
    pub idle_pause: Duration,
    /// The same while messages on their final receive are kept here, at least: each round may bring one more.
    pub kept_pause: Duration,
    /// A message on its final receive is no probe for so long: another may be found, or arrive.
    pub patience: Duration,
    /// The same where no poller can look, because such messages hold all workers.
    pub patience_alone: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            rejections_min: 3,
            rejections_max: 8,
            faults: 5,
            pauses: Pauses::default(),
            probes_max: 4,
            probe_carries: 1,
            taken_after: Duration::from_secs(10),
            idle_pause: Duration::from_secs(5),
            kept_pause: Duration::from_secs(20),
            patience: Duration::from_secs(3_600),
            patience_alone: Duration::from_secs(75),
        }
    }
}

/// Times between probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pauses {
    /// The first; each is twice the one before.
    pub first: Duration,
    /// The longest where none is spent, because nothing can be sent: its end is found within 19 s.
    pub free: Duration,
    /// The longest where receives can be spared: a backlog is at full speed half a minute after the end.
    pub spared: Duration,
    /// The longest where receives are few. Where 429s or a Retry-After closed it, the time for which 429s are parked.
    pub scarce: Duration,
    /// An hour of probes may cost one in so many of the receives to spare; ten processes still leave half of them.
    pub spare_part: u64,
    /// The longest pause taken from a Retry-After; the next probe is asked for what is beyond it.
    pub asked_max: Duration,
    /// By so much of itself a pause is shortened or lengthened at random, so that processes go apart.
    pub spread: f64,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            free: Duration::from_secs(17),
            spared: Duration::from_secs(26),
            scarce: Duration::from_secs(60),
            spare_part: 20,
            asked_max: Duration::from_secs(60),
            spread: 0.1,
        }
    }
}
