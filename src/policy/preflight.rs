//! What a queue's own settings would do to its messages: warnings before the first receive.
//!
//! This file is pure: the queue's facts go in, findings come out. Each finding says what it means and what to
//! do. No finding stops a listener. The queue's visibility timeout is not checked, because every receive sets
//! its own.
//!
//! Most findings rest on this arithmetic. A message that is answered 429 at every receive reaches the
//! dead-letter queue after max receives × delay. Its final receive is one delay earlier, so the message
//! survives an outage that ends by then.
//! Back-off is left out, because it is shorter than these delays. Longer waits that an answer asks for are
//! left out too.

use std::time::Duration;

use crate::policy::decide::{Action, Policy, Row};

/// Fewer receives than this dead-letter healthy messages in a short outage.
const RECEIVES_MIN: u32 = 5;
/// Max receives that the fixes propose.
const RECEIVES_PROPOSED: u32 = 10;
/// Number of example rows in the text, beside the present value.
const RECEIVES_SHOWN: [u32; 4] = [3, 5, 10, 20];
/// The status whose delay most findings are about.
const THROTTLED: u16 = 429;
/// Longest retention (AWS limit): 14 days.
const RETENTION_MAX: Duration = Duration::from_secs(1_209_600);

/// The facts about a queue that warnings depend on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The queue's URL, for the commands in the fixes.
    pub url: &'a str,
    /// The queue's ARN, where the server reports it.
    pub arn: Option<&'a str>,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// How long the queue keeps a message; `None` when the server does not say.
    pub retention: Option<Duration>,
    /// The queue's redrive policy, if it has one.
    pub redrive: Option<Redrive<'a>>,
}

/// A redrive policy and what is known of its dead-letter queue.
#[derive(Debug, Clone, Copy)]
pub struct Redrive<'a> {
    /// Receives before SQS moves a message.
    pub max_receives: u32,
    /// Name of the dead-letter queue.
    pub dead_letter_name: &'a str,
    /// Whether the dead-letter queue is a FIFO queue.
    pub dead_letter_fifo: bool,
    /// How long the dead-letter queue keeps a message; `None` when it cannot be read.
    pub dead_letter_retention: Option<Duration>,
    /// Why it may not be read, and the fix.
    pub dead_letter_unread: Option<(&'a str, &'a str)>,
}

/// What can be wrong with a queue's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// No redrive policy.
    NoDeadLetterQueue,
    /// Max receives below five.
    FewReceives,
    /// A message would expire before its receives are used up.
    RetentionTooShort,
    /// The dead-letter queue keeps messages no longer than the source.
    DeadLetterRetention,
    /// A FIFO queue with a standard dead-letter queue, or the other way round.
    DeadLetterType,
    /// A FIFO queue with a dead-letter queue: a message moved there leaves a gap in its group.
    DeadLetterOrder,
    /// The dead-letter queue may not be read, so nobody learns of letters.
    DeadLetterUnreadable,
}

impl Warning {
    /// Every warning, to initialise metrics.
    pub const ALL: [Self; 7] = [
        Self::NoDeadLetterQueue,
        Self::FewReceives,
        Self::RetentionTooShort,
        Self::DeadLetterRetention,
        Self::DeadLetterType,
        Self::DeadLetterOrder,
        Self::DeadLetterUnreadable,
    ];

    /// Label value of the warning.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoDeadLetterQueue => "no_dead_letter_queue",
            Self::FewReceives => "few_receives",
            Self::RetentionTooShort => "retention_too_short",
            Self::DeadLetterRetention => "dead_letter_retention",
            Self::DeadLetterType => "dead_letter_type",
            Self::DeadLetterOrder => "dead_letter_order",
            Self::DeadLetterUnreadable => "dead_letter_unreadable",
        }
    }
}

/// One warning as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of warning.
    pub warning: Warning,
    /// What the setting means for the messages, with the queue's numbers.
    pub meaning: String,
    /// What to do about it.
    pub fix: String,
}

/// The delays of a listener that a message may meet at every receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delays {
    /// Delay after a 429; `None` when a 429 ends the message, or is backed off from.
    pub throttled: Option<Pause>,
    /// The longest delay of an `on_response` row, when longer than the delay after a 429.
    pub longer: Option<Pause>,
}

/// How long a message is hidden after an answer, and which setting says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The delay.
    pub delay: Duration,
    /// The statuses of the `on_response` row that sets this delay; otherwise `throttle_delay` sets it.
    pub row: Option<String>,
}

impl Delays {
    /// The delays that result from a listener's policy.
    pub fn of(policy: &Policy) -> Self {
        let of_table = || Pause { delay: policy.throttle_delay, row: None };
        let of_row = |row: &Row| match (row.action, row.delay) {
            (Action::Park | Action::Defer, Some(delay)) => Some(Pause { delay, row: Some(statuses(row)) }),
            (Action::Park, None) => Some(of_table()),
            (Action::Defer, None) | (Action::Delete | Action::DeadLetter, _) => None,
        };
        let of_429 = policy.rows.iter().find(|row| row.status.contains(THROTTLED));
        let throttled = of_429.map_or_else(|| Some(of_table()), of_row);
        let is_reached =
            |(index, row): &(usize, &Row)| row.is_reached(policy.rows.get(..*index).unwrap_or_default());
        let rows = policy.rows.iter().enumerate().filter(is_reached).filter_map(|(_, row)| of_row(row));
        let least = throttled.as_ref().map_or(Duration::ZERO, |pause| pause.delay);
        let longer = rows.max_by_key(|pause| pause.delay).filter(|pause| pause.delay > least);
        Self { throttled, longer }
    }
}

impl Pause {
    /// The setting to lower, for users who cannot raise max receives.
    fn setting(&self) -> String {
        self.row.as_ref().map_or_else(
            || "throttle_delay".to_owned(),
            |statuses| format!("the delay of the on_response row for {statuses}"),
        )
    }
}

/// The statuses of a row in the notation of the configuration: `500-503, 529`.
fn statuses(row: &Row) -> String {
    let range =
        |&(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    row.status.ranges().iter().map(range).collect::<Vec<_>>().join(", ")
}

/// Every warning about a queue whose listener uses these delays.
pub fn findings(facts: &Facts<'_>, delays: &Delays) -> Vec<Finding> {
    let Some(redrive) = &facts.redrive else { return vec![no_dead_letter_queue(facts)] };
    [
        delays.throttled.as_ref().and_then(|pause| few_receives(facts, redrive, pause.delay)),
        retention_too_short(facts, redrive, delays),
        dead_letter_retention(facts, redrive),
        dead_letter_type(facts, redrive),
        dead_letter_order(facts, redrive),
        dead_letter_unreadable(redrive),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How long an endpoint may answer 429 before the message's final receive.
pub fn survives(max_receives: u32, throttled: Duration) -> Duration {
    throttled.saturating_mul(max_receives.saturating_sub(1))
}

/// A duration in units for people: `4 h 10 min`.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let text = parts.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0 s".to_owned() } else { text }
}

fn no_dead_letter_queue(facts: &Facts<'_>) -> Finding {
    let target = dead_letter_arn(facts);
    let url = facts.url;
    Finding {
        warning: Warning::NoDeadLetterQueue,
        meaning: match facts.retention {
            Some(retention) => format!(
                "the queue has no redrive policy: a message that always fails comes back until its retention of {} \
                 ends, and is then lost",
                spoken(retention)
            ),
            None => {
                "the queue has no redrive policy: a message that always fails comes back until its retention \
                     ends, and is then lost"
                    .to_owned()
            }
        },
        fix: format!(
            "create a dead-letter queue and run: aws sqs set-queue-attributes --queue-url {url} --attributes \
             '{{\"RedrivePolicy\":\"{{\\\"deadLetterTargetArn\\\":\\\"{target}\\\",\\\"maxReceiveCount\\\":\\\"{RECEIVES_PROPOSED}\\\"}}\"}}'"
        ),
    }
}

/// The conventional ARN of this queue's dead-letter queue.
fn dead_letter_arn(facts: &Facts<'_>) -> String {
    let arn = facts.arn.unwrap_or("arn:aws:sqs:REGION:ACCOUNT:NAME");
    match arn.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dlq.fifo"),
        None if facts.fifo => format!("{arn}-dlq.fifo"),
        None => format!("{arn}-dlq"),
    }
}

fn few_receives(facts: &Facts<'_>, redrive: &Redrive<'_>, throttled: Duration) -> Option<Finding> {
    let now = redrive.max_receives;
    // Otherwise the message expires before it is dead-lettered, which is another finding.
    let expires = facts.retention.is_some_and(|retention| throttled.saturating_mul(now) >= retention);
    (now < RECEIVES_MIN && !expires).then(|| Finding {
        warning: Warning::FewReceives,
        meaning: format!(
            "maxReceiveCount is {now}: a message answered 429 at every receive is dead-lettered after {}; with {} \
             between receives it survives 429s for (by max receives): {}",
            spoken(throttled.saturating_mul(now)),
            spoken(throttled),
            table(now, throttled, facts.retention)
        ),
        fix: format!(
            "raise maxReceiveCount to {RECEIVES_PROPOSED} or more, so that messages outlive the longest outage you \
             expect of the endpoint"
        ),
    })
}

/// How long a message survives 429s, by max receives; the present value is among the rows.
fn table(now: u32, throttled: Duration, retention: Option<Duration>) -> String {
    let mut counts: Vec<u32> = RECEIVES_SHOWN.into_iter().chain([now]).collect();
    counts.sort_unstable();
    counts.dedup();
    let row = |count: u32| {
        let survived = survives(count, throttled);
        let time = match retention {
            Some(retention) if survived >= retention => format!("{}, its retention", spoken(retention)),
            _ if survived.is_zero() => "no time".to_owned(),
            _ => spoken(survived),
        };
        format!("{count}{}: {time}", if count == now { " (now)" } else { "" })
    };
    counts.into_iter().map(row).collect::<Vec<_>>().join("; ")
}

/// Of two delays that outlast the retention, only the longer is warned of.
fn retention_too_short(facts: &Facts<'_>, redrive: &Redrive<'_>, delays: &Delays) -> Option<Finding> {
    let (url, retention, max_receives) = (facts.url, facts.retention?, redrive.max_receives);
    let pause = delays.longer.as_ref().or(delays.throttled.as_ref())?;
    let needed = pause.delay.saturating_mul(max_receives);
    (needed >= retention).then(|| {
        let message = match &pause.row {
            Some(statuses) if delays.longer.is_some() => format!(
                "a message hidden for {} by the on_response row for {statuses} at every receive",
                spoken(pause.delay)
            ),
            None if delays.longer.is_some() => {
                format!("a message parked for {} at every receive", spoken(pause.delay))
            }
            Some(_) | None => "under steady 429s a message".to_owned(),
        };
        // How many delays end before the retention does. Fewer receives do not help: they are another
        // finding.
        let fits = retention.as_secs().saturating_sub(1) / pause.delay.as_secs().max(1);
        let lower = if fits < u64::from(RECEIVES_MIN) {
            format!("lower {}", pause.setting())
        } else {
            format!("lower maxReceiveCount to {fits} or less, or {}", pause.setting())
        };
        let fix = if needed < RETENTION_MAX {
            format!(
                "run: aws sqs set-queue-attributes --queue-url {url} --attributes MessageRetentionPeriod={}; or {lower}",
                RETENTION_MAX.as_secs()
            )
        } else {
            lower
        };
        Finding {
            warning: Warning::RetentionTooShort,
            meaning: format!(
                "{message} needs {} to use up its {max_receives} receives, but expires after {}: it would be lost, not \
                 dead-lettered",
                spoken(needed),
                spoken(retention)
            ),
            fix,
        }
    })
}

/// On standard queues a moved message keeps its sent time and so its retention. On FIFO queues the retention
/// starts anew (AWS, "Understanding message retention periods for dead-letter queues").
fn dead_letter_retention(facts: &Facts<'_>, redrive: &Redrive<'_>) -> Option<Finding> {
    let (source, dead_letter) = (facts.retention?, redrive.dead_letter_retention?);
    (!facts.fifo && dead_letter <= source).then(|| {
        let name = redrive.dead_letter_name;
        let at_most = if source >= RETENTION_MAX { " and lower the source's" } else { "" };
        Finding {
            warning: Warning::DeadLetterRetention,
            meaning: format!(
                "the dead-letter queue {name} keeps messages for {}, the queue itself for {}; the time counts from \
                 when a message was first sent, so it may be deleted soon after, or on, its arrival there",
                spoken(dead_letter),
                spoken(source)
            ),
            fix: format!(
                "run: aws sqs set-queue-attributes --queue-url {} --attributes MessageRetentionPeriod={}{at_most}",
                beside(facts.url, name),
                RETENTION_MAX.as_secs()
            ),
        }
    })
}

/// URL of the queue `name` in the account and region of `url`. A dead-letter queue always shares both with
/// its source.
fn beside(url: &str, name: &str) -> String {
    url.rsplit_once('/').map_or_else(|| name.to_owned(), |(account, _)| format!("{account}/{name}"))
}

fn dead_letter_unreadable(redrive: &Redrive<'_>) -> Option<Finding> {
    let (why, fix) = redrive.dead_letter_unread?;
    Some(Finding {
        warning: Warning::DeadLetterUnreadable,
        meaning: format!(
            "the dead-letter queue {} cannot be read, so no alert tells of messages in it: {why}",
            redrive.dead_letter_name
        ),
        fix: fix.to_owned(),
    })
}

fn dead_letter_type(facts: &Facts<'_>, redrive: &Redrive<'_>) -> Option<Finding> {
    (facts.fifo != redrive.dead_letter_fifo).then(|| {
        let kind = |fifo| if fifo { "FIFO" } else { "standard" };
        let (own, other) = (kind(facts.fifo), kind(redrive.dead_letter_fifo));
        Finding {
            warning: Warning::DeadLetterType,
            meaning: format!(
                "the queue is a {own} queue and its dead-letter queue {} a {other} one: SQS cannot move messages there",
                redrive.dead_letter_name
            ),
            fix: format!("point the redrive policy to a {own} queue of the same account and region"),
        }
    })
}

fn dead_letter_order(facts: &Facts<'_>, redrive: &Redrive<'_>) -> Option<Finding> {
    (facts.fifo && redrive.dead_letter_fifo).then(|| Finding {
        warning: Warning::DeadLetterOrder,
        meaning: format!(
            "a message of a FIFO queue that is moved to {} after {} receives leaves its group: those behind it are \
             delivered without it",
            redrive.dead_letter_name, redrive.max_receives
        ),
        fix: "if the order matters more than that the rest goes on, remove the redrive policy (a failing message then \
              blocks its group until its retention ends); else raise maxReceiveCount, so that messages outlive the \
              longest outage you expect of the endpoint"
            .to_owned(),
    })
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
