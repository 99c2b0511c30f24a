//! `queuepost dev`: queue, bridge and endpoint on one machine, without any setup. `dev_config` is for a file of the user's,
//! `dev_plan` reads the configuration, and `workbench` lets the console change it.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::render::shown;
use crate::cli::dev_config::Secrets;
use crate::cli::dev_plan::{DevPlan, MAX_RECEIVES, RECEIVE_WAIT};
use crate::cli::workbench::Workbench;
use crate::cli::{BAD_CONFIGURATION, FAILED, complain, demo, dev_config, proxy, run, sample_endpoint};
use crate::config::{ConfigErrors, Overrides, Plan};
use crate::localqueue::{Broker, Server, wall_clock};
use crate::telemetry::log::{DEFAULT_FILTER, DELIVERED};
use crate::telemetry::output;

const QUEUE: &str = "demo";
/// Shorter than in production, so that a user can watch a park to its end.
const THROTTLE_DELAY: &str = "10s";
/// Short enough that Ctrl-C can wait for a running POST.
const TIMEOUT: &str = "10s";
/// How long the servers may take to stop.
const STOP: Duration = Duration::from_secs(2);

/// Appended to the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  queuepost dev
  queuepost dev --demo
  queuepost dev --url http://127.0.0.1:8080/orders
  queuepost dev --config queuepost.yaml

It prints where everything is, and what to type next. Nothing is kept after
Ctrl-C.

Exit codes: 0 ended by Ctrl-C, 1 failure, 2 usage, 78 bad configuration, 130
Ctrl-C in the middle of --demo.";

/// Options of `dev`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address of the embedded queue
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9324")]
    queue_listen: SocketAddr,
    /// Address of the sample endpoint
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9325")]
    endpoint_listen: SocketAddr,
    /// Address of console, metrics and health
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    admin_listen: SocketAddr,
    /// Post to this endpoint of yours instead of the sample
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Run the listeners of this file with queues made here; POSTs to other machines go to the sample, which prints them whole
    #[arg(long, short, value_name = "FILE", conflicts_with = "url")]
    config: Option<String>,
    /// Show in a minute what an overloaded endpoint costs: 200 messages, beside a plain worker
    #[arg(long, exclusive = true)]
    demo: bool,
    /// Name that queue and sample endpoint answer to, beside IP addresses and localhost; for containers
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// error, warn, info, debug, or a filter [default: info, and a line for each delivery]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
}

/// Runs until Ctrl-C; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    if options.demo {
        return Box::pin(demo::run()).await;
    }
    let local = match Local::bind(options).await {
        Ok(local) => local,
        Err(why) => {
            complain(&why);
            return FAILED;
        }
    };
    // Without it the console shows, and changes nothing.
    let workbench = Workbench::new().ok();
    let mut dev = configuration(&local, options);
    let ((plan, replaced), token) = match prepared(&mut dev, workbench.as_ref()) {
        Ok(prepared) => prepared,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    if let Err(error) = dev_config::create_queues(&dev.broker, &plan, MAX_RECEIVES) {
        complain(&error);
        return FAILED;
    }
    proxy::note();
    output::print(match &options.config {
        Some(file) => introduction_of_file(file, &local, (&plan, &replaced), token.as_deref()),
        None => introduction(&local, options, token.as_deref()),
    });
    // Before any server starts, so that no log line of theirs is lost.
    if let Err(code) = run::log(&plan) {
        return code;
    }
    let stop = CancellationToken::new();
    let secrets = options.config.is_some().then(|| dev_config::secrets(&plan));
    let mut servers = local.serve(secrets, &stop);
    let code = run::start(plan, Some(dev.source())).await;
    stop.cancel();
    // Clients that keep a connection open do not delay the exit.
    tokio::time::timeout(STOP, async { while servers.join_next().await.is_some() {} }).await.ok();
    code
}

/// The servers of this command, and where messages go.
struct Local {
    server: Server,
    /// The sample endpoint, unless the user named an endpoint.
    sample: Option<(TcpListener, SocketAddr)>,
    /// Address of the queue.
    queue: String,
    /// Address of the endpoint.
    url: String,
    /// Host names of the sample endpoint, beside IP addresses and localhost.
    names: Vec<String>,
}

impl Local {
    /// Binds the ports; an error names the port that is taken and the fix.
    async fn bind(options: &Options) -> Result<Self, String> {
        let taken = |what: &str, flag: &str, address: SocketAddr| {
            let what = format!("cannot start the {what} on {address}");
            let flag = flag.to_owned();
            move |error: std::io::Error| {
                let other = if error.kind() == ErrorKind::AddrInUse {
                    "end the other `queuepost dev` if one runs, or "
                } else {
                    ""
                };
                format!("{what}: {error}; {other}choose another address with {flag}")
            }
        };
        let address = options.queue_listen;
        let server = Server::bind(address, Broker::new(fastrand::u64(..)), wall_clock())
            .await
            .map_err(taken("embedded queue", "--queue-listen", address))?
            .with_hosts(&options.allow_host);
        let queue = format!("http://{}/000000000000/{QUEUE}", server.local_addr());
        if let Some(url) = options.url.clone() {
            return Ok(Self { server, sample: None, queue, url, names: Vec::new() });
        }
        let address = options.endpoint_listen;
        let sample = TcpListener::bind(address).await.map_err(taken(
            "sample endpoint",
            "--endpoint-listen",
            address,
        ))?;
        let address = sample.local_addr().unwrap_or(address);
        Ok(Self {
            server,
            sample: Some((sample, address)),
            queue,
            url: format!("http://{address}/algorithm"),
            names: options.allow_host.clone(),
        })
    }

    /// Serves until `stop`; with `whole` requests are printed whole, but for these secrets.
    fn serve(self, whole: Option<Secrets>, stop: &CancellationToken) -> JoinSet<()> {
        let mut servers = JoinSet::new();
        let queue_stop = stop.clone();
        servers.spawn(self.server.serve(queue_stop.cancelled_owned()));
        if let Some((listener, _)) = self.sample {
            let (names, stop) = (self.names, stop.clone());
            servers.spawn(async move { sample_endpoint::serve(listener, &names, whole, stop).await });
        }
        servers
    }
}

/// The configuration: one listener between queue and endpoint, or those of the user's file.
fn configuration(local: &Local, options: &Options) -> DevPlan {
    let default = || format!("{DEFAULT_FILTER},{DELIVERED}=debug");
    let common = Overrides {
        admin_listen: Some(options.admin_listen.to_string()),
        log_level: Some(options.log_level.clone().unwrap_or_else(default)),
        log_format: Some("text".to_owned()),
        ..Overrides::default()
    };
    let overrides = match &options.config {
        Some(file) => Overrides { config: Some(file.clone()), ..common },
        None => Overrides {
            queue: Some(local.queue.clone()),
            url: Some(local.url.clone()),
            throttle_delay: Some(THROTTLE_DELAY.to_owned()),
            receive_wait: Some(format!("{}s", RECEIVE_WAIT.as_secs())),
            timeout: Some(TIMEOUT.to_owned()),
            ..common
        },
    };
    DevPlan {
        overrides,
        queues: local.server.local_addr(),
        sample: local.sample.as_ref().map(|(_, address)| *address),
        broker: local.server.broker(),
    }
}

/// The plan, with token and directory of the workbench where it has none, and the token that was lent.
fn prepared(
    dev: &mut DevPlan,
    workbench: Option<&Workbench>,
) -> Result<(Prepared, Option<String>), ConfigErrors> {
    let prepared = dev.read(None)?;
    let Some(workbench) = workbench else { return Ok((prepared, None)) };
    let lent = workbench.lend(&prepared.0, &mut dev.overrides).then(|| workbench.token.clone());
    Ok((dev.read(None)?, lent))
}

/// The plan, and for each listener the endpoint that the sample stands in for.
type Prepared = (Plan, Vec<Option<String>>);

/// Where the console is, and what it asks for.
fn console(admin: SocketAddr, token: Option<&str>) -> String {
    let token = token.map(|token| format!("  (token for changes: {token})")).unwrap_or_default();
    format!("  console    http://{admin}/{token}\n")
}

/// How this program was called, for commands to paste.
fn program() -> String {
    let program = std::env::args().next().unwrap_or_default();
    if Path::new(&program).components().count() > 1 { program } else { "queuepost".to_owned() }
}

/// The addresses, and the commands to type next.
fn introduction(local: &Local, options: &Options, token: Option<&str>) -> String {
    let (program, console) = (program(), console(options.admin_listen, token));
    let (Local { queue, url, .. }, admin) = (local, options.admin_listen);
    let queue_address = local.server.local_addr();
    let dead_letter_queue = dev_config::dead_letter_queue(QUEUE);
    let throttle = local.sample.as_ref().map_or_else(String::new, |(_, endpoint)| {
        format!(
            "  make the endpoint throttle, then work again
    curl -X POST http://{endpoint}/answer/429
    curl -X POST http://{endpoint}/answer/200
"
        )
    });
    format!(
        "\
queuepost dev: everything on this machine, for development only; nothing is kept after Ctrl-C

  queue      {queue}  (embedded; to {dead_letter_queue} after {MAX_RECEIVES} receives)
  endpoint   {url}
{console}  metrics    http://{admin}/metrics
  listener   {QUEUE}, with throttle_delay {THROTTLE_DELAY}, receive_wait 1s, timeout {TIMEOUT} (in earnest 5m, 20s, 60s)

In another terminal:

  send a message
    {program} send --queue {queue} '{{\"hello\":\"world\"}}'
  the same with the AWS command line
    AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws sqs send-message --region us-east-1 \\
      --endpoint-url http://{queue_address} --queue-url {queue} --message-body '{{\"hello\":\"world\"}}'
{throttle}  see what became of the messages
    curl -s http://{admin}/metrics | grep '^queuepost_messages_.* [1-9]'
"
    )
}

/// The listeners of a file, where their POSTs go, and how to send each a message.
fn introduction_of_file(
    file: &str,
    local: &Local,
    (plan, replaced): (&Plan, &[Option<String>]),
    token: Option<&str>,
) -> String {
    let console = console(plan.admin.all, token);
    let (program, queue_address) = (program(), local.server.local_addr());
    let mut text = format!(
        "\
queuepost dev: {file} with its queues on this machine, for development only; nothing is kept after Ctrl-C

{console}
POSTs to endpoints on this machine are real; for all others the sample endpoint stands in, and prints what it gets. In
another terminal:
"
    );
    for (listener, replaced) in plan.listeners.iter().zip(replaced) {
        let (name, queue) = (&listener.listener.name, &listener.listener.queue_name);
        let (url, dlq) = (&listener.target.url, dev_config::dead_letter_queue(queue));
        let more = if listener.listener.is_fifo() { " --group-id demo --deduplication-id 1" } else { "" };
        let whose = match replaced {
            Some(other) => format!("the sample, for {other}"),
            None => "on this machine: posted to for real".to_owned(),
        };
        // Writing to a string cannot fail.
        writeln!(
            text,
            "
  {name}  {queue} → {}  ({whose}; to {dlq} after {MAX_RECEIVES} receives)
    {program} send --queue http://{queue_address}/000000000000/{queue}{more} '{{\"hello\":\"world\"}}'",
            shown(url),
        )
        .ok();
        for (key, result) in listener.results.all() {
            let queue = result.queue.queue.name();
            writeln!(
                text,
                "    {key}: {program} receive --queue http://{queue_address}/000000000000/{queue} --delete",
            )
            .ok();
        }
    }
    text
}
