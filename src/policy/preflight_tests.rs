//! The warnings: one table per variant, both sides of each limit.

use super::*;

const DAY: u64 = 86_400;
const DELAY: Duration = Duration::from_secs(300);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

/// A standard queue nothing is wrong with.
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
        }),
    }
}

fn with(change: impl FnOnce(&mut Facts<'static>, &mut Redrive<'static>)) -> Facts<'static> {
    let mut facts = facts();
    let mut redrive = facts.redrive.unwrap();
    change(&mut facts, &mut redrive);
    Facts { redrive: Some(redrive), ..facts }
}

fn warnings(facts: &Facts<'_>, delay: Duration) -> Vec<Warning> {
    findings(facts, delay).into_iter().map(|finding| finding.warning).collect()
}

/// The only finding, which must be `warning`, as meaning and fix.
fn only(facts: &Facts<'_>, delay: Duration, warning: Warning) -> (String, String) {
    let found = findings(facts, delay);
    assert_eq!(found.iter().map(|f| f.warning).collect::<Vec<_>>(), [warning], "{found:?}");
    let Finding { meaning, fix, .. } = found.into_iter().next().unwrap();
    (meaning, fix)
}

#[test]
fn a_sound_queue_has_no_findings() {
    assert_eq!(findings(&facts(), DELAY), []);
    let unknown = with(|facts, redrive| {
        facts.retention = None;
        redrive.dead_letter_retention = None;
    });
    assert_eq!(findings(&unknown, DELAY), [], "what cannot be read is not warned of");
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
    // No retention is long enough for this one.
    let many = with(|_, redrive| redrive.max_receives = 100);
    let (_, fix) = only(&many, long, Warning::RetentionTooShort);
    assert!(fix.starts_with("lower maxReceiveCount to 7"), "{fix}");
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
    // On FIFO queues the time starts anew when a message is moved.
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
        redrive.max_receives = 2;
        redrive.dead_letter_fifo = true;
        redrive.dead_letter_retention = Some(days(1));
        facts.retention = Some(Duration::from_secs(600));
        redrive.dead_letter_retention = Some(Duration::from_secs(60));
    });
    let expected = [
        Warning::FewReceives,
        Warning::RetentionTooShort,
        Warning::DeadLetterRetention,
        Warning::DeadLetterType,
    ];
    assert_eq!(warnings(&facts, DELAY), expected);
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
