//! A process while it runs: one loop that follows signals, requests, reloads and the ends of listeners.
//!
//! Only this loop starts and ends listeners, so no two changes meet. It waits for nothing long: reading a configuration
//! and making clients happen in tasks. When the loop has returned nothing is started any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{Running, Tell};
use crate::app::crew::{Crew, Event, Told};
use crate::app::effect::Became;
use crate::app::endpoints::{Former, Living, Prepared};
use crate::app::fleet::{Fleet, Shares};
use crate::app::reload::{Read, Reloads, Reply, Reread, unix_seconds};
use crate::app::signals::{Asked, Signals};
use crate::app::start::{self, Notable};
use crate::app::wiring::{Planned, Wiring};
use crate::config::Plan;
use crate::pipeline::Controls;
use crate::telemetry::log;
use crate::telemetry::log_level::LogLevel;
use crate::telemetry::metrics::Metrics;

/// What a route asks of the process.
pub(super) enum Request {
    /// Read the configuration again.
    Reload(Reply),
    /// Drain a listener; first whether it will, then that it has ended, and whether nothing was cut off.
    Drain(String, oneshot::Sender<Told>, oneshot::Sender<bool>),
    /// Start a listener that was drained.
    Start(String, oneshot::Sender<Told>),
    /// Tell a listener something; what it was told before, and is told now.
    Tell(String, Tell, oneshot::Sender<Option<(Controls, Controls)>>),
    /// The plan that is followed.
    Plan(oneshot::Sender<Plan>),
}

/// The listeners and endpoints of a process, and whoever changes them.
pub(super) struct Process {
    pub(super) crew: Crew<Wiring>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) running: Arc<Running>,
    pub(super) reloads: Reloads,
    fleet: Fleet,
    endpoints: Vec<Arc<Living>>,
    former: Former,
    /// The process's part of the plan that is followed.
    plan: Plan,
    said: Said,
    log: Arc<LogLevel>,
}

/// What was said of configurations.
struct Said {
    notable: Vec<Notable>,
    restarts: Vec<&'static str>,
}

/// What a process is followed and changed by.
pub(super) struct With {
    pub(super) fleet: Fleet,
    pub(super) reloads: Reloads,
    pub(super) log: Arc<LogLevel>,
}

enum Next {
    Fleet,
    Request(Request),
    Reread(Reread),
    Event(Event),
    HangUp,
}

impl Process {
    /// Starts the listeners of a plan.
    pub(super) async fn start(
        plan: Plan,
        endpoints: Prepared,
        wiring: Wiring,
        running: Arc<Running>,
        with: With,
    ) -> Self {
        let With { mut fleet, reloads, log } = with;
        let (metrics, notable) = (Arc::clone(&wiring.metrics), start::notable(&plan));
        let mut crew = Crew::new(wiring, Arc::clone(&running));
        fleet.follow(plan.fleet.as_ref());
        let endpoints = endpoints.apply();
        crew.maker().shares.give(endpoints.iter().map(|living| &living.limits));
        metrics.set_fleet_members(crew.maker().shares.members());
        show(&endpoints, &running, &metrics, &crew.maker().shares);
        crew.follow(Planned::all(&plan, &endpoints), plan.deadline).await;
        metrics.config_read(true, unix_seconds());
        let (former, said) = (Former::default(), Said { notable, restarts: Vec::new() });
        Self { crew, metrics, running, reloads, fleet, endpoints, former, plan, said, log }
    }

    /// Runs until a signal says to stop.
    pub(super) async fn serve(&mut self, signals: &mut Signals, requests: &mut mpsc::Receiver<Request>) {
        loop {
            let next = tokio::select! {
                biased;
                asked = signals.next() => match asked {
                    Asked::Reload if self.reloads.has_source() => Next::HangUp,
                    // Without a source there is nothing to read again: the terminal is gone.
                    Asked::Stop | Asked::Reload => return,
                },
                Some(request) = requests.recv() => Next::Request(request),
                reread = self.reloads.next() => Next::Reread(reread),
                event = self.crew.next() => Next::Event(event),
                () = self.fleet.changed() => Next::Fleet,
            };
            match next {
                Next::Fleet => self.share_out(),
                Next::Request(request) => self.request(request).await,
                Next::Reread(Reread::Due) | Next::HangUp => self.reload(Vec::new()),
                Next::Reread(Reread::Done(read)) => self.read(read).await,
                Next::Event(event) => {
                    self.crew.handle(event).await;
                    self.show_metrics();
                }
            }
        }
    }

    /// Takes what this process has of the caps: at the endpoints first, so that a listener that stands by starts nothing.
    fn share_out(&mut self) {
        let endpoints = self.former.beside(&self.endpoints);
        let shares = self.crew.maker().shares.clone();
        // Those of the present plan last: one that was renamed has its limits under both names.
        shares.give(endpoints.iter().rev().map(|living| &living.limits));
        self.crew.tell_all(|endpoint, controls| {
            if let Some(living) = endpoints.iter().find(|living| *living.limits.name == *endpoint) {
                controls.share = shares.of_listener(&living.limits);
            }
        });
        self.running.follow_workers();
        self.metrics.set_fleet_members(shares.members());
    }

    /// What a drain of the process may take.
    pub(super) fn deadline(&self) -> std::time::Duration {
        self.plan.deadline
    }

    async fn request(&mut self, request: Request) {
        // Whoever asked may have gone.
        match request {
            Request::Reload(reply) => self.reload(vec![reply]),
            Request::Drain(name, told, ended) => {
                told.send(self.crew.drain(&name, self.plan.deadline, ended)).ok();
            }
            Request::Start(name, told) => drop(told.send(self.crew.start(&name).await)),
            Request::Tell(name, tell, told) => drop(told.send(self.crew.tell(&name, tell))),
            Request::Plan(reply) => drop(reply.send(self.plan.clone())),
        }
    }

    fn reload(&mut self, replies: Vec<Reply>) {
        let clients = Arc::clone(&self.crew.maker().clients);
        self.reloads.ask(replies, &clients, &self.former.beside(&self.endpoints));
    }

    /// A reading has ended.
    async fn read(&mut self, read: Option<Box<Read>>) {
        self.metrics.config_read(read.is_some(), unix_seconds());
        if let Some(read) = read {
            let report = self.follow(*read).await;
            self.reloads.answer(&report);
        }
        if let Some(replies) = self.reloads.wanted() {
            self.reload(replies);
        }
    }

    /// Takes a configuration over; what became of each listener.
    async fn follow(&mut self, Read { plan, endpoints }: Read) -> Value {
        let is_followed = self.plan.deadline != plan.deadline || self.plan.log.filter != plan.log.filter;
        if self.plan.log.filter != plan.log.filter
            && let Err(error) = self.log.configure(&plan.log.filter)
        {
            tracing::warn!(%error, "the log's filter stays as it was");
        }
        self.crew.maker().deadline = plan.deadline;
        self.reloads.watch_folder(plan.listeners_dir.as_ref());
        let former = std::mem::replace(&mut self.endpoints, endpoints.apply());
        self.former.add(&former);
        self.fleet.follow(plan.fleet.as_ref());
        self.share_out();
        show(&self.endpoints, &self.running, &self.metrics, &self.crew.maker().shares);
        let became = self.crew.follow(Planned::all(&plan, &self.endpoints), plan.deadline).await;
        // Workers that were set by hand and stay need their sessions.
        self.running.follow_workers();
        self.show_metrics();
        for (listener, became) in became.iter().filter(|(_, became)| *became != Became::Kept) {
            tracing::info!(%listener, "reload: {}", became.word());
        }
        let restarts = self.restarts_for(&plan);
        let is_changed = is_followed || became.iter().any(|(_, became)| *became != Became::Kept);
        if is_changed {
            let count = |what| became.iter().filter(|(_, became)| *became == what).count();
            tracing::info!(
                kept = count(Became::Kept),
                adjusted = count(Became::Adjusted),
                replaced = count(Became::Replaced),
                added = count(Became::Added),
                removed = count(Became::Removed),
                drained = count(Became::Drained),
                "the configuration was reloaded"
            );
        } else {
            tracing::debug!("the configuration was reloaded: nothing has changed");
        }
        let notable = start::notable(&plan);
        start::say_anew(&self.said.notable, &notable);
        self.said.notable = notable;
        // What needs a restart is compared with what the process started with.
        self.plan = Plan {
            admin: self.plan.admin,
            admin_token: self.plan.admin_token.take(),
            log: log::Settings { format: self.plan.log.format, ..plan.log },
            ..plan
        };
        let listeners: Map<String, Value> =
            became.into_iter().map(|(name, became)| (name, json!(became.word()))).collect();
        json!({ "changed": is_changed, "listeners": listeners, "needs_restart": restarts })
    }

    /// The keys whose new value waits for a restart; said when they are others than before.
    fn restarts_for(&mut self, plan: &Plan) -> Vec<&'static str> {
        let both = self.plan.admin_token.as_ref().zip(plan.admin_token.as_ref());
        let changed = [
            ("admin.listen", self.plan.admin.all != plan.admin.all),
            ("admin.metrics_listen", self.plan.admin.metrics != plan.admin.metrics),
            ("admin.allow_changes", self.plan.admin_token.is_some() != plan.admin_token.is_some()),
            ("admin.token_file", both.is_some_and(|(one, other)| one != other)),
            ("log.format", self.plan.log.format != plan.log.format),
        ];
        let restarts: Vec<_> =
            changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
        if restarts != self.said.restarts {
            for key in &restarts {
                tracing::warn!(key, "this key stays as it was at the start: a new value needs a restart");
            }
            self.said.restarts.clone_from(&restarts);
        }
        restarts
    }

    /// Shows the series of what runs alone.
    fn show_metrics(&self) {
        let (listeners, endpoints) = (self.running.listeners(), self.running.endpoints());
        let listeners: BTreeSet<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        let endpoints: BTreeSet<&str> = endpoints.iter().map(|endpoint| &*endpoint.limits.name).collect();
        self.metrics.retain(|name| listeners.contains(name), |name| endpoints.contains(name));
    }
}

fn show(endpoints: &[Arc<Living>], running: &Running, metrics: &Metrics, shares: &Shares) {
    for endpoint in endpoints {
        running.put_endpoint(endpoint.shown(metrics, shares.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;
    use crate::admin::{Operator as _, Refused};
    use crate::app::operator::ToProcess;
    use crate::app::reload::Source;
    use crate::config::{self, Overrides};
    use crate::drain::Drain;
    use crate::sqs;

    /// Nothing listens there: the listeners look for their queues for ever.
    fn text(workers: &str, more: &str) -> String {
        format!(
            "listeners:\n- queue: http://127.0.0.1:9/000000000000/orders\n  url: http://127.0.0.1:9/x\n  workers: {workers}\n{more}"
        )
    }

    const MAILS: &str = "- queue: http://127.0.0.1:9/000000000000/mails\n  url: http://127.0.0.1:9/x\n";

    /// Runs `asks` beside a process with this file; how often the file was read.
    async fn beside(name: &str, asks: impl AsyncFnOnce(&ToProcess, &std::path::Path)) -> usize {
        let path = std::env::temp_dir().join(format!("queuepost-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, text("3", "")).unwrap();
        let overrides = Overrides { config: Some(path.to_str().unwrap().to_owned()), ..Overrides::default() };
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let load = move |trial: Option<&config::Trial>| {
            counted.fetch_add(1, Ordering::SeqCst);
            config::load_with(&overrides, &|_| None, false, trial)
        };
        let source = Source::new(Some(path.clone()), load.clone(), || Ok(Vec::new()));
        let plan = load(None).unwrap();
        let (metrics, running) = (Arc::new(Metrics::new()), Arc::new(Running::default()));
        let drain = Drain::new();
        let clients = Arc::<sqs::Clients>::default();
        let fleet = Fleet::new(plan.admin.all);
        let (deadline, shares) = (plan.deadline, fleet.shares());
        let wiring = Wiring { metrics, drain: drain.clone(), clients, deadline, shares };
        let endpoints = Prepared::new(&plan.endpoints, &[]).unwrap();
        let log = Arc::new(LogLevel::new(&plan.log.filter));
        let reloads = Reloads::of(Some(source), watch::Sender::new(None));
        let mut process =
            Process::start(plan, endpoints, wiring, running, With { fleet, reloads, log }).await;
        let (requests, mut of_routes) = mpsc::channel(16);
        let operator = ToProcess { requests, clients: Arc::default(), redrives: Arc::default() };
        let mut signals = Signals::new().unwrap();
        tokio::select! {
            () = process.serve(&mut signals, &mut of_routes) => unreachable!("nobody sends a signal"),
            () = asks(&operator, &path) => {}
        }
        drop(of_routes);
        let refused = operator.reload().await.unwrap_err();
        assert!(matches!(&refused, Refused::Invalid { why, .. } if why.contains("draining")), "{refused:?}");
        drain.begin(Duration::from_secs(5));
        process.crew.all_ended().await;
        std::fs::remove_file(&path).unwrap();
        reads.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_a_reading_and_learn_what_became_of_each_listener() {
        let reads = beside("coalesce", async |operator, path| {
            std::fs::write(path, text("5", MAILS)).unwrap();
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..12 {
                let operator = operator.clone();
                all.spawn(async move { operator.reload().await });
            }
            let reports: Vec<Value> = all.join_all().await.into_iter().map(Result::unwrap).collect();
            let first = json!({
                "changed": true,
                "listeners": { "orders": "adjusted", "mails": "added" },
                "needs_restart": [],
            });
            let later = json!({ "orders": "kept", "mails": "kept" });
            assert!(reports.contains(&first), "{reports:?}");
            assert!(
                reports.iter().all(|it| *it == first || it["changed"] == false && it["listeners"] == later)
            );
        })
        .await;
        assert!(reads <= 4, "read {reads} times, the start included");
    }

    #[tokio::test]
    async fn who_asks_for_a_bad_file_is_told_where_and_what_drains_stays_so_until_it_is_started() {
        beside("bad", async |operator, path| {
            std::fs::write(path, text("many", "")).unwrap();
            let Err(Refused::Invalid { why, .. }) = operator.reload().await else { panic!("it is refused") };
            assert!(why.contains(".yaml:4:12: listeners[0].workers"), "{why}");
            assert_eq!(operator.drain("mails").await, Err(Refused::NoSuchListener));
            let drained = json!({ "listener": "orders", "state": "drained" });
            assert_eq!(operator.drain("orders").await, Ok(drained.clone()));
            assert_eq!(operator.drain("orders").await, Ok(drained), "twice is once");
            let running = json!({ "listener": "orders", "state": "running" });
            assert_eq!(operator.start("orders").await, Ok(running.clone()));
            assert_eq!(operator.start("orders").await, Ok(running));
        })
        .await;
    }
}
