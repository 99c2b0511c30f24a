//! A process while it runs: one loop that follows signals, requests, reloads and the ends of listeners.
//!
//! Only this loop starts and ends listeners, so no two changes meet. It waits for nothing long: reading a configuration
//! and making clients happen in tasks. When the loop has returned nothing is started any more.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::admin::Running;
use crate::app::crew::{Crew, Event, Told};
use crate::app::effect::Became;
use crate::app::endpoints::{Living, Prepared};
use crate::app::reload::{Read, Reloads, Reply, Reread, unix_seconds};
use crate::app::signals::{Asked, Signals};
use crate::app::start::{self, Notable};
use crate::app::wiring::{Planned, Wiring};
use crate::config::Plan;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;

/// What a route asks of the process.
pub(super) enum Request {
    /// Read the configuration again.
    Reload(Reply),
    /// Drain a listener; first whether it will, then that it has ended.
    Drain(String, oneshot::Sender<Told>, oneshot::Sender<()>),
    /// Start a listener that was drained.
    Start(String, oneshot::Sender<Told>),
}

/// The listeners and endpoints of a process, and whoever changes them.
pub(super) struct Process {
    pub(super) crew: Crew<Wiring>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) running: Arc<Running>,
    pub(super) reloads: Reloads,
    endpoints: Vec<Arc<Living>>,
    /// The process's part of the plan that is followed.
    plan: Plan,
    /// What was said of configurations.
    said: Vec<Notable>,
    restarts: Vec<&'static str>,
}

enum Next {
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
        reloads: Reloads,
    ) -> Self {
        let (metrics, said) = (Arc::clone(&wiring.metrics), start::notable(&plan));
        let mut crew = Crew::new(wiring, Arc::clone(&running));
        let endpoints = endpoints.apply();
        show(&endpoints, &running, &metrics);
        crew.follow(Planned::all(&plan, &endpoints), plan.deadline).await;
        metrics.config_read(true, unix_seconds());
        let restarts = Vec::new();
        Self { crew, metrics, running, reloads, endpoints, plan, said, restarts }
    }

    /// Runs until a signal says to stop.
    pub(super) async fn serve(&mut self, signals: &mut Signals, requests: &mut mpsc::Receiver<Request>) {
        loop {
            let next = tokio::select! {
                biased;
                asked = signals.next() => match asked {
                    Asked::Stop => return,
                    Asked::Reload => Next::HangUp,
                },
                Some(request) = requests.recv() => Next::Request(request),
                reread = self.reloads.next() => Next::Reread(reread),
                event = self.crew.next() => Next::Event(event),
            };
            match next {
                Next::Request(request) => self.request(request).await,
                Next::Reread(Reread::Due) | Next::HangUp => self.reload(None),
                Next::Reread(Reread::Done(read)) => self.read(read).await,
                Next::Event(event) => {
                    self.crew.handle(event).await;
                    self.show_metrics();
                }
            }
        }
    }

    /// What a drain of the process may take.
    pub(super) fn deadline(&self) -> std::time::Duration {
        self.plan.deadline
    }

    async fn request(&mut self, request: Request) {
        // Whoever asked may have gone.
        match request {
            Request::Reload(reply) => self.reload(Some(reply)),
            Request::Drain(name, told, ended) => {
                told.send(self.crew.drain(&name, self.plan.deadline, ended)).ok();
            }
            Request::Start(name, told) => drop(told.send(self.crew.start(&name).await)),
        }
    }

    fn reload(&mut self, reply: Option<Reply>) {
        let clients = Arc::clone(&self.crew.maker().clients);
        self.reloads.ask(reply, &clients, &self.endpoints);
    }

    /// A reading has ended.
    async fn read(&mut self, read: Option<Box<Read>>) {
        self.metrics.config_read(read.is_some(), unix_seconds());
        if let Some(read) = read {
            let report = self.follow(*read).await;
            self.reloads.answer(&report);
        }
        for reply in self.reloads.wanted() {
            self.reload(reply);
        }
    }

    /// Takes a configuration over; what became of each listener.
    async fn follow(&mut self, Read { plan, endpoints }: Read) -> Value {
        let is_followed = self.plan.deadline != plan.deadline || self.plan.log.filter != plan.log.filter;
        if self.plan.log.filter != plan.log.filter
            && let Err(error) = log::refilter(&plan.log.filter)
        {
            tracing::warn!(%error, "the log's filter stays as it was");
        }
        self.crew.maker().deadline = plan.deadline;
        self.endpoints = endpoints.apply();
        show(&self.endpoints, &self.running, &self.metrics);
        let became = self.crew.follow(Planned::all(&plan, &self.endpoints), plan.deadline).await;
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
                "the configuration was reloaded"
            );
        } else {
            tracing::debug!("the configuration was reloaded: nothing has changed");
        }
        let notable = start::notable(&plan);
        start::say_anew(&self.said, &notable);
        self.said = notable;
        // What needs a restart is compared with what the process started with.
        self.plan = Plan {
            admin: self.plan.admin,
            log: log::Settings { format: self.plan.log.format, ..plan.log },
            ..plan
        };
        let listeners: Map<String, Value> =
            became.into_iter().map(|(name, became)| (name, json!(became.word()))).collect();
        json!({ "changed": is_changed, "listeners": listeners, "needs_restart": restarts })
    }

    /// The keys whose new value waits for a restart; said when they are others than before.
    fn restarts_for(&mut self, plan: &Plan) -> Vec<&'static str> {
        let changed = [
            ("admin.listen", self.plan.admin != plan.admin),
            ("log.format", self.plan.log.format != plan.log.format),
        ];
        let restarts: Vec<_> =
            changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
        if restarts != self.restarts {
            for key in &restarts {
                tracing::warn!(key, "this key stays as it was at the start: a new value needs a restart");
            }
            self.restarts.clone_from(&restarts);
        }
        restarts
    }

    /// Shows the series of what runs alone.
    fn show_metrics(&self) {
        let listener = |name: &str| self.running.listener(name).is_some();
        let endpoints = self.running.endpoints();
        self.metrics.retain(listener, |name| endpoints.iter().any(|endpoint| *endpoint.limits.name == *name));
    }
}

fn show(endpoints: &[Arc<Living>], running: &Running, metrics: &Metrics) {
    for endpoint in endpoints {
        running.put_endpoint(endpoint.shown(metrics));
    }
}
