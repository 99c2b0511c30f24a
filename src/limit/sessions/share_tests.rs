//! Sessions of a process that has a share of them.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::*;
use crate::limit::Rate;

const SOON: Duration = Duration::from_secs(1);

fn sessions(sessions: usize, rate: Option<Rate>) -> Arc<Sessions> {
    Sessions::new(&Settings { rate, ..Settings::divided(sessions) })
}

#[tokio::test(start_paused = true)]
async fn a_share_holds_at_once_and_what_runs_beyond_it_finishes() {
    let sessions = sessions(4, None);
    let member = sessions.join(16);
    let mut running = Vec::new();
    for _ in 0..4 {
        running.push(member.granted(None).await);
    }
    sessions.set_share(Share::new(1, 3));
    assert_eq!((sessions.cap(), sessions.running()), (1, 4));
    running.truncate(1);
    assert!(timeout(SOON, member.start(None)).await.is_err());
    running.clear();
    let _one = member.granted(None).await;
    assert!(timeout(SOON, member.start(None)).await.is_err());
    sessions.set_share(Share::WHOLE);
    assert!(timeout(SOON, member.start(None)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_share_nothing_starts_or_is_claimed_and_a_share_that_comes_wakes_who_waits() {
    let sessions = sessions(4, None);
    let member = sessions.join(16);
    sessions.set_share(Share::NONE);
    assert_eq!((sessions.cap(), sessions.part()), (0, 0.0));
    assert!(timeout(SOON, member.claim(4, None)).await.is_err());
    let mut waiting = Box::pin(member.start(None));
    assert!(timeout(SOON, &mut waiting).await.is_err());
    sessions.set_share(Share::new(0, 2));
    assert!(waiting.await.is_some());
    assert_eq!((sessions.cap(), sessions.part()), (2, 0.5));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_stands_by_sends_away_who_waits_and_who_comes() {
    let sessions = sessions(1, None);
    let (member, other) = (sessions.join(16), sessions.join(16));
    let running = member.granted(None).await;
    let mut waiting = Box::pin(member.start(None));
    assert!(timeout(SOON, &mut waiting).await.is_err());
    member.set_cap(0);
    assert!(waiting.await.is_none());
    assert!(member.start(None).await.is_none());
    drop(running);
    assert!(other.start(None).await.is_some(), "the others go on");
    member.set_cap(1);
    assert!(timeout(SOON, member.start(None)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reload_and_workers_set_by_hand_keep_the_share() {
    let sessions = sessions(8, None);
    sessions.set_share(Share::new(0, 4));
    sessions.set_cap(12);
    assert_eq!(sessions.cap(), 3);
    sessions.adjust(&Settings { adaptive: true, ..Settings::divided(20) });
    assert_eq!(sessions.cap(), 5);
    sessions.adjust(&Settings { divided: false, ..Settings::divided(20) });
    assert_eq!(sessions.cap(), 20, "each process has its own");
}

#[tokio::test(start_paused = true)]
async fn a_share_of_a_rate_holds_for_the_starts_and_a_change_of_it_is_no_second_burst() {
    let rate = Rate { interval: Duration::from_millis(100), burst: NonZeroU32::new(10).unwrap() };
    let sessions = sessions(100, Some(rate));
    let member = sessions.join(100);
    let began = Instant::now();
    for _ in 0..10 {
        member.granted(None).await.starts();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    sessions.set_share(Share::new(0, 2));
    for _ in 0..10 {
        member.granted(None).await.starts();
    }
    assert!(began.elapsed() >= Duration::from_millis(1900), "five a second: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_stays_while_a_process_stands_by() {
    let sessions = Sessions::new(&Settings { adaptive: true, ..Settings::divided(8) });
    let at_once = sessions.limit();
    sessions.set_share(Share::NONE);
    assert_eq!(sessions.limit(), 0);
    sessions.set_share(Share::WHOLE);
    assert_eq!(sessions.limit(), at_once);
    sessions.set_share(Share::new(7, 8));
    assert_eq!(sessions.limit(), 1);
}
