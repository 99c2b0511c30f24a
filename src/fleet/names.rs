//! The processes behind a DNS name: one address record each, or one SRV record each.
//!
//! IPv4 addresses count, and IPv6 ones where there are none: a process with one of each is not two. Of SRV records, port
//! and target count, so several processes may have one address.
//!
//! Which of them is this process is told by its own addresses: those that the system lets it bind. Where it listens at one
//! address alone (`admin.listen`), only that one is its own.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use crate::fleet::follow::{Found, LookError, Names};
use crate::fleet::roster::Member;
use crate::ports::BoxFuture;

/// A DNS name with a record for each process of the fleet.
#[derive(Debug)]
pub struct Dns {
    name: String,
    server: Option<SocketAddr>,
    /// Where this process listens; port 0 is nobody's.
    listens: SocketAddr,
    /// What this process was known as last.
    own: Mutex<Member>,
}

impl Dns {
    /// `name` as `server` knows it, or the servers of `/etc/resolv.conf`; `listens` is the admin port's address.
    pub fn new(name: String, server: Option<SocketAddr>, listens: SocketAddr) -> Self {
        let own = Mutex::new(SocketAddr::new(listens.ip(), 0));
        Self { name, server, listens, own }
    }

    /// Made anew for each look: the system's file may have changed, and nothing is to be remembered.
    fn resolver(&self) -> Result<TokioResolver, LookError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match self.server {
            None => Resolver::builder(provider).map_err(|error| failed(&error))?,
            Some(server) => {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
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
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        builder.build().map_err(|error| failed(&error))
    }

    async fn members(&self) -> Result<(BTreeSet<Member>, Duration), LookError> {
        let resolver = self.resolver()?;
        if self.name.starts_with('_') {
            return services(&resolver, &self.name).await;
        }
        let (addresses, ttl) = addresses(&resolver, &self.name).await?;
        Ok((addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect(), ttl))
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
    let is_address = || {
        if listens.ip().is_unspecified() || listens.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            UdpSocket::bind((member.ip(), 0)).is_ok()
        } else {
            listens.ip() == member.ip()
        }
    };
    is_port && is_address()
}

impl Names for Dns {
    fn name(&self) -> &str {
        &self.name
    }

    fn look(&self) -> BoxFuture<'_, Result<Found, LookError>> {
        Box::pin(async {
            let (members, valid_for) = self.members().await?;
            let own = self.own(&members);
            Ok(Found { members, own, valid_for })
        })
    }
}

/// The processes by SRV records.
async fn services(resolver: &TokioResolver, name: &str) -> Result<(BTreeSet<Member>, Duration), LookError> {
    let found = resolver.lookup(name, RecordType::SRV).await.map_err(|error| unless_none(&error, "SRV"))?;
    let mut members = BTreeSet::new();
    let mut shortest = Duration::MAX;
    for record in found.answers() {
        let RData::SRV(service) = &record.data else { continue };
        shortest = shortest.min(Duration::from_secs(record.ttl.into()));
        let (addresses, ttl) = addresses(resolver, &service.target.to_ascii()).await?;
        shortest = shortest.min(ttl);
        members.extend(addresses.into_iter().map(|address| SocketAddr::new(address, service.port)));
    }
    if members.is_empty() { Err(LookError::NoRecords("SRV")) } else { Ok((members, shortest)) }
}

/// The addresses of a name, and for how long they are valid.
async fn addresses(resolver: &TokioResolver, name: &str) -> Result<(Vec<IpAddr>, Duration), LookError> {
    let found = resolver.lookup_ip(name).await.map_err(|error| unless_none(&error, "A or AAAA"))?;
    let all: Vec<IpAddr> = found.iter().collect();
    let one_family = |address: &IpAddr| address.is_ipv4() || all.iter().all(IpAddr::is_ipv6);
    let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    let addresses: Vec<IpAddr> = all.iter().copied().filter(one_family).collect();
    let valid_for = Duration::from_secs(ttl.into());
    if addresses.is_empty() { Err(LookError::NoRecords("A or AAAA")) } else { Ok((addresses, valid_for)) }
}

fn unless_none(error: &NetError, kind: &'static str) -> LookError {
    if error.is_no_records_found() || error.is_nx_domain() {
        return LookError::NoRecords(kind);
    }
    failed(error)
}

fn failed(error: &NetError) -> LookError {
    LookError::Failed(error.to_string())
}
