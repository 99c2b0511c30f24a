//! `queuepost dev --demo`: what an overloaded endpoint costs, with queuepost and without, in less than a minute.
//!
//! The same messages go twice to an endpoint that fails by the same clock: once through this program as it is, once through a
//! plain worker ([`plain`]). Each has a queue of its own. Both have the same workers,
//! delay after a 429 and max receives. What is printed is counted, and nothing computed beforehand.

mod endpoint;
mod picture;
mod plain;
mod scenario;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cli::{BAD_CONFIGURATION, FAILED, INTERRUPTED, OK, complain, dev_config, proxy, run, terminal};
use crate::config::{self, Overrides, Plan};
use crate::localqueue::{Broker, BrokerError, SendMessage, Server, SharedBroker, wall_clock};
use endpoint::Endpoint;
use picture::{Side, Snapshot};
use scenario::{MAX_RECEIVES, MESSAGES, QUEUES, Scenario, THROTTLE_DELAY, WINDOW_MAX, WORKERS};

/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// The end, whatever is left then.
const LONGEST: Duration = Duration::from_secs(58);

/// Runs the demonstration to its end; returns the exit code.
pub(super) async fn run() -> u8 {
    let (server, listener) = match bind().await {
        Ok(bound) => bound,
        Err(error) => {
            complain(&format!("cannot listen on 127.0.0.1: {error}"));
            return FAILED;
        }
    };
    let broker = server.broker();
    if let Err(error) = fill(&broker) {
        complain(&error);
        return FAILED;
    }
    let plan = match plan(&server, &listener) {
        Ok(plan) => plan,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    if let Err(code) = run::log(&plan) {
        return code;
    }
    proxy::note();
    let [stop, over, end] = [(); 3].map(|()| CancellationToken::new());
    let ours = Arc::new(Endpoint::new(Scenario::DEMO));
    let mut servers = JoinSet::new();
    servers.spawn(server.serve(end.clone().cancelled_owned()));
    servers.spawn(endpoint::serve(listener, Arc::clone(&ours), end.clone()));
    let bridge = async {
        let code = run::start_until(plan, None, stop.clone()).await;
        over.cancel();
        code
    };
    let shown = async {
        let shown = show(&broker, &ours, &over).await;
        stop.cancel();
        shown
    };
    let (code, shown) = tokio::join!(bridge, shown);
    // Only now: the bridge settles what it has.
    end.cancel();
    while servers.join_next().await.is_some() {}
    match shown {
        Ok(Some(end)) if code == OK => finish(&end),
        Ok(Some(_)) => code,
        // It ended before the demonstration did: by Ctrl-C, or because it could not start.
        Ok(None) => {
            if code == OK {
                INTERRUPTED
            } else {
                code
            }
        }
        Err(error) => {
            complain(&format!("the demonstration ended early: {error}"));
            FAILED
        }
    }
}

async fn bind() -> std::io::Result<(Server, TcpListener)> {
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(any, Broker::new(fastrand::u64(..)), wall_clock()).await?;
    Ok((server, TcpListener::bind(any).await?))
}

/// Makes both queues, and puts the messages there.
fn fill(broker: &SharedBroker) -> Result<(), BrokerError> {
    broker.with(|broker, now| {
        for queue in QUEUES {
            dev_config::create_queue(broker, now, queue, MAX_RECEIVES)?;
            for number in 0..MESSAGES {
                let message =
                    SendMessage { body: format!("{{\"order\":{number}}}"), ..SendMessage::default() };
                broker.send(now, queue, message)?;
            }
        }
        Ok(())
    })
}

/// One listener with the values of the demonstration, and everything else as it always is.
fn plan(server: &Server, listener: &TcpListener) -> Result<Plan, config::ConfigErrors> {
    let [queue, _] = QUEUES;
    let endpoint = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let overrides = Overrides {
        queue: Some(format!("http://{}/000000000000/{queue}", server.local_addr())),
        url: Some(format!("http://{endpoint}/orders")),
        workers: Some(WORKERS.to_string()),
        throttle_delay: Some(format!("{}s", THROTTLE_DELAY.as_secs())),
        receive_wait: Some("1s".to_owned()),
        timeout: Some("10s".to_owned()),
        admin_listen: Some("127.0.0.1:0".to_owned()),
        // What happens is shown by this command; what goes wrong must be seen.
        log_level: Some("error".to_owned()),
        log_format: Some("text".to_owned()),
        ..Overrides::default()
    };
    let mut plan = config::load(&overrides, &|_| None, true)?;
    for listener in &mut plan.listeners {
        // The AWS SDK's variables must not lead it elsewhere.
        listener.queue.address = Url::parse(&format!("http://{}/", server.local_addr())).ok();
    }
    for endpoint in &mut plan.endpoints {
        endpoint.limits.tuning.learned.window_max = WINDOW_MAX;
    }
    Ok(plan)
}

/// Both sides, watched.
struct Show<'a> {
    broker: &'a SharedBroker,
    ours: &'a Endpoint,
    plains: Arc<Endpoint>,
    started: Instant,
}

/// Prints what happens from the first POST of queuepost until both sides are done; `None`: `over` came first.
async fn show(
    broker: &SharedBroker,
    ours: &Endpoint,
    over: &CancellationToken,
) -> std::io::Result<Option<Snapshot>> {
    terminal::print_text(&picture::introduction(&Scenario::DEMO))?;
    let started = tokio::select! {
        biased;
        () = over.cancelled() => return Ok(None),
        started = ours.began() => started,
        () = sleep(LONGEST) => return Err(std::io::Error::other("queuepost made no POST")),
    };
    let plains = Arc::new(Endpoint::began_at(started, Scenario::DEMO));
    let mut workers = JoinSet::new();
    plain::start(&mut workers, broker, &plains);
    let shown = Show { broker, ours, plains, started }.run(over).await;
    workers.shutdown().await;
    shown
}

impl Show<'_> {
    /// Prints a line now and then until both sides are done.
    async fn run(&self, over: &CancellationToken) -> std::io::Result<Option<Snapshot>> {
        let mut events = Scenario::DEMO.events().into_iter().peekable();
        let mut next_line = self.started + LINE_EVERY;
        let end = self.started + LONGEST;
        loop {
            let event = events.peek().map_or(end, |(after, _)| self.started + *after);
            tokio::select! {
                biased;
                () = over.cancelled() => return Ok(None),
                () = sleep_until(event.min(next_line).min(end)) => {}
            }
            if event <= Instant::now()
                && let Some((after, words)) = events.next()
            {
                terminal::print_text(&picture::event(after, words))?;
                continue;
            }
            let now = self.now();
            terminal::print_text(&picture::line(&now))?;
            if now.is_over() || Instant::now() >= end {
                return Ok(Some(now));
            }
            next_line += LINE_EVERY;
        }
    }

    /// What both have done so far.
    fn now(&self) -> Snapshot {
        let [ours, plains] = QUEUES;
        let side = |queue: &str, endpoint: &Endpoint| {
            let dlq = dev_config::dead_letter_queue(queue);
            let (left, dead) = self
                .broker
                .with(|broker, now| (broker.inspect(now, queue).len(), broker.inspect(now, &dlq).len()));
            Side { left, dead, tally: endpoint.tally() }
        };
        Snapshot {
            after: self.started.elapsed(),
            ours: side(ours, self.ours),
            plain: side(plains, &self.plains),
        }
    }
}

/// Prints the end; returns the exit code.
fn finish(end: &Snapshot) -> u8 {
    if let Err(error) = terminal::print_text(&picture::end(end, &Scenario::DEMO)) {
        complain(&format!("cannot write to standard output: {error}"));
        return FAILED;
    }
    if end.ours.tally.delivered() == MESSAGES && end.ours.left == 0 { OK } else { FAILED }
}
