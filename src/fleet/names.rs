//! The processes behind a DNS name: one address record each, or one SRV record each.
//!
//! IPv4 addresses count, and IPv6 ones where there are none: a process with one of each is not two. Of SRV records, port
//! and target count, so several processes may have one address.
//!
//! Which of them is this process is told by its own addresses: those that its datagrams to them would come from. Where it
//! listens at one address alone (`admin.listen`), only that one is its own.
//!
//! What listed this process once is asked for from then on: the same name of those that the search list makes, and the
//! same kind of record. Else a server that fails would make the next one of them answer for another fleet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use crate::fleet::follow::{Found, LookError, Names};
use crate::fleet::roster::Member;
use crate::ports::BoxFuture;

/// Any port does, since nothing is sent there.
const DISCARD: u16 = 9;

/// A DNS name with a record for each process of the fleet.
#[derive(Debug)]
pub struct Dns {
    name: String,
    server: Option<SocketAddr>,
    /// Where this process listens; port 0 is nobody's.
    listens: SocketAddr,
    /// What this process was known as last.
    own: Mutex<Member>,
    /// The whole name and the kind of record that listed it.
    known: Mutex<Option<(String, RecordType)>>,
}

impl Dns {
    /// `name` as `server` knows it, or the servers of `/etc/resolv.conf`; `listens` is the admin port's address.
    pub fn new(name: String, server: Option<SocketAddr>, listens: SocketAddr) -> Self {
        let own = Mutex::new(SocketAddr::new(listens.ip(), 0));
        Self { name, server, listens, own, known: Mutex::default() }
    }

    /// Made anew for each look: the system's file may have changed, and nothing is to be remembered.
    fn resolver(&self) -> Result<TokioResolver, LookError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match self.server {
            None => Resolver::builder(provider).map_err(|error| failed(&error))?,
            Some(server) => {
                // By TCP: servers that were told to may cut what they answer by UDP, and not say so.
                let mut config = NameServerConfig::tcp(server.ip());
                for connection in &mut config.connections {
                    connection.port = server.port();
                }
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![config]);
                Resolver::builder_with_config(config, provider)
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.timeout = Duration::from_secs(1);
        options.attempts = 2;
        // Dozens of records do not fit into an answer by UDP without it.
        options.edns0 = true;
        builder.build().map_err(|error| failed(&error))
    }

    async fn look_up(&self) -> Result<Found, LookError> {
        let resolver = self.resolver()?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match known {
            Some((name, kind)) => answer(&resolver, &name, kind).await?,
            None if self.name.starts_with('_') => answer(&resolver, &self.name, RecordType::SRV).await?,
            None => addresses(&resolver, &self.name).await?,
        };
        let members = if answer.kind == RecordType::SRV {
            services(&resolver, &answer).await?
        } else {
            answer.addresses().map(|address| SocketAddr::new(address, 0)).collect()
        };
        let own = self.own(&members);
        if members.contains(&own) {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer.name, answer.kind));
        }
        Ok(Found { members, own, valid_for: answer.valid_for })
    }

    /// Which of them is this process; what it was before, where none is.
    fn own(&self, members: &BTreeSet<Member>) -> Member {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = members.iter().find(|member| is_own(self.listens, **member)) {
            *own = *found;
        }
        *own
    }
}

/// Whether a member is the process that listens there.
fn is_own(listens: SocketAddr, member: Member) -> bool {
    let is_port = member.port() == 0 || member.port() == listens.port();
    let is_everywhere = listens.ip().is_unspecified()
        || [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&listens.ip());
    is_port && if is_everywhere { is_ours(member.ip()) } else { listens.ip() == member.ip() }
}

/// Whether it is an address of this machine: whoever sends to it from here sends from it. Nothing is sent.
fn is_ours(address: IpAddr) -> bool {
    let any =
        if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    };
    from().is_ok_and(|from| from.ip() == address)
}

impl Names for Dns {
    fn name(&self) -> &str {
        &self.name
    }

    fn look(&self) -> BoxFuture<'_, Result<Found, LookError>> {
        Box::pin(self.look_up())
    }
}

/// Records of one kind, and what they were found by.
struct Answer {
    /// The whole name, of those that the search list makes.
    name: String,
    kind: RecordType,
    records: Vec<RData>,
    valid_for: Duration,
}

impl Answer {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records.iter().filter_map(RData::ip_addr)
    }
}

/// The records of a name; there is at least one.
async fn answer(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Answer, LookError> {
    let found = resolver.lookup(name, kind).await.map_err(|error| unless_none(&error, kind))?;
    let of_kind = || found.answers().iter().filter(|record| record.record_type() == kind);
    let shortest = of_kind().map(|record| record.ttl).min().ok_or(LookError::NoRecords(kind.into()))?;
    let records = of_kind().map(|record| record.data.clone()).collect();
    let valid_for = Duration::from_secs(shortest.into());
    Ok(Answer { name: found.query().name().to_ascii(), kind, records, valid_for })
}

/// The addresses of a name: IPv6 only where there is none of IPv4, and not where the server failed to say so.
async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Answer, LookError> {
    match answer(resolver, name, RecordType::A).await {
        Err(LookError::NoRecords(_)) => {}
        other => return other,
    }
    match answer(resolver, name, RecordType::AAAA).await {
        Err(LookError::NoRecords(_)) => Err(LookError::NoRecords("A or AAAA")),
        other => other,
    }
}

/// The processes by SRV records. One whose target has no address has just gone.
async fn services(resolver: &TokioResolver, services: &Answer) -> Result<BTreeSet<Member>, LookError> {
    let mut members = BTreeSet::new();
    for record in &services.records {
        let RData::SRV(service) = record else { continue };
        match addresses(resolver, &service.target.to_ascii()).await {
            Ok(target) => {
                members.extend(target.addresses().map(|address| SocketAddr::new(address, service.port)));
            }
            Err(LookError::NoRecords(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if members.is_empty() { Err(LookError::NoRecords(RecordType::SRV.into())) } else { Ok(members) }
}

fn unless_none(error: &NetError, kind: RecordType) -> LookError {
    if error.is_no_records_found() || error.is_nx_domain() {
        return LookError::NoRecords(kind.into());
    }
    failed(error)
}

fn failed(error: &NetError) -> LookError {
    LookError::Failed(error.to_string())
}
