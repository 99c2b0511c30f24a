//! What a queue's settings would do to the messages of one listener, whose delays are its own.
//!
//! Pure: brings the queue's facts and the listener's policy together; the arithmetic is in `policy::preflight`. Of
//! two delays that outlast the queue's retention only the longer is warned of.

use crate::pipeline::ports::QueueFacts;
use crate::policy::decide::Policy;
use crate::policy::preflight::{self, Delays, Finding, Warning};

impl QueueFacts {
    /// What its settings would do to the messages of a listener with this policy.
    pub fn findings_under(&self, policy: &Policy) -> Vec<Finding> {
        let delays = Delays::of(policy);
        let mut findings = self.findings(delays.throttled);
        if let Some(finding) = self.outlived_by_a_row(&delays) {
            findings.retain(|other| other.warning != Warning::RetentionTooShort);
            findings.push(finding);
            findings.sort_by_key(|finding| finding.warning);
        }
        findings
    }

    fn outlived_by_a_row(&self, delays: &Delays) -> Option<Finding> {
        let max_receives = self.redrive.as_ref()?.max_receives;
        preflight::row_outlives_retention(&self.url, self.retention?, max_receives, delays)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::ports::Redrive;
    use crate::policy::decide::{Action, Row};
    use crate::policy::outcome::StatusSet;

    const HOUR: u64 = 3_600;

    fn row(ranges: &[(u16, u16)], action: Action, hours: u64) -> Row {
        let delay = Some(Duration::from_secs(hours * HOUR));
        Row { status: StatusSet::new(ranges.iter().copied()), action, delay }
    }

    /// A queue that keeps messages for four days and dead-letters them after ten receives.
    fn facts() -> QueueFacts {
        let redrive = Redrive {
            max_receives: 10,
            dead_letter_name: "orders-dlq".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: None,
            dead_letter_depth: None,
        };
        QueueFacts {
            url: "https://sqs.eu-west-1.amazonaws.com/1/orders".to_owned(),
            retention: Some(Duration::from_secs(4 * 24 * HOUR)),
            redrive: Some(redrive),
            ..QueueFacts::default()
        }
    }

    #[test]
    fn a_row_that_hides_messages_past_their_retention_is_named() {
        let rows =
            vec![row(&[(500, 503), (529, 529)], Action::Defer, 10), row(&[(409, 409)], Action::Park, 9)];
        let findings = facts().findings_under(&Policy { rows, ..Policy::default() });
        let [Finding { warning: Warning::RetentionTooShort, meaning, fix }] = findings.as_slice() else {
            panic!("{findings:?}");
        };
        let message = "a message hidden for 10 h by the on_response row for 500-503, 529 at every receive needs 4 d 4 h";
        assert!(meaning.starts_with(message), "{meaning}");
        assert!(fix.ends_with("to 9 or less, or the delay of the on_response row for 500-503, 529"), "{fix}");
    }

    #[test]
    fn rows_that_are_short_or_hide_nothing_are_not_warned_of() {
        let rows = vec![row(&[(500, 599)], Action::Park, 9), row(&[(400, 400)], Action::DeadLetter, 12)];
        assert_eq!(facts().findings_under(&Policy { rows, ..Policy::default() }), []);
    }

    #[test]
    fn of_two_delays_that_outlast_the_retention_the_longer_is_named() {
        let policy = |hours| Policy {
            throttle_delay: Duration::from_secs(11 * HOUR),
            rows: vec![row(&[(500, 599)], Action::Park, hours)],
            ..Policy::default()
        };
        for (hours, named) in [(10, "under steady 429s"), (12, "the on_response row for 500-599")] {
            let findings = facts().findings_under(&policy(hours));
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert!(finding.meaning.contains(named), "{finding:?}");
        }
    }

    #[test]
    fn a_row_of_its_own_for_429_is_what_a_throttled_message_waits() {
        let rows = vec![row(&[(429, 429)], Action::Park, 1)];
        let mut facts = facts();
        facts.redrive.as_mut().unwrap().max_receives = 2;
        let findings = facts.findings_under(&Policy { rows, ..Policy::default() });
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert!(finding.meaning.contains("2 (now): 1 h; 3: 2 h;"), "{finding:?}");
    }
}
