//! The endpoints of a configuration: which listeners share them, and their caps.
//!
//! Listeners share one endpoint when `scheme://host:port`, credentials and TLS files are equal. Otherwise an
//! address written twice would exceed its cap. A named endpoint keeps its name; the endpoint of a listener's
//! own `url` is named by its origin. Endpoints without listeners are left out.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use url::Url;

use crate::config::auth;
use crate::config::env::Lookup;
use crate::config::file::{self, File};
use crate::config::firsts::Firsts;
use crate::config::plan::EndpointPlan;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::shown::did_you_mean;
use crate::config::{reveal, rules, value};
use crate::endpoint::auth::{Auth, FixedHeaders};
use crate::endpoint::sign::Signature;
use crate::endpoint::{self, Tls};
use crate::limit;
use crate::secret::regular_file;
use crate::tuning::Tuning;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the 5 s keep-alive of Node and uvicorn: a reset on a stale connection costs a receive.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
pub(super) const SESSIONS_MAX: u32 = 1_000_000;
pub(super) const BURST_MAX: u32 = 1_000_000;
/// Shortest timeout of connecting and of idle connections.
pub(super) const TIME_MIN: Duration = Duration::from_millis(100);
pub(super) const CONNECT_MAX: Duration = Duration::from_mins(5);
pub(super) const IDLE_MAX: Duration = Duration::from_hours(1);

/// Most names compared with misspelt ones, a few milliseconds. Thousands of listeners that name none of thousands of
/// endpoints would take a minute.
const COMPARED_MAX: usize = 20_000;

/// The identity of an endpoint: equal for endpoints that are shared. Secrets are equal if they are written alike: their
/// values may change.
type Identity = (String, Option<Auth>, Option<Signature>, Tls);

/// The endpoints known so far.
#[derive(Default)]
pub(super) struct Endpoints {
    known: Vec<Known>,
    /// Indexes of the named endpoints.
    by_name: Firsts<String, usize>,
    /// Indexes by identity.
    by_identity: Firsts<Identity, usize>,
    /// Index of the first endpoint of each origin.
    by_origin: Firsts<String, usize>,
    /// Names compared with misspelt ones.
    compared: Cell<usize>,
}

/// The parts of a listener that its endpoint needs.
pub(super) struct Joining {
    pub(super) workers: usize,
    /// Whether the value was written, or is the default.
    pub(super) workers_written: bool,
    pub(super) timeout: Duration,
}

struct Known {
    name: String,
    key: String,
    place: Place,
    base: Option<Url>,
    /// `None` when one of its parts has a problem.
    identity: Option<Identity>,
    connect_timeout: Duration,
    pool_idle_timeout: Duration,
    headers: FixedHeaders,
    retry_after_closes_gate: bool,
    adaptive: bool,
    sessions: Option<usize>,
    rate: Option<limit::Rate>,
    /// Where `sessions` was written; `None` for the default, of a preset too.
    sessions_written: Option<Written>,
    /// Sum over the listeners that use this endpoint.
    workers: usize,
    /// The largest number that was written; defaults do not count.
    most_workers_written: usize,
}

impl Endpoints {
    /// Checks the named endpoints.
    pub(super) fn new(written: &[file::Endpoint], env: Lookup<'_>, report: &mut Report) -> Self {
        let mut endpoints = Self::default();
        for endpoint in written {
            let checked = Known::named(endpoint, env, report);
            endpoints.by_name.earlier(checked.name.clone(), endpoints.known.len());
            if let Some(other) = endpoints.same(&checked).and_then(|index| endpoints.known.get(index)) {
                let rule = format!(
                    "has the same scheme, host, port, auth, sign and tls as `{}`, so they would share its caps",
                    other.key
                );
                let fix = "keep one; listeners tell them apart by `path` and `headers`";
                report.refuse_key(&checked.place, &checked.key, Fault::new(rule).fix(fix));
            }
            endpoints.push(checked);
        }
        endpoints
    }

    /// Index of an earlier endpoint with the same identity.
    fn same(&self, checked: &Known) -> Option<usize> {
        self.by_identity.get(checked.identity.clone()?).copied()
    }

    /// Adds an endpoint; returns its index.
    fn push(&mut self, checked: Known) -> usize {
        let index = self.known.len();
        if let Some(identity) = &checked.identity {
            self.by_identity.earlier(identity.clone(), index);
            self.by_origin.earlier(identity.0.clone(), index);
        }
        self.known.push(checked);
        index
    }

    /// Index and address of the endpoint that a listener names; the address is `None` when it was refused.
    pub(super) fn named(&self, name: &str) -> Result<(usize, Option<&Url>), Fault> {
        let index = self.by_name.get(name.to_owned()).copied();
        let found = index.and_then(|index| Some((index, self.known.get(index)?)));
        found.map(|(index, known)| (index, known.base.as_ref())).ok_or_else(|| {
            let fault = Fault::new("is not under `endpoints`");
            let cost = self.compared.get().saturating_add(self.known.len());
            if cost > COMPARED_MAX {
                return fault;
            }
            self.compared.set(cost);
            let names = self.known.iter().map(|known| known.name.as_str());
            did_you_mean(name, names).into_iter().fold(fault, Fault::fix)
        })
    }

    /// Index of the endpoint of a listener that has a `url` of its own.
    pub(super) fn inline(
        &mut self,
        listener: &file::Listener,
        url: &Url,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> usize {
        let own = &listener.own;
        let checked = Known::inline(own, url, env, report);
        let same = self.same(&checked);
        if let Some((index, known)) = same.and_then(|index| Some((index, self.known.get_mut(index)?))) {
            if checked.sessions_written.is_some() {
                (known.sessions, known.sessions_written) = (checked.sessions, checked.sessions_written);
            }
            known.sessions = known.sessions.or(checked.sessions);
            known.rate = checked.rate.or(known.rate);
            return index;
        }
        let same_origin = checked.origin().and_then(|origin| self.by_origin.get(origin.to_owned()));
        if let Some(named) = same_origin.and_then(|&index| self.known.get(index))
            && own.auth.is_none()
        {
            let name = &named.name;
            let warning = format!(
                "goes to the host of endpoint `{name}` without its credentials, TLS files and caps; \
                 to use them write `endpoint: {name}` and `path`"
            );
            report.warn(&listener.place, &listener.key_of("url"), &warning);
        }
        self.push(checked)
    }

    /// The fixed headers of a listener's requests: those of the endpoint it names, and over them its own.
    pub(super) fn headers(
        &self,
        index: usize,
        listener: &file::Listener,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> FixedHeaders {
        let known = self.known.get(index);
        let identity = known.and_then(|known| known.identity.as_ref());
        let taken =
            identity.map_or_else(Vec::new, |(_, auth, sign, _)| auth::taken(auth.as_ref(), sign.as_ref()));
        let own = auth::headers(&listener.headers, &taken, env, report);
        match known.filter(|_| listener.endpoint.is_some()) {
            Some(known) => known.headers.and(&own),
            None => own,
        }
    }

    /// Records that a listener uses the endpoint; returns whether a Retry-After closes its gate.
    ///
    /// Connecting takes at most half of the shortest timeout. Otherwise a POST that times out while
    /// connecting could not be distinguished from one that was sent.
    pub(super) fn join(&mut self, index: usize, joining: &Joining) -> bool {
        let Some(known) = self.known.get_mut(index) else { return true };
        known.connect_timeout = known.connect_timeout.min(joining.timeout / 2);
        known.workers = known.workers.saturating_add(joining.workers);
        if joining.workers_written {
            known.most_workers_written = known.most_workers_written.max(joining.workers);
        }
        known.retry_after_closes_gate
    }

    /// The endpoints in use, and the new index of each earlier index. `beside`: whether more listeners may come, and whether
    /// other processes have the same caps.
    pub(super) fn finish(self, beside: (bool, bool), report: &mut Report) -> (Vec<EndpointPlan>, Vec<usize>) {
        let (may_come, is_shared) = beside;
        let (mut plans, mut indexes) = (Vec::new(), Vec::new());
        for known in self.known {
            indexes.push(plans.len());
            if known.workers > 0 {
                known.advise(is_shared, report);
                plans.push(known.plan());
            } else if !may_come {
                report.warn(&known.place, &known.key, "is not used by any listener");
            }
        }
        (plans, indexes)
    }
}

impl Known {
    fn named(written: &file::Endpoint, env: Lookup<'_>, report: &mut Report) -> Self {
        let name = &written.name;
        report.parse(Some(name), value::name);
        let base = report.parse(written.url.as_ref(), value::base_url);
        if written.url.is_none() {
            let fault = Fault::new("is required: https://HOST, or https://HOST/PREFIX");
            report.refuse_key(&name.place, &format!("{}.url", name.key), fault);
        }
        let mut known = Self::empty(name.raw.clone(), &name.key, &name.place, base);
        known.settle(written, env, report);
        known
    }

    fn inline(written: &file::Endpoint, url: &Url, env: Lookup<'_>, report: &mut Report) -> Self {
        let name = url.origin().ascii_serialization();
        let mut known = Self::empty(name, &written.name.key, &written.name.place, Some(url.clone()));
        known.settle(written, env, report);
        known
    }

    fn empty(name: String, key: &str, place: &Place, base: Option<Url>) -> Self {
        Self {
            name,
            key: key.to_owned(),
            place: place.clone(),
            base,
            identity: None,
            connect_timeout: CONNECT_TIMEOUT,
            pool_idle_timeout: POOL_IDLE_TIMEOUT,
            headers: FixedHeaders::default(),
            retry_after_closes_gate: true,
            adaptive: true,
            sessions: None,
            rate: None,
            sessions_written: None,
            workers: 0,
            most_workers_written: 0,
        }
    }

    /// Reads the settings that are written beside the address.
    fn settle(&mut self, written: &file::Endpoint, env: Lookup<'_>, report: &mut Report) {
        let connect = |text: &str| value::duration(text, TIME_MIN, CONNECT_MAX);
        let idle = |text: &str| value::duration(text, TIME_MIN, IDLE_MAX);
        if let Some(timeout) = report.parse(written.connect_timeout.as_ref(), connect) {
            self.connect_timeout = timeout;
        }
        if let Some(timeout) = report.parse(written.pool_idle_timeout.as_ref(), idle) {
            self.pool_idle_timeout = timeout;
        }
        let scopes = |text: &str| value::one_of(text, &[("endpoint", true), ("message", false)]);
        if let Some(closes) = report.parse(written.retry_after_scope.as_ref(), scopes) {
            self.retry_after_closes_gate = closes;
        }
        let truth = |text: &str| value::one_of(text, &[("true", true), ("false", false)]);
        if let Some(adaptive) = report.parse(written.adaptive.as_ref(), truth) {
            self.adaptive = adaptive;
        }
        let sessions = |text: &str| value::whole(text, 1, SESSIONS_MAX);
        self.sessions = report.parse(written.sessions.as_ref(), sessions).map(value::size);
        let by_hand = |sessions: &&Written| !matches!(sessions.place, Place::Preset(_));
        self.sessions_written = written.sessions.as_ref().filter(by_hand).cloned();
        self.rate = rate(written, report);
        let auth = written.auth.as_ref().map(|auth| auth::credentials(auth, self.base.as_ref(), env, report));
        let of_auth = auth.iter().flatten().map(Auth::header).next();
        let sign = written.sign.as_ref().map(|sign| sign.signature(of_auth.as_ref(), env, report));
        let taken = auth::taken(auth.iter().flatten().next(), sign.iter().flatten().next());
        self.headers = auth::headers(&written.headers, &taken, env, report);
        let tls = match &written.tls {
            Some(tls) => tls_files(tls, self.base.as_ref(), env, report),
            None => Some(Tls::default()),
        };
        let refused = matches!(auth, Some(None)) || matches!(sign, Some(None));
        if let (Some(base), Some(tls), false) = (&self.base, tls, refused) {
            let auth = auth.flatten();
            if let Some(warning) = rules::credentials_are_encrypted(base, auth.is_some()) {
                report.warn(&self.place, &self.key, &warning);
            }
            self.identity = Some((base.origin().ascii_serialization(), auth, sign.flatten(), tls));
        }
    }

    /// Warns of sessions that do not fit the workers of the endpoint's listeners.
    fn advise(&self, is_shared: bool, report: &mut Report) {
        let sessions = self.sessions();
        let too_few = rules::sessions_cover_workers(sessions, self.most_workers_written);
        match &self.sessions_written {
            Some(written) => {
                report.advise(Some(written), too_few);
                let is_far = rules::sessions_are_in_reach(sessions, self.workers);
                report.advise(Some(written), is_far.filter(|_| !is_shared));
            }
            None => {
                if let Some(warning) = too_few {
                    report.warn(&self.place, &format!("{}.sessions", self.key), &warning);
                }
            }
        }
    }

    fn sessions(&self) -> usize {
        self.sessions.unwrap_or(self.workers)
    }

    fn origin(&self) -> Option<&str> {
        self.identity.as_ref().map(|(origin, ..)| origin.as_str())
    }

    fn plan(self) -> EndpointPlan {
        let (sessions, sessions_are_workers) = (self.sessions(), self.sessions.is_none());
        let (origin, auth, sign, tls) = self.identity.unwrap_or_default();
        let (adaptive, rate, tuning) = (self.adaptive, self.rate, Tuning::default());
        let divided = !sessions_are_workers;
        EndpointPlan {
            origin,
            client: endpoint::Settings {
                name: self.name,
                connect_timeout: self.connect_timeout,
                pool_idle_timeout: self.pool_idle_timeout,
                pool_size: sessions,
                auth,
                sign,
                tls,
            },
            limits: limit::Settings { sessions, divided, adaptive, rate, tuning },
            sessions_are_workers,
        }
    }
}

/// `rate_limit`: the burst is ⌈`per_second`⌉ unless written.
fn rate(written: &file::Endpoint, report: &mut Report) -> Option<limit::Rate> {
    let per_second = report.parse(written.per_second.as_ref(), value::per_second);
    let burst = report.parse(written.burst.as_ref(), |text| value::whole(text, 1, BURST_MAX));
    report.require(written.burst.as_ref(), rules::goes_with("per_second", written.per_second.is_some()));
    let per_second = per_second?;
    let interval = Duration::try_from_secs_f64(per_second.recip()).ok()?;
    let default = Duration::try_from_secs_f64(per_second.ceil()).ok()?.as_secs();
    let burst = burst.or_else(|| u32::try_from(default).ok()).and_then(NonZeroU32::new)?;
    Some(limit::Rate { interval, burst })
}

/// The TLS files, all readable; `None` when one of them is not.
fn tls_files(written: &file::Tls, base: Option<&Url>, env: Lookup<'_>, report: &mut Report) -> Option<Tls> {
    let pair = rules::certificate_and_key_are_a_pair(written.cert_file.is_some(), written.key_file.is_some());
    for rule in [base.map_or(Ok(()), rules::tls_needs_https), pair] {
        if let Err(fault) = rule {
            report.refuse_key(&written.place, &written.key, fault);
        }
    }
    let mut complete = true;
    let mut file = |written: Option<&Written>| {
        let revealed = written.map(|written| reveal::path(written, env));
        let written = revealed.as_ref();
        let path = report.parse(written, |path| {
            let resolved = File::resolve(&written.map_or(Place::CommandLine, |w| w.place.clone()), path);
            match regular_file::read(&resolved, regular_file::TLS_FILE_MAX) {
                Ok(_) => Ok(resolved),
                Err(error) => Err(Fault::new(format!("cannot be read: {error}"))),
            }
        });
        complete &= path.is_some() == written.is_some();
        path
    };
    let tls = Tls {
        ca_file: file(written.ca_file.as_ref()),
        cert_file: file(written.cert_file.as_ref()),
        key_file: file(written.key_file.as_ref()),
    };
    if let Some(key) = written.key_file.as_ref().filter(|_| complete) {
        auth::warn_of_exposed(key, report);
    }
    complete.then_some(tls)
}
