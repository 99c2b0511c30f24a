//! The mechanisms of intake and flow control: what each is for, how to do without it, and the rows that can show it.
//!
//! `docs/flow-control.md` is made of this; a test compares the names.

use std::time::Duration;

use super::case::{Case, Load, Sqs, Variant};

/// One mechanism.
#[derive(Debug)]
pub struct Mechanism {
    pub name: &'static str,
    /// In a sentence.
    pub purpose: &'static str,
    pub without: fn(&mut Case),
    pub rows: &'static [Measured],
    /// What demands it, whatever the figures say.
    pub demanded_by: Option<&'static str>,
}

/// A row it is measured on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Name of a scenario.
    pub scenario: &'static str,
    pub processes: usize,
    pub load: Load,
    pub max_receives: u32,
    pub sqs: Sqs,
}

const HUNDRED: Load = Load::Backlog(100);
const LARGE: Load = Load::Backlog(100_000);
/// More than a calm scenario takes.
const MEDIUM: Load = Load::Backlog(15_000);
const FAST: Load = Load::Backlog(50_000);
const MANY_GROUPS: Load = Load::Groups { groups: 20_000, each: 5 };
const LONG_GROUPS: Load = Load::Groups { groups: 40, each: 2_500 };
const FEW_GROUPS: Load = Load::Groups { groups: 20, each: 5 };

const TENS: Load = Load::Batches(10);
const HUNDREDS: Load = Load::Batches(100);
const THOUSANDS: Load = Load::Batches(1_000);

const fn row(scenario: &'static str, processes: usize, load: Load, max_receives: u32) -> Measured {
    Measured { scenario, processes, load, max_receives, sqs: Sqs::Works }
}

const fn with(sqs: Sqs, row: Measured) -> Measured {
    Measured { sqs, ..row }
}

/// All of them, in the order in which a message meets them.
pub const MECHANISMS: &[Mechanism] = &[
    Mechanism {
        name: "batches",
        purpose: "One receive asks for up to ten messages, so that a message costs fewer calls to SQS.",
        without: |case| case.tuning.intake.batch = 1,
        rows: &[
            row("calm", 1, MEDIUM, 10),
            row("calm", 4, MEDIUM, 10),
            row("calm", 1, Load::Steady, 10),
            row("fast", 1, FAST, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "side-by-side",
        purpose: "While receives come back full several run side by side, so that one call at a time is no cap on throughput.",
        without: |case| {
            case.tuning.intake.workers_per_receive = usize::MAX;
            case.tuning.intake.single_receives_max = 1;
        },
        rows: &[
            row("calm", 1, MEDIUM, 10),
            row("fast", 1, FAST, 10),
            row("fast", 4, FAST, 10),
            row("fast", 1, MANY_GROUPS, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "run-ahead",
        purpose: "As many messages wait as POSTs end during a receive, and a receive besides, so that no session stands idle and receives are full.",
        without: |case| case.tuning.ahead.posts = Duration::ZERO,
        rows: &[
            row("calm", 1, MEDIUM, 10),
            row("calm", 4, MEDIUM, 10),
            row("calm", 1, Load::Steady, 10),
            row("fast", 1, FAST, 10),
            row("capacity", 1, LARGE, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "held-at-gates",
        purpose: "Messages in the process when a gate closes wait there for up to 120 s instead of being released and received again.",
        without: |case| case.tuning.hold.at_gates = Duration::ZERO,
        rows: &[
            row("throttled", 1, HUNDRED, 3),
            row("throttled", 4, HUNDRED, 3),
            row("throttled-1", 10, HUNDRED, 3),
            row("deploy", 1, HUNDRED, 3),
            row("deploy", 10, HUNDRED, 3),
            row("hanging", 1, Load::Steady, 10),
            row("capacity", 10, LARGE, 10),
            row("paced-1", 1, LARGE, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "last-receive-waits",
        purpose: "A message answered 429 on its final receive waits in this process and is posted again, where others are taken: parked it would be dead-lettered.",
        without: |case| case.tuning.last_receive.waits_max = 0,
        rows: &[
            row("capacity", 1, LARGE, 3),
            row("capacity", 10, LARGE, 3),
            row("capacity", 10, Load::Steady, 3),
            row("capacity", 1, LARGE, 1),
            row("capacity", 10, LARGE, 1),
            row("paced", 1, LARGE, 1),
            row("paced", 10, LARGE, 1),
            row("throttled", 10, HUNDRED, 3),
            row("deploy", 10, Load::Steady, 3),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "single-receives",
        purpose: "While a group of a FIFO queue is in trouble every receive is for one message, so that tails do not follow their head to the dead-letter queue.",
        without: |case| {
            case.tuning.groups.troubled_max = 0;
            case.tuning.groups.receives_min = 0;
        },
        rows: &[
            row("poison", 1, FEW_GROUPS, 3),
            row("poison", 4, FEW_GROUPS, 3),
            row("poison", 1, FEW_GROUPS, 5),
            row("poison", 1, LONG_GROUPS, 3),
            row("throttled", 1, FEW_GROUPS, 3),
            row("deploy", 1, FEW_GROUPS, 3),
            row("capacity", 1, MANY_GROUPS, 3),
        ],
        demanded_by: Some("a tail must not follow its head to the dead-letter queue (tests/sim/fifo.rs)"),
    },
    Mechanism {
        name: "receive-repeat",
        purpose: "A receive of a FIFO queue whose answer was lost is repeated under its id: SQS hands out the same messages and counts no receive.",
        without: |case| case.tuning.intake.repeat_for = Duration::ZERO,
        rows: &[
            with(Sqs::LosesAnswers, row("calm", 1, LONG_GROUPS, 10)),
            with(Sqs::LosesAnswers, row("calm", 1, MANY_GROUPS, 10)),
            with(Sqs::LosesAnswers, row("calm", 4, LONG_GROUPS, 10)),
        ],
        demanded_by: Some(
            "SQS's own way to lose no receive of a group; the group would stand still for a lease",
        ),
    },
    Mechanism {
        name: "memory-of-done",
        purpose: "A message whose POST succeeded is not posted again by this process when it comes again: its delete failed, or it was handed out twice.",
        without: |case| case.tuning.memory.done_max = 0,
        rows: &[
            with(Sqs::HandsOutTwice, row("calm", 1, MEDIUM, 10)),
            with(Sqs::HandsOutTwice, row("calm", 1, Load::Steady, 10)),
            with(Sqs::LosesAnswers, row("calm", 1, MEDIUM, 10)),
        ],
        demanded_by: Some(
            "a message delivered by this process is not posted again while it is remembered (docs/delivery.md)",
        ),
    },
    Mechanism {
        name: "memory-of-hidden",
        purpose: "A copy of a parked or deferred message that comes too early is hidden for the rest of the time instead of being posted.",
        without: |case| case.tuning.memory.hidden_max = 0,
        rows: &[
            with(Sqs::HandsOutTwice, row("throttled", 1, HUNDRED, 10)),
            with(Sqs::HandsOutTwice, row("deploy", 1, HUNDRED, 10)),
            with(Sqs::HandsOutTwice, row("deploy", 4, HUNDRED, 10)),
            with(Sqs::HandsOutTwice, row("capacity", 4, LARGE, 10)),
        ],
        demanded_by: Some(
            "a message parked or deferred that comes early is not posted (tests/sim/duplicates.rs)",
        ),
    },
    Mechanism {
        name: "learned-limit",
        purpose: "POSTs at once and starts per second follow what the endpoint takes, so that a full endpoint is used and rarely overrun.",
        without: |case| case.variant = Variant::NotAdaptive,
        rows: &[
            row("capacity", 1, LARGE, 10),
            row("capacity", 10, LARGE, 10),
            row("paced", 4, LARGE, 10),
            row("paced-5", 1, MEDIUM, 10),
            row("paced-1", 10, LARGE, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "gate",
        purpose: "After rejections in a row nothing is received but probes, so that an outage costs few receives.",
        without: |case| {
            case.tuning.gate.rejections_min = usize::MAX;
            case.tuning.gate.faults = usize::MAX;
        },
        rows: &[
            row("throttled", 1, HUNDRED, 3),
            row("deploy", 1, HUNDRED, 3),
            row("wrong-key", 1, HUNDRED, 3),
            row("hanging", 1, HUNDRED, 3),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "short-pauses",
        purpose: "Where receives can be spared, pauses between probes stay at 26 s, so that a backlog is soon at full speed.",
        without: |case| case.tuning.gate.pauses.spare_part = u64::MAX,
        rows: &[
            row("throttled", 1, LARGE, 10),
            row("throttled", 10, LARGE, 10),
            row("hanging", 1, LARGE, 10),
            row("deploy", 4, LARGE, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "long-pauses",
        purpose: "Where receives are few, pauses between probes grow, so that probes do not use a small backlog up.",
        without: |case| case.tuning.gate.pauses.spare_part = 0,
        rows: &[
            row("throttled", 1, HUNDRED, 3),
            row("throttled", 4, HUNDRED, 3),
            row("throttled", 10, HUNDRED, 3),
            row("wrong-key", 10, HUNDRED, 3),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "pauses-asked-for",
        purpose: "A Retry-After is the least pause before the next probe, up to a minute.",
        without: |case| case.tuning.gate.pauses.asked_max = Duration::ZERO,
        rows: &[
            row("throttled-30", 1, HUNDRED, 3),
            row("throttled-30", 10, HUNDRED, 3),
            row("throttled-30", 1, LARGE, 10),
            row("throttled-30", 10, LARGE, 10),
        ],
        demanded_by: Some("an endpoint that asks for a pause is given it (docs/gate.md)"),
    },
    Mechanism {
        name: "spread-pauses",
        purpose: "Pauses between probes vary by a tenth, so that processes go apart.",
        without: |case| case.tuning.gate.pauses.spread = 0.0,
        rows: &[
            row("throttled", 10, HUNDRED, 3),
            row("throttled", 10, LARGE, 10),
            row("deploy", 10, LARGE, 10),
            row("paced-half", 10, LARGE, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "several-probes",
        purpose: "While the endpoint hangs up to four probes are out, so that its end is not found a time-out late.",
        without: |case| case.tuning.gate.probes_max = 1,
        rows: &[
            row("hanging", 1, LARGE, 10),
            row("hanging", 4, LARGE, 10),
            row("hanging", 10, LARGE, 10),
            row("hanging", 1, Load::Steady, 10),
            row("hanging", 4, Load::Steady, 10),
            row("hanging", 10, Load::Steady, 10),
            row("hanging", 10, HUNDRED, 10),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "final-receive-patience",
        purpose: "A message on its final receive is a probe only when no other was found for long, since a refusal dead-letters it.",
        without: |case| {
            case.tuning.gate.patience = Duration::ZERO;
            case.tuning.gate.patience_alone = Duration::ZERO;
        },
        rows: &[
            row("throttled", 1, HUNDRED, 3),
            row("throttled", 10, HUNDRED, 3),
            row("deploy", 10, HUNDRED, 3),
            row("deploy", 1, Load::Steady, 3),
            row("throttled", 1, Load::Steady, 3),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "suspects-apart",
        purpose: "Messages whose batch failed as a whole come again in halves and then each alone, apart from others, so that a poison message costs its neighbours few receives.",
        without: |case| case.tuning.memory.suspects_max = 0,
        rows: &[
            row("poison", 1, TENS, 5),
            row("poison", 1, HUNDREDS, 5),
            row("poison", 1, THOUSANDS, 5),
            row("poison", 4, HUNDREDS, 5),
            row("poison", 1, HUNDREDS, 10),
            row("deploy", 1, HUNDREDS, 5),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "final-receive-alone",
        purpose: "A message on its final receive has a POST for itself, so that it is not dead-lettered with a poison message.",
        without: |case| case.tuning.last_receive.alone = false,
        rows: &[
            row("poison", 1, HUNDREDS, 2),
            row("poison", 1, HUNDREDS, 3),
            row("poison", 4, HUNDREDS, 3),
            row("poison", 4, THOUSANDS, 3),
            row("poison", 4, THOUSANDS, 5),
        ],
        demanded_by: None,
    },
    Mechanism {
        name: "trial-of-one",
        purpose: "A trial of a gate carries one message of a batch; the others wait for what comes of it, so that a refusal costs one receive.",
        without: |case| case.tuning.gate.probe_carries = usize::MAX,
        rows: &[
            row("throttled", 1, HUNDREDS, 3),
            row("throttled", 1, THOUSANDS, 3),
            row("throttled", 4, HUNDREDS, 3),
            row("deploy", 1, THOUSANDS, 3),
        ],
        demanded_by: Some("a process spends one receive for each probe (tests/sim/batches.rs)"),
    },
];
