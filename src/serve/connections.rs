//! All open connections of a server, and which of them is dropped to make room for a new one. The longest
//! waiting for a request head is dropped first. If none waits, the one with the oldest answer that its client
//! does not read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;

/// How long a client may take for a complete answer when new connections wait.
const UNTAKEN_MAX: Duration = Duration::from_secs(1);

/// The open connections, by number.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    table: Mutex<Table>,
    /// Notified when a connection ended, or may be dropped now or soon; only one task waits for it.
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

    /// Waits until one more connection may be open; drops another one for it if possible.
    pub(super) async fn make_room(&self) {
        loop {
            match self.room() {
                Room::Free => return,
                Room::None => self.changed.notified().await,
                Room::At(time) => {
                    // In either case the connections are checked again.
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
        // One connection is dropped per new one; its place is free when its task has ended.
        if table.open.values().any(|connection| connection.is_dropped()) {
            return Room::None;
        }
        // The connection may have received its head since the check; then the next one is dropped.
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

    /// Adds a connection.
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
    /// Then room appears when some connection changes.
    None,
    /// Then a connection may be dropped at this time, if nothing changes before.
    At(Instant),
}

impl Table {
    /// The connections that can be dropped at some time, with that time.
    fn oldest_first(&self, since: fn(&Connection) -> Option<Instant>) -> Vec<(Instant, Arc<Connection>)> {
        let timed = |connection: &Arc<Connection>| Some((since(connection)?, Arc::clone(connection)));
        let mut timed: Vec<_> = self.open.values().filter_map(timed).collect();
        timed.sort_by_key(|(since, _)| *since);
        timed
    }
}

/// An open connection; dropping this value frees its place.
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
