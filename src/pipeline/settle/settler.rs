//! Where deliveries hand over their messages.
//!
//! Each lane has places of its own: a queue that takes nothing must not keep messages of the other lanes from leaving.
//! Results have room by bytes as well. What they say is kept in memory until their queue takes it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limit::clock::Wall;
use crate::message::Message;
use crate::observe::event_log::deliveries::Posted;
use crate::pipeline::lease::Lease;
use crate::pipeline::memory::Memory;
use crate::pipeline::results::Results;
use crate::pipeline::settle::exit::{Exit, Fate, Successor};
use crate::pipeline::settle::forward::Forward;
use crate::pipeline::settle::job::{Job, Place, close};
use crate::pipeline::settle::lanes::Way;
use crate::policy::decide::Disposition;

/// Room for the words of results of one kind, per listener, in KiB: with more, deliveries wait.
const ROOM_KIB: u32 = 16 * 1024;
/// Says in a short result why it is one.
const FORGOTTEN: &str =
    "the result was shortened: it could not be sent for long, and there was no room for it";

/// Where deliveries hand over their messages.
pub(in crate::pipeline) struct Settler {
    others: Arc<Semaphore>,
    copies: Arc<Semaphore>,
    successes: Arc<Semaphore>,
    failures: Arc<Semaphore>,
    /// Of successes, and of failures.
    rooms: [Arc<Semaphore>; 2],
    sender: mpsc::Sender<Job>,
    memory: Arc<Memory>,
    results: Arc<Results>,
    wall: Wall,
}

impl Settler {
    /// A way for so many messages of each kind at once, and where they come out.
    pub(super) fn new(
        each: usize,
        memory: Arc<Memory>,
        results: Arc<Results>,
        wall: Wall,
    ) -> (Arc<Self>, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(4 * each);
        let places = || Arc::new(Semaphore::new(each));
        let [others, copies, successes, failures] = [places(), places(), places(), places()];
        let room = || Arc::new(Semaphore::new(usize::try_from(ROOM_KIB).unwrap_or(usize::MAX)));
        let rooms = [room(), room()];
        let settler = Self { others, copies, successes, failures, rooms, sender, memory, results, wall };
        (Arc::new(settler), receiver)
    }

    /// The result that a message owes before it leaves so, if it has one. `is_last`: SQS hands it out no more.
    pub(in crate::pipeline) fn result(
        &self,
        message: &Message,
        posted: &Posted,
        leaves: (Disposition, bool),
    ) -> Option<Forward> {
        Forward::result(&self.results, message, posted, leaves, self.wall.now())
    }

    /// Takes a message over and remembers how it leaves. Waits for a place; the caller may free its worker then.
    pub(in crate::pipeline) async fn settle(
        &self,
        mut message: Box<Message>,
        lease: Lease,
        mut successor: Successor,
        mut exit: Exit,
    ) {
        self.word(&mut exit, &message);
        self.memory.left(&message.id, exit.clone());
        if !exit.forwards().any(|forward| matches!(forward, Forward::Copy(_))) {
            (message.body, message.attributes) = (Bytes::new(), Vec::new());
        }
        let Some(place) = self.place(&exit).await else { return };
        let mut hidden = None;
        if let Exit::Hide { until, .. } = &mut exit {
            close(&lease, until).await;
            hidden = Some((std::mem::take(&mut successor), *until));
        }
        // The channel has as much room as there are places.
        self.sender.try_send(Job::new(message, exit, lease, successor, place)).ok();
        if let Some((successor, until)) = hidden {
            // Only now: what stands behind it in its group is released after it.
            successor.tell(Fate::Hidden(until));
        }
    }

    /// Words the results whose words the memory has forgotten.
    fn word(&self, exit: &mut Exit, message: &Message) {
        for forward in exit.forwards_mut() {
            let Forward::Result(owed) = forward else { continue };
            if owed.words.is_none()
                && let Some(queue) = self.results.queue(owed.told.state)
            {
                owed.shorten(queue, message, FORGOTTEN);
            }
        }
    }

    /// Nobody closes the semaphores. When the loop has ended, its places are free and what is sent to it is dropped.
    async fn place(&self, exit: &Exit) -> Option<Place> {
        let [of_successes, of_failures] = &self.rooms;
        let (places, room) = match Way::of(exit) {
            Way::Deletes | Way::Hides => (&self.others, of_successes),
            Way::Copies => (&self.copies, of_failures),
            Way::Successes => (&self.successes, of_successes),
            Way::Failures => (&self.failures, of_failures),
        };
        let one = Arc::clone(places).acquire_owned().await.ok()?;
        let bytes: usize = exit.forwards().map(Forward::bytes).sum();
        let room = if bytes == 0 { None } else { Some(taken(room, bytes).await?) };
        Some(Place { _one: one, room })
    }
}

/// Room for so many bytes.
async fn taken(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(ROOM_KIB).min(ROOM_KIB);
    Arc::clone(room).acquire_many_owned(kib).await.ok()
}
