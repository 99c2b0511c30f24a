//! The goals on a few cases; `cargo bench --bench limiters` has all of them.

use std::time::Duration;

use super::{Case, Figures, Knows, Limiter, OF_ORACLE_LEAST, REFUSED_MOST, Refusal, run};

const LATENCY: Duration = Duration::from_millis(200);

/// Ours, and the oracle's.
fn both(limiter: Limiter, refusal: Refusal, lasts: u64) -> (Figures, Figures) {
    let case = Case { lasts: Duration::from_secs(lasts), ..Case::new(limiter, refusal, LATENCY, 1) };
    (run(&case), run(&Case { knows: Knows::Everybody, ..case }))
}

#[track_caller]
fn assert_goals_hold((ours, oracle): &(Figures, Figures)) {
    let shown = |figures: &Figures| (figures.per_second, figures.refused, figures.dead);
    let words = format!("{:?}, oracle {:?}", shown(ours), shown(oracle));
    assert!(ours.per_second >= OF_ORACLE_LEAST * oracle.per_second, "{words}");
    assert!(ours.refused <= oracle.refused + REFUSED_MOST, "{words}");
    assert_eq!(ours.dead, 0, "{words}");
}

#[test]
fn a_rate_with_a_burst_is_used_and_rarely_overrun() {
    for per_second in [5.0, 50.0] {
        let limiter = Limiter::Bucket { per_second, burst: per_second };
        assert_goals_hold(&both(limiter, Refusal::Bare, 300));
    }
}

#[test]
fn a_cap_on_posts_at_once_is_used_and_rarely_overrun() {
    assert_goals_hold(&both(Limiter::AtOnce(20.0), Refusal::Bare, 200));
}

#[test]
fn a_window_is_used() {
    let limiter = Limiter::Fixed { count: 100.0, window: Duration::from_secs(10) };
    let (ours, oracle) = both(limiter, Refusal::Bare, 300);
    assert!(ours.per_second >= 0.8 * oracle.per_second, "{} of {}", ours.per_second, oracle.per_second);
    assert!(ours.refused <= 0.1, "{}", ours.refused);
    assert_eq!(ours.dead, 0);
}

#[test]
fn a_retry_after_at_a_rate_of_five_a_second_does_not_stop_everything() {
    let limiter = Limiter::Bucket { per_second: 5.0, burst: 5.0 };
    assert_goals_hold(&both(limiter, Refusal::RetryAfter(3), 300));
}
