//! Tasks of the scheduler.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;

pub use shuttle::future::{JoinError, JoinHandle, spawn};

/// Tasks whose ends are waited for together.
pub struct JoinSet<T>(Vec<JoinHandle<T>>);

impl<T> JoinSet<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static)
    where
        T: Send + 'static,
    {
        self.0.push(spawn(task));
    }

    /// The next one that has ended; `None` when there is none.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        std::future::poll_fn(|context| {
            for (index, task) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(result) = Pin::new(task).poll(context) {
                    self.0.remove(index);
                    return Poll::Ready(Some(result));
                }
            }
            if self.0.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}
