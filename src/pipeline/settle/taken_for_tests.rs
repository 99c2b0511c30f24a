//! For tests of the stages before settlement: a settler whose messages the test takes.
//!
//! Nothing is sent to a queue. The test says when a message counts as settled.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::pipeline::completion::Fate;
use crate::pipeline::ledger::Settled;
use crate::pipeline::memory::Memory;
use crate::pipeline::settle::exit::Exit;
use crate::pipeline::settle::settler::{Incoming, Settler};
use crate::pipeline::settle::work::{Delete, Hide, Owing};

/// Where the messages of a settler come out.
pub(in crate::pipeline) struct Taken(mpsc::Receiver<Incoming>);

/// A message that has left its stage, and waits to be settled.
pub(in crate::pipeline) struct Left(Incoming);

/// A settler of so many places, and where its messages come out.
pub(in crate::pipeline) fn settler(places: usize, memory: &Arc<Memory>) -> (Settler, Taken) {
    let (settler, receiver) = Settler::new(places, Arc::clone(memory));
    (settler, Taken(receiver))
}

impl Taken {
    /// The next that leaves.
    pub(in crate::pipeline) async fn next(&mut self) -> Option<Left> {
        self.0.recv().await.map(Left)
    }

    /// One that has left already.
    pub(in crate::pipeline) fn now(&mut self) -> Option<Left> {
        self.0.try_recv().ok().map(Left)
    }
}

impl Left {
    /// Its id, and how it leaves.
    pub(in crate::pipeline) fn exit(&self) -> (String, Exit) {
        match &self.0 {
            Incoming::Delete(delete) => (delete.leaver.id.to_string(), Exit::DELETE),
            Incoming::Owing(owing) => (
                owing.message.id.to_string(),
                Exit::Delete { first: owing.owed.clone(), how: owing.delete.how },
            ),
            Incoming::Hide(hide) => (hide.leaver.id.to_string(), hidden(hide)),
        }
    }

    /// The receipt handle that would be sent.
    pub(in crate::pipeline) fn handle(&self) -> String {
        let handle = match &self.0 {
            Incoming::Delete(delete) => delete.leaver.lease.handle(),
            Incoming::Owing(owing) => owing.delete.leaver.lease.handle(),
            Incoming::Hide(hide) => hide.leaver.lease.as_ref().handle(),
        };
        handle.expose().to_owned()
    }

    /// SQS has confirmed it.
    pub(in crate::pipeline) fn confirm(self) {
        match self.0 {
            Incoming::Hide(Hide { leaver, how, .. }) => leaver.settled(how),
            Incoming::Delete(delete) => deleted(delete),
            Incoming::Owing(owing) => {
                let Owing { delete, .. } = *owing;
                deleted(delete);
            }
        }
    }
}

fn deleted(delete: Delete) {
    let Delete { leaver, how, successor } = delete;
    leaver.settled(how);
    successor.tell(Fate::Deleted);
}

fn hidden(hide: &Hide) -> Exit {
    let until = hide.until;
    match hide.how {
        Settled::Deferred(reason) => Exit::Defer { until, reason },
        Settled::Released(reason) => Exit::Release { until, reason },
        Settled::Parked | Settled::Deleted | Settled::DeadLettered => Exit::Park { until },
    }
}
