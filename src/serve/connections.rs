//! All open connections of a server, and which of them makes room for a newcomer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;

/// The open connections, by number.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    table: Mutex<Table>,
    /// Rung when a connection ended or may be dropped; only one task waits for it.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Mutex::default(), changed: Arc::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more connection may be open, dropping another for it if one waits for a head.
    pub(super) async fn make_room(&self) {
        while !self.has_room() {
            self.changed.notified().await;
        }
    }

    fn has_room(&self) -> bool {
        let table = self.table();
        if table.open.len() < self.most {
            return true;
        }
        // One is dropped for one newcomer; its place is free when its task has ended.
        if table.open.values().any(|connection| connection.is_dropped()) {
            return false;
        }
        let waiting =
            |connection: &Arc<Connection>| Some((connection.waits_since()?, Arc::clone(connection)));
        let mut waiting: Vec<_> = table.open.values().filter_map(waiting).collect();
        waiting.sort_by_key(|(since, _)| *since);
        // A connection may have got its head since it was looked at; then the next one is dropped.
        waiting.iter().any(|(_, connection)| connection.drop_if_waiting());
        false
    }

    /// Takes in a connection.
    pub(super) fn open(self: &Arc<Self>, cut: CancellationToken) -> Open {
        let connection = Arc::new(Connection::new(cut, Arc::clone(&self.changed)));
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.open.insert(number, Arc::clone(&connection));
        Open { connection, number, all: Arc::clone(self) }
    }
}

/// An open connection; dropping this makes room for another.
pub(super) struct Open {
    pub(super) connection: Arc<Connection>,
    number: u64,
    all: Arc<Connections>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.table().open.remove(&self.number);
        self.all.changed.notify_one();
    }
}
