//! Who gets a session, when, and what its end does to the limit.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::limit::{Constraint, FullReceive, Rate, Reason, RunAhead, Stated};
use crate::tuning::Tuning;

const SOON: Duration = Duration::from_secs(1);
/// Of ten messages that takes a tenth of a POST.
const RECEIVE: FullReceive = FullReceive { takes: Duration::from_millis(10), brings: 10 };

/// Sessions at those limits.
pub(super) fn of(sessions: usize, adaptive: bool, rate: Option<Rate>) -> Arc<Sessions> {
    Sessions::new(&Settings { sessions, divided: false, adaptive, rate, tuning: Tuning::default() })
}

/// Sessions whose limit does not change.
fn fixed(limit: usize) -> Arc<Sessions> {
    of(limit, false, None)
}

#[tokio::test(start_paused = true)]
async fn running_deliveries_never_exceed_the_limit_and_a_drop_frees_one() {
    let member = fixed(2).join(100);
    let first = member.granted(None).await;
    let _second = member.granted(None).await;
    assert!(timeout(SOON, member.granted(None)).await.is_err());
    drop(first);
    assert!(timeout(SOON, member.granted(None)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_left_does_not_swallow_a_session() {
    let sessions = fixed(1);
    let member = sessions.join(100);
    let held = member.granted(None).await;
    for _ in 0..3 {
        assert!(timeout(SOON, member.granted(None)).await.is_err());
    }
    drop(held);
    assert!(timeout(SOON, member.granted(None)).await.is_ok());
    assert_eq!(sessions.running(), 0);
    assert_eq!(timeout(SOON, member.claim(10, None)).await.map(|claims| claims.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn sessions_go_round_between_listeners() {
    let sessions = fixed(1);
    let (busy, quiet) = (sessions.join(100), sessions.join(100));
    let mut session = busy.granted(None).await;
    let mut order = Vec::new();
    let mut busy_waits: VecDeque<_> = (0..3).map(|_| Box::pin(busy.granted(None))).collect();
    let mut quiet_wait = Box::pin(quiet.granted(None));
    for wait in &mut busy_waits {
        assert!(futures_pending(wait).await);
    }
    assert!(futures_pending(&mut quiet_wait).await);
    let mut quiet_wait = Some(quiet_wait);
    for _ in 0..4 {
        drop(session);
        let quiet_turn = match &mut quiet_wait {
            Some(wait) => timeout(Duration::from_millis(1), wait).await.ok(),
            None => None,
        };
        if let Some(granted) = quiet_turn {
            quiet_wait = None;
            order.push("quiet");
            session = granted;
        } else {
            session = busy_waits.pop_front().unwrap().await;
            order.push("busy");
        }
    }
    assert_eq!(order.iter().position(|who| *who == "quiet"), Some(0), "{order:?}");
    drop(session);
}

/// Claims of receives that run ahead.
fn ahead(member: &Membership, most: usize) -> impl Future<Output = Claims> {
    member.claim(most, Some(RECEIVE))
}

#[tokio::test(start_paused = true)]
async fn claims_run_ahead_of_the_limit_by_a_receive_and_by_what_ends_during_it() {
    let sessions = fixed(8);
    let member = sessions.join(100);
    assert_eq!(ahead(&member, 64).await.len(), 8, "how long a POST takes is not known");
    post(&member, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    let mut claims = ahead(&member, 64).await;
    assert_eq!(claims.len(), 8 + 10 + 1);
    assert!(timeout(SOON, ahead(&member, 1)).await.is_err());
    let session = member.granted(claims.take()).await;
    assert!(timeout(SOON, ahead(&member, 1)).await.is_err(), "a started delivery keeps its room");
    drop(session);
    assert_eq!(ahead(&member, 1).await.len(), 1);
    assert!(timeout(SOON, member.claim(1, None)).await.is_err(), "without run-ahead eight are too many");
    drop(claims);
    assert_eq!(member.claim(64, None).await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_runs_ahead_waits_for_room_of_a_full_receive_and_one_that_does_not_takes_what_there_is()
{
    let sessions = fixed(8);
    let member = sessions.join(100);
    post(&member, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    let mut claims = ahead(&member, 10).await;
    let mut next = Box::pin(ahead(&member, 10));
    assert!(futures_pending(&mut next).await, "there is room for nine");
    drop(claims.take());
    assert_eq!(next.await.len(), 10);
    drop(claims);
    let _most = member.claim(7, None).await;
    assert_eq!(timeout(SOON, member.claim(10, None)).await.map(|claims| claims.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn what_a_busy_listener_has_waiting_ahead_keeps_no_quiet_one_out() {
    let sessions = fixed(8);
    let (busy, quiet) = (sessions.join(100), sessions.join(100));
    post(&busy, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    let _ahead = ahead(&busy, 64).await;
    let one = timeout(SOON, quiet.claim(10, None)).await.expect("its turn is next");
    assert_eq!(one.len(), 1);
    assert!(timeout(SOON, quiet.claim(10, None)).await.is_err(), "it has one that waits");
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_ahead_while_others_run_on_all_sessions() {
    let sessions = fixed(2);
    let (member, other) = (sessions.join(100), sessions.join(100));
    post(&member, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    assert!(member.run_ahead(2, Some(RECEIVE)).most > 0);
    let running = (other.granted(None).await, other.granted(None).await);
    assert_eq!(member.run_ahead(2, Some(RECEIVE)), RunAhead::NONE);
    drop(running);
    assert!(member.run_ahead(2, Some(RECEIVE)).most > 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_nothing_runs_ahead_until_a_post_succeeds() {
    let sessions = fixed(8);
    let member = sessions.join(100);
    let mut most = Vec::new();
    for feedback in
        [Feedback::Success(Stated::Nothing), congestion(), Feedback::Unanswered(1), Feedback::Nothing]
            .into_iter()
            .chain([Feedback::Success(Stated::Nothing), Feedback::Nothing])
    {
        post(&member, SOON / 10, feedback).await;
        most.push(ahead(&member, 64).await.len());
    }
    assert_eq!(most, [19, 8, 8, 8, 19, 19]);
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_waits_for_room_is_woken_by_a_free_session() {
    let sessions = fixed(1);
    let member = sessions.join(100);
    let session = member.granted(None).await;
    let mut claim = Box::pin(member.claim(3, None));
    assert!(futures_pending(&mut claim).await);
    drop(session);
    assert_eq!(timeout(SOON, claim).await.map(|claims| claims.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn busy_listeners_share_the_limit() {
    let sessions = fixed(80);
    let members: Vec<Membership> = (0..9).map(|_| sessions.join(100)).collect();
    assert_eq!(members[0].fair_part(), 80);
    members[0].set_busy(true);
    assert_eq!(members[0].fair_part(), 80, "idle listeners take nothing");
    members[1].set_busy(true);
    assert_eq!(members[0].fair_part(), 40);
}

pub(super) async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    timeout(Duration::ZERO, future).await.is_err()
}

/// Sessions of which the endpoint has taken so many.
async fn adaptive(cap: usize, taken: usize) -> (Arc<Sessions>, Membership) {
    let sessions = of(cap, true, None);
    let member = sessions.join(cap);
    for _ in 0..taken {
        post(&member, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    }
    (sessions, member)
}

/// A POST that takes so long, a while after the one before.
async fn post(member: &Membership, takes: Duration, feedback: Feedback) {
    tokio::time::advance(SOON / 100).await;
    let mut session = member.granted(None).await;
    session.starts();
    tokio::time::sleep(takes).await;
    session.end(feedback);
}

fn congestion() -> Feedback {
    Feedback::Congestion(Refusal { reason: Reason::Throttled, retry_after: 3 * SOON }, Stated::Nothing)
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_grows_while_it_is_used_to_the_full_and_a_refusal_cuts_it() {
    let (sessions, member) = adaptive(64, 0).await;
    assert_eq!((sessions.cap(), sessions.limit()), (64, 1));
    while sessions.limit() < 8 {
        let (mut running, limit) = (Vec::new(), sessions.limit());
        while running.len() < limit {
            running.push(member.granted(None).await);
        }
        assert!(timeout(SOON, member.granted(None)).await.is_err(), "as many as may run at {limit}");
        for session in running {
            session.end(Feedback::Success(Stated::Nothing));
        }
    }
    let limit = sessions.limit();
    post(&member, SOON, Feedback::Success(Stated::Nothing)).await;
    assert_eq!(sessions.limit(), limit, "one of them is not the full");
    let mut running = Vec::new();
    while running.len() < limit {
        running.push(member.granted(None).await);
    }
    tokio::time::advance(SOON).await;
    running.pop().unwrap().end(congestion());
    let cut = sessions.limit();
    assert!(cut < limit, "{cut} of {limit}");
    for session in running {
        session.end(congestion());
    }
    assert_eq!((sessions.limit(), sessions.running()), (cut, 0), "posted before the cut");
}

#[tokio::test(start_paused = true)]
async fn a_learned_rate_paces_starts_and_bounds_claims_and_says_why() {
    let (sessions, member) = adaptive(64, 20).await;
    let nothing = LearnedLimit {
        at_once: sessions.limit(),
        per_second: None,
        constraint: None,
        is_found: false,
        last_refusal: None,
    };
    assert_eq!(sessions.learned(), Some(nothing));
    assert_eq!(fixed(1).learned(), None);
    post(&member, SOON, congestion()).await;
    assert_eq!(sessions.learned().unwrap().constraint, None, "one that runs alone, refused once, is chance");
    post(&member, SOON, congestion()).await;
    let learned = sessions.learned().unwrap();
    let Some(per_second) = learned.per_second else { panic!("{learned:?}") };
    assert!((4.0..=6.0).contains(&per_second), "20 in 4 s: {learned:?}");
    let refusal = Refusal { reason: Reason::Throttled, retry_after: 3 * SOON };
    assert_eq!((learned.constraint, learned.last_refusal), (Some(Constraint::Rate), Some(refusal)));
    let began = Instant::now();
    for _ in 0..10 {
        member.granted(None).await.starts();
    }
    let took = began.elapsed().as_secs_f64();
    assert!(
        (8.0 / per_second..=11.0 / per_second).contains(&took),
        "{took} s for ten at {per_second} a second"
    );
    let claims = member.claim(64, None).await;
    assert!(
        f64::from(u32::try_from(claims.len()).unwrap()) <= per_second,
        "{} claimed at {per_second} a second",
        claims.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_known_limit_is_told_once_and_never_where_nothing_adapts() {
    for (sessions, lines) in [(adaptive(64, 20).await.0, 1), (fixed(64), 0)] {
        let (member, mut told) = (sessions.join(64), Vec::new());
        let success = Feedback::Success(Stated::Nothing);
        // What the first refusals leave doubles; the last one finds it.
        let feedbacks =
            [[congestion(); 2].as_slice(), &[success; 12], &[congestion()], &[success; 40]].concat();
        for feedback in feedbacks {
            tokio::time::advance(SOON / 100).await;
            let mut session = member.granted(None).await;
            session.starts();
            tokio::time::sleep(SOON).await;
            told.extend(session.end(feedback));
        }
        assert_eq!(told.len(), lines, "{told:?}");
        assert!(told.iter().all(|learned| learned.limited_by().is_some()), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_message_that_is_never_answered_teaches_nothing_and_others_beside_it_do() {
    let (sessions, member) = adaptive(64, 20).await;
    for _ in 0..5 {
        post(&member, SOON, Feedback::Unanswered(7)).await;
    }
    assert_eq!(sessions.learned().unwrap().constraint, None);
    post(&member, SOON, Feedback::Unanswered(8)).await;
    post(&member, SOON, Feedback::Unanswered(9)).await;
    assert!(sessions.learned().unwrap().constraint.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_closes_the_gate_teaches_nothing_more_until_it_opens() {
    let (sessions, member) = adaptive(64, 20).await;
    let (pause, reason) = (SOON, Reason::Throttled);
    sessions.gate_changed(Transition::Closed { reason, pause, by_probe: false });
    post(&member, SOON, congestion()).await;
    assert_eq!(sessions.learned().unwrap().constraint, None);
    sessions.gate_changed(Transition::Opened { after: SOON, outage: false });
    post(&member, SOON, congestion()).await;
    post(&member, SOON, congestion()).await;
    assert!(sessions.learned().unwrap().constraint.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_listener_has_no_more_sessions_than_its_own_cap_and_keeps_none_from_the_others() {
    let sessions = fixed(4);
    let (small, other) = (sessions.join(1), sessions.join(4));
    let first = small.granted(None).await;
    let mut second = Box::pin(small.granted(None));
    assert!(futures_pending(&mut second).await, "its cap is one");
    let others = [other.granted(None).await, other.granted(None).await, other.granted(None).await];
    drop(first);
    assert!(timeout(SOON, second).await.is_ok());
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_wait_for_their_listeners_cap_take_no_room_of_the_others() {
    let sessions = fixed(4);
    let (small, other) = (sessions.join(1), sessions.join(4));
    let running = small.granted(None).await;
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(small.granted(None))).collect();
    for wait in &mut waiting {
        assert!(futures_pending(wait).await);
    }
    assert_eq!(timeout(SOON, other.claim(10, None)).await.map(|claims| claims.len()), Ok(3));
    drop((running, waiting));
}

#[tokio::test(start_paused = true)]
async fn caps_that_change_while_posts_run_let_them_finish_and_hold_from_then_on() {
    let sessions = fixed(3);
    let member = sessions.join(3);
    let mut running =
        vec![member.granted(None).await, member.granted(None).await, member.granted(None).await];
    sessions.set_cap(1);
    let mut next = Box::pin(member.granted(None));
    for left in [2, 1] {
        drop(running.pop());
        assert!(futures_pending(&mut next).await, "{left} run");
        assert_eq!(sessions.running(), left);
    }
    drop(running.pop());
    let one = timeout(SOON, &mut next).await.unwrap();
    let mut next = Box::pin(member.granted(None));
    assert!(futures_pending(&mut next).await);
    sessions.set_cap(2);
    let two = timeout(SOON, next).await.unwrap();
    member.set_cap(1);
    let mut next = Box::pin(member.granted(None));
    drop(two);
    assert!(futures_pending(&mut next).await, "the listener's own cap holds as well");
    member.set_cap(2);
    assert!(timeout(SOON, next).await.is_ok());
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_leaves_frees_its_place_and_its_share() {
    let sessions = fixed(10);
    let (leaver, stayer) = (sessions.join(10), sessions.join(10));
    leaver.set_busy(true);
    stayer.set_busy(true);
    let claims = leaver.claim(10, None).await;
    let running = leaver.granted(None).await;
    assert_eq!((sessions.listeners(), stayer.fair_part()), (2, 5));
    leaver.leave();
    assert_eq!((sessions.listeners(), stayer.fair_part()), (1, 10));
    drop((claims, running));
    assert_eq!((sessions.running(), sessions.join(100).claim(64, None).await.len()), (0, 10));
    drop(leaver);
    assert_eq!(sessions.listeners(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cap_below_what_was_learned_cuts_it_and_a_higher_one_lets_it_grow() {
    let (sessions, member) = adaptive(64, 4).await;
    sessions.set_cap(1);
    assert_eq!((sessions.cap(), sessions.limit()), (1, 1));
    sessions.set_cap(64);
    for _ in 0..4 {
        post(&member, SOON / 10, Feedback::Success(Stated::Nothing)).await;
    }
    assert!(sessions.limit() > 1, "{}", sessions.limit());
}

/// Sessions started at a rate.
fn paced(per_second: u32, burst: u32) -> Arc<Sessions> {
    let burst = std::num::NonZeroU32::new(burst).unwrap();
    of(64, false, Some(Rate { interval: SOON / per_second, burst }))
}

#[tokio::test(start_paused = true)]
async fn posts_start_at_the_rate_in_the_order_in_which_they_waited() {
    let sessions = paced(2, 2);
    let (member, began) = (sessions.join(100), Instant::now());
    let mut starts = tokio::task::JoinSet::new();
    for number in 0..6 {
        let waits = sessions.join(100);
        starts.spawn(async move {
            waits.granted(None).await.starts();
            (number, began.elapsed().as_millis())
        });
    }
    let mut order = starts.join_all().await;
    order.sort_by_key(|(_, after)| *after);
    assert_eq!(order.iter().map(|(_, after)| *after).collect::<Vec<_>>(), [0, 0, 500, 1_000, 1_500, 2_000]);
    let mut last = member.granted(None).await;
    last.starts();
    assert_eq!(began.elapsed().as_millis(), 2_500);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_rate_leaves_no_gap_when_it_goes() {
    let sessions = paced(1, 1);
    let (member, began) = (sessions.join(100), Instant::now());
    member.granted(None).await.starts();
    let mut second = Box::pin(member.granted(None));
    let mut third = Box::pin(member.granted(None));
    assert!(futures_pending(&mut second).await && futures_pending(&mut third).await);
    drop(second);
    drop(third.await);
    assert_eq!(began.elapsed(), SOON);
    drop(member.granted(None).await);
    assert_eq!(began.elapsed(), SOON, "its POST had not started");
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_for_no_more_than_may_start_within_a_second() {
    let sessions = paced(7, 1);
    let member = sessions.join(100);
    let (mut first, second) = (member.claim(5, None).await, member.claim(5, None).await);
    assert_eq!((first.len(), second.len()), (5, 2));
    assert!(timeout(9 * SOON, member.claim(1, None)).await.is_err());
    member.granted(first.take()).await.starts();
    assert_eq!(member.claim(5, None).await.len(), 1);
    let slow = Rate { interval: 10 * SOON, burst: std::num::NonZeroU32::MIN };
    let slow = of(64, false, Some(slow)).join(100);
    assert_eq!(slow.claim(10, None).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_left_the_line_of_the_rate_keeps_no_room_from_a_claim() {
    let sessions = paced(2, 1);
    let (busy, leaves) = (sessions.join(100), sessions.join(100));
    busy.granted(None).await.starts();
    let mut waits: Vec<_> = (0..2).map(|_| Box::pin(leaves.granted(None))).collect();
    for wait in &mut waits {
        assert!(futures_pending(wait).await);
    }
    let mut claim = Box::pin(busy.claim(1, None));
    assert!(futures_pending(&mut claim).await);
    drop(waits);
    assert_eq!(timeout(SOON, claim).await.map(|claims| claims.len()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_granted_to_someone_who_left_goes_to_the_next() {
    let sessions = fixed(1);
    let member = sessions.join(100);
    let held = member.granted(None).await;
    let (mut first, mut second) = (Box::pin(member.granted(None)), Box::pin(member.granted(None)));
    assert!(futures_pending(&mut first).await && futures_pending(&mut second).await);
    drop(held);
    drop(first);
    let session = second.await;
    assert_eq!(sessions.running(), 1);
    drop(session);
    assert_eq!(sessions.running(), 0);
}
