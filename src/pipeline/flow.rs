//! Flow: how the messages of one receive become deliveries, and in which order.
//!
//! On a standard queue every message goes its own way; where a POST carries several, those of one receive go together.
//! On a FIFO queue the messages of a group go one after the other ([`Groups`]).

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::pipeline::admit::Reservation;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::group::{Groups, release_later};
use crate::pipeline::in_flight::InFlight;

/// Starts deliveries.
pub(super) struct Flow {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) groups: Arc<Groups>,
    /// Takes a task for each delivery.
    pub(super) deliveries: TaskTracker,
}

impl Flow {
    /// Starts deliveries of the messages of one receive. `reservation` is asked once for each delivery.
    pub(super) fn start(&self, messages: Vec<InFlight>, mut reservation: impl FnMut() -> Reservation) {
        let most = self.dispatch.ctx.settings.per_delivery();
        let mut messages = messages.into_iter();
        loop {
            let carried: Vec<InFlight> = messages.by_ref().take(most).collect();
            if carried.is_empty() {
                return;
            }
            self.deliveries.spawn(Delivery::new(&self.dispatch, carried, reservation()).run());
        }
    }

    /// Starts a run for each group, with one slot. `None` is a message that was in flight already. Only the head of a run
    /// gets a reservation: messages that wait for others must keep no room, and no probe that those may need.
    pub(super) fn start_groups(
        &self,
        messages: Vec<(String, Option<InFlight>)>,
        mut reservation: impl FnMut() -> Reservation,
    ) {
        let Self { dispatch, groups, deliveries } = self;
        let (begin, blocked) = groups.join(messages, InFlight::share_slot_of);
        for run in begin {
            deliveries.spawn(run.run(Arc::clone(dispatch), reservation(), deliveries.clone()));
        }
        for (group, blocked) in blocked {
            deliveries.spawn(release_later(Arc::clone(dispatch), Arc::clone(groups), group, blocked));
        }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
