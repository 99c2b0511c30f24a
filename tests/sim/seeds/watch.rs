//! The promises, checked at every receive, POST and settlement.
//!
//! What excuses a broken promise is only what the promise itself names: SQS refused or lost a call, a process died, a
//! drain ran out of time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a process remembers what it delivered.
const REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Default)]
pub struct Watch {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    began: Option<Instant>,
    trace: String,
    broken: Option<String>,
    messages: BTreeMap<String, Record>,
    /// Whose handle it is.
    handles: BTreeMap<String, String>,
    running: BTreeMap<usize, usize>,
}

/// What is known of one message.
#[derive(Default)]
struct Record {
    group: Option<String>,
    number: usize,
    /// Success answers: when, by which process.
    accepted: Vec<(Instant, usize)>,
    /// Who has it in the house: process and handle.
    holders: BTreeSet<(usize, String)>,
    /// POSTs running now, by process.
    posting: Vec<usize>,
    /// After a 429: not before.
    parked_until: Option<Instant>,
    deleted: bool,
    /// Something happened to it that may make it come early or twice.
    excused: bool,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, now: Instant) {
        self.lock().began = Some(now);
    }

    pub fn note(&self, text: &str) {
        self.lock().note(text);
    }

    /// The first broken promise, and the trace.
    pub fn ended(&self) -> (Option<String>, String) {
        let mut state = self.lock();
        (state.broken.take(), std::mem::take(&mut state.trace))
    }

    pub fn is_broken(&self) -> bool {
        self.lock().broken.is_some()
    }

    pub fn must(&self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.lock().broken(why());
        }
    }

    pub fn sent(&self, body: &str, group: Option<&str>, number: usize) {
        let record = Record { group: group.map(str::to_owned), number, ..Record::default() };
        self.lock().messages.insert(body.to_owned(), record);
    }

    /// Messages whose work was done.
    pub fn accepted(&self, body: &str) -> bool {
        self.lock().messages.get(body).is_some_and(|record| !record.accepted.is_empty())
    }

    /// A process got a message.
    pub fn received(&self, process: usize, body: &str, handle: &str, receives: u32) {
        let mut state = self.lock();
        state.note(&format!("p{process} received {body} ({receives})"));
        state.handles.insert(handle.to_owned(), body.to_owned());
        let Some(record) = state.messages.get_mut(body) else { return };
        let held = record.holders.iter().map(|(process, _)| *process).collect::<Vec<_>>();
        let lapsed = !held.is_empty() && !record.excused;
        let deleted = record.deleted && !record.excused;
        record.holders.insert((process, handle.to_owned()));
        if lapsed {
            state.broken(format!("promise 5: {body} was handed out again while process {held:?} has it"));
        }
        if deleted {
            state.broken(format!("{body} came after its delete"));
        }
    }

    /// A POST begins.
    pub fn posts(&self, process: usize, body: &str, sessions: usize, earlier_in_group: Option<String>) {
        let mut state = self.lock();
        let now = Instant::now();
        state.note(&format!("p{process} posts {body}"));
        let running = state.running.entry(process).or_default();
        *running += 1;
        let running = *running;
        if running > sessions {
            state.broken(format!("promise 3: {running} POSTs of process {process}, {sessions} allowed"));
        }
        if let Some(earlier) = earlier_in_group {
            state.broken(format!("promise 9: {body} is posted before {earlier} of its group is done"));
        }
        let Some(record) = state.messages.get_mut(body) else { return };
        let mut why = None;
        if record.parked_until.is_some_and(|until| now < until) && !record.excused {
            why = Some(format!("promise 2: {body} came back before its park was over"));
        }
        let remembers = |(at, by): &(Instant, usize)| *by == process && now.duration_since(*at) < REMEMBERED;
        if record.accepted.iter().any(remembers) {
            why = Some(format!("promise 10: process {process} posts {body}, which it delivered before"));
        }
        if record.posting.contains(&process) {
            why = Some(format!("promise 10: process {process} posts {body} while it posts it already"));
        }
        record.posting.push(process);
        if let Some(why) = why {
            state.broken(why);
        }
    }

    /// A POST has ended, for the endpoint: `status` if it answered.
    pub fn posted(&self, process: usize, body: &str, status: Option<u16>, park: Duration, heard: bool) {
        let mut state = self.lock();
        let now = Instant::now();
        state.note(&format!("p{process} got {status:?} for {body}{}", if heard { "" } else { ", unheard" }));
        if let Some(running) = state.running.get_mut(&process) {
            *running -= 1;
        }
        let Some(record) = state.messages.get_mut(body) else { return };
        if let Some(index) = record.posting.iter().position(|each| *each == process) {
            record.posting.swap_remove(index);
        }
        record.parked_until = (status == Some(429)).then(|| now + park);
        if !heard {
            record.excused = true;
        } else if status == Some(200) {
            record.accepted.push((now, process));
        }
    }

    /// A message is deleted.
    pub fn deletes(&self, process: usize, handle: &str, worked: bool) {
        let mut state = self.lock();
        let Some(body) = state.handles.get(handle).cloned() else { return };
        state.note(&format!("p{process} deletes {body}: {worked}"));
        let Some(record) = state.messages.get_mut(&body) else { return };
        let undone = record.accepted.is_empty();
        if worked {
            record.deleted = true;
            record.holders.retain(|(holder, _)| *holder != process);
        } else {
            record.excused = true;
        }
        if undone {
            state.broken(format!("promise 1: {body} is deleted without a success"));
        }
    }

    /// Its visibility changes; `leaves` the house with it.
    pub fn hides(&self, process: usize, handle: &str, seconds: u32, worked: bool) {
        let mut state = self.lock();
        let Some(body) = state.handles.get(handle).cloned() else { return };
        state.note(&format!("p{process} hides {body} for {seconds} s: {worked}"));
        let Some(record) = state.messages.get_mut(&body) else { return };
        if !worked {
            record.excused = true;
        }
        // An extension keeps it; nobody can tell from outside, so a message not posted now may have left.
        if record.posting.is_empty() && record.accepted.is_empty() {
            record.holders.retain(|(_, held)| held != handle);
        }
        if seconds == 0 && record.posting.contains(&process) {
            state.broken(format!("{body} is made visible while it is posted"));
        }
    }

    /// What may happen to it from now on is not ours to answer for.
    pub fn excuse(&self, handle: &str) {
        let mut state = self.lock();
        let Some(body) = state.handles.get(handle).cloned() else { return };
        if let Some(record) = state.messages.get_mut(&body) {
            record.excused = true;
        }
    }

    pub fn excuse_all_of(&self, process: usize) {
        let mut state = self.lock();
        state.running.remove(&process);
        for record in state.messages.values_mut() {
            if record.holders.iter().any(|(holder, _)| *holder == process) {
                record.excused = true;
            }
            record.posting.retain(|each| *each != process);
            record.holders.retain(|(holder, _)| *holder != process);
        }
    }

    /// Messages sent before this one into its group.
    pub fn earlier(&self, body: &str) -> Vec<String> {
        let state = self.lock();
        let Some(this) = state.messages.get(body) else { return Vec::new() };
        let before =
            |other: &Record| other.group.is_some() && other.group == this.group && other.number < this.number;
        state.messages.iter().filter(|(_, other)| before(other)).map(|(body, _)| body.clone()).collect()
    }
}

impl State {
    fn note(&mut self, text: &str) {
        let at = self.began.map(|began| began.elapsed().as_secs_f64()).unwrap_or_default();
        writeln!(self.trace, "{at:10.3} {text}").unwrap();
    }

    fn broken(&mut self, why: String) {
        self.note(&format!("BROKEN {why}"));
        self.broken.get_or_insert(why);
    }
}
