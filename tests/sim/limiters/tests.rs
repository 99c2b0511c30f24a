//! The goals on a few cases; `cargo bench --bench limiters` has all of them.

use std::time::Duration;

use super::{Case, Change, Figures, Headers, Knows, Limiter, OF_ORACLE_LEAST, REFUSED_MOST, Refusal, run};

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

/// The same run without rate-limit headers, and with them.
fn without_and_with(limiter: Limiter, headers: Headers) -> (Figures, Figures) {
    let case = Case::new(limiter, Refusal::Bare, LATENCY, 1);
    (run(&case), run(&Case { headers, ..case }))
}

#[test]
fn headers_that_always_say_empty_cost_one_hold_at_most() {
    let hold = Duration::from_secs(60);
    let limiter = Limiter::Bucket { per_second: 50.0, burst: 50.0 };
    let (without, with) = without_and_with(limiter, Headers::Empty(hold));
    let sum = |figures: &Figures| f64::from(figures.seconds.iter().sum::<u32>());
    assert!(sum(&with) >= sum(&without) - 50.0 * hold.as_secs_f64(), "{} of {}", sum(&with), sum(&without));
}

#[test]
fn no_header_slows_an_endpoint_that_accepts() {
    let day = Duration::from_secs(86_400);
    let lasts = Duration::from_secs(30);
    let case = Case { lasts, ..Case::new(Limiter::AtOnce(64.0), Refusal::Bare, LATENCY, 1) };
    let (without, with) = (run(&case), run(&Case { headers: Headers::Empty(day), ..case }));
    assert!(without.refused <= 0.0, "{}", without.refused);
    assert_eq!(with, without);
}

#[test]
fn true_headers_let_a_window_be_used_to_the_full_for_about_one_refusal_each() {
    let fixed = |count, seconds| Limiter::Fixed { count, window: Duration::from_secs(seconds) };
    for (count, seconds, refused_most) in [(20.0, 10, 0.05), (100.0, 10, 0.02), (1_000.0, 60, 0.005)] {
        let (without, with) = without_and_with(fixed(count, seconds), Headers::True);
        let figures = [&without, &with].map(|figures| (figures.per_second, figures.refused));
        let of_window = with.per_second * seconds as f64 / count;
        assert!(of_window >= 0.98 && with.per_second > without.per_second, "{figures:?}");
        assert!(with.refused <= refused_most, "{figures:?}");
        assert_eq!(with.dead, 0);
    }
}

#[test]
fn a_bucket_that_is_emptied_at_once_is_found_to_be_a_rate() {
    let limiter = Limiter::Bucket { per_second: 50.0, burst: 50.0 };
    let figures = run(&Case::new(limiter, Refusal::Bare, Duration::from_millis(5), 1));
    assert!(figures.refused <= REFUSED_MOST, "{figures:?}");
}

/// Seconds from the first success after an outage until the endpoint is filled again; it takes 20 at once, 100 a second.
fn filled_after(from: u64, to: u64, refusal: Refusal) -> Option<u64> {
    let change = Change::Outage { from, to };
    let figures = run(&Case { change, ..Case::new(Limiter::AtOnce(20.0), refusal, LATENCY, 1) });
    let first = to + figures.seconds.iter().skip(to as usize).position(|successes| *successes > 0)? as u64;
    figures.follows(Duration::from_secs(first), OF_ORACLE_LEAST * 100.0)
}

/// "Too many" for some seconds may have been a window: what it took then is exceeded slowly.
#[test]
fn an_endpoint_that_recovers_is_filled_within_ten_seconds_or_thirty_whatever_it_had_taken_before() {
    for (refusal, most) in [(Refusal::Bare, 30), (Refusal::RetryAfter(3), 30), (Refusal::Unavailable, 10)] {
        // At the very first POST; after some forty; after some hundred; and long enough to know it.
        for (from, to) in [(0, 20), (1, 25), (2, 26), (60, 84)] {
            let after = filled_after(from, to, refusal);
            assert!(after.is_some_and(|after| after <= most), "{refusal:?} from {from} to {to}: {after:?}");
        }
    }
}
