//! For tests of the stages before settlement: a settler whose messages the test takes.
//!
//! Nothing is sent to a queue. The test says when a message counts as settled.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::limit::clock::Wall;
use crate::pipeline::memory::Memory;
use crate::pipeline::results::Results;
use crate::pipeline::settle::Settler;
use crate::pipeline::settle::exit::{Exit, Fate};
use crate::pipeline::settle::job::Job;

/// Where the messages of a settler come out.
pub(in crate::pipeline) struct Taken(mpsc::Receiver<Job>);

/// A message that has left its stage, and waits to be settled.
pub(in crate::pipeline) struct Left(Job);

/// A settler of so many places, and where its messages come out.
pub(in crate::pipeline) fn settler(places: usize, memory: &Arc<Memory>) -> (Arc<Settler>, Taken) {
    with_results(places, memory, Results::default())
}

/// One with result queues.
pub(in crate::pipeline) fn with_results(
    places: usize,
    memory: &Arc<Memory>,
    results: Results,
) -> (Arc<Settler>, Taken) {
    let wall = Wall::Anchored { at: SystemTime::UNIX_EPOCH, instant: Instant::now() };
    let (settler, receiver) = Settler::new(places, Arc::clone(memory), Arc::new(results), wall);
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
        (self.0.message.id.to_string(), self.0.exit.clone())
    }

    /// The receipt handle that would be sent.
    pub(in crate::pipeline) fn handle(&self) -> String {
        self.0.lease.handle().expose().to_owned()
    }

    /// SQS has confirmed it.
    pub(in crate::pipeline) fn confirm(self) {
        let Self(Job { exit, lease, successor, .. }) = self;
        let (Exit::Delete { how } | Exit::Hide { how, .. }) = *exit.last() else { return };
        lease.settled(how);
        successor.tell(Fate::Deleted);
    }
}
