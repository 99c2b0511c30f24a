//! Starts per second: what the endpoint takes, and how more is tried.
//!
//! *What it takes* is measured where it refuses: the starts from one refusal to the next, by the time between. A burst that
//! was saved up is spent by then. So that is the limit, however far the rate has gone beyond it. Where there are no
//! bursts the rate at the refusal is the limit. So what is found lies between the two. It was too much if the next refusal
//! comes before it is reached again; then what was measured counts for more.
//!
//! *How more is tried* follows a cubic curve, as CUBIC's window does. A refusal leaves a tenth less than was found. The rate
//! is soon near it, stays there for most of the time, and then leaves it faster and faster: a limit that was raised is found
//! soon, and one that was not costs one refusal. Before the first refusal the rate doubles.
//!
//! A POST counts for less where there are many per second: of several processes the slow ones catch up. Pure.

use crate::tuning::LearnedRate as Numbers;

use super::windows::Window;

/// Starts so many times as far apart as the rate says were not held back by it.
const IDLE: f64 = 3.0;
/// What is left of a trust that was too great.
const LESS: f64 = 0.5;
/// With each refusal the steps of a long window shrink to so much.
const STEP_FADES: f64 = 0.8;

/// A rate that is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct LearnedRate {
    /// Starts per second; infinite while none is known.
    value: f64,
    /// What the endpoint took when it refused last; `None` before.
    found: Option<f64>,
    /// Steps on the curve; at 1 it is what was found.
    tried: f64,
    /// Since the last refusal.
    span: Span,
    /// Starts per second from one refusal to the next, once there were enough of them.
    measured: Option<f64>,
    /// How far the rate at a refusal is the limit: 1, as far as the numbers say; 0, not at all.
    trust: f64,
    /// POSTs that a step takes at least: those of a window. Zero if none was found.
    step_posts: f64,
    /// How it doubles where it began with a window that may have been an outage.
    doubling: Doubling,
}

/// Doublings, each faster than the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Doubling {
    /// Starts per second at first.
    from: f64,
    /// Seconds that the first one takes; zero: as the numbers say.
    first: f64,
}

/// Starts that the rate had held back.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// Those that were not refused.
    taken: f64,
    /// Seconds.
    time: f64,
}

impl LearnedRate {
    /// None is known.
    pub(super) fn unknown() -> Self {
        Self {
            value: f64::INFINITY,
            found: None,
            tried: 0.0,
            span: Span::default(),
            measured: None,
            trust: 1.0,
            step_posts: 0.0,
            doubling: Doubling::default(),
        }
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }

    /// Whether it was measured.
    pub(super) fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    /// Whether the endpoint has refused for it.
    pub(super) fn is_found(&self) -> bool {
        self.found.is_some()
    }

    /// It is about so many a second, and doubles until the endpoint refuses.
    pub(super) fn begin(&mut self, value: f64) {
        *self = Self { value, ..Self::unknown() };
    }

    /// A first window may have been an outage: its rate doubles as well, but slowly at first.
    pub(super) fn begin_window(&mut self, window: Window) {
        self.begin(window.per_second);
        self.doubling = Doubling { from: window.per_second, first: window.doubles_in };
    }

    /// So many a second were taken, and no more are tried for now.
    pub(super) fn hold(&mut self, per_second: f64) {
        *self = Self { found: Some(per_second), tried: 1.0, ..Self::unknown() };
        self.value = per_second;
    }

    /// A window is over. It was over before the gate opened, and may take some more.
    pub(super) fn find_window(&mut self, window: Window, numbers: &Numbers) {
        let Window { posts, per_second, .. } = window;
        let near = per_second..numbers.window_near * per_second;
        let most = self.measured.filter(|measured| near.contains(measured)).unwrap_or(per_second);
        self.find((most * per_second).sqrt(), numbers);
        self.measured.get_or_insert(per_second);
        // Too much shows at the end of the window.
        self.step_posts = posts.unwrap_or(self.step_posts).max(1.0);
    }

    /// Forgets what was found: it doubles again.
    pub(super) fn unlimit(&mut self) {
        self.found = None;
    }

    /// A POST starts that was held back, so many seconds after the one before.
    pub(super) fn started(&mut self, gap: f64) {
        if gap * self.value <= IDLE {
            self.span.taken += 1.0;
            self.span.time += gap;
        }
    }

    /// One that started since the last refusal was refused.
    pub(super) fn not_taken(&mut self) {
        self.span.taken = (self.span.taken - 1.0).max(0.0);
    }

    /// The endpoint refuses for this rate.
    pub(super) fn cut(&mut self, numbers: &Numbers) {
        let Span { taken, time } = self.span;
        if taken < 1.0 && self.tried <= 0.0 && self.measured.is_some() {
            // Nothing at all is taken: that is a window or an outage, and no rate.
            return self.cut_again(numbers);
        }
        let known = if self.measured.is_some() { numbers.known_posts } else { numbers.known_posts_first };
        let measured = (taken + known) / (time + known / self.value);
        if self.measured.is_some() {
            if self.tried < numbers.soon {
                self.trust *= LESS;
            } else if self.tried > numbers.late {
                self.trust += LESS * (1.0 - self.trust);
            }
        }
        if self.measured.is_some() || taken >= numbers.measured_after {
            self.measured = Some(measured);
        }
        let trust = self.trust * numbers.trust;
        self.step_posts *= STEP_FADES;
        self.find(measured.powf(1.0 - trust) * self.value.powf(trust), numbers);
    }

    /// It refuses again within a round trip: no more than was measured is taken.
    pub(super) fn cut_again(&mut self, numbers: &Numbers) {
        if let (Some(measured), Some(found)) = (self.measured, self.found)
            && measured < found
        {
            self.found = Some(measured);
            self.value = self.on_curve(measured, numbers);
        }
    }

    /// A POST was accepted that it had held back. `latency`: seconds of a round trip.
    pub(super) fn grow(&mut self, latency: f64, numbers: &Numbers) {
        let Some(found) = self.found else {
            let doubles_in = latency + numbers.doubles_in.as_secs_f64().max(self.doubling.next(self.value));
            self.value *= (self.value * doubles_in).max(1.5).recip().exp2();
            return;
        };
        let least = if self.step_posts > 0.0 { numbers.step_posts_window } else { numbers.step_posts_min };
        let least = least.max(self.step_posts);
        self.tried += (numbers.step_posts * found.sqrt()).max(least).recip();
        self.value = self.on_curve(found, numbers);
    }

    fn find(&mut self, per_second: f64, numbers: &Numbers) {
        (self.found, self.tried, self.span) = (Some(per_second), 0.0, Span::default());
        self.value = self.on_curve(per_second, numbers);
    }

    fn on_curve(&self, found: f64, numbers: &Numbers) -> f64 {
        found * (1.0 + numbers.cut * (self.tried - 1.0).powi(3))
    }
}

impl Doubling {
    /// Seconds that the next one takes, at so many starts per second.
    fn next(self, value: f64) -> f64 {
        if self.first <= 0.0 { 0.0 } else { self.first / (1.0 + (value / self.from).log2().max(0.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepted POSTs from a window to the rate that was found there.
    fn posts_to_what_was_found(windows: &[Option<f64>]) -> usize {
        let numbers = Numbers::default();
        let mut rate = LearnedRate::unknown();
        for posts in windows {
            rate.find_window(
                Window { posts: *posts, per_second: 10.0, doubles_in: 0.0, is_first: false },
                &numbers,
            );
        }
        (0..10_000)
            .take_while(|_| {
                rate.grow(1.0, &numbers);
                rate.value() < 10.0
            })
            .count()
    }

    #[test]
    fn a_gate_that_closes_within_a_window_leaves_its_steps_as_long_as_they_were() {
        let whole = posts_to_what_was_found(&[Some(1_000.0)]);
        assert!((990..1_010).contains(&whole), "{whole}");
        assert_eq!(posts_to_what_was_found(&[Some(1_000.0), None]), whole);
        assert!((90..110).contains(&posts_to_what_was_found(&[None])), "the least");
    }

    #[test]
    fn a_rate_that_began_with_a_first_window_doubles_faster_each_time() {
        let numbers = Numbers::default();
        let mut rate = LearnedRate::unknown();
        rate.begin_window(Window { posts: None, per_second: 10.0, doubles_in: 12.0, is_first: true });
        let mut seconds = || {
            let (from, mut seconds) = (rate.value(), 0.0);
            while rate.value() < 2.0 * from {
                seconds += rate.value().recip();
                rate.grow(0.0, &numbers);
            }
            seconds
        };
        let [first, second, third] = [seconds(), seconds(), seconds()];
        assert!((8.0..12.0).contains(&first), "{first}");
        assert!(first > 1.3 * second && second > 1.2 * third, "{first} {second} {third}");
    }
}
