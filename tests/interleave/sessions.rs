//! Sessions: never more than the cap, and one that comes free goes to whoever waits, also past one that has given up.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn;

use crate::limit::{Membership, Rate, Session, Sessions, Settings, Share};
use crate::tuning::Tuning;

fn settings(sessions: usize) -> Settings {
    Settings { sessions, divided: true, adaptive: false, rate: None, tuning: Tuning::default() }
}

fn of(sessions: usize) -> Arc<Sessions> {
    Sessions::new(&settings(sessions))
}

fn assert_all_free(sessions: &Sessions) {
    assert_eq!((sessions.running(), sessions.listeners()), (0, 0));
}

/// POSTs for as long as others may run; how many POSTed at once is counted apart from the code.
async fn post(session: Option<Session>, posts: &AtomicUsize, most: usize) {
    let session = session.expect("nobody stands by");
    assert!(posts.fetch_add(1, SeqCst) < most, "more than {most} at once");
    shuttle::future::yield_now().await;
    posts.fetch_sub(1, SeqCst);
    drop(session);
}

/// Three listeners share two sessions.
pub(crate) async fn posts_never_have_more_than_the_cap() {
    let (sessions, posts) = (of(2), Arc::new(AtomicUsize::new(0)));
    let listener = |member: Membership, posts: Arc<AtomicUsize>| async move {
        let two = async || post(member.start(None).await, &posts, 2).await;
        two().await;
        two().await;
    };
    let tasks: Vec<_> = (0..3).map(|_| spawn(listener(sessions.join(2), Arc::clone(&posts)))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_all_free(&sessions);
}

/// A listener with one worker has three deliveries, and the endpoint room for two.
pub(crate) async fn a_listener_never_has_more_than_its_own_cap() {
    let (sessions, posts) = (of(2), Arc::new(AtomicUsize::new(0)));
    let member = Arc::new(sessions.join(1));
    let delivery = |member: Arc<Membership>, posts: Arc<AtomicUsize>| async move {
        post(member.start(None).await, &posts, 1).await;
    };
    let task = |_| spawn(delivery(Arc::clone(&member), Arc::clone(&posts)));
    let tasks: Vec<_> = (0..3).map(task).collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(member);
    assert_all_free(&sessions);
}

/// What starts after the cap was lowered runs alone.
pub(crate) async fn a_cap_that_shrinks_holds_from_then_on() {
    let (sessions, posts, shrunk) = (of(2), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let listener = |member: Membership, posts: Arc<AtomicUsize>, shrunk: Arc<AtomicBool>| async move {
        for _ in 0..2 {
            let most = if shrunk.load(SeqCst) { 1 } else { 2 };
            post(member.start(None).await, &posts, most).await;
        }
    };
    let task = |_| spawn(listener(sessions.join(2), Arc::clone(&posts), Arc::clone(&shrunk)));
    let tasks: Vec<_> = (0..2).map(task).collect();
    sessions.set_cap(1);
    shrunk.store(true, SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    assert_all_free(&sessions);
}

/// The only session runs for as long as another waits; nothing but a higher cap lets that start.
pub(crate) async fn a_cap_that_grows_lets_who_waits_start() {
    let sessions = of(1);
    let held = sessions.join(1);
    let runs = held.start(None).await;
    let waiter = |member: Membership| async move { drop(member.start(None).await) };
    let waiters: Vec<_> = (0..2).map(|_| spawn(waiter(sessions.join(1)))).collect();
    let grows = Arc::clone(&sessions);
    let grows = spawn(async move { grows.set_cap(2) });
    for waiter in waiters {
        waiter.await.unwrap();
    }
    grows.await.unwrap();
    drop((runs, held));
    assert_all_free(&sessions);
}

/// One that waits gives up at any point, also with a session just granted.
pub(crate) async fn who_gives_up_takes_no_session_along() {
    let sessions = of(1);
    let (give_up, given_up) = oneshot::channel::<()>();
    let held = sessions.join(1);
    let session = held.start(None).await;
    let (one, other) = (sessions.join(1), sessions.join(1));
    let gives_up = spawn(async move {
        tokio::select! {
            biased;
            _ = given_up => {}
            session = one.start(None) => drop(session),
        }
    });
    let waits = spawn(async move { drop(other.start(None).await) });
    let frees = spawn(async move { drop(session) });
    give_up.send(()).ok();
    for task in [gives_up, waits, frees] {
        task.await.unwrap();
    }
    drop(held);
    assert_all_free(&sessions);
}

/// Room comes free while two receives of a listener wait for it, and the first gives up. The listener runs on its fair part:
/// with less it would not wait.
pub(crate) async fn who_waits_for_room_gets_it_past_one_that_gives_up() {
    let sessions = of(1);
    let (give_up, given_up) = oneshot::channel::<()>();
    let one = Arc::new(sessions.join(1));
    let session = one.start(None).await;
    let other = Arc::clone(&one);
    let gives_up = spawn(async move {
        tokio::select! {
            biased;
            _ = given_up => {}
            claim = one.claim(1, None) => drop(claim),
        }
    });
    let waits = spawn(async move {
        let claim = other.claim(1, None).await;
        drop(other.start(Some(claim)).await);
    });
    let frees = spawn(async move { drop(session) });
    give_up.send(()).ok();
    for task in [gives_up, waits, frees] {
        task.await.unwrap();
    }
    assert_all_free(&sessions);
}

/// Of those that wait for the rate one waits for the time of the next start. When it gives up another has to.
pub(crate) async fn who_waits_for_the_rate_starts_past_one_that_gives_up() {
    let rate = Rate { interval: Duration::from_secs(1), burst: NonZeroU32::MIN };
    let sessions = Sessions::new(&Settings { rate: Some(rate), ..settings(3) });
    let (give_up, given_up) = oneshot::channel::<()>();
    let [first, one, other] = [(); 3].map(|()| sessions.join(1));
    let mut session = first.start(None).await.unwrap();
    session.starts();
    let gives_up = spawn(async move {
        tokio::select! {
            biased;
            _ = given_up => {}
            session = one.start(None) => drop(session),
        }
    });
    let waits = spawn(async move { drop(other.start(None).await) });
    let time = spawn(tokio::time::flow());
    give_up.send(()).ok();
    for task in [gives_up, waits] {
        task.await.unwrap();
    }
    time.abort();
    drop((session, first));
    assert_all_free(&sessions);
}

/// Two deliveries of a listener wait when it begins to stand by: both are told, and none starts from then on.
pub(crate) async fn a_listener_that_stands_by_sends_everybody_away() {
    let sessions = of(1);
    let held = sessions.join(1);
    let session = held.start(None).await;
    let member = Arc::new(sessions.join(2));
    let delivery = |member: Arc<Membership>| async move { member.start(None).await.is_some() };
    let deliveries: Vec<_> = (0..2).map(|_| spawn(delivery(Arc::clone(&member)))).collect();
    member.set_cap(0);
    for delivery in deliveries {
        assert!(!delivery.await.unwrap(), "nothing was free before");
    }
    drop((session, held, member));
    assert_all_free(&sessions);
}

/// The process has no share for a moment: whoever waits then starts when it has one again.
pub(crate) async fn a_share_that_comes_back_lets_who_waits_start() {
    let sessions = of(1);
    let listener = |member: Membership| async move {
        for _ in 0..2 {
            assert!(member.start(None).await.is_some(), "the listener does not stand by");
        }
    };
    let tasks: Vec<_> = (0..2).map(|_| spawn(listener(sessions.join(1)))).collect();
    sessions.set_share(Share::NONE);
    sessions.set_share(Share::WHOLE);
    for task in tasks {
        task.await.unwrap();
    }
    assert_all_free(&sessions);
}
