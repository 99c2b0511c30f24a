//! Who waits at a gate that is not open, in the order in which they may probe.

use std::collections::BTreeSet;

/// Who asks to pass, in the order in which they may probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A message in flight here: its receive is spent already.
    Held,
    /// A listener that would receive one.
    Poller,
    /// A message in flight here that SQS moves to the dead-letter queue when it has to be received again.
    FinalReceive,
}

/// A place in the line: rank, and order of arrival.
pub(super) type Place = (Rank, u64);

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeSet<Place>,
    arrivals: u64,
    /// Pollers that cannot look: they wait for a free worker.
    pub(super) blocked: usize,
}

impl Line {
    /// Somebody begins to wait.
    pub(super) fn join(&mut self, rank: Rank) -> Place {
        let place = (rank, self.arrivals);
        self.arrivals += 1;
        self.waiting.insert(place);
        place
    }

    /// Somebody waits no longer.
    pub(super) fn leave(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// Pollers that wait.
    pub(super) fn pollers(&self) -> usize {
        self.waiting.iter().filter(|(rank, _)| *rank == Rank::Poller).count()
    }

    /// Whether messages wait.
    pub(super) fn has_messages(&self) -> bool {
        self.waiting.len() > self.pollers()
    }

    /// The first of those not on their final receive, and the first of those that are.
    pub(super) fn heads(&self) -> (Option<Place>, Option<Place>) {
        let finals = (Rank::FinalReceive, 0);
        (self.waiting.range(..finals).next().copied(), self.waiting.range(finals..).next().copied())
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
