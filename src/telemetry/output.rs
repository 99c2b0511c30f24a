//! Standard output that never makes the process wait for its reader.
//!
//! A pipe that nobody reads blocks its writers: a stuck log driver, a hung sidecar, Ctrl-S on a terminal. So
//! lines go into a bounded buffer, and a thread of its own writes them. A line that does not fit is dropped
//! and counted. As soon as there is room again, the log says how many lines were dropped.
//! Nothing waits for that thread except [`finish`], for a bounded time. The thread writes to its own file
//! descriptor, so it holds no lock of the standard library while it waits.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::escape;

/// Most bytes of waiting lines: about two thousand lines, and little beside the messages in flight.
const CAPACITY: usize = 512 * 1024;
/// Pause before a write to a non-blocking descriptor is repeated.
const NOT_NOW: Duration = Duration::from_millis(10);
/// Longest time that the end of the process waits for unwritten lines.
const FINISH_MAX: Duration = Duration::from_secs(1);

static STDOUT: LazyLock<Output> = LazyLock::new(|| {
    // Without a descriptor nothing can be written; then every line counts as dropped.
    let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    Output::start(file.ok(), CAPACITY, |lines| {
        tracing::warn!(lines, "{lines} log lines were dropped: standard output was not read");
    })
});

/// Prints an escaped text and a line feed, or drops both; never waits.
pub fn print(text: impl Display) {
    STDOUT.put(printed(text).as_bytes());
}

/// A text with a line feed at its end, escaped for a terminal.
fn printed(text: impl Display) -> String {
    format!("{}\n", escape::lines(&text.to_string()))
}

/// Prints a text for people on standard error; waits a second at most for its reader.
pub fn complain(text: String) {
    let said = Arc::new((Mutex::new(false), Condvar::new()));
    let teller = Arc::clone(&said);
    let started = std::thread::Builder::new().name("complaint".to_owned()).spawn(move || {
        // A failure here could not be reported to anyone.
        writeln!(io::stderr(), "{}", escape::lines(&text)).ok();
        *teller.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        teller.1.notify_all();
    });
    if started.is_ok() {
        let guard = said.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(said.1.wait_timeout_while(guard, FINISH_MAX, |said| !*said));
    }
}

/// Lines dropped since the start of the process.
pub fn dropped() -> u64 {
    STDOUT.shared.lock().dropped
}

/// Waits until everything is written, for a second at most. Returns at once if nothing was ever printed.
pub fn finish() {
    if let Some(output) = LazyLock::get(&STDOUT) {
        output.finish(FINISH_MAX);
    }
}

/// The writer of log lines: each write is a whole line.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDOUT.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A bounded buffer and the thread that empties it.
#[derive(Debug)]
struct Output {
    shared: Arc<Shared>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Whether the thread has taken lines that are not written yet.
    writing: bool,
    dropped: u64,
    /// Dropped lines that the log has reported.
    told: u64,
    /// Whether the last write failed: a report of dropped lines would then be dropped too.
    broken: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Dropped lines that the log can report now.
    fn untold(&self) -> u64 {
        if self.broken { 0 } else { self.dropped - self.told }
    }
}

impl Output {
    /// Starts the thread; `tell` writes the log line with the number of dropped lines.
    fn start(
        sink: Option<impl Write + Send + 'static>,
        capacity: usize,
        tell: impl Fn(u64) + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        // Nobody waits for the thread's end: it may never end.
        let work = move || write_lines(&thread, sink, tell);
        let started = std::thread::Builder::new().name("stdout".to_owned()).spawn(work).is_ok();
        Self { shared, capacity: if started { capacity } else { 0 } }
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.waiting.len() + line.len() > self.capacity {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        self.shared.changed.notify_all();
    }

    fn finish(&self, longest: Duration) {
        let unfinished = |state: &mut State| state.writing || !state.waiting.is_empty() || state.untold() > 0;
        let state = self.shared.lock();
        drop(self.shared.changed.wait_timeout_while(state, longest, unfinished));
    }
}

/// Writes the lines of the buffer, for ever.
fn write_lines(shared: &Shared, mut sink: Option<impl Write>, tell: impl Fn(u64)) {
    loop {
        let nothing = |state: &mut State| state.waiting.is_empty() && state.untold() == 0;
        let mut state =
            shared.changed.wait_while(shared.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut state.waiting);
        let untold = state.untold();
        state.told += untold;
        state.writing = true;
        drop(state);
        if untold > 0 {
            // There is room for the report, after the lines that came before the dropped ones.
            tell(untold);
        }
        let written = match &mut sink {
            Some(sink) => write_whole(sink, &lines),
            None => Err(ErrorKind::NotFound.into()),
        };
        let mut state = shared.lock();
        state.broken = written.is_err();
        if state.broken {
            state.dropped +=
                u64::try_from(lines.split(|byte| *byte == b'\n').count() - 1).unwrap_or(u64::MAX);
        }
        state.writing = false;
        shared.changed.notify_all();
    }
}

/// Like `write_all`, also for a descriptor that another process made non-blocking.
fn write_whole(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(NOT_NOW),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_printed_cannot_steer_a_terminal() {
        assert_eq!(printed("a\u{202e}\x1b[2J\u{200b}\nb"), "a\\u202e\\u001b[2J\\u200b\nb\n");
    }

    /// A reader that reads only when a test says so.
    struct Slow {
        orders: mpsc::Receiver<io::Result<()>>,
        written: Arc<Mutex<String>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.orders.recv().unwrap_or(Ok(()))?;
            self.written.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Scene {
        output: Arc<Output>,
        orders: mpsc::SyncSender<io::Result<()>>,
        written: Arc<Mutex<String>>,
    }

    fn scene(capacity: usize) -> Scene {
        let (orders, receiver) = mpsc::sync_channel(16);
        let written = Arc::default();
        let slow = Slow { orders: receiver, written: Arc::clone(&written) };
        let (hand_over, telling) = mpsc::sync_channel::<Arc<Output>>(1);
        let told = std::sync::OnceLock::new();
        let output = Arc::new(Output::start(Some(slow), capacity, move |lines| {
            let output = told.get_or_init(|| telling.recv().unwrap());
            output.put(format!("{lines} dropped\n").as_bytes());
        }));
        hand_over.send(Arc::clone(&output)).unwrap();
        Scene { output, orders, written }
    }

    impl Scene {
        /// Prints a first line and waits until the thread is blocked in its write.
        fn stuck(capacity: usize) -> Self {
            let scene = scene(capacity);
            scene.output.put(b"first\n");
            let mut state = scene.output.shared.lock();
            while !state.waiting.is_empty() {
                drop(state);
                std::thread::yield_now();
                state = scene.output.shared.lock();
            }
            drop(state);
            scene
        }

        fn written(&self) -> String {
            self.written.lock().unwrap().clone()
        }
    }

    #[test]
    fn lines_without_room_are_dropped_and_counted_and_the_log_says_so_once_there_is_room() {
        let scene = Scene::stuck(12);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            scene.output.put(line.as_bytes());
        }
        assert_eq!(scene.output.shared.lock().dropped, 2);
        drop(scene.orders);
        scene.output.finish(LONG);
        assert_eq!(*scene.written.lock().unwrap(), "first\none\ntwo\n2 dropped\n");
        scene.output.put(b"five\n");
        scene.output.finish(LONG);
        assert!(scene.written.lock().unwrap().ends_with("2 dropped\nfive\n"), "it is said once");
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_reads_nothing() {
        let scene = Scene::stuck(12);
        scene.output.put(b"one\n");
        scene.output.finish(Duration::from_millis(1));
        assert_eq!(scene.written(), "");
    }

    #[test]
    fn the_end_waits_until_all_is_written() {
        let scene = Scene::stuck(1_024);
        for _ in 0..100 {
            scene.output.put(b"line\n");
        }
        drop(scene.orders);
        scene.output.finish(LONG);
        assert_eq!(scene.written.lock().unwrap().lines().count(), 101);
    }

    #[test]
    fn a_reader_that_went_away_costs_lines_and_no_word_of_it_until_there_is_one_again() {
        let scene = scene(1_024);
        for _ in 0..3 {
            scene.orders.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
            scene.output.put(b"lost\n");
            scene.output.finish(LONG);
        }
        assert_eq!((scene.output.shared.lock().dropped, scene.written()), (3, String::new()));
        drop(scene.orders);
        scene.output.put(b"read\n");
        scene.output.finish(LONG);
        assert_eq!(*scene.written.lock().unwrap(), "read\n3 dropped\n");
    }
}
