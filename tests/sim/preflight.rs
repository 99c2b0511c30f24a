//! Warnings about a queue's settings: a gauge that follows the settings while the listener runs.

use std::time::Duration;

use queuepost::policy::decide::{Action, Row};
use queuepost::policy::outcome::StatusSet;
use queuepost::policy::preflight::Warning;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;

/// The labels whose gauge is 1.
fn warned(process: &SimProcess) -> Vec<&'static str> {
    let set = |label: &&str| process.metric("preflight_warnings", &format!("warning=\"{label}\"")) > 0.5;
    Warning::ALL.into_iter().map(Warning::label).filter(set).collect()
}

#[tokio::test(start_paused = true)]
async fn the_gauge_follows_the_queues_settings_within_thirty_seconds() {
    let mut process = SimProcess::new(60);
    // Two receives, and a dead-letter queue that keeps messages no longer than its source: the default of both.
    process.world.queue("orders", 2);
    let endpoint = ScriptedEndpoint::always(200, 20);
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    assert_eq!(warned(&process), [""; 0], "nothing is known before the preflight");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(warned(&process), ["few_receives", "dead_letter_retention"]);

    let fourteen_days = [("MessageRetentionPeriod".to_owned(), "1209600".to_owned())].into();
    process.world.with(|broker, now| broker.set_attributes(now, "orders-dlq", &fourteen_days)).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(warned(&process), ["few_receives"]);

    let no_policy = [("RedrivePolicy".to_owned(), String::new())].into();
    process.world.with(|broker, now| broker.set_attributes(now, "orders", &no_policy)).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(warned(&process), ["no_dead_letter_queue"]);
    process.stop(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn the_delay_of_a_listeners_own_row_counts_against_the_retention() {
    let mut process = SimProcess::new(62);
    // Ten times twelve hours are more than the four days a queue keeps messages by default.
    process.world.queue("orders", 10);
    let fourteen_days = [("MessageRetentionPeriod".to_owned(), "1209600".to_owned())].into();
    process.world.with(|broker, now| broker.set_attributes(now, "orders-dlq", &fourteen_days)).unwrap();
    let endpoint = ScriptedEndpoint::always(200, 20);
    let mut settings = settings("orders", 1);
    let status = StatusSet::new([(500, 599)]);
    let delay = Some(Duration::from_secs(12 * 3_600));
    settings.policy.rows.push(Row { status, action: Action::Park, delay });
    process.listen(settings, &endpoint, &limits(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(warned(&process), ["retention_too_short"]);
    process.stop(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_read_has_no_warnings() {
    let mut process = SimProcess::new(61);
    let endpoint = ScriptedEndpoint::always(200, 20);
    process.listen(settings("orders", 1), &endpoint, &limits(1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(warned(&process), [""; 0]);
    process.stop(Duration::from_secs(60)).await;
}
