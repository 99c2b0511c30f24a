//! The warnings: one table per variant, both sides of each limit.

use super::*;
use crate::policy::outcome::StatusSet;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
const DELAY: Duration = Duration::from_secs(300);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

/// A standard queue without findings.
fn facts() -> Facts<'static> {
    Facts {
        url: "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        arn: Some("arn:aws:sqs:eu-west-1:123456789012:orders"),
        fifo: false,
        retention: Some(days(4)),
        redrive: Some(Redrive {
            max_receives: 10,
            dead_letter_name: "orders-dlq",
            dead_letter_fifo: false,
            dead_letter_retention: Some(days(14)),
            dead_letter_unread: None,
        }),
    }
}

fn with(change: impl FnOnce(&mut Facts<'static>, &mut Redrive<'static>)) -> Facts<'static> {
    let mut facts = facts();
    let mut redrive = facts.redrive.unwrap();
    change(&mut facts, &mut redrive);
    Facts { redrive: Some(redrive), ..facts }
}

/// The delays of a listener without rows.
fn throttled(delay: Duration) -> Delays {
    Delays { throttled: Some(Pause { delay, row: None }), longer: None }
}

fn warnings(facts: &Facts<'_>, delay: Duration) -> Vec<Warning> {
    findings(facts, &throttled(delay)).into_iter().map(|finding| finding.warning).collect()
}

/// The only finding, which must be `warning`, as meaning and fix.
fn only(facts: &Facts<'_>, delay: Duration, warning: Warning) -> (String, String) {
    let found = findings(facts, &throttled(delay));
    assert_eq!(found.iter().map(|f| f.warning).collect::<Vec<_>>(), [warning], "{found:?}");
    let Finding { meaning, fix, .. } = found.into_iter().next().unwrap();
    (meaning, fix)
}

#[test]
fn a_sound_queue_has_no_findings() {
    assert_eq!(findings(&facts(), &throttled(DELAY)), []);
    let unknown = with(|facts, redrive| {
        facts.retention = None;
        redrive.dead_letter_retention = None;
    });
    assert_eq!(findings(&unknown, &throttled(DELAY)), [], "what cannot be read is not warned of");
}

#[test]
fn a_queue_without_redrive_policy_is_told_the_command_that_sets_one() {
    let json = |arn: &str| {
        format!(
            r#"--attributes '{{"RedrivePolicy":"{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"10\"}}"}}'"#
        )
    };
    let none = Facts { redrive: None, ..facts() };
    let fifo = Facts { fifo: true, arn: Some("arn:aws:sqs:eu-west-1:1:orders.fifo"), ..none };
    let silent = Facts { arn: None, retention: None, ..none };
    for (facts, arn) in [
        (none, "arn:aws:sqs:eu-west-1:123456789012:orders-dlq"),
        (fifo, "arn:aws:sqs:eu-west-1:1:orders-dlq.fifo"),
        (silent, "arn:aws:sqs:REGION:ACCOUNT:NAME-dlq"),
    ] {
        let (meaning, fix) = only(&facts, DELAY, Warning::NoDeadLetterQueue);
        assert!(meaning.contains("lost"), "{meaning}");
        assert_eq!(meaning.contains("4 d"), facts.retention.is_some(), "{meaning}");
        assert!(fix.contains(&json(arn)) && fix.contains(facts.url), "{fix}");
    }
}

#[test]
fn fewer_than_five_receives_are_warned_of_with_the_outage_they_survive() {
    let rest = "5: 20 min; 10: 45 min; 20: 1 h 35 min";
    for (receives, dead_lettered, table) in [
        (1, "5 min", "1 (now): no time; 3: 10 min; "),
        (3, "15 min", "3 (now): 10 min; "),
        (4, "20 min", "3: 10 min; 4 (now): 15 min; "),
    ] {
        let few = with(|_, redrive| redrive.max_receives = receives);
        let (meaning, fix) = only(&few, DELAY, Warning::FewReceives);
        assert!(
            meaning.contains(&format!("is dead-lettered after {dead_lettered}; with 5 min")),
            "{meaning}"
        );
        assert!(meaning.ends_with(&format!(": {table}{rest}")), "{meaning}");
        assert!(fix.starts_with("raise maxReceiveCount to 10"), "{fix}");
    }
    assert_eq!(warnings(&with(|_, redrive| redrive.max_receives = 5), DELAY), []);

    let brief = with(|facts, redrive| {
        (facts.retention, redrive.max_receives) = (Some(Duration::from_secs(2_000)), 2);
    });
    let (meaning, _) = only(&brief, DELAY, Warning::FewReceives);
    let rest = "5: 20 min; 10: 33 min 20 s, its retention; 20: 33 min 20 s, its retention";
    assert!(meaning.ends_with(rest), "{meaning}");
}

#[test]
fn a_message_must_not_expire_before_its_receives_are_used_up() {
    // 1,152 × 300 s are four days.
    for (receives, expected) in [(1_151, &[][..]), (1_152, &[Warning::RetentionTooShort][..])] {
        assert_eq!(warnings(&with(|_, redrive| redrive.max_receives = receives), DELAY), expected);
    }
    let long = Duration::from_secs(DAY / 2);
    let (meaning, fix) = only(&facts(), long, Warning::RetentionTooShort);
    assert!(meaning.contains("needs 5 d") && meaning.contains("expires after 4 d"), "{meaning}");
    assert!(fix.contains("MessageRetentionPeriod=1209600") && fix.contains("to 7 or less"), "{fix}");
    // No retention is long enough for this delay.
    let many = with(|_, redrive| redrive.max_receives = 100);
    let (_, fix) = only(&many, long, Warning::RetentionTooShort);
    assert!(fix.starts_with("lower maxReceiveCount to 7"), "{fix}");
}

#[test]
fn a_message_that_expires_first_is_not_said_to_be_dead_lettered() {
    let brief = with(|facts, redrive| {
        (facts.retention, redrive.max_receives) = (Some(Duration::from_secs(HOUR)), 3);
    });
    let (meaning, fix) = only(&brief, Duration::from_secs(2 * HOUR), Warning::RetentionTooShort);
    assert!(meaning.contains("needs 6 h to use up its 3 receives, but expires after 1 h"), "{meaning}");
    assert!(fix.ends_with("MessageRetentionPeriod=1209600; or lower throttle_delay"), "{fix}");
}

#[test]
fn max_receives_are_not_to_be_lowered_to_where_they_are_few() {
    // Four, and five, pauses of 300 s end within the retention.
    for (retention, lowered) in [(1_500, false), (1_501, true)] {
        let facts = with(|facts, _| facts.retention = Some(Duration::from_secs(retention)));
        let (_, fix) = only(&facts, DELAY, Warning::RetentionTooShort);
        assert_eq!(fix.contains("lower maxReceiveCount to 5 or less"), lowered, "{fix}");
        assert!(fix.ends_with("throttle_delay"), "{fix}");
    }
}

fn row(ranges: &[(u16, u16)], action: Action, hours: u64) -> Row {
    let delay = (hours > 0).then(|| Duration::from_secs(hours * HOUR));
    Row { status: StatusSet::new(ranges.iter().copied()), action, delay }
}

/// The findings on a sound queue with these max receives and these policy rows.
fn under(max_receives: u32, rows: Vec<Row>) -> Vec<Finding> {
    let facts = with(|_, redrive| redrive.max_receives = max_receives);
    findings(&facts, &Delays::of(&Policy { rows, ..Policy::default() }))
}

#[test]
fn a_429_that_ends_the_message_or_is_backed_off_from_makes_no_warnings() {
    for action in [Action::Delete, Action::DeadLetter, Action::Defer] {
        assert_eq!(under(2, vec![row(&[(400, 499)], action, 0)]), [], "{action:?}");
        assert_eq!(under(1_152, vec![row(&[(429, 429)], action, 0)]), [], "{action:?}");
    }
    // The row for 429 follows another row with that status, so it never matches.
    let rows = vec![row(&[(400, 499)], Action::Delete, 0), row(&[(429, 429)], Action::Park, 12)];
    assert_eq!(under(10, rows), []);
}

#[test]
fn a_row_that_can_never_apply_is_not_warned_of() {
    let shadowed = row(&[(500, 599)], Action::Park, 12);
    let all = [row(&[(500, 550)], Action::Delete, 0), row(&[(551, 599)], Action::Defer, 0)];
    assert_eq!(under(10, vec![all[0].clone(), all[1].clone(), shadowed.clone()]), []);
    assert_eq!(under(10, vec![all[0].clone(), shadowed]).len(), 1, "some of its statuses come to it");
}

#[test]
fn a_row_that_parks_without_a_delay_of_its_own_does_so_for_that_of_a_429() {
    let rows = vec![row(&[(429, 429)], Action::Delete, 0), row(&[(503, 503)], Action::Park, 0)];
    let found = under(1_152, rows);
    let [Finding { warning: Warning::RetentionTooShort, meaning, fix }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(meaning.starts_with("a message parked for 5 min at every receive needs 4 d"), "{meaning}");
    assert!(fix.ends_with("or throttle_delay"), "{fix}");
}

#[test]
fn a_row_that_hides_messages_past_their_retention_is_named() {
    let rows = vec![row(&[(500, 503), (529, 529)], Action::Defer, 10), row(&[(409, 409)], Action::Park, 9)];
    let found = under(10, rows);
    let [Finding { warning: Warning::RetentionTooShort, meaning, fix }] = found.as_slice() else {
        panic!("{found:?}");
    };
    let message =
        "a message hidden for 10 h by the on_response row for 500-503, 529 at every receive needs 4 d 4 h";
    assert!(meaning.starts_with(message), "{meaning}");
    assert!(fix.ends_with("to 9 or less, or the delay of the on_response row for 500-503, 529"), "{fix}");
}

#[test]
fn rows_that_are_short_or_hide_nothing_are_not_warned_of() {
    let rows = vec![row(&[(500, 599)], Action::Park, 9), row(&[(400, 400)], Action::DeadLetter, 12)];
    assert_eq!(under(10, rows), []);
}

#[test]
fn of_two_delays_that_outlast_the_retention_the_longer_is_named() {
    for (hours, named) in [(10, "under steady 429s"), (12, "the on_response row for 500-599")] {
        let policy = Policy {
            throttle_delay: Duration::from_secs(11 * HOUR),
            rows: vec![row(&[(500, 599)], Action::Park, hours)],
            ..Policy::default()
        };
        let found = findings(&facts(), &Delays::of(&policy));
        let [finding] = found.as_slice() else { panic!("{found:?}") };
        assert!(finding.meaning.contains(named), "{finding:?}");
    }
}

#[test]
fn a_row_of_its_own_for_429_is_what_a_throttled_message_waits() {
    let found = under(2, vec![row(&[(429, 429)], Action::Park, 1)]);
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(finding.meaning.contains("2 (now): 1 h; 3: 2 h;"), "{finding:?}");
    let found = under(10, vec![row(&[(429, 429)], Action::Park, 11)]);
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert!(finding.meaning.starts_with("under steady 429s"), "{finding:?}");
    assert!(finding.fix.ends_with("or the delay of the on_response row for 429"), "{finding:?}");
}

#[test]
fn a_dead_letter_queue_must_keep_messages_longer_than_its_source() {
    for (kept, warned) in [(3, true), (4, true), (5, false)] {
        let facts = with(|_, redrive| redrive.dead_letter_retention = Some(days(kept)));
        assert_eq!(!warnings(&facts, DELAY).is_empty(), warned, "{kept} days");
    }
    let short = with(|_, redrive| redrive.dead_letter_retention = Some(days(4)));
    let (meaning, fix) = only(&short, DELAY, Warning::DeadLetterRetention);
    assert!(meaning.contains("orders-dlq keeps messages for 4 d"), "{meaning}");
    let command = "--queue-url https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dlq --attributes MessageRetentionPeriod=1209600";
    assert!(fix.ends_with(command), "{fix}");
    let most = with(|facts, redrive| {
        facts.retention = Some(days(14));
        redrive.dead_letter_retention = Some(days(14));
    });
    let (_, fix) = only(&most, DELAY, Warning::DeadLetterRetention);
    assert!(fix.ends_with("lower the source's"), "{fix}");
    // On FIFO queues the retention starts anew when a message is moved.
    let fifo = with(|facts, redrive| {
        (facts.fifo, redrive.dead_letter_fifo) = (true, true);
        redrive.dead_letter_retention = Some(days(1));
    });
    assert_eq!(warnings(&fifo, DELAY), [Warning::DeadLetterOrder]);
}

#[test]
fn a_dead_letter_queue_is_of_the_type_of_its_source() {
    for (source, dead_letter) in [(true, false), (false, true)] {
        let mixed = with(|facts, redrive| (facts.fifo, redrive.dead_letter_fifo) = (source, dead_letter));
        let (meaning, fix) = only(&mixed, DELAY, Warning::DeadLetterType);
        assert!(meaning.contains("orders-dlq"), "{meaning}");
        assert_eq!(fix.contains("FIFO"), source, "{fix}");
    }
}

#[test]
fn a_fifo_queue_with_a_dead_letter_queue_is_told_that_groups_get_gaps() {
    let fifo = with(|facts, redrive| (facts.fifo, redrive.dead_letter_fifo) = (true, true));
    let (meaning, fix) = only(&fifo, DELAY, Warning::DeadLetterOrder);
    assert!(meaning.contains("moved to orders-dlq after 10 receives leaves its group"), "{meaning}");
    assert!(fix.contains("remove the redrive policy"), "{fix}");
}

#[test]
fn several_things_wrong_are_all_said() {
    let facts = with(|facts, redrive| {
        (facts.retention, redrive.max_receives) = (Some(Duration::from_secs(3 * HOUR)), 2);
        (redrive.dead_letter_fifo, redrive.dead_letter_retention) = (true, Some(Duration::from_secs(60)));
    });
    let expected = [
        Warning::FewReceives,
        Warning::RetentionTooShort,
        Warning::DeadLetterRetention,
        Warning::DeadLetterType,
    ];
    let rows = vec![row(&[(500, 500)], Action::Park, 2)];
    let found = findings(&facts, &Delays::of(&Policy { rows, ..Policy::default() }));
    assert_eq!(found.iter().map(|finding| finding.warning).collect::<Vec<_>>(), expected);
}

#[test]
fn labels_are_distinct() {
    let labels: std::collections::BTreeSet<_> = Warning::ALL.into_iter().map(Warning::label).collect();
    assert_eq!(labels.len(), Warning::ALL.len());
}

#[test]
fn durations_are_spoken_without_empty_units() {
    for (seconds, text) in [(0, "0 s"), (59, "59 s"), (3_000, "50 min"), (300_000, "3 d 11 h 20 min")] {
        assert_eq!(spoken(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn a_dead_letter_queue_that_may_not_be_read_is_found_for_no_alert_would_tell_of_letters() {
    let facts = with(|_, redrive| redrive.dead_letter_unread = Some(("denied to role/x", "allow it")));
    let [found] = findings(&facts, &Delays::of(&Policy::default())).try_into().unwrap();
    assert_eq!((found.warning, found.fix.as_str()), (Warning::DeadLetterUnreadable, "allow it"));
    assert!(found.meaning.contains("orders-dlq") && found.meaning.contains("role/x"), "{}", found.meaning);
}
