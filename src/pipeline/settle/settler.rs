//! How a message that leaves gets to the settle loop, and how the memory learns of it.
//!
//! Settlement has so many places and no more, of two kinds. A slow SQS therefore holds up deliveries and, behind them,
//! receives. It does not fill the memory of the process.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::message::Message;
use crate::pipeline::lease::Lease;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::{Exit, Fate, Successor};
use crate::pipeline::settle::work::{Job, Work};

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
        message: Message,
        lease: Lease,
        successor: Successor,
        exit: Exit,
    ) {
        let id = message.id.clone();
        self.memory.left(&id, exit.clone());
        let forwards = matches!(exit, Exit::Delete { forward: Some(_), .. });
        let places = if forwards { &self.forward_places } else { &self.other_places };
        // Nobody closes them. When the loop has ended, its places are free and what is sent to it is dropped.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        match exit {
            Exit::Delete { forward, how } => {
                let work = match forward {
                    Some(reason) => Work::Forward { message: Box::new(message), reason },
                    None => Work::Delete,
                };
                self.hand_over(Job::new(id, work, how, lease, successor, place)).await;
            }
            Exit::Hide { until, how } => {
                // SQS refuses a visibility past its twelve hours.
                let until = until.min(lease.ceiling());
                lease.close(until).await;
                let work = Work::Hide { until };
                self.hand_over(Job::new(id, work, how, lease, Successor::default(), place)).await;
                // Only now: what stands behind it in its group is released after it.
                successor.tell(Fate::Hidden(until));
            }
        }
    }

    async fn hand_over(&self, job: Job) {
        // The channel has as much room as there are places. If the loop is gone, the ledger counts the message as
        // abandoned.
        self.sender.send(job).await.ok();
    }
}
