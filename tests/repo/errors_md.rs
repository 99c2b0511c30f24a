//! `docs/errors.md`: every failure at run time, from the tables that the program itself uses.

use std::fmt::Write as _;
use std::time::Duration;

use queuepost::cli::EXIT_CODES;
use queuepost::message::ReceiveCount;
use queuepost::policy::advice::endpoint::EndpointReason;
use queuepost::policy::advice::entry::{EntryErrorKind, TOO_LATE, TOO_LATE_FIX};
use queuepost::policy::advice::fill;
use queuepost::policy::advice::queue::{QueueErrorKind, QueueReason};
use queuepost::policy::backoff;
use queuepost::policy::decide::{DeferReason, Disposition, Facts, HOLD_MAX, Policy, Signal, decide};
use queuepost::policy::outcome::Outcome;
use queuepost::policy::preflight::{self, Delays, Finding, Redrive, Warning, findings, spoken};

use super::generated;

/// Placeholder values of a text that is about no particular failure.
const GAPS: &[(&str, &str)] = &[
    ("operation", "OPERATION"),
    ("queue", "QUEUE"),
    ("principal", "PRINCIPAL"),
    ("action", "ACTION"),
    ("resource", "RESOURCE"),
    ("where", " in POLICY"),
    ("key", " KEY"),
    ("kms", "kms:Decrypt"),
    ("skew", " by MINUTES"),
    ("status", "STATUS"),
    ("location", " to ORIGIN"),
];

const TOP: &str = "\
# What can go wrong

Every failure has a label that does not change, a sentence that says what it means, and what to do about it: search this
page for the `reason` of a log line. [SQS](#sqs) · [HTTP endpoint](#http-endpoint) · [Warnings about a
queue](#warnings-about-a-queue) · [Exit codes](#exit-codes)

| field of the log | |
|---|---|
| `message` | ends with the sentence below the label, with names and numbers filled in; before it stands what becomes of the message (`deferred for 30 s: `), or which call failed (`ReceiveMessage on URL: `) |
| `reason` | the label |
| `fix` | what to do |
| `error` | what AWS, the endpoint or the system itself said |
| `answer` | how the endpoint's answer begins: 200 bytes, escaped, without credentials; withheld where it repeats the beginning of the message, also encoded for HTML, URLs or JSON. Not noticed: what it quotes from the middle of a message, or encodes otherwise (base64, other keys first) |
| `batch_messages` | how many messages the POST carried, if several |
| `left_out` | how many such lines were left out since the last: there is one in ten seconds |
| `left_out_ids` | the messages those were about: the first 20, then how many more. A message's final receive is never left out |

Words in CAPITALS stand for what the program fills in. `queuepost check`, `send` and `receive` print the same words.

<!-- Generated from src/policy by `QUEUEPOST_BLESS=1 cargo test --test it repo`; a test compares. -->

";

fn class(text: &mut String, label: &str, meaning: &str, fix: &str) {
    let (meaning, fix) = (fill(meaning, GAPS), fill(fix, GAPS));
    writeln!(text, "#### `{label}`\n\n{meaning}\n\n**Do:** {fix}\n").unwrap();
}

fn sqs(text: &mut String) {
    text.push_str(
        "## SQS\n\nThe groups are the values of the label `result` of `queuepost_sqs_requests_total`. When only the copy for \
         a dead-letter queue fails (`SendMessage`), it is tried again under the message's lease; the listener is \
         faulted only while such a copy waits.\n\n",
    );
    let most = spoken(backoff::call(u32::MAX, 1.0));
    for kind in QueueErrorKind::ALL {
        writeln!(text, "### {}\n", kind.label()).unwrap();
        let meanwhile = if kind.is_fault() {
            format!(
                "A person has to act. Meanwhile the listener is *faulted* (`queuepost_listener_faulted` is 1, `/readyz` \
                 answers 503 unless another listener is healthy): nothing is received, the call is tried again at least every {most}, and messages stay in \
                 their queue. It goes on by itself once the call succeeds."
            )
        } else {
            format!(
                "It may pass. Meanwhile the call is made again after growing pauses, {most} at most; nothing is lost."
            )
        };
        writeln!(text, "{meanwhile}\n").unwrap();
        for reason in QueueReason::ALL.iter().filter(|reason| reason.kind() == kind) {
            class(text, reason.label(), reason.meaning(), reason.fix());
        }
    }
    text.push_str(
        "### single messages\n\nSQS took the call, but not for this message. The log says `could not delete a message` or \
         `could not hide a message`, with SQS's code in `why`. Without a code, if SQS took no call for too long:\n\n",
    );
    writeln!(text, "{TOO_LATE}\n\n**Do:** {TOO_LATE_FIX}\n").unwrap();
    for kind in EntryErrorKind::ALL {
        class(text, kind.label(), kind.meaning(), kind.fix());
        let meanwhile = match kind {
            EntryErrorKind::Retryable => "It is sent again as long as the lease of the message lasts.",
            EntryErrorKind::LeaseLost | EntryErrorKind::Refused => {
                "SQS hands the message out again by itself; if its work was done, it is not posted again."
            }
        };
        writeln!(text, "{meanwhile}\n").unwrap();
    }
}

fn endpoint(text: &mut String) {
    text.push_str(
        "## HTTP endpoint\n\nThe groups are the values of the label `outcome` of `queuepost_deliveries_total`, and of the field \
         `outcome`. What becomes of the message is the default; rows under `on_response` change it.\n\n",
    );
    for outcome in Outcome::ALL {
        writeln!(text, "### {}\n\n{}\n", outcome.label(), meanwhile(outcome)).unwrap();
        for reason in EndpointReason::ALL.iter().filter(|reason| reason.kind() == outcome) {
            class(text, reason.label(), reason.meaning(), reason.fix());
        }
    }
}

/// What becomes of a message, by the table itself.
fn meanwhile(outcome: Outcome) -> String {
    let policy = Policy::default();
    let asked = Duration::from_secs(20);
    let at = |receives, held| {
        let facts = Facts {
            receives: ReceiveCount::new(receives),
            final_receive: false,
            status: None,
            retry_after: Some(asked),
            hideable: Duration::from_secs(43_195),
            held,
            unit: 1.0,
        };
        decide(outcome, &facts, &policy)
    };
    let (first, last) = (at(1, Duration::ZERO), at(u32::MAX, Duration::ZERO));
    let message = match (first.disposition, last.disposition) {
        (Disposition::Delete, _) => "The message is deleted.".to_owned(),
        (Disposition::Park { delay }, _) => {
            format!(
                "The message is parked for {} (`throttle_delay`), or for Retry-After if that is longer.",
                spoken(delay)
            )
        }
        (Disposition::Defer { delay, reason: DeferReason::Message }, _) => format!(
            "The message itself is at fault: it comes back after {}, and after the queue's max receives SQS moves it to the \
             dead-letter queue.",
            spoken(delay)
        ),
        (Disposition::Defer { delay: first, reason }, Disposition::Defer { delay: last, .. }) => {
            let asks = if first == asked { ", or after Retry-After if that is longer" } else { "" };
            let first = if first == asked { backoff::defer(ReceiveCount::FIRST, 1.0) } else { first };
            let why = if reason == DeferReason::Configuration {
                "The configuration is at fault, here or there: the"
            } else {
                "The"
            };
            if first == last {
                format!("{why} message comes back after {}.", spoken(first))
            } else {
                format!(
                    "{why} message comes back after at most {}, twice as long after each further receive, up to {}{asks}.",
                    spoken(first),
                    spoken(last)
                )
            }
        }
        (Disposition::Hold, _) if outcome == Outcome::Unfetched => format!(
            "The message is held under its lease and its object fetched again, after 1 s, 2 s … 30 s, for {} at most. No receive is spent.",
            spoken(HOLD_MAX)
        ),
        (Disposition::Hold, _) => format!(
            "The message is held under its lease and posted again, for {} at most: as the probe of the closed gate, at most 29 s apart, or after 1 s, 2 s … 60 s while other POSTs run. No receive is spent.",
            spoken(HOLD_MAX)
        ),
        (Disposition::DeadLetter | Disposition::Defer { .. }, _) => {
            unreachable!("{outcome:?}: {first:?}, {last:?}")
        }
    };
    match first.signal {
        Signal::Congestion { retry_after: Some(_) } => {
            format!(
                "{message} With Retry-After the gate closes: receiving stops for that long, a minute at most, then one probe."
            )
        }
        Signal::Success
        | Signal::Congestion { .. }
        | Signal::Unanswered
        | Signal::Failure
        | Signal::Unreachable
        | Signal::EndpointFault
        | Signal::ListenerFault
        | Signal::Neutral => message,
    }
}

/// Queues that each cause some warning.
fn examples() -> Vec<Finding> {
    const DAY: Duration = Duration::from_secs(86_400);
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
    let redrive = Redrive {
        max_receives: 10,
        dead_letter_name: "orders-dlq",
        dead_letter_fifo: false,
        dead_letter_retention: Some(DAY * 14),
        dead_letter_unread: None,
    };
    let good = preflight::Facts {
        url,
        arn: Some("arn:aws:sqs:eu-west-1:123456789012:orders"),
        fifo: false,
        retention: Some(DAY * 4),
        redrive: Some(redrive),
    };
    let with = |redrive| preflight::Facts { redrive: Some(redrive), ..good };
    let delays = Delays::of(&Policy::default());
    [
        preflight::Facts { redrive: None, ..good },
        with(Redrive { max_receives: 3, ..redrive }),
        with(Redrive { max_receives: 1_000, ..redrive }),
        preflight::Facts { retention: Some(Duration::from_secs(600)), ..good },
        with(Redrive { dead_letter_retention: Some(DAY * 4), ..redrive }),
        with(Redrive { dead_letter_fifo: true, ..redrive }),
        with(Redrive {
            dead_letter_unread: Some(("access denied", "allow sqs:GetQueueAttributes on it")),
            ..redrive
        }),
        preflight::Facts {
            fifo: true,
            redrive: Some(Redrive { dead_letter_name: "orders-dlq.fifo", dead_letter_fifo: true, ..redrive }),
            ..good
        },
    ]
    .iter()
    .flat_map(|facts| findings(facts, &delays))
    .collect()
}

fn warnings(text: &mut String) {
    text.push_str(
        "## Warnings about a queue\n\nRead from the queue's own settings before the first receive, and then on request, at most every 30 s; none \
         stops a listener. The log says each once, `queuepost_preflight_warnings` shows it, `queuepost check` prints it. The numbers \
         here are of an example.\n\n",
    );
    let examples = examples();
    for warning in Warning::ALL {
        let finding = examples.iter().find(|finding| finding.warning == warning);
        let Finding { meaning, fix, .. } = finding.unwrap_or_else(|| panic!("no example of {warning:?}"));
        class(text, warning.label(), meaning, fix);
    }
}

fn exit_codes(text: &mut String) {
    text.push_str("## Exit codes\n\n| code | |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        writeln!(text, "| {code} | {meaning} |").unwrap();
    }
}

#[test]
fn docs_errors_md_says_what_the_code_says() {
    let mut text = TOP.to_owned();
    sqs(&mut text);
    endpoint(&mut text);
    warnings(&mut text);
    exit_codes(&mut text);
    generated::matches("docs/errors.md", &text);
}
