//! The endpoints of the process: each has one client and one set of limits, however often the configuration is read.
//!
//! An endpoint is the same as long as its address and credentials are, or its name and address. Then its limits stay the
//! same objects: what runs counts on, and what was learned stays. Its client is replaced when its credentials, times or TLS
//! files change; a POST under way ends on the client it began with. Nothing changes before everything could be made.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::admin::{Gauges, RunningEndpoint};
use crate::config::EndpointPlan;
use crate::endpoint::auth::{Auth, SigV4};
use crate::endpoint::{HttpClient, HttpEndpoint, Target, Tls};
use crate::exchange::Request;
use crate::limit::EndpointLimits;
use crate::policy::outcome::Attempt;
use crate::ports::{BoxFuture, Endpoint};
use crate::telemetry::metrics::Metrics;

use crate::app::fleet::Shares;
use crate::app::start::StartError;

/// The client of an endpoint's plan.
pub(super) fn client(plan: &EndpointPlan) -> Result<HttpClient, StartError> {
    let client = HttpClient::new(&plan.client)
        .map_err(|source| StartError::Endpoint { name: plan.client.name.clone(), source })?;
    let Some(Auth::SigV4(SigV4 { service, region, profile, role_arn, external_id })) = &plan.client.auth
    else {
        return Ok(client);
    };
    let role = role_arn.clone().map(|arn| crate::sqs::Role { arn, external_id: external_id.clone() });
    let (service, region, profile) = (service.clone(), region.clone(), profile.clone());
    let signer = crate::sqs::SigV4Signer::new(crate::sqs::SigV4 { service, region, profile, role });
    Ok(client.signed_by(Arc::new(signer)))
}

/// An endpoint in use.
#[derive(Debug)]
pub(super) struct Living {
    /// The limits that all its listeners share.
    pub(super) limits: EndpointLimits,
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    plan: EndpointPlan,
    client: HttpClient,
    /// Counts its clients.
    turn: u64,
}

/// The endpoints of a plan, made but not yet in use.
pub(super) struct Prepared(Vec<Change>);

enum Change {
    /// One that nobody used before.
    New(EndpointPlan, HttpClient),
    /// One goes on; `None`: its client does, too.
    Same(Arc<Living>, EndpointPlan, Option<HttpClient>),
    /// One goes on under another name, with its limits.
    Renamed(Arc<Living>, EndpointPlan, HttpClient),
}

impl Prepared {
    /// Makes what the plans need beside the endpoints in use. Reads TLS files.
    pub(super) fn new(plans: &[EndpointPlan], in_use: &[Arc<Living>]) -> Result<Self, StartError> {
        let old: Vec<EndpointPlan> = in_use.iter().map(|living| living.lock().plan.clone()).collect();
        let matches = matches(&old, plans);
        let change = |(plan, from): (&EndpointPlan, Option<usize>)| {
            Ok(match from.and_then(|from| in_use.get(from)).map(Arc::clone) {
                None => Change::New(plan.clone(), client(plan)?),
                Some(same) if *same.limits.name == *plan.client.name => {
                    let client = same.other_client(plan)?;
                    Change::Same(same, plan.clone(), client)
                }
                Some(old) => Change::Renamed(old, plan.clone(), client(plan)?),
            })
        };
        plans.iter().zip(matches).map(change).collect::<Result<_, _>>().map(Self)
    }

    /// Takes them into use, in the order of the plans.
    pub(super) fn apply(self) -> Vec<Arc<Living>> {
        self.0.into_iter().map(Change::apply).collect()
    }
}

impl Change {
    fn apply(self) -> Arc<Living> {
        match self {
            Self::New(plan, client) => {
                let limits = EndpointLimits::new(&plan.client.name, &plan.limits, fastrand::u64(..));
                Living::new(limits, plan, client)
            }
            Self::Same(same, plan, client) => {
                same.limits.sessions.adjust(&plan.limits);
                let mut now = same.now.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(client) = client {
                    now.client = client;
                    now.turn += 1;
                }
                now.plan = plan;
                drop(now);
                same
            }
            Self::Renamed(old, plan, client) => {
                old.limits.sessions.adjust(&plan.limits);
                let limits = EndpointLimits { name: plan.client.name.as_str().into(), ..old.limits.clone() };
                Living::new(limits, plan, client)
            }
        }
    }
}

/// The same name at the same address.
fn is_named_so(a: &EndpointPlan, b: &EndpointPlan) -> bool {
    a.client.name == b.client.name && a.origin == b.origin
}

/// The same address with the same credentials.
fn is_same(a: &EndpointPlan, b: &EndpointPlan) -> bool {
    let (one, other) = (&a.client, &b.client);
    a.origin == b.origin && one.auth == other.auth && one.sign == other.sign && one.tls == other.tls
}

/// For each new endpoint the old one that it goes on from, if there is one. First those with the same address and
/// credentials, best under the same name. Then those with the same name and address. Each is taken once.
fn matches(old: &[EndpointPlan], new: &[EndpointPlan]) -> Vec<Option<usize>> {
    let rounds: [fn(&EndpointPlan, &EndpointPlan) -> bool; 3] =
        [|a, b| is_named_so(a, b) && is_same(a, b), is_same, is_named_so];
    let mut found: Vec<Option<usize>> = vec![None; new.len()];
    for fits in rounds {
        for at in 0..new.len() {
            let Some(plan) = new.get(at).filter(|_| found.get(at).is_some_and(Option::is_none)) else {
                continue;
            };
            let free = |index: &usize| !found.contains(&Some(*index));
            let from =
                old.iter().enumerate().filter(|(_, old)| fits(old, plan)).map(|(index, _)| index).find(free);
            if let Some(place) = found.get_mut(at) {
                *place = from;
            }
        }
    }
    found
}

impl Living {
    fn new(limits: EndpointLimits, plan: EndpointPlan, client: HttpClient) -> Arc<Self> {
        Arc::new(Self { limits, now: RwLock::new(Now { plan, client, turn: 0 }) })
    }

    /// The client that a plan asks for, if it is another than the present one. That has open connections and tokens. TLS
    /// files may have other contents now.
    fn other_client(&self, plan: &EndpointPlan) -> Result<Option<HttpClient>, StartError> {
        if self.lock().plan.client == plan.client && plan.client.tls == Tls::default() {
            return Ok(None);
        }
        let other = client(plan)?;
        let is_same = self.lock().client.is_as(&other);
        Ok(Some(other).filter(|_| !is_same))
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the admin port shows of it.
    pub(super) fn shown(&self, metrics: &Metrics, shares: Shares) -> RunningEndpoint {
        let (mirrored, handles) = (self.limits.clone(), metrics.endpoint(&self.limits.name));
        let gauges: Gauges = Box::new(move || {
            let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            handles.sessions_limit.set(gauge(mirrored.sessions.cap()));
            handles.adaptive_limit.set(gauge(mirrored.sessions.limit()));
            handles.set_adaptive_rate(mirrored.sessions.learned().and_then(|learned| learned.per_second));
            handles.set_fleet_share(shares.members().map(|_| mirrored.sessions.part()));
            handles.sessions_in_use.set(gauge(mirrored.sessions.running()));
            handles.gate.mirror(mirrored.gate.snapshot().state, &mirrored.gate.closed_for());
        });
        RunningEndpoint::new(self.limits.clone(), self.lock().plan.sessions_are_workers, gauges)
    }
}

/// Endpoints of former plans. A listener that still drains keeps its own. An endpoint that comes back meanwhile goes on
/// with the limits that those POSTs use.
#[derive(Default)]
pub(super) struct Former(Vec<Weak<Living>>);

impl Former {
    /// These are of a former plan now.
    pub(super) fn add(&mut self, endpoints: &[Arc<Living>]) {
        self.0.retain(|former| former.strong_count() > 0);
        self.0.extend(endpoints.iter().map(Arc::downgrade));
    }

    /// The endpoints that somebody uses: those of the present plan first.
    pub(super) fn beside(&self, present: &[Arc<Living>]) -> Vec<Arc<Living>> {
        let is_former = |one: &Arc<Living>| !present.iter().any(|other| Arc::ptr_eq(one, other));
        let former = self.0.iter().rev().filter_map(Weak::upgrade).filter(is_former);
        present.iter().cloned().chain(former).collect()
    }
}

/// The address of one listener at an endpoint whose client may be replaced.
#[derive(Debug)]
pub(super) struct Posting {
    living: Arc<Living>,
    target: Target,
    /// What posts by the client of that turn.
    made: RwLock<(u64, HttpEndpoint)>,
}

impl Posting {
    pub(super) fn new(living: &Arc<Living>, target: Target) -> Self {
        let now = living.lock();
        let made = RwLock::new((now.turn, HttpEndpoint::new(&now.client, target.clone())));
        drop(now);
        Self { living: Arc::clone(living), target, made }
    }

    /// What posts by the present client.
    fn now(&self) -> HttpEndpoint {
        let now = self.living.lock();
        let (turn, made) = self.made.read().unwrap_or_else(PoisonError::into_inner).clone();
        if turn == now.turn {
            return made;
        }
        let made = HttpEndpoint::new(&now.client, self.target.clone());
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = (now.turn, made.clone());
        made
    }
}

impl Endpoint for Posting {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        self.now().posted(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    /// The endpoints of a file with these, each used by a listener.
    fn plans(endpoints: &[(&str, &str, &str)]) -> Vec<EndpointPlan> {
        let endpoint = |(name, url, more): &(&str, &str, &str)| format!("  {name}:\n    url: {url}\n{more}");
        let listener = |(name, ..): &(&str, &str, &str)| {
            format!(
                "- queue: https://sqs.eu-west-1.amazonaws.com/123456789012/{name}\n  endpoint: {name}\n  path: /\n"
            )
        };
        let of_endpoints: String = endpoints.iter().map(endpoint).collect();
        let of_listeners: String = endpoints.iter().map(listener).collect();
        let text = format!("endpoints:\n{of_endpoints}listeners:\n{of_listeners}");
        let file = tempfile_of(&text);
        let overrides = Overrides { config: Some(file), ..Overrides::default() };
        let env =
            |name: &str| ["TOKEN", "OTHER"].contains(&name).then(|| format!("Authorization: Bearer {name}"));
        load(&overrides, &env, false).unwrap_or_else(|errors| panic!("{errors}")).endpoints
    }

    fn tempfile_of(text: &str) -> String {
        let name = format!("queuepost-endpoints-{}-{}.yaml", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    const AUTH: &str = "    auth:\n      header_env: TOKEN\n";
    const OTHER: &str = "    auth:\n      header_env: OTHER\n";

    #[test]
    fn an_endpoint_goes_on_while_its_address_and_its_name_or_credentials_stay() {
        let api = ("api", "https://api.example.com", AUTH);
        let crm = ("crm", "https://crm.example.com", "");
        let of = |old: &[(&str, &str, &str)], new: &[(&str, &str, &str)]| matches(&plans(old), &plans(new));
        assert_eq!(of(&[api, crm], &[crm, api]), [Some(1), Some(0)], "in any order");
        assert_eq!(of(&[api], &[("api", api.1, OTHER)]), [Some(0)], "with other credentials");
        assert_eq!(of(&[api], &[("called-so", api.1, AUTH)]), [Some(0)], "under another name");
        assert_eq!(of(&[api], &[("api", crm.1, AUTH)]), [None], "at another address it is another");
        let two = [("called-so", api.1, AUTH), ("api", api.1, OTHER)];
        assert_eq!(of(&[api], &two), [Some(0), None], "none goes on twice");
    }

    #[test]
    fn one_that_comes_back_while_a_listener_drains_to_it_goes_on_with_its_limits() {
        let at = |url: &str| plans(&[("api", url, AUTH)]);
        let (one, other) = (at("https://one.example.com"), at("https://other.example.com"));
        let mut former = Former::default();
        let first = Prepared::new(&one, &[]).unwrap().apply();
        let drains = Arc::clone(&first[0]);
        let second = Prepared::new(&other, &former.beside(&first)).unwrap().apply();
        former.add(&first);
        drop(first);
        let third = Prepared::new(&one, &former.beside(&second)).unwrap().apply();
        assert!(Arc::ptr_eq(&third[0], &drains), "the POSTs that still run count");
        former.add(&second);
        drop((second, third, drains));
        assert!(former.beside(&[]).is_empty(), "nobody uses them any more");
    }

    #[test]
    fn one_that_goes_on_keeps_its_limits_and_takes_new_numbers() {
        let sessions = "    sessions: 3\n";
        let old = Prepared::new(&plans(&[("api", "https://api.example.com", AUTH)]), &[]).unwrap().apply();
        let same =
            || Prepared::new(&plans(&[("api", "https://api.example.com", AUTH)]), &old).unwrap().apply();
        assert!(Arc::ptr_eq(&old[0], &same()[0]));
        assert_eq!(old[0].lock().turn, 0, "its client has open connections");
        let other = format!("{OTHER}{sessions}");
        let new = Prepared::new(&plans(&[("api", "https://api.example.com", &other)]), &old).unwrap().apply();
        assert!(Arc::ptr_eq(&old[0], &new[0]));
        assert_eq!((old[0].lock().turn, old[0].limits.sessions.cap()), (1, 3));
        let renamed =
            Prepared::new(&plans(&[("crm", "https://api.example.com", &other)]), &old).unwrap().apply();
        assert!(!Arc::ptr_eq(&old[0], &renamed[0]));
        assert!(Arc::ptr_eq(&old[0].limits.sessions, &renamed[0].limits.sessions));
        assert_eq!(&*renamed[0].limits.name, "crm");
    }
}
