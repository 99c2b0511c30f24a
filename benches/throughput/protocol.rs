//! The protocol between the parent and its parts: one JSON value a line, over standard input and output.
//!
//! A part first reports its address, then answers each order with one line. It ends when its input does, so
//! no part outlives its parent.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::Result;

/// The first line of every part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
}

/// Orders to the queue server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum QueueOrder {
    /// Send so many messages of this size at once; answered with `()`.
    Fill { count: u32, body: u32 },
    /// Answered with [`Emptied`] once the queue is empty.
    AwaitEmpty,
    /// Answered with [`Depth`].
    Look,
    /// Answered with [`Calls`].
    Calls,
    /// Answer open polls and stop; answered by the end of the process.
    Close,
}

/// What happened between the filling of the queue and the last delete.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Emptied {
    pub(crate) micros: u64,
    /// Calls that arrived meanwhile, of any kind.
    pub(crate) calls: u32,
}

/// The calls so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) all: u32,
    pub(crate) receives: u32,
}

/// The messages in the queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Depth {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
}

/// Order to the endpoint; answered with [`Arrivals`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Count;

/// What the endpoint has received so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    pub(crate) requests: u64,
    /// Messages in them, those that arrived again too.
    pub(crate) messages: u64,
    /// Different messages among them.
    pub(crate) distinct: u64,
    /// Messages that were not posted complete and unchanged, and requests that were no POST.
    pub(crate) wrong: u64,
}

/// The orders a part is given.
pub(crate) struct Orders {
    lines: Lines<BufReader<Stdin>>,
}

impl Orders {
    /// Reports the part's address, and waits for orders from then on.
    pub(crate) fn listening(address: SocketAddr) -> Result<Self> {
        Self::after(&Listening { address })
    }

    /// Reports the first line for the parent, and waits for orders from then on.
    pub(crate) fn after(first: &impl Serialize) -> Result<Self> {
        say(first)?;
        Ok(Self { lines: BufReader::new(tokio::io::stdin()).lines() })
    }

    /// The next order; `None` when the parent has no more or is gone.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let line = self.lines.next_line().await?;
        Ok(line.as_deref().map(serde_json::from_str).transpose()?)
    }
}

/// Sends a line to the parent.
pub(crate) fn say(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
