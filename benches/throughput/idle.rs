//! What listeners cost while nothing comes: processor time, calls and memory. And how long the process takes to its first receive.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::measure::Bench;
use crate::options::{Options, Program, Setting};
use crate::protocol::{Calls, QueueOrder};
use crate::table::{Row, spread};
use crate::{Result, process};

/// After so long each listener polls, and what the start allocated is given back.
const SETTLING: Duration = Duration::from_secs(25);

/// The result of one run.
#[derive(Debug, Clone, Copy, Serialize)]
struct Idle {
    listeners: u32,
    /// From the start of the process to its first receive.
    start_millis: f64,
    /// Per cent of a processor.
    cpu: f64,
    /// To SQS, a minute and listener.
    calls: f64,
    own_mib: f64,
    file_mib: f64,
}

/// Measures each number of listeners, in turn, and prints the table.
pub(crate) async fn rows(options: &Options, seconds: u32) -> Result<()> {
    let mut all = Vec::new();
    println!("{}, idle for {seconds} s, median of {} (least–most)", process::machine()?, options.runs);
    for number in 1..=options.runs {
        for listeners in &options.listeners {
            eprintln!("run {number} of {}: {listeners} idle listeners", options.runs);
            all.push(one(options, *listeners, seconds).await?);
        }
    }
    println!(
        "\n| listeners | start to first receive, ms | CPU, % of a processor | calls a minute and listener | own MiB | file MiB |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for listeners in &options.listeners {
        let of = |what: fn(&Idle) -> f64, digits| {
            spread(all.iter().filter(|run| run.listeners == *listeners).map(what).collect(), digits)
        };
        let (start, cpu, calls) =
            (of(|run| run.start_millis, 0), of(|run| run.cpu, 2), of(|run| run.calls, 1));
        let (own, file) = (of(|run| run.own_mib, 1), of(|run| run.file_mib, 1));
        println!("| {listeners} | {start} | {cpu} | {calls} | {own} | {file} |");
    }
    match &options.json {
        Some(path) => Ok(std::fs::write(path, serde_json::to_vec_pretty(&all)?)?),
        None => Ok(()),
    }
}

async fn one(options: &Options, listeners: u32, seconds: u32) -> Result<Idle> {
    let row =
        Row { setting: Setting::Instant, program: Program::Queuepost, batch: 1, listeners, runs: Vec::new() };
    let mut bench = Bench::start(options, &row).await?;
    let begun = Instant::now();
    while bench.queue.ask::<Calls>(&QueueOrder::Calls).await?.receives == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let start_millis = begun.elapsed().as_secs_f64() * 1e3;
    sleep(SETTLING).await;
    let pid = bench.program.pid;
    let (used, calls) = (process::cpu_time(pid)?, bench.queue.ask::<Calls>(&QueueOrder::Calls).await?.all);
    sleep(Duration::from_secs(u64::from(seconds))).await;
    let used = process::cpu_time(pid)?.saturating_sub(used).as_secs_f64();
    let calls = bench.queue.ask::<Calls>(&QueueOrder::Calls).await?.all - calls;
    let (own, file) = process::resident_memory(pid)?;
    bench.stop(Program::Queuepost).await?;
    let seconds = f64::from(seconds);
    Ok(Idle {
        listeners,
        start_millis,
        cpu: used / seconds * 100.0,
        calls: f64::from(calls) * 60.0 / seconds / f64::from(listeners),
        own_mib: f64::from(own) / 1024.0,
        file_mib: f64::from(file) / 1024.0,
    })
}
