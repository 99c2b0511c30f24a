//! Sends one message per line of standard input, or of a file that `receive` wrote, in batches of ten.
//!
//! A thread reads lines ahead into a bounded channel, because reading blocks. A batch is sent in three cases:
//! it is full, a call could take no more bytes, or no line arrived for [`LINGER`]. So a producer that writes
//! one line per hour does not wait for nine more. Batches are sent one after the other, in the order of the
//! lines.
//!
//! Each entry succeeds or fails alone. A temporary failure is repeated a bounded number of times. A permanent
//! one is reported with its line, and the other lines go on. A failure that would hit every line ends the
//! command, which then prints how far it came. Such failures are a missing queue, a missing permission, and
//! no network after all repeats.

use std::io::{BufRead, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{Instant, timeout_at};

use crate::cli::line_shape::Shape;
use crate::cli::{FAILED, OK, complain, print_lines};
use crate::escape;
use crate::hands::resend::{SENDS_MAX, pause};
use crate::message::MessageId;
use crate::ports::{BATCH_MAX, QueueError, QueueErrorKind};
use crate::sqs::{Outgoing, SqsQueue, Unsent};
use crate::telemetry::Chain;

/// Lines read ahead: a few batches.
const AHEAD: usize = 64;
/// How long a partial batch waits for the next line.
const LINGER: Duration = Duration::from_millis(100);

/// A line to send, or why it cannot be sent.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    number: u64,
    body: Result<String, String>,
}

/// A message and its line number.
#[derive(Debug, Clone)]
struct Entry {
    number: u64,
    message: Outgoing,
}

/// Sends every line of `input` as a message; returns the exit code.
pub(super) async fn run(queue: &SqsQueue, shape: &Shape, input: impl BufRead + Send + 'static) -> u8 {
    let (ahead, mut lines) = mpsc::channel(AHEAD);
    // Ends with the input, or when no receiver is left. A blocked read does not delay the exit.
    drop(tokio::task::spawn_blocking(move || {
        read(input, |line| ahead.blocking_send(line).is_ok());
    }));
    let mut sending = Sending { queue, tally: Tally::new() };
    let mut waiting: Option<Entry> = None;
    loop {
        let batch = gather(&mut lines, shape, &mut waiting, &mut sending.tally).await;
        if batch.is_empty() {
            break;
        }
        if let Err(why) = sending.send(batch).await {
            sending.tally.stop(&why);
            return FAILED;
        }
    }
    sending.tally.finish()
}

/// Reads lines until the end, or until `take` refuses one. Empty lines are skipped: SQS has no empty message.
fn read(mut input: impl BufRead, mut take: impl FnMut(Line) -> bool) {
    let mut number = 0_u64;
    loop {
        let mut bytes = Vec::new();
        number = number.saturating_add(1);
        let body = match input.read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) => {
                let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
                if bytes.is_empty() {
                    continue;
                }
                match std::str::from_utf8(bytes) {
                    Ok(text) if bytes.len() > Outgoing::MAX_BYTES => Err(format!(
                        "longer than the {} bytes of a message: {}",
                        Outgoing::MAX_BYTES,
                        text.len()
                    )),
                    Ok(text) => Ok(text.to_owned()),
                    Err(_) => Err("not UTF-8 text, and SQS carries nothing else".to_owned()),
                }
            }
            Err(error) => {
                take(Line { number, body: Err(format!("standard input cannot be read: {error}")) });
                return;
            }
        };
        if !take(Line { number, body }) {
            return;
        }
    }
}

/// The next batch; empty at the end of the input. `waiting` is the line that did not fit into the last one.
async fn gather(
    lines: &mut Receiver<Line>,
    shape: &Shape,
    waiting: &mut Option<Entry>,
    tally: &mut Tally,
) -> Vec<Entry> {
    let mut batch: Vec<Entry> = waiting.take().into_iter().collect();
    let mut bytes: usize = batch.iter().map(|entry| entry.message.bytes()).sum();
    let mut end = Instant::now() + LINGER;
    while batch.len() < BATCH_MAX {
        let line = if batch.is_empty() {
            let line = lines.recv().await;
            end = Instant::now() + LINGER;
            line
        } else {
            timeout_at(end, lines.recv()).await.unwrap_or_default()
        };
        let Some(Line { number, body }) = line else { break };
        let message = match body.and_then(|body| shape.message(number, body)) {
            Ok(message) => message,
            Err(why) => {
                let (why, fix) = why.split_once("\n  fix: ").unwrap_or((&why, ""));
                tally.failed(number, why, fix);
                continue;
            }
        };
        let entry = Entry { number, message };
        bytes = bytes.saturating_add(entry.message.bytes());
        if bytes > Outgoing::MAX_BYTES && !batch.is_empty() {
            *waiting = Some(entry);
            break;
        }
        batch.push(entry);
    }
    batch
}

/// The queue that lines are sent to, and the results.
struct Sending<'a> {
    queue: &'a SqsQueue,
    tally: Tally,
}

impl Sending<'_> {
    /// Sends one batch with its repeats; `Err` says why further lines are not worth sending.
    async fn send(&mut self, mut batch: Vec<Entry>) -> Result<(), String> {
        let mut ids: Vec<(u64, MessageId)> = Vec::new();
        let mut fatal = None;
        for round in 1..=SENDS_MAX {
            let last = round == SENDS_MAX;
            match self.call(&batch).await {
                Ok(results) => {
                    let mut again = Vec::new();
                    for (entry, result) in batch.into_iter().zip(results) {
                        match result {
                            Ok(id) => ids.push((entry.number, id)),
                            Err(unsent) if unsent.retryable && !last => again.push(entry),
                            Err(unsent) => self.tally.failed(entry.number, &unsent.why, &unsent.fix),
                        }
                    }
                    batch = again;
                }
                Err(error) if !error.kind.is_fault() && !last => {}
                Err(error) => {
                    let why = Chain(&error).to_string();
                    for entry in batch {
                        self.tally.failed(entry.number, &why, &error.advice.fix);
                    }
                    batch = Vec::new();
                    fatal = Some(error.to_string());
                }
            }
            if batch.is_empty() {
                break;
            }
            tokio::time::sleep(pause(round)).await;
        }
        // Repeated entries end last; the ids are printed in the order of the lines all the same.
        ids.sort_by_key(|(number, _)| *number);
        self.tally.sent(&ids).map_err(|error| format!("standard output is broken: {error}"))?;
        fatal.map_or(Ok(()), Err)
    }

    /// One call. A batch that is refused as a whole is sent line by line, to find the faulty line.
    async fn call(&self, batch: &[Entry]) -> Result<Vec<Result<MessageId, Unsent>>, QueueError> {
        let messages: Vec<Outgoing> = batch.iter().map(|entry| entry.message.clone()).collect();
        match self.queue.send_batch(&messages).await {
            Err(error) if error.kind == QueueErrorKind::Invalid => {}
            answered => return answered,
        }
        let mut results = Vec::new();
        for message in messages {
            let result = match self.queue.send(message).await {
                Ok(id) => Ok(id),
                Err(error) if error.kind == QueueErrorKind::Invalid || !error.kind.is_fault() => {
                    Err(unsent(&error, !error.kind.is_fault()))
                }
                // Lines sent before it have their ids; the next call will report the error again.
                Err(error) if results.is_empty() => return Err(error),
                Err(error) => Err(unsent(&error, false)),
            };
            results.push(result);
        }
        Ok(results)
    }
}

fn unsent(error: &QueueError, retryable: bool) -> Unsent {
    Unsent { retryable, why: Chain(error).to_string(), fix: error.advice.fix.clone() }
}

/// The results of the lines, and the progress line on the terminal: plain text without colours.
struct Tally {
    sent: u64,
    failed: u64,
    on_terminal: bool,
    /// The fix printed last.
    fix: String,
    /// Length of the progress line on the screen.
    shown: usize,
}

impl Tally {
    fn new() -> Self {
        Self {
            sent: 0,
            failed: 0,
            on_terminal: std::io::stderr().is_terminal(),
            fix: String::new(),
            shown: 0,
        }
    }

    fn sent(&mut self, ids: &[(u64, MessageId)]) -> std::io::Result<()> {
        self.sent = self.sent.saturating_add(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        self.clear();
        let printed = print_lines(ids.iter().map(|(_, id)| id.as_str()));
        self.show();
        printed
    }

    /// A fix equal to the last one is not printed again: one fix serves ten thousand failed lines.
    fn failed(&mut self, number: u64, why: &str, fix: &str) {
        self.failed = self.failed.saturating_add(1);
        self.clear();
        let why = escape::line(why);
        if fix.is_empty() || self.fix == fix {
            complain(&format!("line {number}: {why}"));
        } else {
            complain(&format!("line {number}: {why}\n  fix: {}", escape::line(fix)));
            fix.clone_into(&mut self.fix);
        }
        self.show();
    }

    /// Prints the summary of an early end.
    fn stop(&mut self, why: &str) {
        self.clear();
        complain(&format!("{}; the lines after these were not sent: {why}", self.counts()));
    }

    /// Prints the summary at the end of the input; returns the exit code.
    fn finish(&mut self) -> u8 {
        if self.on_terminal {
            self.show();
            eprintln!();
        }
        if self.failed == 0 { OK } else { FAILED }
    }

    fn counts(&self) -> String {
        match self.failed {
            0 => format!("{} sent", self.sent),
            failed => format!("{} sent, {failed} failed", self.sent),
        }
    }

    fn show(&mut self) {
        if self.on_terminal {
            self.clear();
            let counts = self.counts();
            eprint!("{counts}");
            self.shown = counts.len();
            std::io::stderr().flush().ok();
        }
    }

    fn clear(&mut self) {
        if self.shown > 0 {
            eprint!("\r{:width$}\r", "", width = self.shown);
            self.shown = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        read(input, |line| {
            lines.push(line);
            true
        });
        lines
    }

    fn line(number: u64, body: &str) -> Line {
        Line { number, body: Ok(body.to_owned()) }
    }

    async fn batches(bodies: &[String], model: Outgoing) -> Vec<Vec<Entry>> {
        let shape = Shape::Like { model, as_is: false };
        let (ahead, mut lines) = mpsc::channel(AHEAD);
        for (number, body) in (1..).zip(bodies) {
            ahead.send(line(number, body)).await.unwrap();
        }
        drop(ahead);
        let (mut waiting, mut tally) = (None, Tally { on_terminal: false, ..Tally::new() });
        let mut batches = Vec::new();
        loop {
            let batch = gather(&mut lines, &shape, &mut waiting, &mut tally).await;
            if batch.is_empty() {
                return batches;
            }
            batches.push(batch);
        }
    }

    #[test]
    fn every_line_but_empty_ones_is_a_message_and_keeps_its_number() {
        assert_eq!(lines(b"a\n\nb \r\n\r\n c"), [line(1, "a"), line(3, "b "), line(5, " c")]);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn what_no_message_can_hold_is_told_with_its_number() {
        let long = [b"ok\n".as_slice(), &vec![b'x'; Outgoing::MAX_BYTES + 1], b"\n\xff\xfe\nok\n"].concat();
        let read = lines(&long);
        let fits: Vec<(u64, bool)> = read.iter().map(|line| (line.number, line.body.is_ok())).collect();
        assert_eq!(fits, [(1, true), (2, false), (3, false), (4, true)]);
    }

    #[tokio::test]
    async fn batches_hold_ten_lines_in_order() {
        let bodies: Vec<String> = (0..25).map(|number| format!("m-{number}")).collect();
        let like = Outgoing { deduplication_id: Some("import-".to_owned()), ..Outgoing::default() };
        let batches = batches(&bodies, like).await;
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        let sent: Vec<&str> = batches.iter().flatten().map(|entry| entry.message.body.as_str()).collect();
        assert_eq!(sent, bodies);
        assert_eq!(batches[2][4].message.deduplication_id.as_deref(), Some("import-25"));
    }

    #[tokio::test]
    async fn a_batch_holds_no_more_bytes_than_a_call_takes() {
        let bodies = ["x".repeat(Outgoing::MAX_BYTES - 10), "y".repeat(10), "z".to_owned(), "w".to_owned()];
        let batches = batches(&bodies, Outgoing::default()).await;
        let numbers: Vec<Vec<u64>> =
            batches.iter().map(|batch| batch.iter().map(|entry| entry.number).collect()).collect();
        assert_eq!(numbers, [vec![1, 2], vec![3, 4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_producer_does_not_wait_for_a_full_batch() {
        let (ahead, mut lines) = mpsc::channel(AHEAD);
        ahead.send(line(1, "a")).await.unwrap();
        let began = Instant::now();
        let shape = Shape::Like { model: Outgoing::default(), as_is: false };
        let mut tally = Tally { on_terminal: false, ..Tally::new() };
        let batch = gather(&mut lines, &shape, &mut None, &mut tally).await;
        assert_eq!(batch.len(), 1);
        assert!(began.elapsed() <= LINGER * 2);
        drop(ahead);
    }
}
