//! Which queues share a connection: those with the same region, profile, role and address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::client::{Connection, Key};
use super::queue::SqsQueue;
use crate::sqs::Settings;

/// The SDK clients of the process, one per region, profile, role and address.
#[derive(Debug, Default)]
pub struct Clients {
    connections: Mutex<HashMap<Key, Arc<Connection>>>,
}

impl Clients {
    /// The queue of `settings`, on a connection shared with equal ones.
    ///
    /// Reads the SDK's configuration, and calls SQS no more than that needs. An error in the configuration
    /// appears in the first call to the queue.
    pub async fn queue(&self, settings: &Settings) -> SqsQueue {
        let key = Key::new(settings);
        let connection = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(connections.entry(key.clone()).or_insert_with(|| Arc::new(Connection::new(key))))
        };
        connection.make().await;
        SqsQueue::new(settings.queue.clone(), connection)
    }
}
