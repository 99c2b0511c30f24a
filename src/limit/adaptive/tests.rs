//! How the two limits move, answer by answer.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The limit of an endpoint with a clock of its own.
struct Bench {
    adaptive: Adaptive,
    now: Instant,
}

impl Bench {
    fn new(cap: usize) -> Self {
        let now = Instant::now();
        Self { adaptive: Adaptive::new(cap, &Learned::default(), now), now }
    }

    /// As many POSTs as may run at once, 0.2 s long, each started as another ended; the endpoint takes so many.
    fn round(&mut self, takes: usize) {
        let at_once = self.adaptive.at_once();
        let starts: Vec<Start> =
            (0..at_once).map(|_| self.adaptive.started(self.now, at_once, false)).collect();
        self.now += SECOND / 200;
        for start in starts.iter().skip(takes) {
            self.adaptive.refused(*start, Refused::TooMany, self.now);
        }
        self.now += SECOND / 5;
        for start in starts.iter().take(takes) {
            self.adaptive.succeeded(*start, self.now);
        }
    }

    /// One POST of 0.2 s that waited for the rate, alone.
    fn paced(&mut self, is_taken: bool) {
        let start = self.adaptive.started(self.now, 1, true);
        if is_taken {
            self.adaptive.succeeded(start, self.now + SECOND / 5);
        } else {
            self.adaptive.refused(start, Refused::TooMany, self.now + SECOND / 200);
        }
        self.now +=
            self.adaptive.per_second().map_or(SECOND / 20, |rate| SECOND.div_f64(rate)).max(SECOND / 20);
    }

    fn per_second(&self) -> f64 {
        self.adaptive.per_second().unwrap_or(f64::INFINITY)
    }
}

/// A limit of an endpoint that takes five a second: one that runs alone is refused.
fn of_five_a_second() -> Bench {
    let mut bench = Bench::new(64);
    let mut second = Instant::now();
    let mut left = 5;
    for _ in 0..2_000 {
        if bench.now >= second + SECOND {
            (second, left) = (bench.now, 5);
        }
        bench.paced(left > 0);
        left -= usize::from(left > 0);
    }
    bench
}

#[tokio::test]
async fn a_new_limit_starts_with_one_and_doubles_with_each_round_of_successes() {
    let mut bench = Bench::new(64);
    assert_eq!((bench.adaptive.at_once(), bench.adaptive.pace()), (1, None));
    for _ in 0..16 {
        bench.round(64);
    }
    assert_eq!((bench.adaptive.at_once(), bench.adaptive.per_second()), (64, None));
    assert_eq!(bench.adaptive.constraint(), None);
    assert_eq!(Bench::new(0).adaptive.at_once(), 1);
}

#[tokio::test]
async fn a_limit_that_is_not_used_to_the_full_does_not_grow() {
    let mut bench = Bench::new(64);
    bench.round(64);
    bench.round(64);
    let at_once = bench.adaptive.at_once();
    assert_eq!(at_once, 2);
    for _ in 0..1_000 {
        let start = bench.adaptive.started(bench.now, 1, false);
        bench.now += SECOND / 5;
        bench.adaptive.succeeded(start, bench.now);
    }
    assert_eq!(bench.adaptive.at_once(), at_once);
}

#[tokio::test]
async fn starts_are_spread_while_no_rate_is_known_and_never_by_more_than_five_seconds() {
    let mut bench = Bench::new(64);
    for _ in 0..16 {
        bench.round(64);
    }
    let pace = bench.adaptive.pace().unwrap();
    assert!((500.0..800.0).contains(&pace), "twice what 64 of 0.2 s do: {pace}");
    let mut bench = Bench::new(64);
    let start = bench.adaptive.started(bench.now, 1, false);
    bench.adaptive.succeeded(start, bench.now + 400 * SECOND);
    assert_eq!(bench.adaptive.pace(), Some(0.2));
}

#[tokio::test]
async fn a_cap_on_posts_at_once_is_found() {
    let mut bench = Bench::new(64);
    for _ in 0..200 {
        bench.round(20);
    }
    let at_once = bench.adaptive.at_once();
    assert!((17..=21).contains(&at_once), "{at_once} for 20");
    assert_eq!(bench.adaptive.constraint(), Some(Constraint::Concurrency));
}

#[tokio::test]
async fn a_rate_is_found_and_no_cap_on_posts_at_once() {
    let bench = of_five_a_second();
    assert!((4.0..=6.0).contains(&bench.per_second()), "{:?}", bench.adaptive);
    assert_eq!(bench.adaptive.constraint(), Some(Constraint::Rate));
}

#[tokio::test]
async fn what_was_posted_before_a_cut_cuts_nothing() {
    let mut bench = of_five_a_second();
    for _ in 0..30 {
        bench.paced(true);
    }
    let starts = [1, 2, 3, 4].map(|running| {
        bench.now += SECOND / 5;
        bench.adaptive.started(bench.now, running, true)
    });
    bench.now += SECOND;
    let before = bench.per_second();
    bench.adaptive.refused(starts[0], Refused::TooMany, bench.now);
    let cut = bench.per_second();
    assert!(cut < before, "{cut} of {before}");
    for start in &starts[1..] {
        bench.adaptive.refused(*start, Refused::TooMany, bench.now + SECOND);
    }
    assert!((bench.per_second() - cut).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_outage_leaves_one_cut_and_refusals_at_a_closed_gate_none() {
    let mut bench = of_five_a_second();
    let before = bench.per_second();
    bench.now += 10 * SECOND;
    for _ in 0..7 {
        bench.paced(false);
        bench.now += SECOND;
    }
    assert!(bench.per_second() < before, "{} of {before}", bench.per_second());
    bench.adaptive.gate_closed(bench.now);
    let cut = bench.per_second();
    assert!(cut > before * 0.8, "{cut} of {before}");
    for _ in 0..7 {
        bench.paced(false);
        bench.now += SECOND;
    }
    bench.adaptive.gate_opened(bench.now);
    assert!((bench.per_second() - cut).abs() < f64::EPSILON);
}

/// A hundred are taken at once, then nothing until ten seconds are over. A probe a second before the end is refused, if any is.
fn window(bench: &mut Bench, is_probed: bool) {
    let opened = bench.now;
    for _ in 0..100 {
        let start = bench.adaptive.started(bench.now, 1, false);
        bench.now += SECOND / 100;
        bench.adaptive.succeeded(start, bench.now);
    }
    bench.adaptive.gate_closed(bench.now);
    if is_probed {
        bench.adaptive.probe_refused(opened + 9 * SECOND);
    }
    bench.now = opened + 10 * SECOND;
    bench.adaptive.gate_opened(bench.now);
}

#[tokio::test]
async fn a_window_is_found_from_what_is_taken_between_two_openings_of_the_gate() {
    let mut bench = Bench::new(64);
    bench.adaptive.gate_opened(bench.now);
    window(&mut bench, false);
    assert_eq!(bench.adaptive.per_second(), None, "an outage that the first probe ends is no window");
    window(&mut bench, true);
    assert!((11.0..=11.2).contains(&bench.per_second()), "{:?}", bench.adaptive);
    assert!(!bench.adaptive.rate.is_found(), "it may have been an outage: it doubles");
    window(&mut bench, true);
    assert!((9.0..=10.0).contains(&bench.per_second()), "{:?}", bench.adaptive);
    assert!(bench.adaptive.rate.is_found());
    assert_eq!(bench.adaptive.constraint(), Some(Constraint::Rate));
}

#[tokio::test]
async fn a_known_rate_is_kept_to_that_of_windows_though_each_first_probe_is_accepted() {
    let mut bench = Bench::new(64);
    bench.adaptive.gate_opened(bench.now);
    window(&mut bench, true);
    for _ in 0..60 {
        let (end, mut left, mut row) = (bench.now + 10 * SECOND, 100, 0);
        while bench.now < end && row < 2 {
            bench.paced(left > 0);
            row = if left > 0 { 0 } else { row + 1 };
            left = std::cmp::max(left - 1, 0);
        }
        if row == 2 {
            bench.adaptive.gate_closed(bench.now);
            bench.now = end;
            bench.adaptive.gate_opened(bench.now);
        }
    }
    assert!((8.5..12.0).contains(&bench.per_second()), "{:?}", bench.adaptive);
}

/// So many run at once, a tenth of a second apart, then one more, which is refused; it started `apart` after the one before.
fn one_more_is_refused(more: usize, apart: Duration) -> Bench {
    let mut bench = Bench::new(64);
    while bench.adaptive.at_once() < more {
        let start = bench.adaptive.started(bench.now, bench.adaptive.at_once(), false);
        bench.now += SECOND / 10;
        bench.adaptive.succeeded(start, start.at + SECOND / 5);
    }
    bench.now += apart;
    let start = bench.adaptive.started(bench.now - SECOND / 10, more, false);
    bench.now += SECOND;
    bench.adaptive.refused(start, Refused::TooMany, bench.now);
    bench
}

#[tokio::test]
async fn one_more_and_closer_may_be_too_fast_if_it_is_the_second_or_one_of_many() {
    let closer = |more| {
        let bench = one_more_is_refused(more, SECOND / 20);
        (bench.adaptive.at_once(), bench.adaptive.per_second().map(f64::round))
    };
    assert_eq!(closer(2), (1, Some(10.0)));
    assert_eq!(closer(4), (2, None), "processes that begin together meet each other");
    assert_eq!(closer(16), (15, Some(10.0)));
    assert_eq!(one_more_is_refused(16, SECOND / 10).adaptive.per_second(), None, "it was no closer");
}

#[tokio::test]
async fn where_one_at_once_is_known_a_gate_that_opens_ends_no_window() {
    let mut bench = one_more_is_refused(2, SECOND / 10);
    assert_eq!((bench.adaptive.at_once(), bench.adaptive.per_second()), (1, None));
    bench.adaptive.gate_opened(bench.now);
    window(&mut bench, true);
    assert_eq!(bench.adaptive.per_second(), None, "the POSTs of others closed it");
}

#[tokio::test]
async fn a_rate_that_is_doubled_is_found_within_two_minutes() {
    let mut bench = of_five_a_second();
    let raised = bench.now;
    while bench.per_second() < 9.0 {
        bench.adaptive.epoch.cut_at = None;
        bench.paced(true);
        assert!(bench.now < raised + 120 * SECOND, "{:?}", bench.adaptive);
    }
}

#[tokio::test]
async fn overload_that_does_not_fall_with_the_load_is_a_random_fault_and_429_leaves_few_at_once() {
    let after_faults = |how| {
        let (mut bench, mut sum) = (Bench::new(64), 0.0);
        for number in 0..5_000 {
            let running = 1 + number % bench.adaptive.at_once();
            let start = bench.adaptive.started(bench.now, running, true);
            bench.now += SECOND.div_f64(bench.adaptive.pace().unwrap_or(20.0)).max(SECOND / 1_000);
            let done = start.at + SECOND / 5;
            if number % 10 == 9 {
                bench.adaptive.refused(start, how, done);
            } else {
                bench.adaptive.succeeded(start, done);
            }
            // POSTs of 0.2 s, so many at once.
            sum += bench.per_second().min(5.0 * float(bench.adaptive.at_once()));
        }
        (bench.adaptive.pace(), sum / 5_000.0)
    };
    let (faults, refusals) = (after_faults(Refused::Overloaded), after_faults(Refused::TooMany));
    assert!(faults.0 > Some(100.0) && faults.1 > 40.0, "{faults:?}");
    assert!(refusals.1 < 10.0, "{refusals:?}");
}

#[tokio::test]
async fn what_was_learned_survives_an_idle_minute_and_is_forgotten_after_an_hour() {
    let mut bench = of_five_a_second();
    let known = bench.per_second();
    bench.now += 60 * SECOND;
    let _ = bench.adaptive.started(bench.now, 1, false);
    assert!((bench.per_second() - known).abs() < f64::EPSILON);
    bench.now += 3_600 * SECOND;
    let _ = bench.adaptive.started(bench.now, 1, false);
    assert_eq!((bench.adaptive.per_second(), bench.adaptive.at_once()), (None, 1));
}

#[tokio::test]
async fn a_cap_that_is_lowered_holds_at_once_and_one_that_is_raised_leaves_what_was_learned() {
    let mut bench = Bench::new(64);
    for _ in 0..16 {
        bench.round(64);
    }
    bench.adaptive.set_cap(2);
    assert_eq!(bench.adaptive.at_once(), 2);
    bench.adaptive.set_cap(64);
    assert_eq!(bench.adaptive.at_once(), 2);
    bench.round(64);
    assert!(bench.adaptive.at_once() > 2);
}
