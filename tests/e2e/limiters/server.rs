//! A running rate limiter: started on a free port of the loopback, and ended by its process id when it is dropped.
//!
//! Each kind logs a line for each answer, `answered STATUS MESSAGE`, into one file. So the limiter says itself
//! what it let through and what it refused. The end of the file is printed when a run panics. It is removed when the
//! run ends well, even where its case is then too slow: that prints the times.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::process::{PATIENCE, until};
use crate::contract::server::{free_port, skipped};

/// Bytes of a limiter's log that are printed when its run panics.
const LOG_TAIL: usize = 2_000;

/// The kinds of limiters, with their limits as their users write them.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// nginx before a backend: directives of its `http` block and of its `location`.
    Nginx { http: &'static str, location: &'static str },
    /// `HAProxy` before a backend: lines of its frontend.
    HaProxy { frontend: &'static str },
    /// express-rate-limit; which draft its headers follow.
    Express { headers: &'static str },
    /// Flask-Limiter.
    Flask,
}

impl Kind {
    /// Its name, and what `.ci/limiters` installs it as.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx { .. } => ("nginx", "proxies"),
            Self::HaProxy { .. } => ("HAProxy", "proxies"),
            Self::Express { .. } => ("express-rate-limit", "express"),
            Self::Flask => ("Flask-Limiter", "flask"),
        }
    }

    /// Whether it passes requests on to a backend of the test.
    pub fn is_proxy(self) -> bool {
        matches!(self, Self::Nginx { .. } | Self::HaProxy { .. })
    }

    /// Whether `.ci/limiters` installed it; where not, says what is skipped.
    pub fn is_installed(self, case: &str) -> bool {
        let (name, pin) = self.names();
        let installed = tools().join("pins").join(pin).exists();
        if !installed {
            assert!(std::env::var_os("CI").is_none(), "{name} is missing in CI");
            skipped(&format!(
                "{case}: {name} is not installed (.ci/limiters installs it into target/limiters)"
            ));
        }
        installed
    }

    /// The command that starts it on `port`; a folder and a log of its own are there.
    fn command(self, port: u16, backend: &str, folder: &Path, log: &Path) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/limiters");
        // A path behind the address would come before the path of each request.
        let backend = backend.trim_start_matches("http://").trim_end_matches("/work");
        match self {
            Self::Nginx { http, location } => {
                let config = folder.join("nginx.conf");
                fs::write(&config, nginx_config(port, backend, http, location, log)).unwrap();
                let mut command = Command::new(tools().join("bin/nginx"));
                command.arg("-p").arg(folder).arg("-c").arg(config).args(["-e", "stderr"]);
                command
            }
            Self::HaProxy { frontend } => {
                let config = folder.join("haproxy.cfg");
                fs::write(&config, haproxy_config(port, backend, frontend)).unwrap();
                let mut command = Command::new(tools().join("bin/haproxy"));
                command.arg("-db").arg("-f").arg(config);
                command
            }
            Self::Express { headers } => {
                let mut command = Command::new("node");
                command.arg(scripts.join("express/server.js")).args([&port.to_string(), headers]);
                command.env("NODE_PATH", tools().join("express/node_modules"));
                command
            }
            Self::Flask => {
                let mut command = Command::new(tools().join("flask/bin/python"));
                command.arg(scripts.join("flask/server.py")).arg(port.to_string());
                command
            }
        }
    }
}

/// One process; POST to a static file would be 405, so there is a backend.
fn nginx_config(port: u16, backend: &str, http: &str, location: &str, log: &Path) -> String {
    format!(
        "daemon off;
        master_process off;
        pid nginx.pid;
        events {{}}
        http {{
            log_format answers 'answered $status $http_x_queuepost_message_id';
            access_log {log} answers;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            {http}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    {location}
                    proxy_pass http://{backend};
                }}
            }}
        }}\n",
        log = log.display()
    )
}

fn haproxy_config(port: u16, backend: &str, frontend: &str) -> String {
    format!(
        "global
            log stdout format raw local0
        defaults
            mode http
            option dontlognull
            timeout connect 5s
            timeout client 60s
            timeout server 60s
        frontend limiter
            bind 127.0.0.1:{port}
            log global
            http-request capture req.hdr(X-Queuepost-Message-Id) len 64
            log-format \"answered %ST %[capture.req.hdr(0)]\"
            {frontend}
            default_backend endpoint
        backend endpoint
            server endpoint {backend}\n"
    )
}

/// A running limiter.
pub struct Limiter {
    pub url: String,
    /// For files of its test; removed with the limiter.
    pub folder: PathBuf,
    port: u16,
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Limiter {
    /// Starts an installed limiter and waits until it listens; `backend` is where a proxy passes requests on to.
    pub async fn start(kind: Kind, backend: &str) -> Self {
        let port = free_port();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("limiter-{port}"));
        // What a run that was killed left of another server at this port.
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let output = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = kind.command(port, backend, &folder, &log);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut limiter = Self { url, folder, port, name: kind.names().0, log, child };
        limiter.until_it_listens().await;
        limiter
    }

    /// A connection is no request: it does not count towards any limit.
    async fn until_it_listens(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            // First, because another server may listen where this one could not.
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended at its start: {ended:?}", self.name);
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            assert!(Instant::now() < end, "{} does not listen", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Status and message of each answer so far, once so many requests were let through.
    pub async fn answers(&self, let_through: usize) -> Vec<(u16, String)> {
        let answers = || {
            let answers = answers(&fs::read_to_string(&self.log).unwrap());
            let good = answers.iter().filter(|(status, _)| *status == 200).count();
            (good >= let_through).then_some(answers)
        };
        until(answers).await.unwrap_or_else(|| panic!("{} logged less than {let_through} answers", self.name))
    }
}

/// The answers in a log.
fn answers(log: &str) -> Vec<(u16, String)> {
    let lines = log.lines().filter_map(|line| line.strip_prefix("answered ")?.split_once(' '));
    lines.map(|(status, message)| (status.parse().unwrap(), message.to_owned())).collect()
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read(&self.log).unwrap_or_default();
            let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned();
            eprintln!("{} logged to {}, at the end:\n{tail}", self.name, self.log.display());
        } else {
            // A folder that cannot be removed is harmless.
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// Where `.ci/limiters` installs them.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/limiters")
}
