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
        Some(share).filter(|share| *share > numbers.least)
    }

    fn look_from(&mut self, load: f64) {
        (self.top, self.accepted, self.refused) = (load, 0.0, 0.0);
    }
}
