//! What a queue's own settings would do to its messages: warnings before the first receive.
//!
//! Pure: what the queue says of itself goes in, findings come out, each with what it means and what to do. None
//! stops a listener. The queue's visibility time-out is not looked at, because every receive sets its own.
//!
//! The arithmetic behind most of it: a message that is answered 429 at every receive reaches the dead-letter
//! queue after max receives × throttle delay. That long an outage of the endpoint it survives.

use std::time::Duration;

/// Fewer receives than these dead-letter healthy messages in a short outage.
const RECEIVES_MIN: u32 = 5;
/// What the fixes propose.
const RECEIVES_PROPOSED: u32 = 10;
/// Rows of the table in the text.
const RECEIVES_SHOWN: [u32; 5] = [5, 10, 50, 100, 1_000];
/// Longest retention (AWS limit): 14 days.
const RETENTION_MAX: Duration = Duration::from_secs(1_209_600);

/// What a queue says of itself, as far as warnings hang on it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The queue's URL, for the commands in the fixes.
    pub url: &'a str,
    /// The queue's ARN, where the server says it.
    pub arn: Option<&'a str>,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// How long it keeps a message; `None` when the server does not say.
    pub retention: Option<Duration>,
    /// Its redrive policy, if it has one.
    pub redrive: Option<Redrive<'a>>,
}

/// A redrive policy and what is known of its dead-letter queue.
#[derive(Debug, Clone, Copy)]
pub struct Redrive<'a> {
    /// Receives before SQS moves a message.
    pub max_receives: u32,
    /// Name of the dead-letter queue.
    pub dead_letter_name: &'a str,
    /// Whether that is a FIFO queue.
    pub dead_letter_fifo: bool,
    /// How long it keeps a message; `None` when it cannot be read.
    pub dead_letter_retention: Option<Duration>,
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
}

impl Warning {
    /// Every warning, to initialise metrics.
    pub const ALL: [Self; 5] = [
        Self::NoDeadLetterQueue,
        Self::FewReceives,
        Self::RetentionTooShort,
        Self::DeadLetterRetention,
        Self::DeadLetterType,
    ];

    /// Label value of the warning.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoDeadLetterQueue => "no_dead_letter_queue",
            Self::FewReceives => "few_receives",
            Self::RetentionTooShort => "retention_too_short",
            Self::DeadLetterRetention => "dead_letter_retention",
            Self::DeadLetterType => "dead_letter_type",
        }
    }
}

/// One warning in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub warning: Warning,
    /// What it means for the messages, with the queue's numbers.
    pub meaning: String,
    /// What to do about it.
    pub fix: String,
}

/// Everything worth a warning about a queue whose listener parks a 429 for `throttle_delay`.
pub fn findings(facts: &Facts<'_>, throttle_delay: Duration) -> Vec<Finding> {
    let Some(redrive) = &facts.redrive else { return vec![no_dead_letter_queue(facts)] };
    [
        few_receives(redrive, throttle_delay),
        retention_too_short(facts, redrive, throttle_delay),
        dead_letter_retention(facts, redrive),
        dead_letter_type(facts, redrive),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How long a message survives an endpoint that answers 429 at every receive.
pub fn survives(max_receives: u32, throttle_delay: Duration) -> Duration {
    throttle_delay.saturating_mul(max_receives)
}

/// A duration as people say it: `4 h 10 min`.
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

/// The ARN a dead-letter queue of this queue would naturally have.
fn dead_letter_arn(facts: &Facts<'_>) -> String {
    let arn = facts.arn.unwrap_or("arn:aws:sqs:REGION:ACCOUNT:NAME");
    match arn.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dlq.fifo"),
        None if facts.fifo => format!("{arn}-dlq.fifo"),
        None => format!("{arn}-dlq"),
    }
}

fn few_receives(redrive: &Redrive<'_>, throttle_delay: Duration) -> Option<Finding> {
    let receives = redrive.max_receives;
    (receives < RECEIVES_MIN).then(|| {
        let row = |count: u32| format!("{count} = {}", spoken(survives(count, throttle_delay)));
        let table = RECEIVES_SHOWN.map(row).join(", ");
        Finding {
            warning: Warning::FewReceives,
            meaning: format!(
                "maxReceiveCount is {receives}: a message answered 429 at every receive is dead-lettered after {}",
                spoken(survives(receives, throttle_delay))
            ),
            fix: format!(
                "raise maxReceiveCount to {RECEIVES_PROPOSED} or more; with a throttle_delay of {} messages survive \
                 steady 429s for: {table}",
                spoken(throttle_delay)
            ),
        }
    })
}

fn retention_too_short(
    facts: &Facts<'_>,
    redrive: &Redrive<'_>,
    throttle_delay: Duration,
) -> Option<Finding> {
    let retention = facts.retention?;
    let needed = survives(redrive.max_receives, throttle_delay);
    (needed >= retention).then(|| {
        // How many delays end before the retention does.
        let fits = retention.as_secs().saturating_sub(1) / throttle_delay.as_secs().max(1);
        let lower = format!("lower maxReceiveCount to {} or less, or throttle_delay", fits.max(1));
        let url = facts.url;
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
                "under steady 429s a message needs {} to use up its {} receives, but expires after {}: it would be \
                 lost, not dead-lettered",
                spoken(needed),
                redrive.max_receives,
                spoken(retention)
            ),
            fix,
        }
    })
}

/// On standard queues a message keeps its time of sending when it is moved, so its retention goes on counting
/// from there; on FIFO queues it starts anew (AWS, "Understanding message retention periods for dead-letter
/// queues").
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

/// URL of the queue `name` in the account and region of `url`: a dead-letter queue is always in those of its source.
fn beside(url: &str, name: &str) -> String {
    url.rsplit_once('/').map_or_else(|| name.to_owned(), |(account, _)| format!("{account}/{name}"))
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

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
