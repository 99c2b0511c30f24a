//! Who waits at a gate that is not open, in the order in which they may probe.

use std::collections::BTreeSet;
use std::ops::Range;

use tokio::time::Instant;

/// Who asks to pass, in the order in which they may probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A message in flight here: its receive is spent already.
    Held,
    /// A listener that would receive one.
    Poller,
    /// A message in flight here that SQS moves to the dead-letter queue when it has to be received again.
    FinalReceive,
    /// A listener that cannot look, for want of a free slot; it never probes.
    Blocked,
}

/// A place in the line: rank, and order of arrival.
pub(super) type Place = (Rank, u64);

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeSet<Place>,
    arrivals: u64,
    /// When a poller last began or ended to wait.
    poller_seen: Option<Instant>,
}

impl Line {
    /// Somebody begins to wait.
    pub(super) fn join(&mut self, rank: Rank) -> Place {
        self.arrivals += 1;
        self.waiting.insert((rank, self.arrivals));
        self.saw(rank);
        (rank, self.arrivals)
    }

    /// Somebody waits no longer.
    pub(super) fn leave(&mut self, place: Place) {
        if self.waiting.remove(&place) {
            self.saw(place.0);
        }
    }

    fn saw(&mut self, rank: Rank) {
        if rank == Rank::Poller {
            self.poller_seen = Some(Instant::now());
        }
    }

    /// Those of such ranks, in order.
    fn of(&self, ranks: Range<Rank>) -> impl Iterator<Item = Place> {
        self.waiting.range((ranks.start, 0)..(ranks.end, 0)).copied()
    }

    /// Pollers that wait.
    pub(super) fn pollers(&self) -> usize {
        self.of(Rank::Poller..Rank::FinalReceive).count()
    }

    /// Since when no poller looks at a gate closed since then: one at least cannot, and none waits. `None`: one looks. A
    /// poller that is out with a probe waited here shortly before.
    pub(super) fn alone_since(&self, closed: Instant) -> Option<Instant> {
        let is_blocked = self.waiting.last().is_some_and(|(rank, _)| *rank == Rank::Blocked);
        let seen = || self.poller_seen.map_or(closed, |seen| seen.max(closed));
        (is_blocked && self.pollers() == 0).then(seen)
    }

    /// Whether messages wait.
    pub(super) fn has_messages(&self) -> bool {
        self.of(Rank::Held..Rank::Blocked).any(|(rank, _)| rank != Rank::Poller)
    }

    /// The first of those not on their final receive, and the first of those that are.
    pub(super) fn heads(&self) -> (Option<Place>, Option<Place>) {
        (self.of(Rank::Held..Rank::FinalReceive).next(), self.of(Rank::FinalReceive..Rank::Blocked).next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_before_pollers_these_in_turn_and_final_receives_last() {
        let mut line = Line::default();
        let ranks = [Rank::FinalReceive, Rank::Poller, Rank::Poller, Rank::Held];
        let [last, first_poller, second_poller, held] = ranks.map(|rank| line.join(rank));
        assert_eq!((line.pollers(), line.has_messages()), (2, true));
        for place in [held, first_poller, second_poller] {
            assert_eq!(line.heads(), (Some(place), Some(last)));
            line.leave(place);
        }
        line.leave(last);
        assert_eq!((line.heads(), line.has_messages()), ((None, None), false));
    }
}
