//! The real binary: started, observed and ended by its process id.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How long a test waits for anything on one machine. A lease of 40 s may lapse twice: messages of a receive whose answer is
/// lost come again, and that answer may be lost as well.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A running `queuepost`; killed when dropped.
pub struct Queuepost {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: JoinSet<()>,
    admin: Option<String>,
}

/// The end of a process.
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
}

impl Queuepost {
    /// Starts the binary; its environment has no variable of AWS or queuepost except `env`.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::spawn(args, env, Stdio::null())
    }

    /// Starts the binary with `input` on its standard input.
    pub fn with_input(args: &[&str], input: &[u8]) -> Self {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let input = input.to_vec();
        // The input may exceed a pipe's capacity; a process that stops reading breaks the write.
        std::thread::spawn(move || std::io::Write::write_all(&mut writer, &input).ok());
        Self::spawn(args, &[], Stdio::from(reader))
    }

    /// Starts the binary with this limit of file descriptors.
    pub fn start_with_descriptors(most: u32, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_queuepost"));
        Self::spawn_as(command, args, &[], Stdio::null())
    }

    fn spawn(args: &[&str], env: &[(&str, &str)], input: Stdio) -> Self {
        Self::spawn_as(Command::new(env!("CARGO_BIN_EXE_queuepost")), args, env, input)
    }

    fn spawn_as(mut command: Command, args: &[&str], env: &[(&str, &str)], input: Stdio) -> Self {
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .envs(env.iter().copied())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        readers.spawn(read(child.stdout.take().unwrap(), Arc::clone(&output)));
        readers.spawn(read(child.stderr.take().unwrap(), Arc::clone(&output)));
        Self { child, output, readers, admin: None }
    }

    /// Starts `run` for one listener, with logs as JSON and an admin port of its own.
    pub async fn run(queue: &str, url: &str, more: &[&str]) -> Self {
        let mut args = vec![
            "run",
            "--queue",
            queue,
            "--url",
            url,
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--receive-wait",
            "1s",
        ];
        args.extend(more);
        let mut process = Self::start(&args, &[]);
        process.find_admin().await;
        process
    }

    /// Waits for the line with the address of the admin port.
    pub async fn find_admin(&mut self) {
        let line = self.until_line(r#""message":"started""#).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.admin = Some(format!("http://{}", line["admin"].as_str().unwrap()));
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub fn output(&self) -> String {
        self.output.lock().unwrap().join("\n")
    }

    /// Waits for a line of output that contains `text`.
    pub async fn until_line(&self, text: &str) -> String {
        let found = until(|| self.output.lock().unwrap().iter().find(|line| line.contains(text)).cloned());
        found.await.unwrap_or_else(|| panic!("no line with {text:?} in:\n{}", self.output()))
    }

    /// Host and port of the admin port.
    pub fn admin_address(&self) -> &str {
        self.admin.as_ref().unwrap().strip_prefix("http://").unwrap()
    }

    /// The answer of the admin port on a path: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let admin = self.admin.as_ref().unwrap();
        let answer = reqwest::get(format!("{admin}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The sum of a metric over all label sets that contain `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        text.lines()
            .filter(|line| line.starts_with(&format!("queuepost_{name}{{")) && line.contains(labels))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("still running:\n{}", self.output())).unwrap();
        // The pipes close with the end of the process.
        while self.readers.join_next().await.is_some() {}
        Ended { code: status.code(), output: self.output() }
    }

    /// Sends SIGTERM; returns how the process ended.
    pub async fn stop(&mut self) -> Ended {
        self.signal("TERM");
        self.ended().await
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.signal("KILL");
        self.ended().await;
    }
}

async fn read(from: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        into.lock().unwrap().push(line);
    }
}

/// Asks again and again until there is an answer or the time is over.
pub async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if tokio::time::Instant::now() > end {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
