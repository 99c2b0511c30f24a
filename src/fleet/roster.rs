//! The roster: what a process concludes from the answers it gets about who else runs.
//!
//! A share shrinks at once and grows late: it is the smallest that any look of the last seconds gave (`hold`). So whoever
//! leaves a share has left it before another takes it over:
//!
//! - **A newcomer** begins with a look that lists nobody: it stands by. It has its share when its first listing is as old as
//!   the hold. By then the others have looked too, and made room.
//! - **A process that leaves** is missed at once. Its share is taken over when nobody has listed it for as long as the hold.
//! - **Who is not listed** any more stands by at once: the others take its share over.
//!
//! Let every look show who was listed at most `s` ago, and let looks be `e` apart. The hold is `e + s` or more. Then the
//! shares of all that are listed are never more than the cap. For each has looked since the last newcomer was listed whose
//! share has begun. `sim::fleet` tries it, also beyond these bounds.
//!
//! Without answers the last share stays for a minute, then half of it: low, and not open. Nobody stops for that.
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

/// Without being listed for so long, a process has half of its share.
const ASTRAY_AFTER: Duration = Duration::from_secs(60);

/// What a process has seen of its fleet.
#[derive(Debug)]
pub struct Roster {
    /// Those that still count, the newest last. It counts until there is another, and then for the hold.
    looks: VecDeque<(Look, Option<Instant>)>,
    /// When a look has listed this process last.
    listed_at: Instant,
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
        Self { looks: VecDeque::from([(Look::default(), None)]), listed_at: now }
    }

    /// These were seen; `own` is this process. What was seen before counts for the `hold`.
    ///
    /// One that has not been listed for a minute counts itself in. So a wrong name does not stop it for ever.
    pub fn seen(&mut self, mut members: BTreeSet<Member>, own: Member, hold: Duration, now: Instant) {
        if members.contains(&own) {
            self.listed_at = now;
        } else if self.is_astray(now) {
            members.insert(own);
        }
        let own = members.contains(&own).then_some(own);
        let look = Look { members, own };
        self.looks.retain(|(_, until)| until.is_none_or(|until| until > now));
        match self.looks.back_mut() {
            Some((last, _)) if *last == look => return,
            Some((_, until)) => *until = Some(now + hold),
            None => {}
        }
        self.looks.push_back((look, None));
    }

    /// What follows now.
    pub fn standing(&self, now: Instant) -> Standing {
        let counts = |(look, until): &(Look, Option<Instant>)| {
            until.is_none_or(|until| until > now).then(|| look.clone())
        };
        let looks: Vec<Look> = self.looks.iter().filter_map(counts).collect();
        Standing::Listed(Listed { looks, halved: self.is_astray(now) })
    }

    /// When something else follows without a further look.
    pub fn changes_at(&self, now: Instant) -> Option<Instant> {
        let ends = self.looks.iter().filter_map(|(_, until)| *until);
        ends.chain([self.listed_at + ASTRAY_AFTER]).filter(|at| *at > now).min()
    }

    fn is_astray(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.listed_at) >= ASTRAY_AFTER
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

    /// Processes that were seen last, this one included if it was listed; `None` without a fleet.
    pub fn members(&self) -> Option<usize> {
        match self {
            Self::Alone => None,
            Self::Fixed(of) => Some(usize::try_from(of.get()).unwrap_or(usize::MAX)),
            Self::Listed(Listed { looks, .. }) => Some(looks.last().map_or(0, |look| look.members.len())),
        }
    }

    /// Whether the last look listed this process, or it counts itself in.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Alone | Self::Fixed(_) => true,
            Self::Listed(Listed { looks, .. }) => looks.last().is_some_and(|look| look.own.is_some()),
        }
    }

    /// Whether it has half of its share, because it has not been listed for a minute.
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
