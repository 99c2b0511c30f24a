//! One run of one program, and all runs of all rows.
//!
//! A run in order: queue server and endpoint start, the program under test starts, a warm-up passes. Then the
//! queue is filled at once, and the time until the last delete is taken. `/proc` gives the figures of the
//! program at both ends. Start and stop are not part of the figures, except of the peak memory.

use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use tokio::time::timeout;

use crate::child::{Process, Served, command, stop};
use crate::options::{Options, Program};
use crate::programs;
use crate::protocol::{Arrivals, Count, Depth, Emptied, Listening, QueueOrder};
use crate::table::{Row, Table};
use crate::tls::Tls;
use crate::{Result, process};

/// The warm-up has this fraction of the messages.
const WARM_UP_DIVISOR: u32 = 10;
/// Slowest rate that is waited for, in messages a second, and the time allowed for the start.
const SLOWEST: u32 = 100;
const STARTING: Duration = Duration::from_secs(20);
/// How long a part may take to stop.
const ENDING: Duration = Duration::from_secs(30);
/// The processor of the servers with `--pin`.
const THE_REST: u32 = 1;

/// The result of one run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figures {
    pub(crate) messages_per_second: f64,
    pub(crate) cpu_micros: f64,
    pub(crate) calls: f64,
    /// Of each message, those of the warm-up too.
    pub(crate) posts: f64,
    pub(crate) peak_mib: f64,
    pub(crate) arrivals: Arrivals,
    pub(crate) sent: u64,
}

/// Measures all rows, in turn, and prints the table.
pub(crate) async fn rows(options: &Options) -> Result<()> {
    let mut table = Table::new(options, process::machine()?);
    for program in &options.only {
        table.circumstances.extend(programs::install(*program).await?);
    }
    let mut rows = Vec::new();
    for (setting, program) in
        options.setting.iter().flat_map(|it| options.only.iter().map(move |program| (it, program)))
    {
        // The others post each message alone, and have one queue.
        let is_ours = *program == Program::Queuepost;
        let batches = if is_ours { options.batch.as_slice() } else { &[1] };
        let listeners = if is_ours { options.listeners.as_slice() } else { &[1] };
        for (batch, listeners) in
            batches.iter().flat_map(|batch| listeners.iter().map(move |it| (*batch, *it)))
        {
            rows.push(Row { setting: *setting, program: *program, batch, listeners, runs: Vec::new() });
        }
    }
    for number in 1..=options.runs {
        for row in &mut rows {
            eprintln!("run {number} of {}: {}, {}", options.runs, row.name(), row.setting.name());
            row.runs.push(one(options, row).await?);
        }
    }
    table.rows = rows;
    print!("{table}");
    match &options.json {
        Some(path) => Ok(std::fs::write(path, serde_json::to_vec_pretty(&table)?)?),
        None => Ok(()),
    }
}

/// The parts of one run.
pub(crate) struct Bench {
    pub(crate) queue: Served,
    endpoint: Served,
    pub(crate) program: Process,
}

async fn one(options: &Options, row: &Row) -> Result<Figures> {
    let program = row.program;
    let mut bench = Bench::start(options, row).await?;
    let warm_up = options.messages.div_ceil(WARM_UP_DIVISOR);
    bench.work_off(warm_up, options.body).await?;
    let mut beside = beside(options, program, bench.program.pid)?;
    let before = process::cpu_time(bench.program.pid)?;
    let emptied = bench.work_off(options.messages, options.body).await?;
    let used = process::cpu_time(bench.program.pid)?.saturating_sub(before);
    if let Some(mut beside) = beside.take() {
        if let Some(pid) = beside.id() {
            process::signal(pid, "INT").await?;
        }
        beside.wait().await?;
    }
    let peak = process::peak_memory(bench.program.pid)?;
    let arrivals: Arrivals = bench.endpoint.ask(&Count).await?;
    bench.stop(program).await?;
    let messages = f64::from(options.messages);
    let sent = warm_up + options.messages;
    Ok(Figures {
        messages_per_second: messages / Duration::from_micros(emptied.micros).as_secs_f64(),
        cpu_micros: used.as_secs_f64() * 1e6 / messages,
        calls: f64::from(emptied.calls) / messages,
        posts: f64::from(u32::try_from(arrivals.requests)?) / f64::from(sent),
        peak_mib: f64::from(peak) / 1024.0,
        arrivals,
        sent: u64::from(sent),
    })
}

/// Starts the command to run beside the measurement. The shell becomes the command, so that the signal
/// reaches it.
fn beside(options: &Options, program: Program, pid: u32) -> Result<Option<tokio::process::Child>> {
    let Some(command) = &options.beside else { return Ok(None) };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec {command}")).kill_on_drop(true);
    shell.env("PID", pid.to_string()).env("NAME", program.name().replace(' ', "-"));
    Ok(Some(shell.spawn()?))
}

impl Bench {
    pub(crate) async fn start(options: &Options, row: &Row) -> Result<Self> {
        let (program, setting) = (row.program, row.setting);
        let own = std::env::current_exe()?;
        let part = |role: &str| {
            let mut command = command(own.as_os_str(), options.pin.then_some(THE_REST));
            command.arg(role);
            command
        };
        let (least, most) = setting.queue_millis();
        let mut server = part("queue-server");
        server.args(["--least-millis", &least.to_string(), "--most-millis", &most.to_string()]);
        server.args(["--queues", &row.listeners.to_string()]);
        server.args(options.groups.map(|groups| format!("--groups={groups}")));
        let mut target = part("null-endpoint");
        target.args([
            "--millis",
            &setting.endpoint_millis().to_string(),
            "--body",
            &options.body.to_string(),
        ]);
        let tls = options.tls.map(Tls::new).transpose()?;
        target.args(tls.iter().flat_map(Tls::arguments));
        let (queue, Listening { address: queue_at }) = Served::start("queue server", server).await?;
        let (endpoint, Listening { address: endpoint_at }) = Served::start("null endpoint", target).await?;
        let under_test = programs::under_test(options, row, tls.as_ref(), (queue_at, endpoint_at))?;
        let program = Process::start(program.name(), under_test)?;
        Ok(Self { queue, endpoint, program })
    }

    /// Fills the queue and waits until it is empty.
    async fn work_off(&mut self, count: u32, body: u32) -> Result<Emptied> {
        let (): () = self.queue.ask(&QueueOrder::Fill { count, body }).await?;
        let patience = STARTING + Duration::from_secs(u64::from(count / SLOWEST));
        self.queue.order(&QueueOrder::AwaitEmpty).await?;
        tokio::select! {
            emptied = timeout(patience, self.queue.answer()) => match emptied {
                Ok(emptied) => return emptied,
                Err(_too_slow) => {}
            },
            ended = self.program.ended() => ended?,
        }
        let Depth { visible, in_flight } = self.queue.ask(&QueueOrder::Look).await?;
        let left = format!("{visible} messages left and {in_flight} in flight after {patience:?}");
        Err(self.program.complaint(&left))
    }

    /// Ends the program first; then the queue server, which answers the polls that a draining program waits
    /// for.
    pub(crate) async fn stop(mut self, program: Program) -> Result<()> {
        process::signal(self.program.pid, "TERM").await?;
        self.queue.order(&QueueOrder::Close).await?;
        let complaint = self.program.complaint("did not drain cleanly");
        let status = self.program.end(ENDING).await?;
        if program == Program::Queuepost && !status.success() {
            return Err(complaint);
        }
        self.queue.process.end(ENDING).await?;
        stop(self.endpoint.process, "TERM", ENDING).await?;
        Ok(())
    }
}
