//! How long a gate waits from one probe to the next. Pure: randomness is an argument.
//!
//! Pauses double from the first up to the longest one, which follows from what the queue has to spend. A probe of an
//! endpoint that refuses costs one message one receive: an hour of probes may cost a small part of all that can be spared.

use std::time::Duration;

use super::evidence::{Circumstances, Reason};
use crate::tuning::Pauses;

const HOUR_SECONDS: u64 = 3_600;

impl Pauses {
    /// The longest of a gate closed for this reason.
    pub(super) fn longest(&self, reason: Reason, circumstances: &Circumstances) -> Duration {
        let most = match reason {
            // Nothing is sent of a probe, and it is held: no receive is spent.
            Reason::Unreachable => return self.free,
            Reason::Throttled | Reason::RetryAfter => self.scarce.max(circumstances.throttle_delay),
            _ => self.scarce,
        };
        let seconds = HOUR_SECONDS.saturating_mul(self.spare_part) / circumstances.spare_receives.max(1);
        Duration::from_secs(seconds).min(most).max(self.spared)
    }

    /// The pause after so many refusals in a row. `unit` is in `[0, 1)`.
    pub(super) fn after(&self, refusals: u32, longest: Duration, unit: f64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(refusals).unwrap_or(u32::MAX));
        doubled.min(longest).mul_f64(1.0 - self.spread + 2.0 * self.spread * unit)
    }

    /// The pause of an endpoint that asks for one: never shorter.
    pub(super) fn asked(&self, pause: Duration, unit: f64) -> Duration {
        pause.min(self.asked_max).mul_f64(1.0 + 2.0 * self.spread * unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(300);

    fn longest(reason: Reason, spare_receives: u64) -> u64 {
        let circumstances = Circumstances {
            limit: 4,
            running: 4,
            took: Duration::ZERO,
            spare_receives,
            throttle_delay: DELAY,
        };
        Pauses::default().longest(reason, &circumstances).as_secs()
    }

    #[test]
    fn an_hour_of_probes_costs_at_most_a_twentieth_of_the_receives_to_spare() {
        for (spare, throttled, overloaded) in
            [(0, 300, 60), (9, 300, 60), (200, 300, 60), (900, 80, 60), (1_500, 48, 48), (u64::MAX, 26, 26)]
        {
            assert_eq!(longest(Reason::Throttled, spare), throttled, "{spare} receives to spare");
            assert_eq!(longest(Reason::Overloaded, spare), overloaded, "{spare} receives to spare");
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_connected_to_is_tried_often_because_that_costs_no_receive() {
        assert_eq!(longest(Reason::Unreachable, 0), 17);
    }

    #[test]
    fn pauses_double_from_a_second_to_the_longest_and_are_spread() {
        let pauses = Pauses::default();
        let after = |refusals: u32| pauses.after(refusals, DELAY, 0.5).as_secs();
        assert_eq!((0..11).map(after).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(after(u32::MAX), 300);
        assert_eq!(pauses.after(9, DELAY, 0.0).as_secs(), 270);
        assert!(
            pauses.after(9, pauses.spared, 0.999) < Duration::from_secs(29),
            "full speed within half a minute"
        );
    }

    #[test]
    fn a_pause_asked_for_is_kept_up_to_a_minute() {
        let pauses = Pauses::default();
        assert_eq!(pauses.asked(Duration::from_secs(10), 0.5).as_secs(), 11);
        assert_eq!(pauses.asked(Duration::from_secs(3_600), 0.0).as_secs(), 60);
    }
}
