//! The roster: what a process concludes from the answers it gets about who else runs.
//!
//! A share shrinks at once and grows late: it is the smallest that any look of the last seconds gave (`hold`). It grows with
//! a look, and never by time alone. So whoever leaves a share has left it before another takes it over:
//!
//! - **A newcomer** begins with a look that lists nobody: it stands by. It has its share when a look lists it that comes the
//!   hold after the first that did. By then the others have looked too, and made room.
//! - **A process that leaves** is missed at once. Its share is taken over when nobody has listed it for as long as the hold.
//! - **Who is not listed** stands by at once, and as long: the others take its share over, or the name is wrong.
//!
//! Let every look show who was listed at most `s` ago, and let looks be `e` apart. The hold is `e + s` or more. Then the
//! shares of all that are listed are never more than the cap. For each has looked since the last newcomer was listed whose
//! share has begun. `sim::fleet` tries it, also beyond these bounds.
//!
//! Without answers the last share stays for a minute at least, then half of it: low, and not open. Nobody stops for that.
//!
//! Pure: time is an argument.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::limit::Share;

/// A process of the fleet: its address, with a port where records tell one, else 0.
pub type Member = SocketAddr;

/// Without an answer for so long, and for no less than the hold, a process has half of its share.
const BLIND_AFTER: Duration = Duration::from_secs(60);

/// What a process has seen of its fleet.
#[derive(Debug)]
pub struct Roster {
    /// Those that still count, the newest last, and when another followed. It counts as long as the hold after that.
    looks: VecDeque<(Look, Option<Instant>)>,
    /// The longest that was asked for.
    hold: Duration,
    /// When somebody was seen last.
    seen_at: Instant,
}

/// Who was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    members: BTreeSet<Member>,
    /// This process; `None`: it is not among them.
    own: Option<Member>,
}

impl Roster {
    /// Nobody was seen yet.
    pub fn new(now: Instant) -> Self {
        let looks = VecDeque::from([(Look::default(), None)]);
        Self { looks, hold: Duration::ZERO, seen_at: now }
    }

    /// These were seen; `own` is this process. What was seen before counts for the `hold`, or the longest one so far.
    pub fn seen(&mut self, members: BTreeSet<Member>, own: Member, hold: Duration, now: Instant) {
        (self.seen_at, self.hold) = (now, self.hold.max(hold));
        let own = members.contains(&own).then_some(own);
        let look = Look { members, own };
        self.looks.retain(|(_, followed)| followed.is_none_or(|at| now < at + self.hold));
        match self.looks.back_mut() {
            Some((last, _)) if *last == look => return,
            Some((_, followed)) => *followed = Some(now),
            None => {}
        }
        self.looks.push_back((look, None));
    }

    /// What follows now.
    pub fn standing(&self, now: Instant) -> Standing {
        let looks = self.looks.iter().map(|(look, _)| look.clone()).collect();
        let is_blind = now.saturating_duration_since(self.seen_at) >= BLIND_AFTER.max(self.hold);
        Standing::Listed(Listed { looks, halved: is_blind })
    }
}

/// Where a process stands in its fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no fleet.
    Alone,
    /// Among so many, whose order nobody knows.
    Fixed(NonZeroU32),
    /// Among those that it sees.
    Listed(Listed),
}

/// What a process sees of its fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The looks that count, the newest last; at least one.
    looks: Vec<Look>,
    halved: bool,
}

impl Standing {
    /// Of one that has seen nobody yet: it stands by.
    pub fn newcomer() -> Self {
        Self::Listed(Listed { looks: vec![Look::default()], halved: false })
    }

    /// This process's share of what is called `name`: the smallest by all looks that count.
    ///
    /// Each name has an order of its own, the same for all processes. So what cannot be divided is not all at one process.
    pub fn share(&self, name: &str) -> Share {
        let listed = match self {
            Self::Alone => return Share::WHOLE,
            // As if it were the last of them: the remainder is nobody's.
            Self::Fixed(of) => return Share::new(of.get() - 1, of.get()),
            Self::Listed(listed) => listed,
        };
        let (mut rank, mut of) = (0, 0);
        for Look { members, own } in &listed.looks {
            let Some(own) = own.map(|own| order(name, own)) else { return Share::NONE };
            rank = rank.max(members.iter().filter(|member| order(name, **member) < own).count());
            of = of.max(members.len());
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let share = Share::new(number(rank), number(of));
        if listed.halved { share.halved() } else { share }
    }

    /// Processes that were listed last; `None` without a fleet.
    pub fn members(&self) -> Option<usize> {
        match self {
            Self::Alone => None,
            Self::Fixed(of) => Some(usize::try_from(of.get()).unwrap_or(usize::MAX)),
            Self::Listed(Listed { looks, .. }) => Some(looks.last().map_or(0, |look| look.members.len())),
        }
    }

    /// Whether the last look listed this process.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Alone | Self::Fixed(_) => true,
            Self::Listed(Listed { looks, .. }) => looks.last().is_some_and(|look| look.own.is_some()),
        }
    }

    /// Whether it has half of its share, because it got no answer for a minute.
    pub fn is_halved(&self) -> bool {
        matches!(self, Self::Listed(Listed { halved: true, .. }))
    }
}

/// The place of a member in the order of `name`. Processes of different versions must agree on it.
fn order(name: &str, member: Member) -> (u64, Member) {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    // FNV-1a, and the end of SplitMix64: alone it hardly mixes the last bytes.
    let text = format!("{name} {member}");
    let mixed = text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31), member)
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
