//! Who follows a fleet, with answers from a list and on paused time.

use std::sync::{Arc, Mutex};

use super::*;

/// Answers from a list, the last one again and again.
struct Script {
    answers: Mutex<Vec<Option<(u16, u64)>>>,
    looks: Arc<Mutex<Vec<Instant>>>,
}

fn member(number: u16) -> Member {
    SocketAddr::from(([10, 0, 0, 1], number))
}

impl Names for Script {
    fn name(&self) -> &'static str {
        "queuepost.test"
    }

    fn look(&self) -> BoxFuture<'_, Result<Found, LookError>> {
        self.looks.lock().unwrap().push(Instant::now());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Box::pin(async move {
            let Some((count, valid)) = answer else { return std::future::pending().await };
            let valid_for = Duration::from_secs(valid);
            Ok(Found { members: (1..=count).map(member).collect(), own: member(1), valid_for })
        })
    }
}

/// Follows these answers (processes, and for how many seconds they are valid; `None`: none comes) for so long: the looks
/// in seconds, and the share of 60 half a second after each second.
async fn follows(answers: &[Option<(u16, u64)>], seconds: u64) -> (Vec<u64>, Vec<usize>) {
    let looks = Arc::default();
    let script = Script { answers: Mutex::new(answers.to_vec()), looks: Arc::clone(&looks) };
    let (sender, standing) = watch::channel(Standing::Alone);
    let began = Instant::now();
    let mut shares = Vec::new();
    let watching = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for _ in 0..seconds {
            shares.push(standing.borrow().share("api").of(60));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = follow(script, sender) => unreachable!(),
        () = watching => {}
    }
    let looks = looks.lock().unwrap().iter().map(|at| (*at - began).as_secs()).collect();
    (looks, shares)
}

#[tokio::test(start_paused = true)]
async fn it_looks_every_five_seconds_and_a_newcomer_takes_its_share_after_two_more_looks_that_agree() {
    let (looks, shares) = follows(&[Some((2, 5))], 21).await;
    assert_eq!(looks, [0, 5, 10, 15, 20]);
    assert_eq!(shares.iter().position(|share| *share == 30), Some(10), "{shares:?}");
    assert!(shares[..9].iter().all(|share| *share == 0), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_are_valid_for_longer_are_looked_at_less_often_and_held_longer() {
    let (looks, shares) = follows(&[Some((2, 20))], 61).await;
    assert_eq!(looks, [0, 20, 40, 60]);
    assert_eq!(shares.iter().position(|share| *share == 30), Some(40), "{shares:?}");
    let (looks, _) = follows(&[Some((2, 86_400))], 130).await;
    assert_eq!(looks, [0, 60, 120], "an hour old would be too old");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_asked_for_again_and_the_share_is_halved_after_a_minute() {
    let (looks, shares) = follows(&[Some((1, 5)), Some((1, 5)), Some((1, 5)), None], 90).await;
    assert_eq!(looks[..6], [0, 5, 10, 15, 19, 23]);
    // Seen at 10 s for the last time; the look of that moment ends first.
    assert_eq!((shares[11], shares[68], shares[74]), (60, 60, 30), "{shares:?}");
}
