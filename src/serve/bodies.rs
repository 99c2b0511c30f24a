//! Request bodies, within a fixed total of memory for all bodies that are being read or answered.
//!
//! Otherwise many clients that each send a long body slowly would hold `connections × longest` bytes. A body
//! reserves memory as it grows, so a declared length alone reserves none. A body that finds no memory is
//! refused at once: half-read bodies that wait for each other could wait for ever.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body of this size always gets memory: about as much as a connection's own buffer.
const SHORT_BYTES: usize = 16 * 1024;

/// Reads the bodies of one server.
#[derive(Debug)]
pub struct Bodies {
    /// Bytes for bodies longer than [`SHORT_BYTES`].
    room: Arc<Semaphore>,
    longest: usize,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The body is longer than allowed.
    TooLong,
    /// Other bodies use all the memory.
    NoRoom,
    /// The connection broke off.
    Broken,
}

/// A body that was read; it holds its memory until it is dropped.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Bodies of up to `longest` bytes each, and up to `total` bytes together.
    pub fn new(longest: usize, total: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(total)), longest }
    }

    /// Reads a body to its end.
    pub async fn read(&self, mut body: Body) -> Result<Held, BodyError> {
        let mut held = Held::default();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let length = held.bytes.len() + data.len();
            if length > self.longest {
                return Err(BodyError::TooLong);
            }
            self.grow(&mut held, length)?;
            held.bytes.extend_from_slice(&data);
        }
        Ok(held)
    }

    /// Reserves memory for `length` bytes; it doubles the present size, so that few bytes are copied twice.
    fn grow(&self, held: &mut Held, length: usize) -> Result<(), BodyError> {
        let before = held.bytes.capacity();
        if length <= before {
            return Ok(());
        }
        let capacity = length.max(2 * before).max(SHORT_BYTES).min(self.longest.max(SHORT_BYTES));
        if capacity > SHORT_BYTES {
            let taken = held.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let more = u32::try_from(capacity.saturating_sub(taken)).map_err(|_| BodyError::NoRoom)?;
            let room = Arc::clone(&self.room).try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
            match &mut held.room {
                Some(taken) => taken.merge(room),
                taken @ None => *taken = Some(room),
            }
        }
        held.bytes.reserve_exact(capacity - held.bytes.len());
        Ok(())
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 4 * SHORT_BYTES;

    #[tokio::test]
    async fn long_bodies_take_room_until_they_are_dropped_and_short_ones_need_none() {
        let bodies = Bodies::new(LONG, 2 * LONG);
        let long = || Body::from(vec![b'x'; LONG]);
        let first = bodies.read(long()).await.unwrap();
        let second = bodies.read(long()).await.unwrap();
        assert_eq!((first.len(), second.len()), (LONG, LONG));
        assert_eq!(bodies.read(long()).await.unwrap_err(), BodyError::NoRoom);
        assert_eq!(bodies.read(Body::from("short")).await.unwrap().as_ref(), b"short");
        drop(first);
        assert!(bodies.read(long()).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_and_leaves_no_room_taken() {
        let bodies = Bodies::new(LONG, LONG);
        assert_eq!(bodies.read(Body::from(vec![0; LONG + 1])).await.unwrap_err(), BodyError::TooLong);
        assert!(bodies.read(Body::from(vec![0; LONG])).await.is_ok());
    }
}
