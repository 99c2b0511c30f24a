//! What a refusal is blamed on: POSTs at once, or their rate.
//!
//! - POSTs at once, if more ran than were lately accepted.
//! - The rate, if this one started closer to the one before than any accepted, and refusals mostly do.
//! - If both are new, both are held where they were accepted, and the next refusal decides. With a few at once it is
//!   POSTs at once: processes that begin together meet each other.
//! - If neither is, POSTs at once, if the limit was full and the rate does not hold starts back. After an opening of the
//!   gate it need not be full again.
//! - The same if it was full and refusals met more at once than successes.
//! - Otherwise the rate. But where processes share a cap on POSTs at once each meets the POSTs of the others. So where few
//!   run a rare refusal is chance, and a rate that was cut in vain is none.

use crate::tuning::Learned;

use super::in_vain::InVain;
use super::level::Level;
use super::seen::Seen;
use super::start::Start;

/// The last so many refusals vote on whether they met more at once.
const CROWD_VOTES: f64 = 6.0;
/// Two of three say so.
const CROWDED: f64 = 0.3;
/// The last so many vote on whether they were closer to the start before.
const CLOSE_VOTES: f64 = 4.0;
/// More say so than not.
const CLOSE: f64 = 0.2;

/// What a refusal is blamed on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blame {
    AtOnce,
    Rate,
    /// One of the two; so many seconds between two starts were accepted.
    Either {
        closest: f64,
    },
    /// POSTs at once of all processes, of which this one has few.
    SharedCap,
    /// POSTs of others, once in a while.
    Chance,
}

/// What is known when a POST is refused.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) numbers: &'a Learned,
    pub(super) seen: &'a Seen,
    pub(super) at_once: Level,
    /// Starts per second; infinite while unlimited.
    pub(super) rate: f64,
    /// Whether the rate was measured.
    pub(super) is_measured: bool,
    /// POSTs accepted since the last cut.
    pub(super) accepted: f64,
    /// Cuts since the last success.
    pub(super) row: u32,
    /// Whether the gate has opened, and POSTs at once have not been full since.
    pub(super) is_filling: bool,
}

/// What the last refusals met. The votes are from 1, all of the last few, to -1, none.
#[derive(Debug, Clone, Default)]
pub(super) struct Blames {
    /// More POSTs at once than successes do.
    crowded: f64,
    /// A start closer before than any accepted.
    close: f64,
    /// Cuts of the rate.
    rate_cuts: InVain,
}

impl Blames {
    /// A POST was accepted.
    pub(super) fn accepted(&mut self) {
        self.rate_cuts.accepted();
    }

    /// What this refusal is blamed on.
    pub(super) fn blame(&mut self, start: Start, known: &Known<'_>) -> Blame {
        let Known { numbers, seen, at_once, rate, .. } = *known;
        let (level, gap) = (start.level, start.gap());
        // A hair closer is an error of rounding.
        let closest = seen.closest().filter(|closest| gap < 0.97 * closest);
        vote(&mut self.close, closest.is_some(), CLOSE_VOTES);
        vote(&mut self.crowded, level > seen.level() + 0.5, CROWD_VOTES);
        let closest = closest.filter(|_| self.close > CLOSE);
        let is_more = level > seen.highest();
        // With two at once half is at stake; with many few neighbours are met.
        let may_be_either = rate.is_infinite() && (level <= 2.0 || level >= numbers.either);
        match closest {
            Some(closest) if is_more && may_be_either => return Blame::Either { closest },
            Some(_) if rate.is_finite() => return Blame::Rate,
            _ if !at_once.is_one() && (is_more || closest.is_none() && self.is_crowd(start, known)) => {
                return Blame::AtOnce;
            }
            Some(_) => return Blame::Rate,
            None => {}
        }
        let is_rare = known.accepted >= numbers.chance;
        if rate.is_infinite() && is_rare && at_once.value() < numbers.chance_at_once {
            Blame::Chance
        } else if rate.is_finite() && self.is_cut_in_vain(known) {
            Blame::SharedCap
        } else {
            Blame::Rate
        }
    }

    /// Whether POSTs at once are what holds starts back.
    fn is_crowd(&self, start: Start, known: &Known<'_>) -> bool {
        let rate_limits = known.posts_at_once() < known.numbers.slack * known.at_once.value();
        let is_full = start.is_full || known.is_filling && known.at_once.is_found();
        !rate_limits && is_full || start.is_full && self.crowded > CROWDED
    }

    /// Whether the rate was cut to a part, and refusals have not become fewer.
    fn is_cut_in_vain(&mut self, known: &Known<'_>) -> bool {
        if !known.is_measured {
            self.rate_cuts = InVain::default();
        }
        // More in a row are an outage.
        self.rate_cuts.refused(known.rate, &known.numbers.in_vain).is_some()
            && known.row < 3
            && (known.numbers.in_vain_at_once..1.0).contains(&known.posts_at_once())
    }
}

impl Known<'_> {
    /// POSTs that run at once at this rate.
    fn posts_at_once(&self) -> f64 {
        self.rate * self.seen.latency().unwrap_or_default()
    }
}

/// Moves the mean of the last so many votes.
fn vote(mean: &mut f64, is_so: bool, votes: f64) {
    *mean += (if is_so { 1.0 } else { -1.0 } - *mean) / votes;
}
