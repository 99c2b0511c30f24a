//! Batches: messages that gather for one POST.
//!
//! A batch is closed when it has all messages or bytes of a POST, or when its window is over. A gate that closes
//! closes it too, as the next trial may be its own; so does the drain. Messages gather under their leases;
//! a closed batch is a [`Delivery`] like any other.
//!
//! A batch that fails as a whole may hold one message that no endpoint can take. Its neighbours must not go to the
//! dead-letter queue with it. So suspects gather apart from other messages: in halves of what failed together, then each
//! alone ([`crate::pipeline::memory`]). A message on its final receive always goes alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::task::TaskTracker;

use crate::pipeline::admit::Reservation;
use crate::pipeline::deliver::Delivery;
use crate::pipeline::dispatch::Dispatch;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::settings::BATCH_BYTES_MAX;

/// Longer than a receive takes to hand over its messages.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The batches of a listener that gather.
pub(super) struct Batches {
    dispatch: Arc<Dispatch>,
    /// Takes a task for each batch.
    deliveries: TaskTracker,
    /// One of suspects, and one of all other messages.
    open: [Option<Open>; 2],
}

/// A batch that takes more messages.
struct Open {
    /// To its task; dropped, it is closed.
    sender: mpsc::Sender<InFlight>,
    load: Load,
}

/// What the messages of a batch come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    count: usize,
    bytes: usize,
    /// Messages it may have.
    most: usize,
    /// Whether they are suspects.
    suspects: bool,
}

/// What a message asks of its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    bytes: usize,
    /// Messages of the batch, with it.
    most: usize,
    suspect: bool,
}

impl Load {
    /// Of no message yet.
    pub(super) fn of_none() -> Self {
        Self { count: 0, bytes: 0, most: usize::MAX, suspects: false }
    }

    /// Whether there is room for one more message, and it may go with the others. For the first there always is.
    pub(super) fn takes(&self, share: Share) -> bool {
        let fits = self.count < self.most.min(share.most) && self.suspects == share.suspect;
        self.count == 0 || fits && self.bytes.saturating_add(share.bytes) <= BATCH_BYTES_MAX
    }

    /// One more message.
    pub(super) fn add(&mut self, share: Share) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(share.bytes);
        self.most = self.most.min(share.most);
        self.suspects = share.suspect;
    }
}

impl Dispatch {
    /// What a message asks of its batch.
    pub(super) fn share(&self, message: &InFlight) -> Share {
        let all = self.ctx.settings().per_delivery();
        let suspected = self.memory.suspected(message.id()).unwrap_or(all).clamp(1, all);
        let alone = self.ctx.settings().tuning.last_receive.alone && message.final_receive.is_some();
        let most = if alone { 1 } else { suspected };
        Share { bytes: message.share_of_request, most, suspect: most < all }
    }
}

/// Whether a batch waits for what later receives bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gather {
    /// For so long.
    For(Duration),
    /// It is what one receive brings.
    OneReceive,
}

impl Batches {
    /// None gathers yet.
    pub(super) fn new(dispatch: Arc<Dispatch>, deliveries: TaskTracker) -> Self {
        Self { dispatch, deliveries, open: [None, None] }
    }

    /// Puts the messages of one receive into batches. `reservation` is asked once for each that starts with this receive; a
    /// batch that waits for more keeps no room.
    pub(super) fn add(&mut self, messages: Vec<InFlight>, mut reservation: impl FnMut() -> Reservation) {
        let mut first = Some(reservation());
        let probes = first.as_ref().is_some_and(|first| !first.probes.is_empty());
        let window = self.dispatch.ctx.settings().receiving.window;
        // A probe does not wait for others.
        let gather = if window.is_zero() || probes { Gather::OneReceive } else { Gather::For(window) };
        let mut part = || first.take().unwrap_or_else(&mut reservation);
        for message in messages {
            let share = self.dispatch.share(&message);
            if share.most == 1 {
                self.deliveries.spawn(Delivery::new(&self.dispatch, vec![message], part()).run());
            } else {
                self.put(message, share, gather, &mut part);
            }
        }
        if gather == Gather::OneReceive || self.dispatch.slots.counts().is_full() {
            // Nothing comes that could fill them.
            self.open = [None, None];
        }
    }

    /// Puts a message into the open batch of its kind, and opens one where need be.
    fn put(
        &mut self,
        message: InFlight,
        share: Share,
        gather: Gather,
        reservation: &mut impl FnMut() -> Reservation,
    ) {
        let [suspects, others] = &mut self.open;
        let open = if share.suspect { suspects } else { others };
        let message = match open.as_mut().filter(|batch| batch.load.takes(share)) {
            // One whose window is over gives it back.
            Some(batch) => batch.take(message, share),
            None => Some(message),
        };
        if let Some(message) = message {
            let (sender, receiver) = mpsc::channel(share.most);
            let mut batch = Open { sender, load: Load::of_none() };
            // There is room, and the receiver is there.
            batch.take(message, share);
            *open = Some(batch);
            let (window, reservation) = match gather {
                Gather::For(window) => (window, Reservation::default()),
                Gather::OneReceive => (AT_ONCE, reservation()),
            };
            self.deliveries.spawn(gathered(Arc::clone(&self.dispatch), receiver, window, reservation));
        }
        if open.as_ref().is_some_and(|batch| batch.load.count >= batch.load.most) {
            *open = None;
        }
    }
}

impl Open {
    /// Takes a message there is room for. When the batch is closed already, it gives the message back.
    fn take(&mut self, message: InFlight, share: Share) -> Option<InFlight> {
        match self.sender.try_send(message) {
            Ok(()) => {
                self.load.add(share);
                None
            }
            Err(TrySendError::Closed(message) | TrySendError::Full(message)) => Some(message),
        }
    }
}

/// Gathers the messages of a batch until it is closed, and delivers them.
async fn gathered(
    dispatch: Arc<Dispatch>,
    mut receiver: mpsc::Receiver<InFlight>,
    window: Duration,
    reservation: Reservation,
) {
    let mut messages = Vec::new();
    let all = async {
        while let Some(message) = receiver.recv().await {
            messages.push(message);
        }
    };
    tokio::select! {
        biased;
        () = all => {}
        () = tokio::time::sleep(window) => {}
        () = dispatch.admission.gates.closed(&reservation.probes) => {}
        () = dispatch.ctx.drain.draining() => {}
    }
    receiver.close();
    // Also what is just being sent: that it is sent was told already.
    while let Some(message) = receiver.recv().await {
        messages.push(message);
    }
    Delivery::new(&dispatch, messages, reservation).run().await;
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
