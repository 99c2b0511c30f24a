//! FIFO: the order within message groups.
//!
//! SQS hands out several messages of a group in one receive. It hands out no more of the group while one of them is in
//! flight. Those of one receive are a run with a head and a tail. The head is delivered; its successor starts only after SQS
//! has confirmed the head's delete. Anything else (park, deferral, release, lost lease, panic) ends the run: its tail is
//! released unattempted, behind its head (`runs.rs`). A run holds one slot, so as many groups run side by side as there are workers.
//! Each of its messages is under lease; the head alone has a session.
//!
//! A group has one run per process. Messages of the group that arrive meanwhile join the run at its end. That happens when
//! SQS has deleted the head before we know, or when a lease was lost. They share the slot of those that wait. A message
//! that arrives behind a copy of one in flight does not join: whether the copy is of this run is not known. It is
//! released for a while.
//!
//! The order in which a run is released does not matter, nor how long that takes. SQS hands out nothing of a group behind a
//! hidden message, and the head is hidden first and for longer. SQS hands out the released part of its tail
//! only behind the part that is still to be released.
//!
//! A head that fails must not take its tail along to the dead-letter queue: each receive of the tail counts. So while a group
//! is in trouble its listener receives one message at a time. The trouble ends when as many of the group are gone as were
//! released: each of these was received in vain, and may fail in its turn. Each process knows its own groups only: with P
//! processes a tail is received up to P times for each head that fails. Without a dead-letter queue receives cost
//! nothing, and receives stay large.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::pipeline::context::Context;
use crate::pipeline::in_flight::InFlight;
use crate::pipeline::queue_view::QueueView;
use crate::policy::visibility::CEILING;
use crate::tuning;

/// The groups of a listener that are being delivered, and those in trouble.
#[derive(Debug)]
pub(super) struct Groups<T = InFlight> {
    numbers: tuning::Groups,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Groups with a run and what is left of it: as many at most as there are messages in flight here.
    runs: BTreeMap<String, VecDeque<T>>,
    troubled: BTreeMap<String, Trouble>,
    others_troubled: Option<Instant>,
}

/// A group whose head has failed.
#[derive(Debug)]
struct Trouble {
    until: Instant,
    /// Messages of the group that were received in vain. The trouble is over when so many are gone.
    left: usize,
}

impl<T> Groups<T> {
    /// None is being delivered yet.
    pub(super) fn new(numbers: tuning::Groups) -> Self {
        let (runs, troubled) = (BTreeMap::new(), BTreeMap::new());
        Self { numbers, state: Mutex::new(State { runs, troubled, others_troubled: None }) }
    }

    /// Adds what one receive brought to the runs of its groups. The runs that begin, and by group what must not start: it
    /// stands behind a message that was in flight here already (`None`). `share` makes a message share what the one before
    /// it in the run has.
    pub(super) fn join(
        self: &Arc<Self>,
        messages: Vec<(String, Option<T>)>,
        share: impl Fn(&mut T, &T),
    ) -> (Vec<GroupRun<T>>, BTreeMap<String, Vec<T>>) {
        let (mut begin, mut blocked) = (Vec::new(), BTreeMap::<String, Vec<T>>::new());
        let mut state = self.lock();
        for (group, message) in messages {
            let Some(mut message) = message else {
                blocked.entry(group).or_default();
                continue;
            };
            if let Some(blocked) = blocked.get_mut(&group) {
                blocked.push(message);
            } else if let Some(run) = state.runs.get_mut(&group) {
                if let Some(before) = run.back() {
                    share(&mut message, before);
                }
                run.push_back(message);
            } else {
                state.runs.insert(group.clone(), VecDeque::from([message]));
                begin.push(GroupRun { groups: Arc::clone(self), group, has_ended: false });
            }
        }
        (begin, blocked)
    }

    /// Whether messages must be received one at a time.
    pub(super) fn in_trouble(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.troubled.retain(|_, trouble| trouble.until > now);
        state.others_troubled = state.others_troubled.filter(|until| *until > now);
        state.others_troubled.is_some() || !state.troubled.is_empty()
    }

    /// The head of a group has failed, and so many messages behind it were received in vain.
    fn trouble(&self, group: &str, until: Instant, in_vain: usize) {
        let mut state = self.lock();
        if let Some(trouble) = state.troubled.get_mut(group) {
            (trouble.until, trouble.left) = (until, trouble.left.max(in_vain));
        } else if state.troubled.len() < self.numbers.troubled_max {
            state.troubled.insert(group.to_owned(), Trouble { until, left: in_vain.max(1) });
        } else if self.numbers.troubled_max > 0 {
            state.others_troubled = state.others_troubled.max(Some(until));
        }
    }

    /// A message of the group is gone.
    fn gone(&self, group: &str) {
        let mut state = self.lock();
        if let Some(trouble) = state.troubled.get_mut(group) {
            trouble.left -= 1;
            if trouble.left == 0 {
                state.troubled.remove(group);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a receive asks for one message only, so that no tail follows its head to the dead-letter queue.
    pub(super) fn want_single_receives(&self, ctx: &Context) -> bool {
        let fifo = ctx.settings().is_fifo();
        let careful = |max| max < self.numbers.receives_min || self.in_trouble();
        fifo && ctx.view.max_receives().is_some_and(careful)
    }

    /// The head of a group will be visible again at `visible`; `in_vain` messages behind it are released.
    pub(super) fn head_failed(&self, view: &QueueView, group: &str, visible: Instant, in_vain: usize) {
        let backlog = view.backlog().min(CEILING);
        self.trouble(group, visible + self.numbers.trouble_lingers.max(backlog), in_vain);
    }
}

/// The right to deliver the messages of a group; dropping it lets the next run of it start.
#[derive(Debug)]
#[must_use]
pub(super) struct GroupRun<T = InFlight> {
    groups: Arc<Groups<T>>,
    group: String,
    /// Its place under the group's name is given up, and may be another run's.
    has_ended: bool,
}

impl<T> GroupRun<T> {
    /// The first that is left, if `takes` it. Its group stays taken until the run is over.
    pub(super) fn next_if(&mut self, takes: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.has_ended {
            return None;
        }
        let mut state = self.groups.lock();
        let waiting = state.runs.get_mut(&self.group)?;
        if takes(waiting.front()?) { waiting.pop_front() } else { None }
    }

    /// Ends the run if nothing is left; whether it has ended.
    pub(super) fn is_over(&mut self) -> bool {
        if self.has_ended {
            return true;
        }
        let mut state = self.groups.lock();
        if state.runs.get(&self.group).is_none_or(VecDeque::is_empty) {
            state.runs.remove(&self.group);
            self.has_ended = true;
        }
        self.has_ended
    }

    /// A message of the group is gone.
    pub(super) fn gone(&self) {
        self.groups.gone(&self.group);
    }

    /// A message of the group will be visible again at `visible`; `in_vain` messages behind it are released.
    pub(super) fn failed(&self, view: &QueueView, visible: Instant, in_vain: usize) {
        self.groups.head_failed(view, &self.group, visible, in_vain);
    }

    /// Ends the run; what is left of it.
    pub(super) fn end(&mut self) -> VecDeque<T> {
        if std::mem::replace(&mut self.has_ended, true) {
            return VecDeque::new();
        }
        self.groups.lock().runs.remove(&self.group).unwrap_or_default()
    }
}

impl<T> Drop for GroupRun<T> {
    fn drop(&mut self) {
        // Dropped only when the lock has been freed: deliveries have locks of their own.
        drop(self.end());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::settle::exit::{Fate, Successor};

    const TROUBLED_MAX: usize = 1_024;
    const TROUBLE_LINGERS: Duration = Duration::from_secs(300);

    type ByGroup = Vec<(String, Vec<u32>)>;

    /// The runs that begin, and what must not start.
    fn split(messages: &[(&str, Option<u32>)]) -> (ByGroup, ByGroup) {
        let messages = messages.iter().map(|(group, message)| ((*group).to_owned(), *message)).collect();
        let (begin, blocked) = groups().join(messages, |_, _| {});
        let runs = begin.into_iter().map(|mut run| (run.group.clone(), run.end().into()));
        (runs.collect(), blocked.into_iter().filter(|(_, blocked)| !blocked.is_empty()).collect())
    }

    /// The next one; `None` is the end of the run.
    fn next(run: &mut GroupRun<u32>) -> Option<u32> {
        run.next_if(|_| true).or_else(|| run.is_over().then_some(()).and(None))
    }

    fn groups() -> Arc<Groups<u32>> {
        Arc::new(Groups::new(tuning::Groups::default()))
    }

    fn join(groups: &Arc<Groups<u32>>, group: &str, messages: &[u32]) -> Option<GroupRun<u32>> {
        join_sharing(groups, group, messages, |_, _| {})
    }

    fn join_sharing(
        groups: &Arc<Groups<u32>>,
        group: &str,
        messages: &[u32],
        share: impl Fn(&mut u32, &u32),
    ) -> Option<GroupRun<u32>> {
        let messages = messages.iter().map(|message| (group.to_owned(), Some(*message))).collect();
        groups.join(messages, share).0.pop()
    }

    #[test]
    fn a_receive_is_split_by_group_and_keeps_its_order() {
        let messages = [("a", Some(1)), ("b", Some(2)), ("a", Some(3)), ("b", Some(4)), ("a", Some(5))];
        let expected = vec![("a".to_owned(), vec![1, 3, 5]), ("b".to_owned(), vec![2, 4])];
        assert_eq!(split(&messages), (expected, vec![]));
    }

    #[test]
    fn a_message_behind_one_that_is_in_flight_must_not_start() {
        let messages = [("a", Some(1)), ("a", None), ("b", Some(2)), ("a", Some(3)), ("c", None)];
        let expected = vec![("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
        assert_eq!(split(&messages), (expected, vec![("a".to_owned(), vec![3])]));
    }

    #[test]
    fn a_group_has_one_run_and_what_comes_meanwhile_stands_at_its_end() {
        let groups = groups();
        let mut run = join(&groups, "a", &[1, 2]).unwrap();
        assert_eq!(next(&mut run), Some(1));
        assert!(join(&groups, "a", &[3]).is_none());
        assert!(join(&groups, "b", &[9]).is_some());
        assert_eq!([next(&mut run), next(&mut run), next(&mut run)], [Some(2), Some(3), None]);
        let mut again = join(&groups, "a", &[4]).unwrap();
        assert_eq!(again.end(), [4]);
        assert!(join(&groups, "a", &[]).is_none());
        drop((run, again));
        assert!(groups.lock().runs.is_empty());
    }

    #[test]
    fn a_run_that_has_ended_takes_nothing_from_the_next_one_of_its_group() {
        let groups = groups();
        let mut first = join(&groups, "a", &[1]).unwrap();
        assert_eq!([next(&mut first), next(&mut first)], [Some(1), None]);
        let mut second = join(&groups, "a", &[2, 3]).unwrap();
        assert_eq!(next(&mut first), None);
        assert_eq!(first.end(), [0; 0]);
        drop(first);
        assert_eq!(second.end(), [2, 3]);
    }

    #[test]
    fn what_joins_shares_what_those_have_that_wait() {
        let groups = groups();
        let share = |joined: &mut u32, waiting: &u32| *joined = *waiting;
        let mut run = join(&groups, "a", &[1]).unwrap();
        next(&mut run);
        assert!(join_sharing(&groups, "a", &[2, 3], share).is_none(), "nobody waits before the first");
        assert!(join_sharing(&groups, "a", &[4, 5], share).is_none());
        assert_eq!(run.end(), [2; 4]);
    }

    #[test]
    fn a_run_that_is_dropped_frees_its_group() {
        let groups = groups();
        drop(join(&groups, "a", &[1, 2]));
        assert!(join(&groups, "a", &[3]).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_in_trouble_until_its_tail_is_gone_or_its_time_has_passed() {
        let groups = groups();
        assert!(!groups.in_trouble());
        let until = Instant::now() + Duration::from_secs(60);
        groups.trouble("a", until, 0);
        groups.trouble("b", until, 3);
        groups.gone("a");
        groups.gone("b");
        groups.gone("b");
        groups.trouble("b", until, 0);
        assert!(groups.in_trouble(), "one is left");
        groups.gone("b");
        assert!(!groups.in_trouble());
        groups.gone("b");
        groups.trouble("a", until, 9);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(groups.in_trouble());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!groups.in_trouble());
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_trouble_is_bounded_and_forgets_none() {
        let groups = groups();
        for number in 0..10 * TROUBLED_MAX {
            groups.trouble(&format!("g-{number}"), Instant::now() + TROUBLE_LINGERS, 1);
        }
        assert_eq!(groups.lock().troubled.len(), TROUBLED_MAX);
        for number in 0..10 * TROUBLED_MAX {
            groups.gone(&format!("g-{number}"));
        }
        assert!(groups.in_trouble(), "those without a name");
        tokio::time::advance(TROUBLE_LINGERS).await;
        assert!(!groups.in_trouble());
    }

    #[tokio::test]
    async fn a_successor_that_is_told_nothing_learns_that_too() {
        let (successor, fate) = Successor::new();
        drop(successor);
        assert!(fate.await.is_err());
        let (successor, fate) = Successor::new();
        successor.tell(Fate::Deleted);
        assert_eq!(fate.await, Ok(Fate::Deleted));
    }
}
