//! What rate-limit headers are good for: to start nothing while the endpoint would refuse it.
//!
//! A header that states an empty quota is a *claim*: nothing is taken until the reset. Anybody can write headers, so
//! answers decide what a claim is worth:
//!
//! - A refusal under a claim proves it. Starts are held back until the reset, at most for two minutes per refusal.
//! - An acceptance disproves it, if its POST began after the claim and ended before the reset. The hold ends, and headers
//!   are ignored for an hour.
//! - A claim that was proved earns credit: 0, 1, 3, then 7 later claims are held without a refusal of their own. A counter
//!   has to have moved in between. So right headers save most refusals, and each next proof is due after eight windows.
//!
//! Without refusals nothing is ever held. After the last refusal eight holds remain at most, sixteen minutes in all. A
//! constant that says "empty" costs one hold. No header raises a limit.
//!
//! Several processes that share a quota need nothing else: each sees the common counter, or is refused. A quota per replica
//! or per path is disproved by what the others accept. A sliding window refills before its reset, so it is disproved too.
//!
//! Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::tuning::Quota;

/// Longest time for which a claim stands: what lies further ahead is no rate limit.
const CLAIM_MAX: Duration = Duration::from_secs(24 * 3600);

/// What the rate-limit headers of one answer state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stated {
    /// There are none.
    #[default]
    Nothing,
    /// Some requests are left.
    Left,
    /// None is left.
    Empty {
        /// Time from the answer to the reset.
        resets_in: Duration,
    },
}

/// What an endpoint's rate-limit headers say, and how far its answers have agreed.
#[derive(Debug, Clone)]
pub struct QuotaHint {
    numbers: Quota,
    claim: Option<Claim>,
    /// Whether a header has said since the last claim that something is left.
    moved: bool,
    /// Claims that are held without a refusal of their own.
    credit: u32,
    /// Credit that the next proof gives.
    earns: u32,
    ignored_until: Option<Instant>,
}

/// An endpoint's statement that it takes nothing.
#[derive(Debug, Clone, Copy)]
struct Claim {
    said_at: Instant,
    resets_at: Instant,
    is_proved: bool,
    held_until: Option<Instant>,
}

impl QuotaHint {
    /// Knows nothing yet.
    pub fn new(numbers: Quota) -> Self {
        Self { numbers, claim: None, moved: false, credit: 0, earns: 0, ignored_until: None }
    }

    /// Until when no POST may start; `None` if one may start now.
    pub fn not_before(&self, now: Instant) -> Option<Instant> {
        self.claim?.held_until.filter(|until| *until > now)
    }

    /// The endpoint took a POST that began at `began`.
    pub fn accepted(&mut self, began: Instant, stated: Stated, now: Instant) {
        if self.is_ignoring(now) {
            return;
        }
        if let Some(claim) = self.claim.filter(|claim| began > claim.said_at) {
            if now + self.numbers.slack < claim.resets_at {
                let ignored_until = Some(now + self.numbers.ignored_for);
                *self = Self { ignored_until, ..Self::new(self.numbers) };
                return;
            }
            self.claim = None;
        }
        match stated {
            Stated::Nothing => {}
            Stated::Left => self.moved = true,
            Stated::Empty { resets_in } => {
                if !self.is_claimed(now) {
                    self.claim_on_credit(resets_in, now);
                }
            }
        }
    }

    /// The endpoint refused a POST that began at `began`, because it has too much to do.
    pub fn refused(&mut self, began: Instant, stated: Stated, now: Instant) {
        if self.is_ignoring(now) {
            return;
        }
        let began_after = self.claim.is_some_and(|claim| began > claim.said_at);
        match stated {
            Stated::Nothing if began_after && self.is_claimed(now) => self.prove(now),
            Stated::Nothing => {}
            Stated::Left => {
                self.moved = true;
                if began_after {
                    self.claim = None;
                }
            }
            Stated::Empty { resets_in } => {
                let resets_at = now + resets_in.min(CLAIM_MAX);
                match &mut self.claim {
                    Some(claim) if now < claim.resets_at => claim.resets_at = resets_at,
                    _ => self.claim(resets_at, now),
                }
                self.prove(now);
            }
        }
    }

    fn is_ignoring(&self, now: Instant) -> bool {
        self.ignored_until.is_some_and(|until| now < until)
    }

    fn is_claimed(&self, now: Instant) -> bool {
        self.claim.is_some_and(|claim| now < claim.resets_at)
    }

    fn claim(&mut self, resets_at: Instant, now: Instant) {
        self.claim = Some(Claim { said_at: now, resets_at, is_proved: false, held_until: None });
        self.moved = false;
    }

    /// A new claim, which no refusal has proved yet.
    fn claim_on_credit(&mut self, resets_in: Duration, now: Instant) {
        let moved = self.moved;
        self.claim(now + resets_in.min(CLAIM_MAX), now);
        if moved && self.credit > 0 {
            self.credit -= 1;
            self.hold(now);
        }
    }

    /// A refusal has agreed with the claim.
    fn prove(&mut self, now: Instant) {
        self.hold(now);
        let Some(claim) = self.claim.as_mut().filter(|claim| !claim.is_proved) else { return };
        claim.is_proved = true;
        self.credit = self.earns;
        self.earns = self.earns.saturating_mul(2).saturating_add(1).min(self.numbers.credit_max);
    }

    fn hold(&mut self, now: Instant) {
        if let Some(claim) = &mut self.claim {
            claim.held_until = Some(claim.resets_at.min(now + self.numbers.hold_max));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::policy;

    const EMPTY: Stated = Stated::Empty { resets_in: Duration::from_secs(30) };

    /// A hint and the time, in milliseconds from its beginning.
    struct Run {
        hint: QuotaHint,
        start: Instant,
    }

    impl Run {
        fn new() -> Self {
            Self { hint: QuotaHint::new(Quota::default()), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn accepted(&mut self, began: u64, stated: Stated, now: u64) {
            self.hint.accepted(self.at(began), stated, self.at(now));
        }

        fn refused(&mut self, began: u64, stated: Stated, now: u64) {
            self.hint.refused(self.at(began), stated, self.at(now));
        }

        /// For how long a start at that time is held back.
        fn held(&self, now: u64) -> u64 {
            let not_before = self.hint.not_before(self.at(now));
            not_before.map_or(0, |until| (until - self.at(now)).as_millis().try_into().unwrap())
        }

        /// A claim, and a refusal that agrees, at `now`; then one request is taken after the reset.
        fn proved(&mut self, now: u64) {
            self.accepted(now - 1, EMPTY, now);
            self.refused(now + 1, EMPTY, now + 1_000);
            self.accepted(now + 31_001, Stated::Left, now + 31_002);
        }
    }

    #[test]
    fn starts_are_held_back_once_a_refusal_agrees_until_the_reset() {
        let mut run = Run::new();
        run.accepted(0, EMPTY, 1_000);
        assert_eq!(run.held(1_000), 0, "nothing has agreed yet");
        run.refused(1_001, Stated::Nothing, 2_000);
        assert_eq!(run.held(2_000), 29_000);
        assert_eq!(run.held(31_000), 0);
        let mut run = Run::new();
        run.refused(0, EMPTY, 1_000);
        assert_eq!(run.held(1_000), 30_000, "the refusal says so itself");
    }

    #[test]
    fn a_refusal_that_says_nothing_of_an_empty_quota_holds_nothing() {
        let mut run = Run::new();
        run.refused(0, Stated::Nothing, 1_000);
        run.refused(0, Stated::Left, 1_000);
        run.accepted(0, EMPTY, 2_000);
        run.refused(1_000, Stated::Nothing, 3_000);
        assert_eq!(run.held(3_000), 0, "it began before the claim");
        run.refused(4_000, Stated::Left, 5_000);
        run.refused(6_000, Stated::Nothing, 7_000);
        assert_eq!(run.held(7_000), 0, "the claim was withdrawn");
    }

    #[test]
    fn a_reset_far_ahead_holds_for_two_minutes_per_refusal() {
        let mut run = Run::new();
        run.refused(0, Stated::Empty { resets_in: Duration::MAX }, 1_000);
        assert_eq!(run.held(1_000), 120_000);
        run.refused(121_001, Stated::Nothing, 122_000);
        assert_eq!(run.held(122_000), 120_000);
    }

    #[test]
    fn an_acceptance_disproves_the_claim_and_headers_are_ignored_for_an_hour() {
        let mut run = Run::new();
        run.accepted(0, EMPTY, 1_000);
        run.refused(500, EMPTY, 1_500);
        assert_eq!(run.held(2_000), 29_500);
        run.accepted(900, Stated::Nothing, 2_000);
        assert_eq!(run.held(2_000), 29_500, "taken before the claim");
        run.accepted(1_100, Stated::Nothing, 2_000);
        assert_eq!(run.held(2_000), 0);
        run.refused(3_000, EMPTY, 3_601_999);
        assert_eq!(run.held(3_601_999), 0);
        run.refused(3_000, EMPTY, 3_602_000);
        assert_eq!(run.held(3_602_000), 30_000);
    }

    #[test]
    fn an_acceptance_at_the_reset_disproves_nothing() {
        let mut run = Run::new();
        run.accepted(0, EMPTY, 1_000);
        run.accepted(1_500, EMPTY, 30_000);
        run.refused(30_001, EMPTY, 30_500);
        assert_eq!(run.held(30_500), 30_000);
    }

    #[test]
    fn claims_that_were_proved_earn_credit_for_later_ones() {
        let (mut run, mut now, mut held) = (Run::new(), 1_000, Vec::new());
        for _ in 0..5 {
            run.proved(now);
            now += 40_000;
            let mut count = 0;
            loop {
                run.accepted(now - 2, Stated::Left, now - 1);
                run.accepted(now - 1, EMPTY, now);
                if run.held(now) == 0 {
                    break;
                }
                assert_eq!(run.held(now), 30_000);
                count += 1;
                now += 40_000;
            }
            held.push(count);
        }
        assert_eq!(held, [0, 1, 3, 7, 7]);
    }

    #[test]
    fn a_header_that_always_says_empty_costs_one_hold_an_hour_at_worst() {
        let (mut run, mut now, mut holds) = (Run::new(), 1_000, 0);
        for _ in 0..20_000 {
            let wait = run.held(now);
            (now, holds) = (now + wait, holds + u64::from(wait > 0));
            // The worst moment: nothing is known of the headers.
            if !run.hint.is_ignoring(run.at(now + 500)) && run.hint.claim.is_none() {
                run.refused(now, EMPTY, now + 500);
            } else {
                run.accepted(now, EMPTY, now + 500);
            }
            now += 501;
        }
        assert_eq!(holds, 1 + now / 3_600_000);
    }

    /// An endpoint that takes `limit` requests in each window, says so truly, and has several clients.
    fn refusals(limit: u32, window: u64, processes: usize, are_headers_read: bool) -> u32 {
        let mut runs: Vec<Run> = (0..processes).map(|_| Run::new()).collect();
        let (mut left, mut refused) = (limit, 0);
        for now in (0..40 * window).step_by(100) {
            if now % window == 0 {
                left = limit;
            }
            for run in &mut runs {
                if are_headers_read && run.held(now) > 0 {
                    continue;
                }
                let is_taken = left > 0;
                left = left.saturating_sub(1);
                let resets_in = Duration::from_secs((window - now % window).div_ceil(1_000));
                let stated = if left > 0 { Stated::Left } else { Stated::Empty { resets_in } };
                if is_taken {
                    run.accepted(now, stated, now + 50);
                } else {
                    refused += 1;
                    run.refused(now, stated, now + 50);
                }
            }
        }
        refused
    }

    #[test]
    fn true_headers_save_most_refusals() {
        assert_eq!(refusals(20, 10_000, 1, false), 40 * 80);
        assert!(refusals(20, 10_000, 1, true) <= 8, "{}", refusals(20, 10_000, 1, true));
        assert!(refusals(20, 10_000, 3, true) <= 40 * 3, "{}", refusals(20, 10_000, 3, true));
        assert!(refusals(5, 1_000, 1, true) <= 40, "{}", refusals(5, 1_000, 1, true));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait { millis: u64 },
        Start,
        Answer { post: usize, is_refused: bool, headers: Vec<(usize, Vec<u8>)> },
    }

    const NAMES: [&str; 7] = [
        "ratelimit",
        "ratelimit-policy",
        "ratelimit-remaining",
        "ratelimit-reset",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "date",
    ];

    fn headers() -> impl Strategy<Value = Vec<(usize, Vec<u8>)>> {
        let item = (0..3_u8, 0..400_u32).prop_map(|(r, t)| vec![(0, format!("a;r={r};t={t}").into_bytes())]);
        let old = (0..2_u8, prop_oneof![0..400_i64, any::<i64>()]).prop_map(|(left, reset)| {
            vec![(4, left.to_string().into_bytes()), (5, reset.to_string().into_bytes())]
        });
        let bytes = prop::collection::vec((0..NAMES.len(), prop::collection::vec(any::<u8>(), 0..30)), 0..4);
        prop_oneof![4 => item, 2 => old, 1 => bytes]
    }

    fn step() -> impl Strategy<Value = Step> {
        let headers = (0..4_usize, prop::bool::weighted(0.3), headers());
        prop_oneof![
            2 => (0..100_000_u64).prop_map(|millis| Step::Wait { millis }),
            3 => Just(Step::Start),
            3 => headers.prop_map(|(post, is_refused, headers)| Step::Answer { post, is_refused, headers }),
        ]
    }

    fn stated(lines: &[(usize, Vec<u8>)]) -> Stated {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(HeaderName::from_static(NAMES[*name]), value);
            }
        }
        match policy::quota::Quota::read(&headers) {
            None => Stated::Nothing,
            Some(quota) if quota.remaining > 0 => Stated::Left,
            Some(quota) => Stated::Empty { resets_in: quota.resets_in },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_headers_hold_an_endpoint_that_accepts_for_more_than_sixteen_minutes_after_its_last_refusal(
            steps in prop::collection::vec(step(), 0..200),
            refuses in any::<bool>(),
        ) {
            let (mut run, mut now, mut posts, mut held) = (Run::new(), 0, Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Wait { millis } => now += millis,
                    Step::Start => {
                        let wait = run.held(now);
                        (now, held) = (now + wait, held + wait);
                        posts.push(now);
                    }
                    Step::Answer { post, is_refused, headers } => {
                        if posts.is_empty() {
                            continue;
                        }
                        let began = posts.swap_remove(post % posts.len());
                        now += 1;
                        if refuses && is_refused {
                            run.refused(began, stated(&headers), now);
                            held = 0;
                        } else {
                            run.accepted(began, stated(&headers), now);
                        }
                    }
                }
                prop_assert!(run.held(now) <= 120_000);
                prop_assert!(held <= if refuses { 960_000 } else { 0 }, "{held} ms");
            }
        }
    }
}
