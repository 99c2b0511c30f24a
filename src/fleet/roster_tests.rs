//! What follows from looks, one by one and at random.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(10);

fn member(number: u16) -> Member {
    SocketAddr::from(([10, 0, 0, 1], number))
}

fn members(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<Member> {
    numbers.into_iter().map(member).collect()
}

/// A roster of the process 1, and the time.
struct Bench {
    roster: Roster,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { roster: Roster::new(now), now }
    }

    /// A look after so many seconds lists these.
    fn sees(&mut self, after: u64, numbers: impl IntoIterator<Item = u16>) -> &mut Self {
        self.now += SECOND * u32::try_from(after).unwrap();
        self.roster.seen(members(numbers), member(1), HOLD, self.now);
        self
    }

    fn waits(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Its part of 60 sessions.
    fn has(&self) -> usize {
        self.roster.standing(self.now).share("api").of(60)
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_stands_by_until_a_look_lists_it_that_comes_the_hold_after_the_first() {
    let mut bench = Bench::new();
    assert_eq!(bench.has(), 0);
    assert_eq!(bench.sees(1, [1, 2]).has(), 0);
    assert_eq!(bench.sees(5, [1, 2]).has(), 0);
    assert_eq!(bench.sees(5, [1, 2]).has(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_share_shrinks_at_once_and_grows_by_a_look_after_the_hold() {
    let mut bench = Bench::new();
    bench.sees(0, [1, 2]).sees(10, [1, 2]);
    assert_eq!(bench.has(), 30);
    assert_eq!(bench.sees(5, [1, 2, 3]).has(), 20);
    assert_eq!(bench.sees(5, [1, 2]).has(), 20);
    assert_eq!(bench.sees(5, [1, 2, 3]).has(), 20, "it came back");
    assert_eq!(bench.sees(5, [1]).waits(30).has(), 20, "nobody has looked again");
    assert_eq!(bench.sees(0, [1]).has(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_longer_hold_holds_for_looks_from_before_too() {
    let mut bench = Bench::new();
    bench.sees(0, [1, 2]).sees(5, [1, 2]);
    bench.now += 5 * SECOND;
    bench.roster.seen(members([1, 2]), member(1), 4 * HOLD, bench.now);
    assert_eq!(bench.has(), 0, "the answers were from a cache, and may be old");
    assert_eq!(bench.sees(29, [1, 2]).has(), 0);
    assert_eq!(bench.sees(1, [1, 2]).has(), 30);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_listed_stands_by_at_once_and_as_long() {
    let mut bench = Bench::new();
    bench.sees(0, [1, 2]).sees(10, [1, 2]);
    assert_eq!(bench.sees(5, [2, 3]).has(), 0);
    assert!(!bench.roster.standing(bench.now).is_listed());
    assert_eq!(bench.sees(3_600, [2, 3]).has(), 0);
    assert_eq!(bench.sees(5, [1, 2, 3]).has(), 0);
    assert_eq!(bench.sees(10, [1, 2, 3]).has(), 20);
}

#[tokio::test(start_paused = true)]
async fn without_answers_a_share_stays_for_a_minute_and_is_halved_then() {
    let mut bench = Bench::new();
    bench.sees(0, [1, 2]).sees(10, [1, 2]);
    assert_eq!(bench.waits(59).has(), 30);
    assert_eq!(bench.waits(1).has(), 15);
    assert_eq!(bench.waits(3_600).has(), 15, "nobody stops for that");
    assert_eq!(bench.sees(0, [1, 2]).has(), 30);
    bench.roster.seen(members([1, 2]), member(1), 12 * HOLD, bench.now);
    assert_eq!(bench.waits(119).has(), 30, "looks may be as far apart");
    assert_eq!(bench.waits(1).has(), 15);
}

#[tokio::test(start_paused = true)]
async fn who_never_saw_anybody_stands_by() {
    let mut bench = Bench::new();
    assert_eq!(bench.waits(7_200).has(), 0);
    assert_eq!(bench.roster.standing(bench.now).members(), Some(0));
}

#[test]
fn every_name_has_an_order_of_its_own_which_does_not_change_between_versions() {
    let first = |name: &str| (1..=5).map(member).min_by_key(|member| order(name, *member)).unwrap();
    let firsts: BTreeSet<Member> = (0..40).map(|number| first(&format!("endpoint-{number}"))).collect();
    assert_eq!(firsts.len(), 5, "none has it all");
    assert_eq!(order("api", member(1)).0, 11_452_758_604_394_531_737);
}

#[test]
fn a_fixed_number_of_processes_leaves_the_remainder_to_nobody() {
    let fixed = Standing::Fixed(NonZeroU32::new(3).unwrap());
    assert_eq!((fixed.share("api").of(10), fixed.members(), fixed.is_listed()), (3, Some(3), true));
    assert_eq!((Standing::Alone.share("api").of(10), Standing::Alone.members()), (10, None));
}

/// A process of the property: when it looks, and what its answers are late by.
struct Process {
    roster: Roster,
    number: u16,
    next_look: u64,
    late: u64,
}

/// The most that all shares together are of a cap, in percent, while processes come and go. Each sees who was listed up to `late_max`
/// seconds ago.
fn worst(seed: u64, late_max: u64, hold: Duration) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let began = Instant::now();
    let mut processes: Vec<Process> = Vec::new();
    // Who is listed at each second.
    let mut listed: Vec<BTreeSet<Member>> = Vec::new();
    let (mut next, mut worst) = (1, 0);
    for second in 0..600_u64 {
        let now = began + Duration::from_secs(second);
        if random.u32(0..20) == 0 {
            for _ in 0..random.usize(1..=5) {
                let (next_look, late) = (second + random.u64(0..5), random.u64(0..=late_max));
                processes.push(Process { roster: Roster::new(now), number: next, next_look, late });
                next += 1;
            }
        }
        // Some end. They are listed until then.
        if random.u32(0..20) == 0 {
            processes.retain(|_| random.u32(0..3) > 0);
        }
        listed.push(members(processes.iter().map(|process| process.number)));
        for process in &mut processes {
            if process.next_look > second {
                continue;
            }
            process.next_look = second + 5;
            let shown = usize::try_from(second.saturating_sub(process.late)).unwrap();
            if !listed[shown].is_empty() {
                process.roster.seen(listed[shown].clone(), member(process.number), hold, now);
            }
        }
        let shares: Vec<Share> =
            processes.iter().map(|process| process.roster.standing(now).share("api")).collect();
        for cap in [1, 7, 80] {
            let all: usize = shares.iter().map(|share| share.of(cap)).sum();
            worst = worst.max(all * 100 / cap);
        }
    }
    worst
}

#[tokio::test(start_paused = true)]
async fn all_shares_together_are_never_more_than_the_cap_while_answers_are_no_older_than_the_hold_allows() {
    for seed in 0..40 {
        let worst = worst(seed, 5, HOLD);
        assert!(worst <= 100, "seed {seed}: {worst} % of the cap");
    }
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_one_that_can_be_broken() {
    let over = (0..10).filter(|seed| worst(*seed, 30, HOLD) > 100).count();
    assert!(over > 0, "answers half a minute old are older than the hold allows");
    let over = (0..10).filter(|seed| worst(*seed, 5, Duration::ZERO) > 100).count();
    assert!(over > 5, "without a hold: {over} of 10");
}
