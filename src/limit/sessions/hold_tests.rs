//! Starts and claims while rate-limit headers hold them back.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::tests::{futures_pending, of};
use super::*;
use crate::limit::{Rate, Reason, Stated};

const SECOND: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_millis(20);
const EMPTY: Stated = Stated::Empty { resets_in: Duration::from_secs(30) };
const RATE: Rate = Rate { interval: SECOND, burst: NonZeroU32::MIN };

fn refused(stated: Stated) -> Feedback {
    Feedback::Congestion(Refusal { reason: Reason::Throttled, retry_after: Duration::ZERO }, stated)
}

/// Starts a POST.
async fn posted(member: &Membership) -> Session {
    let mut session = member.granted(None).await;
    session.starts();
    session
}

/// A refusal that says that nothing is left for 30 s, at this moment. A POST that began later still runs.
async fn held(sessions: &Arc<Sessions>) -> (Membership, Session) {
    let member = sessions.join(100);
    for _ in 0..10 {
        posted(&member).await.end(Feedback::Success(Stated::Left));
    }
    let early = posted(&member).await;
    sleep(LINGER).await;
    early.end(Feedback::Success(EMPTY));
    sleep(LINGER).await;
    let (refusal, late) = (posted(&member).await, posted(&member).await);
    refusal.end(refused(EMPTY));
    (member, late)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_says_that_nothing_is_left_holds_starts_back_until_the_reset() {
    let sessions = of(64, true, None);
    let (member, late) = held(&sessions).await;
    let began = Instant::now();
    drop(late);
    posted(&member).await.end(Feedback::Success(Stated::Left));
    assert_eq!(began.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_for_the_reset_follows_an_answer_that_disproves_the_headers() {
    let sessions = of(64, true, Some(RATE));
    let (member, late) = held(&sessions).await;
    let mut starts = JoinSet::new();
    // The turn is the second's: the first looks at the clock for all.
    for waits in [member, sessions.join(100), sessions.join(100)] {
        starts.spawn(async move {
            posted(&waits).await.end(Feedback::Nothing);
            Instant::now()
        });
    }
    assert!(timeout(5 * SECOND, starts.join_next()).await.is_err(), "the headers hold all of them");
    let began = Instant::now();
    late.end(Feedback::Success(Stated::Nothing));
    let last = starts.join_all().await.into_iter().max().unwrap();
    assert_eq!(last - began, 2 * SECOND, "one at once, and then at the rate");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_agrees_with_the_headers_and_cuts_no_limit() {
    let sessions = of(64, true, None);
    let member = sessions.join(100);
    for _ in 0..10 {
        posted(&member).await.end(Feedback::Success(Stated::Nothing));
    }
    let limit = sessions.limit();
    posted(&member).await.end(Feedback::ProbeRefused(EMPTY));
    assert!(timeout(29 * SECOND, member.granted(None)).await.is_err());
    assert_eq!((sessions.limit(), sessions.learned().unwrap().last_refusal), (limit, None));
}

#[tokio::test(start_paused = true)]
async fn headers_hold_nothing_where_the_limit_does_not_adapt() {
    let sessions = of(64, false, None);
    let (member, _late) = held(&sessions).await;
    assert!(!futures_pending(&mut Box::pin(member.granted(None))).await);
}

#[tokio::test(start_paused = true)]
async fn headers_that_say_that_something_is_left_lift_no_configured_rate() {
    let sessions = of(64, true, Some(RATE));
    let member = sessions.join(100);
    let began = Instant::now();
    for _ in 0..5 {
        posted(&member).await.end(Feedback::Success(Stated::Left));
    }
    assert_eq!(began.elapsed(), 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_during_a_hold_until_a_second_before_its_end() {
    let sessions = of(64, true, None);
    let (member, _late) = held(&sessions).await;
    let began = Instant::now();
    let mut claim = Box::pin(member.claim(1, None));
    assert!(timeout(28 * SECOND, &mut claim).await.is_err());
    assert_eq!(claim.await.len(), 1);
    assert_eq!(began.elapsed(), 29 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waits_for_room_when_a_hold_begins_follows_its_end() {
    let sessions = of(64, true, None);
    let member = sessions.join(100);
    for _ in 0..10 {
        posted(&member).await.end(Feedback::Success(Stated::Left));
    }
    let refusal = posted(&member).await;
    let others = member.claim(64, None).await;
    let mut claim = Box::pin(member.claim(1, None));
    assert!(timeout(5 * SECOND, &mut claim).await.is_err());
    refusal.end(refused(EMPTY));
    drop(others);
    let began = Instant::now();
    assert_eq!(timeout(60 * SECOND, claim).await.map(|claims| claims.len()), Ok(1));
    assert_eq!(began.elapsed(), 29 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waits_for_the_reset_follows_an_answer_that_disproves_the_headers() {
    let sessions = of(64, true, None);
    let (member, late) = held(&sessions).await;
    let mut claim = Box::pin(member.claim(1, None));
    assert!(timeout(5 * SECOND, &mut claim).await.is_err());
    let began = Instant::now();
    late.end(Feedback::Success(Stated::Nothing));
    assert_eq!(claim.await.len(), 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
}
