//! What Linux reports of a process, and how to end one in order.

use std::fs;
use std::time::Duration;

use tokio::process::Command;

use crate::Result;

/// Clock ticks per second in `/proc/PID/stat` (`USER_HZ`, the same on every architecture Rust knows; proc(5)).
const TICKS_PER_SECOND: u32 = 100;

/// CPU time used so far by all threads, in user and kernel mode (utime + stime).
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything; the state after it is field 3.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat has no name in it")?;
    let ticks: Vec<u32> = fields
        .split_whitespace()
        .skip(14 - 3)
        .take(2)
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    Ok(Duration::from_secs(1) * ticks.iter().sum() / TICKS_PER_SECOND)
}

/// Most memory resident at any time so far, in KiB.
pub(crate) fn peak_memory(pid: u32) -> Result<u32> {
    memory(pid, "VmHWM:")
}

/// Memory that is resident now, in KiB: that of the process alone, and that of files, which the program is the most of.
pub(crate) fn resident_memory(pid: u32) -> Result<(u32, u32)> {
    Ok((memory(pid, "RssAnon:")?, memory(pid, "RssFile:")?))
}

fn memory(pid: u32, what: &str) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("/proc/PID/status: no {what}"))?.parse()?)
}

/// Sends a signal, by the program `kill`, because the standard library can send SIGKILL only.
pub(crate) async fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await?;
    if status.success() { Ok(()) } else { Err(format!("could not send SIG{name} to {pid}").into()) }
}

/// The system, its processors and their load.
pub(crate) fn machine() -> Result<String> {
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let processors = std::thread::available_parallelism()?;
    Ok(format!("Linux {}, {processors} processors, load {load} before", system.trim()))
}
