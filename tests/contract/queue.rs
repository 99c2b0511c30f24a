//! The same assertions, made through the adapter, against every server.
//!
//! A server's known differences from Amazon are listed in its table, with reasons. An unlisted difference
//! fails the test. A listed difference that does not exist fails it too.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::assertions;
use super::fixture::Fixture;
use super::move_tasks;
use super::server::Kind;

type Clause = fn(Arc<Fixture>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The assertions with their names.
macro_rules! named {
    ($($room:ident: $($assertion:ident),* $(,)?);* $(;)?) => {
        &[$($((stringify!($assertion), |fixture| Box::pin($room::$assertion(fixture)))),*),*]
    };
}

const CLAUSES: &[(&str, Clause)] = named![assertions:
    an_empty_queue_answers_nothing,
    an_idle_long_poll_holds_its_time,
    a_long_poll_answers_when_a_message_arrives,
    a_long_poll_answers_when_a_delay_ends,
    a_message_tells_its_count_and_its_times,
    attributes_arrive_as_they_were_sent,
    a_trace_header_and_a_tenant_arrive,
    a_body_arrives_byte_for_byte,
    a_body_of_one_mebibyte_passes,
    ten_are_deleted_in_one_call,
    deleting_twice_is_fine,
    a_delete_with_a_bad_handle_fails_alone,
    a_delete_after_visibility_ended_still_deletes,
    a_change_of_visibility_hides,
    visibility_zero_frees_at_once,
    a_change_with_a_bad_handle_fails_alone,
    visibility_may_be_changed_after_it_ended,
    max_receives_moves_the_message_and_keeps_what_it_is,
    a_queue_tells_its_depths_and_its_redrive_policy,
    a_queue_is_found_by_url_name_and_arn,
    a_missing_queue_is_called_missing_by_every_call,
    a_queue_made_anew_is_found_and_knows_no_handle_of_the_old,
    a_purged_message_is_gone_and_cannot_be_hidden,
    a_purged_message_may_be_deleted,
    changed_attributes_show_at_the_next_look,
    a_changed_retention_shows_at_the_next_look,
    a_redrive_policy_taken_away_is_gone_at_the_next_look,
    a_copy_in_the_dead_letter_queue_says_why,
    a_group_comes_in_order_and_waits_for_its_first,
    a_freed_head_comes_back_alone_while_its_successor_is_in_flight,
    what_is_given_back_stays_behind_its_hidden_head,
    a_repeated_deduplication_id_is_one_message,
    an_expired_handle_deletes_nothing_of_a_group;
    move_tasks:
    queues_are_listed_by_the_beginning_of_their_name,
    a_dead_letter_queue_names_the_queues_it_belongs_to,
    a_move_task_sends_letters_back_as_they_were,
    a_move_task_leaves_what_was_sent_to_the_dead_letter_queue,
    a_cancelled_move_task_leaves_every_message_in_one_queue;
];

/// An assertion that a server does not satisfy.
struct Deviation {
    assertion: &'static str,
    /// Part of the assertion's failure text: another failure is not this deviation.
    says: &'static str,
    reason: &'static str,
}

const EMBEDDED: &[Deviation] = &[];

const MINISTACK: &[Deviation] = &[
    Deviation {
        assertion: "deleting_twice_is_fine",
        says: "ReceiptHandleIsInvalid",
        reason: "it forgets a handle with its message, where Amazon answers every delete with success",
    },
    Deviation {
        assertion: "a_purged_message_may_be_deleted",
        says: "ReceiptHandleIsInvalid",
        reason: "it forgets a handle with its message, where Amazon answers every delete with success",
    },
    Deviation {
        assertion: "a_freed_head_comes_back_alone_while_its_successor_is_in_flight",
        says: "left: []\n right: [\"1\"]",
        reason: "any message in flight locks its whole group, even those before it",
    },
    Deviation {
        assertion: "an_expired_handle_deletes_nothing_of_a_group",
        says: "left: [Ok(())]",
        reason: "it deletes as long as nobody else received the message",
    },
    Deviation {
        assertion: "a_dead_letter_queue_names_the_queues_it_belongs_to",
        says: "The action ListDeadLetterSourceQueues is not valid",
        reason: "it has no such operation",
    },
    Deviation {
        assertion: "a_move_task_sends_letters_back_as_they_were",
        says: "The action StartMessageMoveTask is not valid",
        reason: "it has no move tasks",
    },
    Deviation {
        assertion: "a_move_task_leaves_what_was_sent_to_the_dead_letter_queue",
        says: "The action StartMessageMoveTask is not valid",
        reason: "it has no move tasks",
    },
    Deviation {
        assertion: "a_cancelled_move_task_leaves_every_message_in_one_queue",
        says: "The action StartMessageMoveTask is not valid",
        reason: "it has no move tasks",
    },
];

const ELASTICMQ: &[Deviation] = &[
    Deviation {
        assertion: "deleting_twice_is_fine",
        says: "ReceiptHandleIsInvalid",
        reason: "it forgets a handle with its message, where Amazon answers every delete with success",
    },
    Deviation {
        assertion: "a_purged_message_may_be_deleted",
        says: "ReceiptHandleIsInvalid",
        reason: "it forgets a handle with its message, where Amazon answers every delete with success",
    },
    Deviation {
        assertion: "a_changed_retention_shows_at_the_next_look",
        says: "left: None\n right: Some(600s)",
        reason: "it keeps every message for ever and knows no retention",
    },
    Deviation {
        assertion: "a_redrive_policy_taken_away_is_gone_at_the_next_look",
        says: "The attribute value for RedrivePolicy is invalid",
        reason: "it takes no empty policy, where Amazon takes that as its removal",
    },
    Deviation {
        assertion: "an_expired_handle_deletes_nothing_of_a_group",
        says: "left: [Ok(())]",
        reason: "it deletes as long as nobody else received the message",
    },
    Deviation {
        assertion: "a_move_task_leaves_what_was_sent_to_the_dead_letter_queue",
        says: "left: (Some(\"COMPLETED\"), false)",
        reason: "it takes such a message along, where Amazon's task fails with CouldNotDetermineMessageSource",
    },
    Deviation {
        assertion: "a_cancelled_move_task_leaves_every_message_in_one_queue",
        says: "no task is listed",
        reason: "it forgets a cancelled task, where Amazon lists it",
    },
];

/// Runs all assertions at once, each on queues of its own, and compares the failures with the table.
async fn hold(kind: Kind, deviations: &[Deviation]) {
    let Some(server) = kind.start().await else { return };
    let fixture = Fixture::new(server);
    let mut running = JoinSet::new();
    let mut names = BTreeMap::new();
    for (name, assertion) in CLAUSES {
        names.insert(running.spawn(assertion(Arc::clone(&fixture))).id(), *name);
    }
    let mut failed = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        if let Err(failure) = ended {
            let name = names[&failure.id()];
            failed.insert(name, said(failure.into_panic()));
        }
    }
    let wrong = judge(failed, deviations);
    assert!(wrong.is_empty(), "{} and the contract:\n{}", kind.name(), wrong.join("\n"));
}

/// Assertions that failed and are not listed, are listed and passed, or failed with another text.
fn judge(mut failed: BTreeMap<&str, String>, deviations: &[Deviation]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Deviation { assertion, says, reason } in deviations {
        match failed.remove(assertion) {
            Some(text) if text.contains(says) => eprintln!("a known deviation: {assertion}: {reason}"),
            Some(text) => wrong.push(format!("{assertion}: fails otherwise than listed: {text}")),
            None => wrong.push(format!("{assertion}: listed as a deviation, but it holds")),
        }
    }
    wrong.extend(failed.into_iter().map(|(assertion, text)| format!("{assertion}: {text}")));
    wrong
}

/// The text of a panic.
fn said(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| "no words".to_owned(), |text| (*text).to_owned())
        }
    }
}

#[tokio::test]
async fn the_embedded_queue_keeps_the_contract() {
    hold(Kind::Embedded, EMBEDDED).await;
}

#[tokio::test]
async fn ministack_keeps_the_contract_but_for_its_table() {
    hold(Kind::MiniStack { auth: false }, MINISTACK).await;
}

#[tokio::test]
async fn elasticmq_keeps_the_contract_but_for_its_table() {
    hold(Kind::ElasticMq, ELASTICMQ).await;
}

#[test]
fn a_table_of_deviations_is_neither_too_short_nor_too_long() {
    let listed = &[Deviation { assertion: "a", says: "lost", reason: "known" }];
    let failed = |failures: &[(&'static str, &str)]| {
        let failures = failures.iter().map(|&(assertion, text)| (assertion, text.to_owned()));
        judge(failures.collect(), listed)
    };
    assert!(failed(&[("a", "lost it")]).is_empty());
    assert_eq!(failed(&[]), ["a: listed as a deviation, but it holds"]);
    assert_eq!(failed(&[("a", "slept")]), ["a: fails otherwise than listed: slept"]);
    assert_eq!(failed(&[("a", "lost"), ("b", "slept")]), ["b: slept"]);
}
