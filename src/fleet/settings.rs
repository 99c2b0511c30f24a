//! How the processes of a fleet are counted, already valid.

use std::net::SocketAddr;
use std::num::NonZeroU32;

/// The fleet of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who counts the processes.
    pub source: Source,
    /// Whether listeners' workers are shared too, and not the endpoints' limits alone.
    pub workers: bool,
}

/// Who counts the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A name with a record for each process.
    Dns {
        /// With addresses, or `_port._protocol.NAME` with SRV records.
        name: String,
        /// Who is asked; `None`: the servers of `/etc/resolv.conf`.
        server: Option<SocketAddr>,
    },
    /// Whoever wrote the configuration.
    Fixed(NonZeroU32),
}
