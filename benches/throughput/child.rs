//! A part of the measurement, seen from the parent: a process that is killed when its handle is dropped.
//!
//! So no process is left after a failure or Ctrl-C. If the parent itself is killed, the servers end with
//! their standard input, and the bare loop with the servers. queuepost stays, as intended when its queue is
//! gone.
//!
//! Children get an empty environment, so that the user's proxy and AWS settings have no effect. Their output
//! beside the answers goes to a file that is printed when something fails.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{Result, process};

/// Lines of a child's log that are printed.
const TAIL: usize = 20;

/// A running program.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    pub(crate) pid: u32,
    log: PathBuf,
}

/// A part that takes orders.
pub(crate) struct Served {
    pub(crate) process: Process,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// A command that starts `program`, on one processor if requested.
pub(crate) fn command(program: &OsStr, processor: Option<u32>) -> Command {
    let mut command = match processor {
        // The shell replaces itself by the program, so the process id stays the same.
        Some(processor) => {
            let mut taskset = Command::new("taskset");
            taskset.args(["-c", &processor.to_string()]).arg(program);
            taskset
        }
        None => Command::new(program),
    };
    command.env_clear().kill_on_drop(true);
    command
}

impl Process {
    /// Starts a command whose output goes to a log.
    pub(crate) fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let (log, file) = log_file(name)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let (child, pid) = spawn(&mut command)?;
        Ok(Self { name, child, pid, log })
    }

    /// Completes with an error when the process ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let status = self.child.wait().await?;
        Err(self.complaint(&format!("ended ({status})")))
    }

    /// Waits for the requested end.
    pub(crate) async fn end(mut self, within: Duration) -> Result<std::process::ExitStatus> {
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => Err(self.complaint("did not end in time")),
        }
    }

    /// An error with the last output of the process.
    pub(crate) fn complaint(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default();
        let said = if tail.is_empty() { " nothing".to_owned() } else { format!("\n  {}", tail.join("\n  ")) };
        format!("{}: {what}; it last said{said}", self.name).into()
    }
}

impl Served {
    /// Starts a part; returns it with its first line.
    pub(crate) async fn start<T: DeserializeOwned>(
        name: &'static str,
        mut command: Command,
    ) -> Result<(Self, T)> {
        let (log, file) = log_file(name)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let (mut child, pid) = spawn(&mut command)?;
        let orders = child.stdin.take().ok_or("no standard input")?;
        let answers = child.stdout.take().ok_or("no standard output")?;
        let answers = BufReader::new(answers).lines();
        let mut served = Self { process: Process { name, child, pid, log }, orders, answers };
        let first = served.answer().await?;
        Ok((served, first))
    }

    /// Gives an order.
    pub(crate) async fn order(&mut self, order: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(order)?;
        line.push('\n');
        Ok(self.orders.write_all(line.as_bytes()).await?)
    }

    /// The next answer.
    pub(crate) async fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        match self.answers.next_line().await? {
            Some(line) => Ok(serde_json::from_str(&line)?),
            None => Err(self.process.complaint("ended")),
        }
    }

    /// Gives an order and waits for the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T> {
        self.order(order).await?;
        self.answer().await
    }
}

/// Signals a process and waits for its end.
pub(crate) async fn stop(process: Process, name: &str, within: Duration) -> Result<std::process::ExitStatus> {
    process::signal(process.pid, name).await?;
    process.end(within).await
}

fn spawn(command: &mut Command) -> Result<(Child, u32)> {
    let program = command.as_std().get_program().to_owned();
    let child = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let pid = child.id().ok_or("ended at once")?;
    Ok((child, pid))
}

fn log_file(name: &str) -> Result<(PathBuf, File)> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", name.replace(' ', "-")));
    let file = File::create(&path)?;
    Ok((path, file))
}
