//! Cuts in vain: the load was cut to a part, and the share of refusals stayed.

use crate::tuning::InVain as Numbers;

/// What was refused since the load was at its highest.
#[derive(Debug, Clone, Default)]
pub(super) struct InVain {
    /// The highest load since it is looked for, in starts per second.
    top: f64,
    /// Since the load was at the top.
    accepted: f64,
    refused: f64,
}

impl InVain {
    /// A POST was accepted.
    pub(super) fn accepted(&mut self) {
        self.accepted += 1.0;
    }

    /// A POST was refused at this load. The share of refusals, if they stayed while the load fell; it is looked for anew then.
    pub(super) fn refused(&mut self, load: f64, numbers: &Numbers) -> Option<f64> {
        if load > self.top {
            self.look_from(load);
            return None;
        }
        self.refused += 1.0;
        if load >= numbers.falls_to * self.top || self.refused < numbers.refusals {
            return None;
        }
        let share = self.refused / (self.accepted + self.refused);
        self.look_from(load);
        Some(share).filter(|share| (numbers.least..numbers.most).contains(share))
    }

    fn look_from(&mut self, load: f64) {
        (self.top, self.accepted, self.refused) = (load, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Numbers = Numbers { falls_to: 0.4, refusals: 8.0, least: 0.04, most: 0.6 };

    /// The share that is found in one hundred refusals, each after so many accepted; the load falls to `left` with each.
    fn found(accepted: u32, left: f64) -> Option<f64> {
        let (mut in_vain, mut load) = (InVain::default(), 100.0);
        (0..100).find_map(|_| {
            for _ in 0..accepted {
                in_vain.accepted();
            }
            let found = in_vain.refused(load, &NUMBERS);
            load *= left;
            found
        })
    }

    #[test]
    fn cuts_are_in_vain_if_refusals_stay_while_the_load_falls() {
        let share = found(9, 0.9);
        assert!(share.is_some_and(|share| (0.08..0.12).contains(&share)), "{share:?}");
        assert_eq!(found(9, 1.0), None, "the load does not fall");
        assert_eq!(found(50, 0.9), None, "too rare");
        assert_eq!(found(0, 0.9), None, "an outage");
    }
}
