//! What the demonstration prints: bars while it runs, a table at its end. Fixed words and numbers alone.

use std::fmt::Write as _;
use std::time::Duration;

use super::endpoint::Tally;
use super::scenario::{MAX_RECEIVES, MESSAGES, Scenario, THROTTLE_DELAY, WORKERS, per_second};

/// Places of a bar.
const BAR: usize = 20;

/// One side at one moment.
#[derive(Debug)]
pub(super) struct Side {
    /// Messages on its queue, hidden ones included.
    pub(super) left: usize,
    /// Messages in its dead-letter queue.
    pub(super) dead: usize,
    /// What its endpoint got.
    pub(super) tally: Tally,
}

/// Both sides at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Time since the start.
    pub(super) after: Duration,
    /// That of queuepost.
    pub(super) ours: Side,
    /// That of the plain worker.
    pub(super) plain: Side,
}

impl Snapshot {
    /// Whether both queues are empty.
    pub(super) fn is_over(&self) -> bool {
        self.ours.left == 0 && self.plain.left == 0
    }
}

/// What is about to happen.
pub(super) fn introduction(scenario: &Scenario) -> String {
    let outage = scenario.works_again.as_secs();
    let (delay, per_second) = (THROTTLE_DELAY.as_secs(), per_second());
    format!(
        "\
queuepost dev --demo: {MESSAGES} messages, and an endpoint that is overloaded for {outage} s.
Ctrl-C ends it.

On the left queuepost as it is, on the right a plain worker: receive, POST,
delete, or hide for {delay} s after a 429. Each has its own queue and endpoint. Both
endpoints keep the same time, and do {per_second} messages a second. Both sides run
{WORKERS} POSTs at once, and SQS dead-letters after {MAX_RECEIVES} receives. A second here is a
minute in earnest: there 429s hide for 5 min.

  █ delivered   · on the queue   ✘ in the dead-letter queue

         {:BAR$}                 {}
",
        "queuepost", "plain worker"
    )
}

/// Both sides as they are now, on one line.
pub(super) fn line(now: &Snapshot) -> String {
    let mut text = format!("  {:>2} s   ", now.after.as_secs());
    for (side, gap) in [(&now.ours, "    "), (&now.plain, "")] {
        write!(text, "{} {:>4} refused{gap}", bar(side), side.tally.refused).ok();
    }
    text.push('\n');
    text
}

/// What happens to the endpoint.
pub(super) fn event(after: Duration, words: &str) -> String {
    format!("  {:>2} s — {words}\n", after.as_secs())
}

/// Done █, dead-lettered ✘, on the queue ·.
fn bar(side: &Side) -> String {
    let places = |count: usize| (count * BAR).div_ceil(MESSAGES).min(BAR);
    let dead = places(side.dead);
    let done = (side.tally.delivered() * BAR / MESSAGES).min(BAR - dead);
    format!("{}{}{}", "█".repeat(done), "✘".repeat(dead), "·".repeat(BAR - done - dead))
}

/// The table, and what it says.
pub(super) fn end(end: &Snapshot, scenario: &Scenario) -> String {
    let Snapshot { ours, plain, .. } = end;
    let mut text = format!("\n  {:<34}{:>10}{:>15}\n", "", "queuepost", "plain worker");
    let seconds = |time: Option<Duration>| {
        time.map_or_else(|| "never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    };
    let both = |of: &dyn Fn(&Side) -> String| [of(ours), of(plain)];
    for (what, [ours, plain]) in [
        ("messages delivered", both(&|side| side.tally.delivered().to_string())),
        ("dead-lettered", both(&|side| side.dead.to_string())),
        ("POSTs refused", both(&|side| side.tally.refused.to_string())),
        ("receives spent", both(&|side| side.tally.receives().to_string())),
        ("first success after the overload", both(&|side| seconds(side.tally.first_after))),
        ("last success after the overload", both(&|side| seconds(side.tally.last_after))),
    ] {
        // Writing to a string cannot fail.
        writeln!(text, "  {what:<34}{ours:>10}{plain:>15}").ok();
    }
    if ours.left > 0 || plain.left > 0 {
        writeln!(text, "\n  Not done in time: {} and {} messages are left.", ours.left, plain.left).ok();
        return text;
    }
    let outage = scenario.works_again.as_secs();
    writeln!(
        text,
        "
  After a few 429s queuepost closed its gate. For {outage} s it received nothing but
  single messages that find out whether the endpoint is back. The rest kept its
  receives, and nobody has to redrive it.

  Try it by hand: queuepost dev. The rules: docs/gate.md. Hours of this,
  measured: docs/outages.md."
    )
    .ok();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of the narrowest terminal that it is for.
    const COLUMNS: usize = 80;

    fn side(dead: usize, left: usize) -> Side {
        Side { left, dead, tally: Tally::default() }
    }

    #[test]
    fn a_bar_is_always_as_long_and_one_dead_letter_is_seen() {
        for dead in 0..=MESSAGES {
            let bar = bar(&side(dead, MESSAGES - dead));
            assert_eq!((bar.chars().count(), bar.contains('✘')), (BAR, dead > 0), "{dead}");
        }
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let now = Snapshot { after: Duration::from_secs(58), ours: side(0, 9), plain: side(9, 0) };
        let all = introduction(&Scenario::DEMO) + &line(&now) + &end(&now, &Scenario::DEMO);
        let events = Scenario::DEMO.events().map(|(after, words)| event(after, words)).concat();
        for line in (all + &events).lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        let over = Snapshot { after: Duration::from_secs(58), ours: side(0, 0), plain: side(9, 0) };
        assert!(over.is_over() && !now.is_over());
        assert!(end(&over, &Scenario::DEMO).lines().all(|line| line.chars().count() <= COLUMNS));
    }
}
