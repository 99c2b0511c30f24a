//! All open connections of a server, and which of them makes room for a newcomer: of those that wait for a head the
//! one that waits longest, else of those whose client takes no answer the one with the oldest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;

/// How long a client may take for a complete answer when others have to wait.
const UNTAKEN_MAX: Duration = Duration::from_secs(1);

/// The open connections, by number.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    table: Mutex<Table>,
    /// Rung when a connection ended, or may be dropped now or soon; only one task waits for it.
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

    /// Waits until one more connection may be open, dropping another for it if one may be dropped.
    pub(super) async fn make_room(&self) {
        loop {
            match self.room() {
                Room::Free => return,
                Room::None => self.changed.notified().await,
                Room::At(time) => {
                    // Either way it is time to look again.
                    tokio::time::timeout_at(time, self.changed.notified()).await.ok();
                }
            }
        }
    }

    fn room(&self) -> Room {
        let table = self.table();
        if table.open.len() < self.most {
            return Room::Free;
        }
        // One is dropped for one newcomer; its place is free when its task has ended.
        if table.open.values().any(|connection| connection.is_dropped()) {
            return Room::None;
        }
        // A connection may have got its head since it was looked at; then the next one is dropped.
        let waiting = table.oldest_first(Connection::waits_since);
        if waiting.iter().any(|(_, connection)| connection.drop_if_waiting()) {
            return Room::None;
        }
        let now = Instant::now();
        for (since, connection) in table.oldest_first(Connection::untaken_since) {
            if since + UNTAKEN_MAX > now {
                return Room::At(since + UNTAKEN_MAX);
            }
            if connection.drop_if_untaken(since) {
                return Room::None;
            }
        }
        Room::None
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

/// Whether one more connection may be open.
enum Room {
    Free,
    /// When something changes.
    None,
    /// Perhaps at this time, if nothing changes before.
    At(Instant),
}

impl Table {
    /// The connections for which there is such a time, and the time.
    fn oldest_first(&self, since: fn(&Connection) -> Option<Instant>) -> Vec<(Instant, Arc<Connection>)> {
        let timed = |connection: &Arc<Connection>| Some((since(connection)?, Arc::clone(connection)));
        let mut timed: Vec<_> = self.open.values().filter_map(timed).collect();
        timed.sort_by_key(|(since, _)| *since);
        timed
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
