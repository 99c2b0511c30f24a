//! Share: the part of a cap that this process may use, where several processes hold it together.
//!
//! Whole numbers are dealt out like cards: of a cap of 10, three processes have 4, 3 and 3. The first in their order have
//! one more. So all shares of a cap together are the cap, and two of them differ by one at most. With more processes than
//! there is to deal, the last have nothing.
//!
//! More processes, or a later place among them, never makes a share larger. The safety of a fleet rests on that.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::limit::{Rate, Settings};

/// The part of a process that has the place `rank`, counted from 0, among `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    rank: u32,
    /// 0: no process has anything.
    of: u32,
    /// Whether it is only half of that part, rounded up.
    halved: bool,
}

impl Share {
    /// Everything: there is no other process.
    pub const WHOLE: Self = Self { rank: 0, of: 1, halved: false };
    /// Nothing.
    pub const NONE: Self = Self { rank: 0, of: 0, halved: false };

    /// The part of the process at `rank` among `of`; nothing if there is no such place.
    pub const fn new(rank: u32, of: u32) -> Self {
        if rank < of { Self { rank, of, halved: false } } else { Self::NONE }
    }

    /// What it is of a cap.
    pub fn of(self, cap: usize) -> usize {
        let (rank, of) = (index(self.rank), index(self.of));
        let part = if of == 0 { 0 } else { cap.saturating_sub(rank).div_ceil(of) };
        if self.halved { part.div_ceil(2) } else { part }
    }

    /// Half of it, and no less than one of what it has one of.
    #[must_use]
    pub const fn halved(self) -> Self {
        Self { halved: true, ..self }
    }

    /// The part among no more than `most` processes: those behind have nothing.
    fn among(self, most: u32) -> Self {
        Self { halved: self.halved, ..Self::new(self.rank, self.of.min(most)) }
    }
}

/// What a process may do at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    /// POSTs at once; 0: it stands by.
    pub(super) sessions: usize,
    /// Starts per time, if they are limited.
    pub(super) rate: Option<Rate>,
}

/// The caps of an endpoint, and this process's share of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    /// POSTs at once, at least 1.
    pub(super) sessions: usize,
    pub(super) rate: Option<Rate>,
    /// Whether the sessions are for all processes, and not for each.
    pub(super) divided: bool,
    pub(super) share: Share,
}

impl Caps {
    /// Those of the configuration, all for this process.
    pub(super) fn of(settings: &Settings) -> Self {
        let Settings { sessions, rate, divided, .. } = settings;
        Self { sessions: (*sessions).max(1), rate: *rate, divided: *divided, share: Share::WHOLE }
    }

    /// What this process may do.
    ///
    /// A burst is dealt out as sessions are. Who has none of it may never start, and has no session either. So bursts and
    /// rates of all processes together are those that are configured.
    pub(super) fn allowed(self) -> Allowed {
        let Self { sessions, rate, divided, share } = self;
        let of_sessions = if divided { u32::try_from(sessions).unwrap_or(u32::MAX) } else { u32::MAX };
        let share = share.among(of_sessions.min(rate.map_or(u32::MAX, |rate| rate.burst.get())));
        let rate = rate.map(|Rate { interval, burst }| {
            let part = u32::try_from(share.of(index(burst.get()))).unwrap_or(u32::MAX);
            let times = share.of.max(1).saturating_mul(if share.halved { 2 } else { 1 });
            let interval = interval.checked_mul(times).unwrap_or(Duration::MAX);
            Rate { interval, burst: NonZeroU32::new(part).unwrap_or(NonZeroU32::MIN) }
        });
        let sessions = match share.of {
            0 => 0,
            _ if divided => share.of(sessions),
            _ => sessions,
        };
        Allowed { sessions, rate }
    }

    /// The part that this process has of the sessions. Where each has sessions of its own, it is that of the rate.
    pub(super) fn part(self) -> f64 {
        let float = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        match self.allowed().sessions {
            0 => 0.0,
            sessions if self.divided => float(sessions) / float(self.sessions),
            _ => f64::from(self.share.of).recip(),
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(cap: usize, of: u32) -> Vec<usize> {
        (0..of).map(|rank| Share::new(rank, of).of(cap)).collect()
    }

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { interval: Duration::from_secs(1) / per_second, burst: NonZeroU32::new(burst).unwrap() }
    }

    #[test]
    fn shares_of_a_cap_are_the_cap_and_differ_by_one_at_most() {
        assert_eq!(parts(10, 3), [4, 3, 3]);
        assert_eq!(parts(2, 5), [1, 1, 0, 0, 0]);
        for cap in 0..200 {
            for of in 1..=100 {
                let parts = parts(cap, of);
                let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
                assert!(parts.iter().sum::<usize>() == cap && most - least <= 1, "{cap} among {of}");
            }
        }
        assert_eq!([Share::WHOLE.of(7), Share::NONE.of(7), Share::new(3, 3).of(7)], [7, 0, 0]);
    }

    #[test]
    fn more_processes_or_a_later_place_never_make_a_share_larger() {
        for cap in 0..60 {
            for of in 1..40 {
                for rank in 0..of {
                    let share = Share::new(rank, of).of(cap);
                    assert!(Share::new(rank, of + 1).of(cap) <= share);
                    assert!(Share::new(rank + 1, of).of(cap) <= share);
                    let half = Share::new(rank, of).halved().of(cap);
                    assert_eq!(half, share.div_ceil(2));
                }
            }
        }
    }

    #[test]
    fn bursts_and_rates_of_all_together_are_the_configured_ones_and_who_has_none_has_no_session() {
        let caps = |of: u32, sessions, per_second, burst| -> Vec<Allowed> {
            let rate = Some(rate(per_second, burst));
            let caps = |rank| Caps { sessions, rate, divided: true, share: Share::new(rank, of) };
            (0..of).map(|rank| caps(rank).allowed()).collect()
        };
        for (of, sessions, burst) in [(3, 80, 10), (5, 80, 1), (5, 3, 10), (100, 80, 50), (1, 1, 1)] {
            let all = caps(of, sessions, 50, burst);
            let taking: Vec<_> = all.iter().filter(|allowed| allowed.sessions > 0).collect();
            let bursts: u32 = taking.iter().map(|allowed| allowed.rate.unwrap().burst.get()).sum();
            let rates: f64 =
                taking.iter().map(|allowed| allowed.rate.unwrap().interval.as_secs_f64().recip()).sum();
            let together: usize = all.iter().map(|allowed| allowed.sessions).sum();
            assert_eq!((bursts, together), (burst, sessions), "{of} processes");
            assert!((rates - 50.0).abs() < 1e-3, "{rates} a second");
        }
    }

    #[test]
    fn half_a_share_is_half_of_sessions_and_rate_also_where_the_burst_has_one_start_for_each() {
        let caps = |share| Caps { sessions: 80, rate: Some(rate(10, 3)), divided: true, share };
        let (whole, half) = (caps(Share::new(0, 3)).allowed(), caps(Share::new(0, 3).halved()).allowed());
        assert_eq!((whole.sessions, half.sessions), (27, 14));
        assert_eq!(half.rate.unwrap().interval, whole.rate.unwrap().interval * 2);
        assert_eq!(caps(Share::NONE.halved()).allowed().sessions, 0);
    }

    #[test]
    fn sessions_that_each_process_has_of_its_own_are_not_divided() {
        let of = |share, rate| Caps { sessions: 16, rate, divided: false, share }.allowed();
        assert_eq!(of(Share::new(1, 4), None), Allowed { sessions: 16, rate: None });
        assert_eq!(of(Share::NONE, None).sessions, 0);
        let slow = of(Share::new(1, 4), Some(rate(10, 10)));
        assert_eq!((slow.sessions, slow.rate.unwrap().interval), (16, Duration::from_millis(400)));
        assert_eq!(of(Share::new(1, 4), Some(rate(10, 1))).sessions, 0, "it may start nothing");
    }
}
