//! What a refusal is blamed on: POSTs at once, or their rate.
//!
//! - POSTs at once, if more ran than were lately accepted.
//! - The rate, if this one started closer to the one before than any accepted, and refusals mostly do.
//! - If both are new, both are held where they were accepted, and the next refusal decides.
//! - If neither is, POSTs at once if the limit was full, and either the rate does not hold starts back or refusals met
//!   more at once than successes. After an opening of the gate, before they are full again, as well.
//! - Otherwise the rate. But where processes share a cap on POSTs at once each meets the POSTs of the others. So a refusal
//!   that is rare is chance where few run, and a rate that was cut in vain is none.

use super::{Adaptive, Start};

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

/// What the last refusals met, each from 1, all of the last few, to -1, none.
#[derive(Debug, Clone, Default)]
pub(super) struct Votes {
    /// More POSTs at once than successes do.
    crowded: f64,
    /// A start closer before than any accepted.
    close: f64,
}

impl Adaptive {
    /// What this refusal is blamed on.
    pub(super) fn blame(&mut self, start: Start) -> Blame {
        let Start { level, gap, .. } = start;
        // A hair closer is an error of rounding.
        let closest = self.seen.closest().filter(|closest| gap < 0.97 * closest);
        vote(&mut self.votes.close, closest.is_some(), CLOSE_VOTES);
        vote(&mut self.votes.crowded, level > self.seen.level() + 0.5, CROWD_VOTES);
        let closest = closest.filter(|_| self.votes.close > CLOSE);
        let is_more = level > self.seen.highest();
        let is_alone = self.at_once.value() < 2.0;
        let is_unlimited = self.rate.value().is_infinite();
        match closest {
            Some(closest) if is_more && is_unlimited && level >= self.numbers.either => {
                Blame::Either { closest }
            }
            _ if !is_alone && (is_more || closest.is_none() && self.is_crowd(start)) => Blame::AtOnce,
            Some(_) => Blame::Rate,
            None if is_unlimited
                && self.at_once.value() < self.numbers.chance_at_once
                && self.epoch.accepted >= self.numbers.chance =>
            {
                Blame::Chance
            }
            None if !is_unlimited && self.is_cut_in_vain() => Blame::SharedCap,
            None => Blame::Rate,
        }
    }

    /// Whether POSTs at once are what holds starts back.
    fn is_crowd(&self, start: Start) -> bool {
        let rate_limits = self.rate.value() * self.latency() < self.numbers.slack * self.at_once.value();
        let is_full = start.is_full || self.is_filling && self.at_once.is_found();
        !rate_limits && is_full || start.is_full && self.votes.crowded > CROWDED
    }

    /// Whether the rate was cut to a part, and refusals have not become fewer.
    fn is_cut_in_vain(&mut self) -> bool {
        let rate = self.rate.value();
        let at_once = rate * self.latency();
        // More in a row are an outage.
        self.rate_cuts.refused(rate, &self.numbers.in_vain).is_some()
            && self.epoch.row < 3
            && (self.numbers.in_vain_at_once..1.0).contains(&at_once)
    }
}

/// Moves the mean of the last so many votes.
fn vote(mean: &mut f64, is_so: bool, votes: f64) {
    *mean += (if is_so { 1.0 } else { -1.0 } - *mean) / votes;
}
