//! The measurement: warm up, take samples, compare the end with the start.

use std::fs;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::child::{Served, command};
use crate::load::{Load, QUEUE};
use crate::{Options, Result, myself};

/// Time between two samples.
const LOOK: Duration = Duration::from_secs(2);
/// Time between two progress lines.
const TELL: Duration = Duration::from_secs(60);
/// Successes required between two progress lines: a program that does nothing leaks nothing.
const ALIVE: u64 = 100;
/// Longest time for an answer about tasks.
const ANSWER: Duration = Duration::from_secs(30);
/// Parts of the run whose means are compared.
const TENTHS: usize = 10;
/// The allowed growth of each figure from the first tenth to the last. Memory: fluctuation of the allocator.
/// Descriptors and tasks: a varying number of working connections.
const RSS_MIB: f64 = 8.0;
const DESCRIPTORS: f64 = 16.0;
const TASKS: f64 = 16.0;

/// One sample.
#[derive(Debug, Clone, Copy)]
struct Sample {
    hours: f64,
    rss_mib: f64,
    descriptors: f64,
    tasks: f64,
}

/// A figure: its name, its value in a sample, and its allowed growth.
type Figure = (&'static str, fn(&Sample) -> f64, f64);

const FIGURES: [Figure; 3] = [
    ("RSS, MiB", |sample| sample.rss_mib, RSS_MIB),
    ("file descriptors", |sample| sample.descriptors, DESCRIPTORS),
    ("tasks", |sample| sample.tasks, TASKS),
];

/// Runs the measurement; returns whether nothing grew too much.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let load = Load::start(seed).await?;
    let mut program = command(myself()?.as_os_str(), None);
    program.args(["bridge", "--queue", &format!("http://{}/000000000000/{QUEUE}", load.queue)]);
    program.args(["--url", &format!("http://{}/", load.endpoint), "--workers", &options.workers.to_string()]);
    let (mut bridge, ()) = Served::start("leaks bridge", program).await?;
    println!("seed {seed}, {} workers; warming up with {} successes", options.workers, options.warm_up);
    let ok = || load.answers.ok.load(Ordering::Relaxed);
    let mut told = (Instant::now(), 0);
    while ok() < options.warm_up {
        sleep(LOOK).await;
        tell(&mut told, ok(), None)?;
    }

    let (start, before) = (Instant::now(), ok());
    let run = Duration::try_from_secs_f64(options.minutes * 60.0)?;
    let mut samples = Vec::new();
    while start.elapsed() < run || samples.len() < TENTHS {
        let sample = look(&mut bridge, start).await?;
        samples.push(sample);
        tell(&mut told, ok(), Some(sample))?;
        sleep(LOOK).await;
    }
    let answers = &load.answers;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "\n{:.1} minutes, {} looks, {} successes; in all {} × 200, {} × 429, {} × 500, {} × 503, {} left without an answer",
        start.elapsed().as_secs_f64() / 60.0,
        samples.len(),
        ok() - before,
        ok(),
        count(&answers.throttled),
        count(&answers.failed),
        count(&answers.overloaded),
        count(&answers.hanging),
    );
    Ok(table(&samples))
}

/// Takes one sample of all figures.
async fn look(bridge: &mut Served, start: Instant) -> Result<Sample> {
    let pid = bridge.process.pid;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = rss.and_then(|line| line.split_whitespace().next()).ok_or("/proc/PID/status: no VmRSS")?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let tasks: u32 = timeout(ANSWER, bridge.ask(&())).await.map_err(|_| "no answer about tasks")??;
    Ok(Sample {
        hours: start.elapsed().as_secs_f64() / 3_600.0,
        rss_mib: kib.parse::<f64>()? / 1_024.0,
        descriptors: f64::from(u32::try_from(descriptors)?),
        tasks: f64::from(tasks),
    })
}

/// Prints a progress line now and then; an error when there are no more successes.
fn tell(told: &mut (Instant, u64), ok: u64, sample: Option<Sample>) -> Result<()> {
    if told.0.elapsed() < TELL {
        return Ok(());
    }
    if ok < told.1 + ALIVE {
        return Err(format!("only {} successes in {TELL:?}", ok - told.1).into());
    }
    *told = (Instant::now(), ok);
    match sample {
        None => println!("{ok} successes"),
        Some(Sample { hours, rss_mib, descriptors, tasks }) => println!(
            "{:5.1} min  {rss_mib:6.1} MiB  {descriptors:4} descriptors  {tasks:4} tasks  {ok} successes",
            hours * 60.0
        ),
    }
    Ok(())
}

/// Prints the figures; returns whether each grew by no more than allowed.
fn table(samples: &[Sample]) -> bool {
    let tenth = samples.len().div_ceil(TENTHS);
    println!(
        "\n{:16}  {:>8}  {:>8}  {:>8}  {:>12}  {:>8}",
        "", "start", "end", "most", "per hour", "may grow"
    );
    let mut good = true;
    for (name, value, bound) in FIGURES {
        let start = mean(samples, 0..tenth, value);
        let end = mean(samples, samples.len() - tenth..samples.len(), value);
        let most = samples.iter().map(value).fold(0.0, f64::max);
        let slope = slope(samples, value);
        let verdict = if end - start > bound { "  GREW" } else { "" };
        println!("{name:16}  {start:8.1}  {end:8.1}  {most:8.1}  {slope:+12.1}  {bound:8.1}{verdict}");
        good &= end - start <= bound;
    }
    good
}

fn mean(samples: &[Sample], part: Range<usize>, value: fn(&Sample) -> f64) -> f64 {
    let part: Vec<f64> = samples.iter().skip(part.start).take(part.len()).map(value).collect();
    part.iter().sum::<f64>() / length(part.len())
}

/// The slope by least squares, per hour.
fn slope(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let count = length(samples.len());
    let (x, y) = (
        samples.iter().map(|sample| sample.hours).sum::<f64>() / count,
        samples.iter().map(value).sum::<f64>() / count,
    );
    let (mut with, mut of) = (0.0, 0.0);
    for sample in samples {
        with += (sample.hours - x) * (value(sample) - y);
        of += (sample.hours - x).powi(2);
    }
    with / of
}

fn length(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
