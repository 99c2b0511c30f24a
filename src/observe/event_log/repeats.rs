//! How often the log says the same: one line of a kind in ten seconds, and what the others were about.
//!
//! The lines left out are counted, and their messages are named: by the next line of the kind, or by a summary when none came
//! for ten seconds. A summary holds up no line. A message that had a line lately leaves the next one to another. So messages that fail in step take
//! turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::MessageId;

/// Least time between two lines of one kind.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Messages a line names of those that were left out.
const NAMED_MAX: usize = 20;
/// Messages told apart beyond those: what is counted behind the names.
const COUNTED_MAX: usize = 1_000;
/// Messages remembered that had a line of their own lately.
const RECENT_MAX: usize = 64;

/// What a line is about; kinds of different things have equal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Endpoint,
    Queue,
    Settlement,
    NoWork,
    Gate,
    Recovery,
}

/// What was left out since the last line of a kind.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Lines.
    pub(crate) lines: u64,
    /// The first messages they were about, each once.
    pub(crate) ids: Vec<MessageId>,
    /// The other messages, as many as are told apart.
    others: BTreeSet<MessageId>,
}

impl LeftOut {
    /// How many, unless it is none.
    pub(crate) fn count(&self) -> Option<u64> {
        (self.lines > 0).then_some(self.lines)
    }

    /// The messages, unless there is none.
    pub(crate) fn named(&self) -> Option<String> {
        let ids: Vec<&str> = self.ids.iter().map(MessageId::as_str).collect();
        let more = match self.others.len() {
            0 => String::new(),
            COUNTED_MAX => format!(" and {COUNTED_MAX} more at least"),
            more => format!(" and {more} more"),
        };
        (!ids.is_empty()).then(|| ids.join(" ") + &more)
    }

    fn add(&mut self, id: Option<&MessageId>) {
        self.lines += 1;
        let Some(id) = id.filter(|id| !self.ids.contains(id)) else { return };
        if self.ids.len() < NAMED_MAX {
            self.ids.push(id.clone());
        } else if self.others.len() < COUNTED_MAX {
            self.others.insert(id.clone());
        }
    }
}

/// The lines of one voice.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    said: BTreeMap<(About, &'static str), Said>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    left_out: LeftOut,
    /// Messages that had a line.
    recent: VecDeque<MessageId>,
    /// Whether messages without a line of their own wait for a turn.
    in_company: bool,
}

impl Said {
    fn had_a_line(&mut self, id: Option<&MessageId>) {
        let Some(id) = id else { return };
        if self.recent.contains(id) || self.recent.len() >= RECENT_MAX {
            // All that take turns have had theirs.
            self.recent.clear();
        }
        self.recent.push_back(id.clone());
    }

    /// `at` is when the next line's wait begins.
    fn take(&mut self, at: Instant) -> LeftOut {
        self.at = at;
        // Who had a turn and came alone goes next.
        self.in_company &= self.left_out.ids.iter().any(|id| !self.recent.contains(id));
        std::mem::take(&mut self.left_out)
    }
}

impl Repeats {
    /// What was left out of this kind since the last line, if one may be said now. `id` is the message it is about.
    pub(crate) fn may_say(
        &mut self,
        about: About,
        kind: &'static str,
        id: Option<&MessageId>,
    ) -> Option<LeftOut> {
        let now = Instant::now();
        let said = self.said.entry((about, kind)).or_insert_with(|| Said {
            at: now.checked_sub(PERIOD).unwrap_or(now),
            left_out: LeftOut::default(),
            recent: VecDeque::new(),
            in_company: false,
        });
        let had_one = id.is_some_and(|id| said.recent.contains(id));
        said.in_company |= !had_one && !said.recent.is_empty();
        if now.duration_since(said.at) < PERIOD || (had_one && said.in_company) {
            said.left_out.add(id);
            return None;
        }
        said.had_a_line(id);
        Some(said.take(now))
    }

    /// Says a line in any case; what was left out of the kind stays for the next that may be left out.
    pub(crate) fn says(&mut self, about: About, kind: &'static str, id: &MessageId) {
        if let Some(said) = self.said.get_mut(&(about, kind)) {
            said.had_a_line(Some(id));
        }
    }

    /// What was left out of kinds that had no line for ten seconds.
    pub(crate) fn overdue(&mut self) -> Vec<(About, &'static str, LeftOut)> {
        let now = Instant::now();
        let due = |said: &Said| said.left_out.lines > 0 && now.duration_since(said.at) >= PERIOD;
        let mut overdue = Vec::new();
        for (&(about, kind), said) in self.said.iter_mut().filter(|(_, said)| due(said)) {
            // A summary of messages tells no reasons in full: the next of them has a line, if that is due.
            let at = if about == About::Gate { now } else { said.at };
            overdue.push((about, kind, said.take(at)));
        }
        overdue
    }

    /// Everything left out so far, whenever that was.
    pub(crate) fn all(&mut self) -> Vec<(About, &'static str, LeftOut)> {
        let now = Instant::now();
        let left = self.said.iter_mut().filter(|(_, said)| said.left_out.lines > 0);
        left.map(|(&(about, kind), said)| (about, kind, said.take(now))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::new(format!("m-{number}"))
    }

    fn say(repeats: &mut Repeats, number: usize) -> Option<LeftOut> {
        repeats.may_say(About::Endpoint, "rejected", Some(&id(number)))
    }

    #[tokio::test(start_paused = true)]
    async fn one_line_of_a_kind_in_ten_seconds_and_the_next_says_how_many_were_left_out() {
        let mut repeats = Repeats::default();
        let nothing = Some(LeftOut::default());
        assert_eq!(repeats.may_say(About::Endpoint, "timed_out", None), nothing);
        assert_eq!(repeats.may_say(About::Endpoint, "timed_out", None), None);
        assert_eq!(repeats.may_say(About::Endpoint, "failed", None), nothing);
        assert_eq!(repeats.may_say(About::Queue, "timed_out", None), nothing);
        tokio::time::advance(PERIOD).await;
        let left_out = repeats.may_say(About::Endpoint, "timed_out", None);
        assert_eq!(left_out.and_then(|left_out| left_out.count()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_messages_left_out_are_named_once_each_and_the_first_twenty() {
        let mut repeats = Repeats::default();
        assert!(say(&mut repeats, 0).is_some());
        for number in (1..50).chain(1..50) {
            assert!(say(&mut repeats, number).is_none());
        }
        tokio::time::advance(PERIOD).await;
        let overdue = repeats.overdue();
        let [(About::Endpoint, "rejected", left_out)] = overdue.as_slice() else { panic!("{overdue:?}") };
        assert_eq!(left_out.count(), Some(98));
        let named = left_out.named().unwrap();
        assert!(named.starts_with("m-1 m-2 m-3 ") && named.ends_with(" m-20 and 29 more"), "{named}");
        assert!(repeats.overdue().is_empty() && repeats.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_fail_now_and_then_have_a_line_each_ten_seconds_beside_summaries() {
        let mut repeats = Repeats::default();
        let mut lines = 0;
        for number in 0..30 {
            lines += usize::from(say(&mut repeats, number).is_some());
            tokio::time::advance(PERIOD / 5 * 3).await;
            repeats.overdue();
        }
        assert!(lines >= 15, "{lines} of 30 messages in three minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_fail_in_step_take_turns() {
        let mut repeats = Repeats::default();
        let mut lines = Vec::new();
        for _round in 0..6 {
            for number in 0..3 {
                if say(&mut repeats, number).is_some() {
                    lines.push(number);
                }
            }
            for _ in 0..3 {
                tokio::time::advance(PERIOD).await;
                repeats.overdue();
            }
        }
        for number in 0..3 {
            assert!(lines.iter().filter(|each| **each == number).count() >= 1, "{number} of {lines:?}");
        }
        assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "{lines:?}");
        assert_eq!(lines.len(), 6, "a line in every round: {lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_alone_again_has_a_line_again() {
        let mut repeats = Repeats::default();
        assert!(say(&mut repeats, 0).is_some() && say(&mut repeats, 1).is_none());
        tokio::time::advance(PERIOD).await;
        assert_eq!(repeats.overdue().len(), 1);
        assert!(say(&mut repeats, 0).is_none(), "it left its turn to the other");
        tokio::time::advance(PERIOD).await;
        assert_eq!(repeats.overdue()[0].2.ids, [id(0)], "which did not come");
        tokio::time::advance(PERIOD).await;
        assert!(say(&mut repeats, 0).is_some());
    }
}
