//! A listener told what to do while it runs, and caps that change while POSTs run.

use std::time::Duration;

use queuepost::limit::Share;
use queuepost::pipeline::NotReceiving;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// POSTs of messages whose bodies begin so.
fn posts_of(endpoint: &ScriptedEndpoint, name: &str) -> usize {
    endpoint.posts().iter().filter(|post| post.body.starts_with(name)).count()
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_paused_resumed_given_other_workers_and_stopped_while_another_does_not_notice() {
    let mut process = SimProcess::new(70);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let shared = limits(20);
    for name in ["a", "b"] {
        process.world.queue(name, 10);
        for number in 0..2_000 {
            process.world.send(name, &format!("{name}-{number}"));
        }
    }
    let a = process.listen_and_control(settings("a", 4), &endpoint, &shared);
    process.listen(settings("b", 4), &endpoint, &shared);
    // Each step lasts 30 s; the other does four a second all the time.
    let mut others = Vec::new();
    let mut step = async |process: &SimProcess| {
        let before = (posts_of(&endpoint, "a-"), posts_of(&endpoint, "b-"));
        tokio::time::sleep(30 * SECOND).await;
        others.push(posts_of(&endpoint, "b-") - before.1);
        (posts_of(&endpoint, "a-") - before.0, process.statuses()[0].not_receiving)
    };
    let (running, _) = step(&process).await;
    assert!((100..=120).contains(&running), "{running} of 120");
    a.change(|controls| controls.paused = true);
    let (ending, why) = step(&process).await;
    assert!(ending <= 24, "{ending}: what was in flight, and what a receive under way brings");
    assert_eq!(why, Some(NotReceiving::Paused));
    assert_eq!(step(&process).await.0, 0, "nothing is received while it is paused");
    a.change(|controls| controls.paused = false);
    let (resumed, why) = step(&process).await;
    assert!((90..=120).contains(&resumed) && why != Some(NotReceiving::Paused), "{resumed}, {why:?}");
    a.change(|controls| controls.workers = 12);
    let (more, _) = step(&process).await;
    assert!((300..=360).contains(&more), "{more} of 360");
    a.change(|controls| controls.share = Share::new(3, 4));
    step(&process).await;
    let (share, _) = step(&process).await;
    assert!((70..=90).contains(&share), "{share}: three of twelve workers");
    a.stop(MINUTE);
    step(&process).await;
    let (stopped, why) = step(&process).await;
    assert_eq!((stopped, why), (0, Some(NotReceiving::Draining)));
    assert!(process.has_ended(), "its task has ended");
    assert!(!process.has_ended(), "and the other's has not");
    assert_eq!(shared.sessions.listeners(), 1, "its place at the endpoint is free");
    let (least, most) = (others.iter().min().unwrap(), others.iter().max().unwrap());
    assert!(*least >= 105 && *most <= 120, "the other did {others:?} in 30 s");
    process.assert_balanced();
    assert_eq!(process.count("messages_in_progress", "listener=\"a\""), 0);
    process.stop(MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn workers_lowered_and_raised_while_posts_run_let_them_finish_and_hold_from_then_on() {
    let mut process = SimProcess::new(71);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 10_000);
    for number in 0..2_000 {
        process.world.send("orders", &format!("m-{number}"));
    }
    let handle = process.listen_and_control(settings("orders", 20), &endpoint, &limits(100));
    tokio::time::sleep(35 * SECOND).await;
    assert_eq!(endpoint.running(), 20);
    handle.change(|controls| controls.workers = 5);
    tokio::time::sleep(SECOND).await;
    assert!(endpoint.running() > 5, "what runs is not cut off");
    let ended = || endpoint.posts().iter().filter(|post| post.ended.is_none()).count();
    tokio::time::sleep(12 * SECOND).await;
    for _ in 0..60 {
        assert!(endpoint.running() <= 5, "{} run", endpoint.running());
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(endpoint.running(), 5);
    assert_eq!(process.count("workers_limit", ""), 5);
    handle.change(|controls| controls.workers = 40);
    tokio::time::sleep(MINUTE).await;
    assert_eq!((endpoint.running(), ended()), (40, 40));
    process.stop(MINUTE).await;
    process.assert_balanced();
    assert_eq!(process.count("messages_abandoned_total", ""), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoints_cap_lowered_and_raised_while_posts_run_holds_for_its_listeners_together() {
    let mut process = SimProcess::new(72);
    let endpoint = ScriptedEndpoint::always(200, 5_000);
    let shared = limits(30);
    for name in ["a", "b", "c"] {
        process.world.queue(name, 10);
        process.listen(settings(name, 30), &endpoint, &shared);
        for number in 0..2_000 {
            process.world.send(name, &format!("{name}-{number}"));
        }
    }
    tokio::time::sleep(MINUTE).await;
    assert_eq!(endpoint.running(), 30);
    shared.sessions.set_cap(6);
    tokio::time::sleep(7 * SECOND).await;
    for _ in 0..60 {
        assert!(endpoint.running() <= 6, "{} run", endpoint.running());
        tokio::time::sleep(SECOND).await;
    }
    shared.sessions.set_cap(60);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(endpoint.running(), 60);
    assert_eq!(endpoint.most_running(), 60);
    process.stop(MINUTE).await;
    process.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_paused_listener_drains_and_one_resumed_in_a_drain_receives_nothing() {
    let mut process = SimProcess::new(73);
    process.world.queue("orders", 10);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    let handle = process.listen_and_control(settings("orders", 4), &endpoint, &limits(100));
    tokio::time::sleep(SECOND).await;
    handle.change(|controls| controls.paused = true);
    tokio::time::sleep(30 * SECOND).await;
    process.world.send("orders", "late");
    tokio::time::sleep(30 * SECOND).await;
    process.drain.begin(MINUTE);
    handle.change(|controls| controls.paused = false);
    assert!(process.stop(MINUTE).await);
    assert_eq!((endpoint.posts().len(), process.census("orders").visible), (0, 1));
}
