//! Random faults: an endpoint may answer some POSTs with 503, or not at all, however few there are.
//!
//! Refusals that did not become fewer while the load fell to a part are background. From then on they cut nothing, until
//! their share doubles. Then all count again, and what is background has to be shown once more. 429 never is: it says
//! "too many". Where several processes overrun an endpoint that answers 503, their neighbours' load may look like it.

use crate::tuning::Background as Numbers;

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
    /// The highest load since it is looked for, in starts per second.
    top: f64,
    /// Since the load was at the top.
    accepted: f64,
    refused: f64,
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
        self.accepted += 1.0;
        self.share -= self.share / SHARE_POSTS;
        if self.share < self.known {
            self.known += (self.share - self.known) / KNOWN_POSTS;
        }
    }

    /// A POST met 503, 502, 504 or no answer.
    pub(super) fn met(&mut self) {
        self.share += (1.0 - self.share) / SHARE_POSTS;
    }

    /// What it was; `load`: starts per second that the limits allow.
    pub(super) fn judge(&mut self, load: f64, numbers: &Numbers) -> Verdict {
        if self.known > 0.0 {
            if self.share < 2.0 * self.known + numbers.more {
                return Verdict::Background;
            }
            (self.known, self.top) = (0.0, 0.0);
        }
        if load > self.top {
            self.look_from(load);
            return Verdict::Congestion;
        }
        self.refused += 1.0;
        if load >= numbers.falls_to * self.top || self.refused < numbers.refusals {
            return Verdict::Congestion;
        }
        let share = self.refused / (self.accepted + self.refused);
        self.look_from(load);
        if share <= numbers.least || share >= numbers.most {
            return Verdict::Congestion;
        }
        (self.known, self.share) = (share, share);
        Verdict::Found
    }

    fn look_from(&mut self, load: f64) {
        (self.top, self.accepted, self.refused) = (load, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Numbers = Numbers { falls_to: 0.4, refusals: 8.0, least: 0.04, most: 0.2, more: 0.02 };

    /// One of ten POSTs is refused while each refusal cuts the load by a tenth; how many until it is found.
    fn found_after(background: &mut Background, one_in: u32) -> Option<u32> {
        let mut load = 100.0;
        (1..100).find(|_| {
            for _ in 1..one_in {
                background.accepted();
            }
            background.met();
            let verdict = background.judge(load, &NUMBERS);
            load *= 0.9;
            verdict == Verdict::Found
        })
    }

    #[test]
    fn refusals_that_stay_while_the_load_falls_are_background() {
        let mut background = Background::default();
        let found = found_after(&mut background, 10);
        assert!(found.is_some_and(|refusals| (8..20).contains(&refusals)), "{found:?}");
        for _ in 0..9 {
            background.accepted();
        }
        background.met();
        assert_eq!(background.judge(1_000.0, &NUMBERS), Verdict::Background, "at any load");
    }

    #[test]
    fn refusals_that_are_rare_or_most_are_not() {
        assert_eq!(found_after(&mut Background::default(), 50), None);
        assert_eq!(found_after(&mut Background::default(), 2), None);
    }

    #[test]
    fn when_their_share_doubles_all_count_again() {
        let mut background = Background::default();
        assert!(found_after(&mut background, 10).is_some());
        let verdicts = (0..60).map(|_| {
            background.met();
            background.judge(100.0, &NUMBERS)
        });
        assert!(verdicts.filter(|verdict| *verdict == Verdict::Congestion).count() > 30);
    }
}
