//! Random lives of whole processes, from seeds: faults of SQS, outages, drains, deaths, several processes, FIFO.
//!
//! A [`plan::Plan`] says what happens, a [`watch::Watch`] sees every receive, POST and settlement and knows the
//! promises. The same seed gives the same life. `QUEUEPOST_SEEDS=1000000` runs so many seeds, `QUEUEPOST_SEED=7`
//! runs one and prints what happened.

mod life;
mod plan;
mod watch;
mod watched;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What a seed led to, in one line that replays it.
fn replay(seed: u64, why: &str) -> String {
    format!("QUEUEPOST_SEED={seed} cargo test --test it sim::seeds -- --nocapture   # {why}")
}

fn run(seed: u64, tell: bool) -> Result<String, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let plan = plan::Plan::from_seed(seed);
    if tell {
        eprintln!("{plan:#?}");
    }
    let lived =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(life::live(&plan))));
    match lived {
        Ok(Ok(trace)) => {
            if tell {
                eprintln!("{trace}");
            }
            Ok(trace)
        }
        Ok(Err((why, trace))) => {
            if tell {
                eprintln!("{trace}");
            }
            Err(why)
        }
        Err(_) => Err("a panic".to_owned()),
    }
}

#[test]
fn every_promise_holds_in_every_seed() {
    if let Some(seed) = number("QUEUEPOST_SEED") {
        run(seed, true).unwrap_or_else(|why| panic!("{}", replay(seed, &why)));
        return;
    }
    let (next, seeds) = (AtomicU64::new(0), number("QUEUEPOST_SEEDS").unwrap_or(SEEDS));
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || broken.lock().unwrap().len() >= 10 {
                        return;
                    }
                    if let Err(why) = run(seed, false) {
                        broken.lock().unwrap().push(replay(seed, &why));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "promises were broken:\n{}", broken.join("\n"));
}

#[test]
fn the_same_seed_lives_the_same_life() {
    for seed in 0..20 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
