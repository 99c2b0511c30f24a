//! Flow: how the messages of one receive become deliveries, and in which order.
//!
//! On a standard queue every message goes its own way; where a POST carries several, they gather ([`Batches`]).
//! On a FIFO queue the messages of a group go one after the other ([`Groups`]).

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::pipeline::admit::Reservation;
use crate::pipeline::batch::Batches;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::group::Groups;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::runs::{self, release_later};

/// Starts deliveries.
pub(super) struct Flow {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) groups: Arc<Groups>,
    /// Takes a task for each delivery.
    pub(super) deliveries: TaskTracker,
    batches: Batches,
}

impl Flow {
    /// Nothing is delivered yet.
    pub(super) fn new(dispatch: Arc<Dispatch>, groups: Arc<Groups>, deliveries: TaskTracker) -> Self {
        let batches = Batches::new(Arc::clone(&dispatch), deliveries.clone());
        Self { dispatch, groups, deliveries, batches }
    }

    /// Starts deliveries of the messages of one receive. `reservation` is asked once for each delivery.
    pub(super) fn start(&mut self, messages: Vec<InFlight>, mut reservation: impl FnMut() -> Reservation) {
        if self.dispatch.ctx.settings().per_delivery() > 1 {
            return self.batches.add(messages, reservation);
        }
        for message in messages {
            self.deliveries.spawn(Delivery::new(&self.dispatch, vec![message], reservation()).run());
        }
    }

    /// Starts a run for each group, with one slot; where a POST carries several messages, those of one receive begin together.
    /// `None` is a message that was in flight already. Only the heads of runs get a reservation: messages that wait for
    /// others must keep no room, and no probe that those may need.
    pub(super) fn start_groups(
        &self,
        messages: Vec<(String, Option<InFlight>)>,
        reservation: impl FnMut() -> Reservation,
    ) {
        let Self { dispatch, groups, deliveries, .. } = self;
        let (begin, blocked) = groups.join(messages, InFlight::share_slot_of);
        runs::start(dispatch, begin, deliveries, reservation);
        for (group, blocked) in blocked {
            deliveries.spawn(release_later(Arc::clone(dispatch), Arc::clone(groups), group, blocked));
        }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
