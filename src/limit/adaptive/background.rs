//! Random faults: an endpoint may answer some POSTs with 503, or not at all, however few there are.
//!
//! Refusals that did not become fewer while the load fell to a part are background. From then on they cut nothing, until
//! their share doubles. Then all count again, and what is background has to be shown once more. 429 never is: it says
//! "too many". Where several processes overrun an endpoint that answers 503, their neighbours' load may look like it.

use crate::tuning::Background as Numbers;

use super::in_vain::InVain;

/// The share follows the last so many POSTs.
const SHARE_POSTS: f64 = 100.0;
/// What is known to be background falls with it this much slower.
const KNOWN_POSTS: f64 = 500.0;

/// How many POSTs meet no capacity for reasons that are not load.
#[derive(Debug, Clone, Default)]
pub(super) struct Background {
    /// Of the POSTs.
    share: f64,
    /// The share that is background; 0 if none is.
    known: f64,
    in_vain: InVain,
}

/// What a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A sign of too much load.
    Congestion,
    /// A random fault.
    Background,
    /// A random fault, and so were those before it that were taken for congestion.
    Found,
}

impl Background {
    /// A POST was accepted.
    pub(super) fn accepted(&mut self) {
        self.in_vain.accepted();
        self.share -= self.share / SHARE_POSTS;
        if self.share < self.known {
            self.known += (self.share - self.known) / KNOWN_POSTS;
        }
    }

    /// A POST met 503, 502, 504 or no answer.
    pub(super) fn met(&mut self) {
        self.share += (1.0 - self.share) / SHARE_POSTS;
    }

    /// What it was; `load`: starts per second that the limits allow. `None`: the rate doubles, and may be far above what was
    /// ever taken.
    pub(super) fn judge(&mut self, load: Option<f64>, numbers: &Numbers) -> Verdict {
        if self.known > 0.0 {
            if self.share < 2.0 * self.known + numbers.more {
                return Verdict::Background;
            }
            *self = Self { share: self.share, ..Self::default() };
        }
        let Some(load) = load else {
            self.in_vain = InVain::default();
            return Verdict::Congestion;
        };
        match self.in_vain.refused(load, &numbers.in_vain) {
            Some(share) => {
                (self.known, self.share) = (share, share);
                Verdict::Found
            }
            None => Verdict::Congestion,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of ten POSTs is refused while each refusal cuts the load by a tenth; how many until it is found.
    fn found_after(background: &mut Background, one_in: u32) -> Option<u32> {
        let mut load = 100.0;
        (1..100).find(|_| {
            for _ in 1..one_in {
                background.accepted();
            }
            background.met();
            let verdict = background.judge(Some(load), &Numbers::default());
            load *= 0.9;
            verdict == Verdict::Found
        })
    }

    #[test]
    fn refusals_that_stay_while_the_load_falls_are_background() {
        let mut background = Background::default();
        let found = found_after(&mut background, 10);
        assert!(found.is_some_and(|refusals| (5..20).contains(&refusals)), "{found:?}");
        for _ in 0..9 {
            background.accepted();
        }
        background.met();
        assert_eq!(background.judge(Some(1_000.0), &Numbers::default()), Verdict::Background, "at any load");
    }

    #[test]
    fn refusals_that_are_rare_or_most_are_not() {
        assert_eq!(found_after(&mut Background::default(), 50), None);
        assert_eq!(found_after(&mut Background::default(), 2), None);
    }

    #[test]
    fn a_load_that_was_never_taken_is_none_to_fall_from() {
        let mut background = Background::default();
        // The rate doubles beyond what the endpoint takes, and is cut to a tenth.
        let looked_for = [Some(1_000.0), None];
        for load in looked_for {
            assert_eq!(background.judge(load, &Numbers::default()), Verdict::Congestion);
        }
        for _ in 0..10 {
            for _ in 0..9 {
                background.accepted();
            }
            background.met();
            assert_eq!(background.judge(Some(100.0), &Numbers::default()), Verdict::Congestion);
        }
    }

    #[test]
    fn when_their_share_doubles_all_count_again() {
        let mut background = Background::default();
        assert!(found_after(&mut background, 10).is_some());
        let verdicts = (0..60).map(|_| {
            background.met();
            background.judge(Some(100.0), &Numbers::default())
        });
        assert!(verdicts.filter(|verdict| *verdict == Verdict::Congestion).count() > 30);
    }
}
