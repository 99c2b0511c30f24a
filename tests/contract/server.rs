//! The servers of the contract tests: ours, and servers by other authors.
//!
//! A [`Server`] listens on a free port of the loopback and ends when it is dropped: our process is killed by
//! its id. Its log goes to a file that is printed when the test fails and removed when it passes; its temporary
//! files are removed in any case. A server that is not installed is skipped by name. In CI that is a failure,
//! because `.ci/run` installs them all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use tokio::process::{Child, Command};

use crate::e2e::process::PATIENCE;
use crate::e2e::servers::QueueServer;

/// Below the ports that the system gives to connections and to port 0 (32,768 and up on Linux). The other
/// tests take many of those while a server takes seconds to bind its own.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Lines of a server's log that are printed when a test fails.
const LOG_LINES: usize = 40;

/// The kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The embedded queue behind its HTTP front, in the test's own process.
    Embedded,
    /// `MiniStack`: SQS, STS and IAM in one process; with `auth` it checks credentials and roles.
    MiniStack { auth: bool },
    /// `ElasticMQ`: faithful in FIFO groups, except for expired handles.
    ElasticMq,
}

/// A running server.
pub struct Server {
    pub kind: Kind,
    pub url: String,
    running: Running,
}

enum Running {
    Here { _server: QueueServer },
    Process { _child: Child, log: PathBuf },
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "the embedded queue",
            Self::MiniStack { .. } => "MiniStack",
            Self::ElasticMq => "ElasticMQ",
        }
    }

    /// How the server runs.
    fn remedy(self) -> &'static str {
        match self {
            Self::Embedded => "it always is",
            Self::MiniStack { .. } => ".ci/run installs it into target/test-tools",
            Self::ElasticMq => ".ci/run installs it into target/test-tools where there are java and mvn",
        }
    }

    /// Starts the server and waits until it answers; `None` when it is not installed.
    pub async fn start(self) -> Option<Server> {
        if self == Self::Embedded {
            let server = QueueServer::start().await;
            let url = format!("http://{}", server.address);
            return Some(Server { kind: self, url, running: Running::Here { _server: server } });
        }
        let port = free_port();
        let Some(mut command) = self.command(port) else {
            assert!(std::env::var_os("CI").is_none(), "{} is missing in CI", self.name());
            skipped(&format!("{} is not installed ({})", self.name(), self.remedy()));
            return None;
        };
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{port}.log"));
        let output = File::create(&log).unwrap();
        fs::create_dir_all(scratch(&log)).unwrap();
        command.env("TMPDIR", scratch(&log));
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Server { kind: self, url, running: Running::Process { _child: child, log } };
        server.until_it_answers().await;
        Some(server)
    }

    /// The command that starts the server on `port`, if it is installed.
    fn command(self, port: u16) -> Option<Command> {
        match self {
            Self::Embedded => None,
            Self::MiniStack { auth } => {
                let named = std::env::var_os("QUEUEPOST_TEST_MINISTACK").map(PathBuf::from);
                let places = named.into_iter().chain([tools().join("bin/ministack")]);
                let mut command = Command::new(places.into_iter().find(|path| path.exists())?);
                command
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", port.to_string())
                    .env("MINISTACK_HOST", "127.0.0.1")
                    .env("SFTP_ENABLED", "0")
                    .env("IOT_MTLS_ENABLED", "0")
                    .env("LOG_LEVEL", "ERROR")
                    .env("AUTH", if auth { "true" } else { "false" });
                Some(command)
            }
            Self::ElasticMq => {
                let jars = tools().join("elasticmq");
                // Its version, as a sign that Java is installed.
                let java = std::process::Command::new("java")
                    .arg("-version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
                if !jars.exists() || !java.is_ok_and(|status| status.success()) {
                    return None;
                }
                let mut command = Command::new("java");
                command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1"]);
                for (key, value) in [
                    ("node-address.host", "127.0.0.1".to_owned()),
                    ("node-address.port", port.to_string()),
                    ("rest-sqs.bind-hostname", "127.0.0.1".to_owned()),
                    ("rest-sqs.bind-port", port.to_string()),
                    ("rest-sqs.sqs-limits", "strict".to_owned()),
                    // A second listener that no test needs.
                    ("rest-stats.enabled", "false".to_owned()),
                ] {
                    command.arg(format!("-D{key}={value}"));
                }
                command.arg("-cp").arg(jars.join("*")).arg("org.elasticmq.server.Main");
                Some(command)
            }
        }
    }
}

impl Server {
    /// A client beside the adapter under test. Servers with accounts take the access key for an account.
    pub fn client(&self, access_key: &str) -> Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(access_key, "x", None, None, "test"))
            .endpoint_url(&self.url)
            .build();
        Client::from_conf(config)
    }

    async fn until_it_answers(&mut self) {
        // Any answer means ready; MiniStack is ready when it reports its health.
        let probe = match self.kind {
            Kind::MiniStack { .. } => format!("{}/_ministack/health", self.url),
            Kind::Embedded | Kind::ElasticMq => self.url.clone(),
        };
        let end = tokio::time::Instant::now() + PATIENCE;
        while reqwest::get(&probe).await.is_err() {
            if let Running::Process { _child: child, .. } = &mut self.running
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!("{} ended at its start: {status}", self.kind.name());
            }
            assert!(tokio::time::Instant::now() < end, "{} does not answer", self.kind.name());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Running::Process { log, .. } = &self.running else { return };
        // What stays of it is harmless.
        fs::remove_dir_all(scratch(log)).ok();
        if !std::thread::panicking() {
            // A log file that cannot be removed is harmless.
            fs::remove_file(log).ok();
            return;
        }
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let mut tail = String::new();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            writeln!(tail, "  {line}").unwrap();
        }
        eprintln!("{} logged to {}, at the end:\n{tail}", self.kind.name(), log.display());
    }
}

/// The server's own folder for temporary files, beside its log: a killed server removes none.
fn scratch(log: &Path) -> PathBuf {
    log.with_extension("tmp")
}

/// Reports which test was skipped, past the test runner, which hides the output of passing tests.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped {}: {why}\n", thread.name().unwrap_or("a test"));
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A port of the loopback that was free a moment ago.
///
/// It is given out once in this process: a server needs a while until it binds its port.
pub fn free_port() -> u16 {
    static DRAWN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    // A test that found no free port shall not make the others fail for another reason.
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = std::iter::repeat_with(|| fastrand::u16(PORTS)).take(1_000);
    tries
        .find(|port| drawn.insert(*port) && TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("no port is free")
}

#[test]
fn no_port_is_given_out_twice() {
    // Of 500 ports drawn at random from 12,000, two are alike all but surely.
    let ports: Vec<u16> = std::iter::repeat_with(free_port).take(500).collect();
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
}

/// Where `.ci/run` installs the tools of the tests.
pub fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools")
}
