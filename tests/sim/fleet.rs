//! A fleet: processes that see each other by a name, at one endpoint whose caps hold for all of them together.
//!
//! The pipeline, the limits and whoever follows the fleet are the real ones; simulated are SQS, the endpoint and the DNS
//! zone. The endpoint counts what runs at every instant.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::fleet::{Found, LookError, Member, Names, Standing, follow};
use queuepost::limit::{self, EndpointLimits, Share};
use queuepost::pipeline::{Handle, NotReceiving};
use queuepost::ports::BoxFuture;
use queuepost::tuning::Tuning;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::process::{SimProcess, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::simulated_queue::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// POSTs at once for all processes.
const CAP: usize = 40;
/// Time of a POST, in milliseconds.
const POST: u64 = 2_000;

/// Who is listed, from when on; shown to whoever asks later than that by `late`.
struct Zone {
    versions: Mutex<Vec<(Instant, BTreeSet<Member>)>>,
    late: Duration,
}

impl Zone {
    fn add(&self, member: Member) {
        self.change(|members| {
            members.insert(member);
        });
    }

    fn remove(&self, member: Member) {
        self.change(|members| {
            members.remove(&member);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Member>)) {
        let mut versions = self.versions.lock().unwrap();
        let mut members = versions.last().unwrap().1.clone();
        change(&mut members);
        versions.push((Instant::now(), members));
    }

    fn seen(&self) -> BTreeSet<Member> {
        let at = Instant::now().checked_sub(self.late).unwrap();
        let versions = self.versions.lock().unwrap();
        versions
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map(|(_, members)| members.clone())
            .unwrap_or_default()
    }
}

/// What one process asks.
struct Asking {
    zone: Arc<Zone>,
    own: Member,
    blind: Arc<AtomicBool>,
}

impl Names for Asking {
    fn name(&self) -> &'static str {
        "queuepost.test"
    }

    fn look(&self) -> BoxFuture<'_, Result<Found, LookError>> {
        let (members, own) = (self.zone.seen(), self.own);
        let is_blind = self.blind.load(Ordering::SeqCst);
        Box::pin(async move {
            if is_blind {
                return std::future::pending().await;
            }
            if members.is_empty() {
                return Err(LookError::NoRecords("A or AAAA"));
            }
            Ok(Found { members, own, valid_for: 5 * SECOND })
        })
    }
}

/// One process with the listener `orders`.
struct Running {
    sim: SimProcess,
    own: Member,
    limits: EndpointLimits,
    blind: Arc<AtomicBool>,
    /// Ends with it.
    _following: JoinSet<()>,
}

/// Processes, and what they share.
struct Fleet {
    world: World,
    endpoint: Arc<ScriptedEndpoint>,
    zone: Arc<Zone>,
    processes: Vec<Running>,
    settings: limit::Settings,
    started: u16,
}

impl Fleet {
    /// Nobody runs yet; the zone shows changes so much later.
    fn new(late: Duration, sessions: usize, rate: Option<limit::Rate>) -> Self {
        let world = World::new(5);
        world.queue("orders", 10);
        for number in 0..20_000 {
            world.send("orders", &format!("m-{number}"));
        }
        let versions = Mutex::new(vec![(world.started(), BTreeSet::new())]);
        let tuning = Tuning::default();
        Self {
            world,
            endpoint: ScriptedEndpoint::always(200, POST),
            zone: Arc::new(Zone { versions, late }),
            processes: Vec::new(),
            settings: limit::Settings { sessions, divided: true, adaptive: true, rate, tuning },
            started: 0,
        }
    }

    /// One more process starts; it looks at another time than the others.
    fn start(&mut self) {
        self.started += 1;
        let own = SocketAddr::from(([10, 0, 0, 1], self.started));
        self.zone.add(own);
        let limits = EndpointLimits::new("api", &self.settings, u64::from(self.started));
        limits.sessions.set_share(Share::NONE);
        let mut sim = SimProcess::in_world(&self.world, u64::from(self.started) * 1_000);
        let handle = sim.listen_and_control(settings("orders", CAP), &self.endpoint, &limits);
        let blind = Arc::<AtomicBool>::default();
        let asking = Asking { zone: Arc::clone(&self.zone), own, blind: Arc::clone(&blind) };
        let (sender, standing) = watch::channel(Standing::newcomer());
        let mut following = JoinSet::new();
        let offset = Duration::from_millis(u64::from(self.started) * 777 % 5_000);
        following.spawn(async move {
            sleep(offset).await;
            follow(asking, sender).await;
        });
        following.spawn(take_share(standing, limits.clone(), handle));
        self.processes.push(Running { sim, own, limits, blind, _following: following });
    }

    /// The first process stops, and is listed until it has ended.
    async fn stop_first(&mut self) {
        let mut first = self.processes.remove(0);
        first.sim.stop(MINUTE).await;
        self.zone.remove(first.own);
        first.sim.assert_balanced();
    }

    /// What all shares together are, and how many processes have one.
    fn shares(&self) -> (usize, usize) {
        let caps = || self.processes.iter().map(|process| process.limits.sessions.cap());
        (caps().sum(), caps().filter(|cap| *cap > 0).count())
    }

    /// POSTs done in the next half minute, as part of what the cap allows.
    async fn throughput(&self) -> f64 {
        let before = self.endpoint.posts().len();
        sleep(30 * SECOND).await;
        let possible = CAP as f64 * 30_000.0 / POST as f64;
        (self.endpoint.posts().len() - before) as f64 / possible
    }

    async fn settles(&self) {
        sleep(self.zone.late + MINUTE).await;
    }

    /// Nothing ever ran beyond the cap.
    fn assert_capped(&self) {
        assert!(self.endpoint.most_running() <= CAP, "{} ran at once", self.endpoint.most_running());
    }
}

/// Takes the shares of a process, as `app` does.
async fn take_share(mut standing: watch::Receiver<Standing>, limits: EndpointLimits, handle: Handle) {
    loop {
        limits.sessions.set_share(standing.borrow_and_update().share(&limits.name));
        let share = if limits.sessions.cap() == 0 { Share::NONE } else { Share::WHOLE };
        handle.change(|controls| controls.share = share);
        if standing.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_grows_and_shrinks_keeps_to_the_cap_at_every_instant_and_uses_it() {
    for late in [Duration::ZERO, 30 * SECOND] {
        let mut fleet = Fleet::new(late, CAP, None);
        for size in [1, 2, 5, 20, 100] {
            while fleet.processes.len() < size {
                fleet.start();
            }
            fleet.settles().await;
            assert_eq!(fleet.shares().0, CAP, "of {size} processes");
            let used = fleet.throughput().await;
            assert!(used >= 0.9, "{size} processes used {used} of the cap");
        }
        assert_eq!(fleet.shares().1, CAP, "the others stand by");
        while fleet.processes.len() > 3 {
            fleet.stop_first().await;
        }
        fleet.settles().await;
        assert!(fleet.throughput().await >= 0.9);
        fleet.assert_capped();
        while !fleet.processes.is_empty() {
            fleet.stop_first().await;
        }
        fleet.start();
        fleet.settles().await;
        assert!(fleet.throughput().await >= 0.9, "from nothing");
        fleet.assert_capped();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_keeps_to_the_cap_at_every_instant() {
    let mut fleet = Fleet::new(Duration::ZERO, CAP, None);
    for _ in 0..8 {
        fleet.start();
    }
    fleet.settles().await;
    let before = fleet.endpoint.posts().len();
    let began = Instant::now();
    for _ in 0..8 {
        fleet.start();
        sleep(10 * SECOND).await;
        fleet.stop_first().await;
    }
    fleet.settles().await;
    let posts = fleet.endpoint.posts().len() - before;
    let possible = CAP as f64 * began.elapsed().as_secs_f64() * 1_000.0 / POST as f64;
    assert!(posts as f64 >= 0.75 * possible, "{posts} of {possible} during the update");
    assert!(fleet.throughput().await >= 0.9);
    fleet.assert_capped();
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_process_that_dies_is_taken_over_once_it_is_listed_no_more() {
    let mut fleet = Fleet::new(Duration::ZERO, CAP, None);
    for _ in 0..4 {
        fleet.start();
    }
    fleet.settles().await;
    let dead = fleet.processes.pop().unwrap();
    let own = dead.own;
    drop(dead);
    sleep(40 * SECOND).await;
    assert_eq!(fleet.shares().0, CAP / 4 * 3, "it is still listed");
    fleet.zone.remove(own);
    sleep(16 * SECOND).await;
    assert_eq!(fleet.shares(), (CAP, 3));
    assert!(fleet.throughput().await >= 0.9);
    fleet.assert_capped();
}

#[tokio::test(start_paused = true)]
async fn half_a_fleet_that_sees_nothing_stays_below_five_quarters_of_the_cap_while_as_many_come() {
    let mut fleet = Fleet::new(Duration::ZERO, CAP, None);
    for _ in 0..8 {
        fleet.start();
    }
    fleet.settles().await;
    for process in fleet.processes.iter().step_by(2) {
        process.blind.store(true, Ordering::SeqCst);
    }
    for _ in 0..7 {
        fleet.start();
    }
    let mut most = 0;
    for _ in 0..300 {
        sleep(SECOND).await;
        most = most.max(fleet.shares().0);
    }
    assert!(most > CAP && most * 4 <= CAP * 5, "{most} of {CAP}");
    assert!(fleet.endpoint.most_running() * 4 <= CAP * 5, "{}", fleet.endpoint.most_running());
    let blind = fleet.processes[0].limits.sessions.cap();
    assert!(
        (CAP / 8 / 2..=CAP / 8 / 2 + 1).contains(&blind),
        "{blind}: after a minute it has half, and goes on"
    );
    for process in &fleet.processes {
        process.blind.store(false, Ordering::SeqCst);
    }
    sleep(15 * SECOND).await;
    assert_eq!(fleet.shares().0, CAP);
}

#[tokio::test(start_paused = true)]
async fn half_a_fleet_that_is_not_listed_any_more_stands_by_and_is_back_within_a_quarter_minute() {
    let mut fleet = Fleet::new(Duration::ZERO, CAP, None);
    for _ in 0..8 {
        fleet.start();
    }
    fleet.settles().await;
    let hidden: Vec<Member> = fleet.processes.iter().take(4).map(|process| process.own).collect();
    fleet.zone.change(|members| members.retain(|member| !hidden.contains(member)));
    sleep(30 * SECOND).await;
    assert_eq!(fleet.shares(), (CAP, 4));
    fleet.zone.change(|members| members.extend(hidden));
    sleep(15 * SECOND).await;
    assert_eq!(fleet.shares(), (CAP, 8));
    fleet.assert_capped();
}

#[tokio::test(start_paused = true)]
async fn with_fewer_sessions_than_processes_the_others_stand_by_receive_nothing_and_take_over() {
    let mut fleet = Fleet::new(Duration::ZERO, 2, None);
    for _ in 0..5 {
        fleet.start();
    }
    fleet.settles().await;
    assert_eq!(fleet.shares(), (2, 2));
    let standing_by = |process: &&Running| process.limits.sessions.cap() == 0;
    for process in fleet.processes.iter().filter(standing_by) {
        assert_eq!(process.sim.statuses()[0].not_receiving, Some(NotReceiving::StandingBy));
        assert_eq!(process.sim.count("messages_received_total", ""), 0);
        assert_eq!(process.sim.count("workers_limit", ""), 0);
    }
    let active = fleet.processes.iter().position(|process| process.limits.sessions.cap() > 0).unwrap();
    let mut gone = fleet.processes.remove(active);
    gone.sim.stop(MINUTE).await;
    fleet.zone.remove(gone.own);
    sleep(16 * SECOND).await;
    assert_eq!(fleet.shares(), (2, 2));
    sleep(30 * SECOND).await;
    assert_eq!(fleet.endpoint.most_running(), 2);
    assert_eq!(fleet.endpoint.running(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_received_and_not_attempted_is_released_when_a_process_has_to_stand_by() {
    let mut fleet = Fleet::new(Duration::ZERO, 10, None);
    fleet.start();
    fleet.settles().await;
    // Ten of these come before it in the endpoint's order.
    for _ in 0..40 {
        fleet.start();
    }
    fleet.settles().await;
    assert_eq!((fleet.shares(), fleet.endpoint.most_running()), ((10, 10), 10));
    let first = &fleet.processes[0];
    assert_eq!(first.limits.sessions.cap(), 0, "with another name it stands by");
    assert_eq!(first.sim.count("messages_in_progress", ""), 0);
    let counts = ["received", "released", "deleted", "deferred"]
        .map(|name| first.sim.count(&format!("messages_{name}_total"), ""));
    assert!(first.sim.count("messages_released_total", "reason=\"standby\"") > 0, "{counts:?}");
    assert_eq!(first.sim.count("messages_abandoned_total", ""), 0);
    first.sim.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn starts_of_all_processes_together_keep_to_the_burst_and_the_rate() {
    let rate = limit::Rate { interval: SECOND / 20, burst: NonZeroU32::new(5).unwrap() };
    let mut fleet = Fleet::new(Duration::ZERO, CAP, Some(rate));
    for _ in 0..9 {
        fleet.start();
        sleep(3 * SECOND).await;
    }
    fleet.settles().await;
    assert_eq!(fleet.shares().1, 5, "one for each start of the burst");
    let before = fleet.endpoint.posts().len();
    sleep(MINUTE).await;
    let mut starts: Vec<f64> = fleet.endpoint.posts().iter().map(|post| post.began.as_secs_f64()).collect();
    starts.sort_by(f64::total_cmp);
    let posts = starts.len() - before;
    assert!((1_080..=1_205).contains(&posts), "{posts} of 1,200");
    for (at, from) in starts.iter().enumerate() {
        for (more, to) in starts.iter().enumerate().skip(at).take(400) {
            // Several processes cannot know of each other's starts: each keeps to its part, and so all keep to the sum.
            let allowed = 5.0 + (to - from) * 20.0 + 1e-6;
            assert!((more - at + 1) as f64 <= allowed.ceil(), "{} starts in {} s", more - at + 1, to - from);
        }
    }
}
