//! The promises, checked at every receive, POST and settlement.
//!
//! Only the exceptions in a promise itself excuse its violation: SQS refused or lost a call, a process was
//! killed, a drain ran out of time. A process that parked a message must not post it early, whatever
//! happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Plan;

/// Tolerance for early events: timers count milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);
/// Tolerance for the return of a message: SQS counts seconds.
const SLACK: Duration = Duration::from_secs(2);
/// A posted message is hidden for this long at least, unless the call itself took that long.
const SHORTEST_DELAY: Duration = Duration::from_secs(4);
/// How long a process remembers delivered messages.
const REMEMBERED: Duration = Duration::from_secs(600);

pub struct Watch {
    max_receives: u32,
    state: Mutex<State>,
}

struct State {
    began: Instant,
    trace: String,
    broken: Option<String>,
    messages: BTreeMap<String, Record>,
    /// The message of each handle, and of each id.
    handles: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
    running: BTreeMap<usize, usize>,
    /// When the next start is due by the rate, by process.
    paces: BTreeMap<usize, Instant>,
}

/// The end of a POST.
#[derive(Clone, Copy)]
pub struct Ended {
    /// Whether it was answered.
    pub status: Option<u16>,
    /// How long a 429 parks it.
    pub park: Duration,
    /// Whether nothing was sent.
    pub unsent: bool,
    /// Whether the process is to dead-letter it.
    pub gives_up: bool,
    /// Whether the process learnt of the end.
    pub seen_by_process: bool,
}

/// What is known of one message.
#[derive(Default)]
struct Record {
    group: Option<String>,
    number: usize,
    /// Success answers: time and process.
    accepted: Vec<(Instant, usize)>,
    /// Answers after which it is only to be dead-lettered: when, by which process.
    given_up: Vec<(Instant, usize)>,
    /// Results that were accepted: of a success or not.
    results: BTreeSet<bool>,
    /// When a process last learnt that its result of a success was accepted.
    told: BTreeMap<usize, Instant>,
    /// The process and handle that have the message in flight here.
    holders: BTreeSet<(usize, String)>,
    /// POSTs running now, by process.
    posting: Vec<usize>,
    /// After a 429: the process, and the earliest time of the next POST.
    parked: Option<(usize, Instant)>,
    /// Its last receive, by process: the number of receives then, and the POST since.
    receives: BTreeMap<usize, (u32, Option<Instant>)>,
    deleted: bool,
    /// Whether an event may make it come early or twice.
    excused: bool,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn new(max_receives: u32) -> Self {
        let state = State {
            began: Instant::now(),
            trace: String::new(),
            broken: None,
            messages: BTreeMap::new(),
            handles: BTreeMap::new(),
            ids: BTreeMap::new(),
            running: BTreeMap::new(),
            paces: BTreeMap::new(),
        };
        Self { max_receives, state: Mutex::new(state) }
    }

    pub fn note(&self, text: &str) {
        self.lock().note(text);
    }

    /// POSTs of a process that run now.
    pub fn running(&self, process: usize) -> usize {
        self.lock().running.get(&process).copied().unwrap_or_default()
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

    /// Messages with a success.
    pub fn accepted(&self, body: &str) -> bool {
        self.lock().messages.get(body).is_some_and(|record| !record.accepted.is_empty())
    }

    /// A process received a message.
    pub fn received(&self, process: usize, body: &str, handle: &str, receives: u32) {
        let mut state = self.lock();
        state.note(&format!("p{process} received {body} ({receives})"));
        state.handles.insert(handle.to_owned(), body.to_owned());
        let Some(record) = state.messages.get_mut(body) else { return };
        let held = record.holders.iter().map(|(process, _)| *process).collect::<Vec<_>>();
        let lapsed = !held.is_empty() && !record.excused;
        let deleted = record.deleted && !record.excused;
        record.holders.insert((process, handle.to_owned()));
        let posts = record.posting.contains(&process).then(Instant::now);
        record.receives.insert(process, (receives, posts));
        if lapsed {
            state.broken(format!("promise 5: {body} was handed out again while process {held:?} has it"));
        }
        if deleted {
            state.broken(format!("{body} came after its delete"));
        }
    }

    /// A POST begins.
    pub fn begins(&self, process: usize, plan: &Plan) {
        let sessions = plan.sessions.min(plan.workers);
        let mut state = self.lock();
        let now = Instant::now();
        let running = state.running.entry(process).or_default();
        *running += 1;
        let running = *running;
        if running > sessions {
            state.broken(format!("promise 3: {running} POSTs of process {process}, {sessions} allowed"));
        }
        if let Some(rate) = plan.rate() {
            let due = state.paces.entry(process).or_insert(now);
            let ahead = due.saturating_duration_since(now);
            *due = now.max(*due) + rate.interval;
            if ahead > rate.interval * (rate.burst.get() - 1) + ROUNDING {
                state.broken(format!("promise 3: process {process} starts {ahead:?} ahead of its rate"));
            }
        }
    }

    /// A POST that begins carries this message.
    pub fn posts(&self, process: usize, body: &str, earlier_in_group: Option<String>) {
        let mut state = self.lock();
        let now = Instant::now();
        state.note(&format!("p{process} posts {body}"));
        if let Some(earlier) = earlier_in_group {
            state.broken(format!("promise 9: {body} is posted before {earlier} of its group is done"));
        }
        let Some(record) = state.messages.get_mut(body) else { return };
        let mut why = None;
        let (receives, _) = record.receives.get(&process).copied().unwrap_or_default();
        record.receives.insert(process, (receives, Some(now)));
        // Another park would dead-letter a message on its final receive.
        let must_wait = |by| if by == process { receives < self.max_receives } else { !record.excused };
        if record.parked.is_some_and(|(by, until)| now + SLACK < until && must_wait(by)) {
            why = Some(format!("promise 2: {body} is posted before its park is over"));
        }
        let remembers = |(at, by): &(Instant, usize)| *by == process && now.duration_since(*at) < REMEMBERED;
        if record.accepted.iter().chain(&record.given_up).any(remembers) {
            why = Some(format!("promise 10: process {process} posts {body}, whose work it had done before"));
        }
        if record.posting.contains(&process) {
            why = Some(format!("promise 10: process {process} posts {body} while it posts it already"));
        }
        record.posting.push(process);
        if let Some(why) = why {
            state.broken(why);
        }
    }

    /// A POST has ended.
    pub fn ends(&self, process: usize) {
        if let Some(running) = self.lock().running.get_mut(&process) {
            *running -= 1;
        }
    }

    /// A POST with this message has ended at the endpoint.
    pub fn posted(&self, process: usize, body: &str, ended: Ended) {
        let Ended { status, park, unsent, gives_up, seen_by_process } = ended;
        let mut state = self.lock();
        let now = Instant::now();
        state.note(&format!(
            "p{process} got {status:?} for {body}{}",
            if seen_by_process { "" } else { ", unheard" }
        ));
        let Some(record) = state.messages.get_mut(body) else { return };
        if let Some(index) = record.posting.iter().position(|each| *each == process) {
            record.posting.swap_remove(index);
        }
        if let Some((_, posted)) = record.receives.get_mut(&process) {
            *posted = (!unsent).then_some(now);
        }
        record.parked = (status == Some(429)).then(|| (process, now + park));
        if !seen_by_process {
            record.excused = true;
        } else if status == Some(200) {
            record.accepted.push((now, process));
        } else if gives_up {
            record.given_up.push((now, process));
        }
    }

    /// The message of an id.
    pub fn identified(&self, id: &str, body: &str) {
        self.lock().ids.insert(id.to_owned(), body.to_owned());
    }

    /// A result was accepted; `heard`: its process learns of that.
    pub fn told(&self, process: usize, id: &str, success: bool, heard: bool) {
        let mut state = self.lock();
        let Some(body) = state.ids.get(id).cloned() else { return };
        state.note(&format!("p{process} told of {body}: {success}, heard: {heard}"));
        let Some(record) = state.messages.get_mut(&body) else { return };
        record.results.insert(success);
        let before = record.told.get(&process).is_some_and(|at| at.elapsed() < REMEMBERED);
        let undone = success && record.accepted.is_empty();
        if success && heard {
            record.told.insert(process, Instant::now());
        }
        if success && before {
            state.broken(format!("promise 13: process {process} sends a second result of {body}"));
        }
        if undone {
            state.broken(format!("promise 13: the result of {body} says a success that there was not"));
        }
    }

    /// A message is deleted. `is_copied`: the dead-letter queue has it, too.
    pub fn deletes(
        &self,
        process: usize,
        handle: &str,
        (worked, has_results): (bool, bool),
        is_copied: impl FnOnce(&str) -> bool,
    ) {
        let mut state = self.lock();
        let Some(body) = state.handles.get(handle).cloned() else { return };
        state.note(&format!("p{process} deletes {body}: {worked}"));
        let Some(record) = state.messages.get_mut(&body) else { return };
        let owes = record.accepted.is_empty() && !record.given_up.is_empty();
        let undone = record.accepted.is_empty() && record.given_up.is_empty();
        let told = !record.accepted.is_empty() && record.results.contains(&true)
            || !record.given_up.is_empty() && record.results.contains(&false);
        let untold = has_results && !told && !undone;
        if worked {
            record.deleted = true;
            record.holders.retain(|(holder, _)| *holder != process);
        } else {
            record.excused = true;
        }
        if undone {
            state.broken(format!("promise 1: {body} is deleted without a success"));
        }
        if untold {
            state.broken(format!("promise 13: {body} is deleted before its result was accepted"));
        }
        if owes && !is_copied(&body) {
            state.broken(format!("promise 13: {body} is deleted before its copy was accepted"));
        }
    }

    /// Its visibility changed; `leaves`: the process no longer has it in flight.
    pub fn hides(&self, process: usize, handle: &str, seconds: u32, worked: bool) {
        let mut state = self.lock();
        let Some(body) = state.handles.get(handle).cloned() else { return };
        state.note(&format!("p{process} hides {body} for {seconds} s: {worked}"));
        let Some(record) = state.messages.get_mut(&body) else { return };
        if !worked {
            record.excused = true;
        }
        // An extension keeps the message in flight here, but looks the same. So a message that is not posted
        // now may have left.
        // What this process had accepted waits for its delete; what a dead one had is posted again.
        let waits_here = record.accepted.iter().any(|(_, by)| *by == process);
        if record.posting.is_empty() && !waits_here {
            record.holders.retain(|(_, held)| held != handle);
        }
        let posted = record.receives.get(&process).and_then(|(_, posted)| *posted);
        if seconds == 0 && worked && posted.is_some_and(|at| at.elapsed() < SHORTEST_DELAY) {
            state.broken(format!("promise 6: {body} is made visible at once although it was posted"));
        }
    }

    /// From now on the process is not responsible for this message.
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
        let at = self.began.elapsed().as_secs_f64();
        writeln!(self.trace, "{at:10.3} {text}").unwrap();
    }

    fn broken(&mut self, why: String) {
        self.note(&format!("BROKEN {why}"));
        self.broken.get_or_insert(why);
    }
}
