//! How a message that leaves gets to the settle loop, and how the memory learns of it.
//!
//! Settlement has so many places and no more, of two kinds. A slow SQS therefore holds up deliveries and, behind them,
//! receives. It does not fill the memory of the process.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use crate::message::Message;
use crate::pipeline::lease::Lease;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::{Exit, Fate, Successor};
use crate::pipeline::settle::job::Job;

/// Where deliveries hand over their messages.
///
/// Messages with a copy to forward have places of their own: a dead-letter queue that takes nothing must not keep others
/// from being deleted and hidden.
#[derive(Debug, Clone)]
pub(in crate::pipeline) struct Settler {
    forward_places: Arc<Semaphore>,
    other_places: Arc<Semaphore>,
    sender: mpsc::Sender<Job>,
    memory: Arc<Memory>,
}

impl Settler {
    /// A way for so many messages at once that are forwarded, and as many others; and where they come out.
    pub(super) fn new(each: usize, memory: Arc<Memory>) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(2 * each);
        let places = || Arc::new(Semaphore::new(each));
        (Self { forward_places: places(), other_places: places(), sender, memory }, receiver)
    }

    /// Takes a message over and remembers how it leaves. Waits for a place; the caller may free its worker then.
    pub(in crate::pipeline) async fn settle(
        &self,
        mut message: Message,
        lease: Lease,
        mut successor: Successor,
        mut exit: Exit,
    ) {
        self.memory.left(&message.id, exit.clone());
        let forwards = matches!(exit, Exit::Delete { forward: Some(_), .. });
        if !forwards {
            (message.body, message.attributes) = (Bytes::new(), Vec::new());
        }
        let places = if forwards { &self.forward_places } else { &self.other_places };
        // Nobody closes them. When the loop has ended, its places are free and what is sent to it is dropped.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let mut hidden = None;
        if let Exit::Hide { until, .. } = &mut exit {
            // SQS refuses a visibility past its twelve hours.
            *until = lease.ceiling().min(*until);
            lease.close(*until).await;
            hidden = Some((std::mem::take(&mut successor), *until));
        }
        // The channel has as much room as there are places.
        self.sender.send(Job::new(message, exit, lease, successor, place)).await.ok();
        if let Some((successor, until)) = hidden {
            // Only now: what stands behind it in its group is released after it.
            successor.tell(Fate::Hidden(until));
        }
    }
}
