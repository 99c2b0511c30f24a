//! Listeners kept, adjusted, replaced, added and removed while messages flow: caps hold and nothing is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::admin::Running;
use queuepost::app::crew::{Crew, Maker, Told};
use queuepost::app::effect::{Became, Effect};
use queuepost::exchange::Request;
use queuepost::limit::EndpointLimits;
use queuepost::limit::clock::Wall;
use queuepost::pipeline::{Listener, Memory, Parts, Results, Settings};
use queuepost::policy::outcome::Attempt;
use queuepost::ports::{BoxFuture, Endpoint};
use queuepost::telemetry::metrics::Metrics;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::process::{SimProcess, limits, settings};
use super::scripted_endpoint::ScriptedEndpoint;
use super::simulated_queue::{Deletes, Faults, SimQueue, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A listener as a configuration says; another shape replaces it.
#[derive(Clone)]
struct Plan {
    settings: Settings,
    shape: u32,
    endpoint: Arc<ScriptedEndpoint>,
    limits: EndpointLimits,
}

/// The cap of a listener, and what broke it.
#[derive(Default)]
struct Cap {
    workers: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
    /// A lower cap holds from the next instant on.
    since: Mutex<Option<Instant>>,
    broken: Mutex<Vec<String>>,
}

impl Cap {
    fn set(&self, workers: usize) {
        self.workers.store(workers, Ordering::SeqCst);
        *self.since.lock().unwrap() = Some(Instant::now());
    }
}

/// Counts what runs of a listener, whichever self of it started that.
struct Watched {
    endpoint: Arc<ScriptedEndpoint>,
    cap: Arc<Cap>,
}

impl Endpoint for Watched {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        let (cap, workers) = (&self.cap, self.cap.workers.load(Ordering::SeqCst));
        let running = cap.running.fetch_add(1, Ordering::SeqCst) + 1;
        cap.most.fetch_max(running, Ordering::SeqCst);
        let now = Instant::now();
        if running > workers && cap.since.lock().unwrap().is_none_or(|since| now > since) {
            cap.broken.lock().unwrap().push(format!("{running} of {workers} at {now:?}"));
        }
        let ended = Ended(Arc::clone(cap));
        Box::pin(async move {
            let attempt = self.endpoint.post(request).await;
            drop(ended);
            attempt
        })
    }
}

/// A POST ends, also when it is cut off.
struct Ended(Arc<Cap>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

struct SimMaker {
    world: World,
    metrics: Arc<Metrics>,
    drain: queuepost::drain::Drain,
    epoch: std::time::SystemTime,
    caps: Mutex<BTreeMap<String, Arc<Cap>>>,
    made: AtomicUsize,
    /// Faults of the queue of what is made next.
    faults: Mutex<Faults>,
}

impl SimMaker {
    fn cap(&self, name: &str) -> Arc<Cap> {
        Arc::clone(self.caps.lock().unwrap().entry(name.to_owned()).or_default())
    }
}

impl Maker for SimMaker {
    type Plan = Plan;

    fn name<'a>(&self, plan: &'a Plan) -> &'a str {
        &plan.settings.name
    }

    fn endpoint<'a>(&self, plan: &'a Plan) -> &'a str {
        &plan.limits.name
    }

    fn settings(&self, plan: &Plan) -> Settings {
        plan.settings.clone()
    }

    fn effect(&self, old: &Plan, new: &Plan) -> Effect {
        if old.shape != new.shape {
            Effect::Replaced
        } else if old.settings.workers != new.settings.workers {
            Effect::Adjusted
        } else {
            Effect::Kept
        }
    }

    fn is_same_queue(&self, old: &Plan, new: &Plan) -> bool {
        old.settings.queue_name == new.settings.queue_name
    }

    fn make<'a>(&'a self, plan: &'a Plan, memory: Arc<Memory>) -> BoxFuture<'a, Listener> {
        let Plan { settings, endpoint, limits, .. } = plan.clone();
        let cap = self.cap(&settings.name);
        assert_eq!(cap.running.load(Ordering::SeqCst), 0, "a successor starts when the old one has ended");
        cap.set(settings.workers);
        let seed = 1_000 + self.made.fetch_add(1, Ordering::SeqCst) as u64;
        let queue = SimQueue::new(&self.world, &settings.queue_name, seed);
        queue.set_faults(*self.faults.lock().unwrap());
        let parts = Parts {
            metrics: Arc::new(self.metrics.listener(&settings.name, &limits.name)),
            queue,
            endpoint: Arc::new(Watched { endpoint, cap }),
            claim_checks: None,
            results: Results::default(),
            limits,
            drain: self.drain.clone(),
            wall: Wall::Anchored { at: self.epoch, instant: self.world.started() },
            seed,
            settings,
        };
        Box::pin(async move { Listener::new(parts, Some(memory)) })
    }
}

/// A process whose listeners follow configurations.
struct Reloading {
    process: SimProcess,
    crew: Crew<SimMaker>,
    running: Arc<Running>,
}

impl Reloading {
    fn new(seed: u64) -> Self {
        let process = SimProcess::new(seed);
        let maker = SimMaker {
            world: process.world.clone(),
            metrics: Arc::clone(&process.metrics),
            drain: process.drain.clone(),
            epoch: process.epoch,
            caps: Mutex::default(),
            made: AtomicUsize::new(0),
            faults: Mutex::default(),
        };
        let running = Arc::new(Running::default());
        Self { crew: Crew::new(maker, Arc::clone(&running)), process, running }
    }

    fn queue(&self, name: &str, messages: usize) {
        self.process.world.queue(name, 100);
        for number in 0..messages {
            self.process.world.send(name, &format!("{name}-{number}"));
        }
    }

    /// Follows a configuration; an adjusted number of workers is the cap from now on.
    async fn follow(&mut self, plans: Vec<Plan>) -> BTreeMap<String, Became> {
        let workers: Vec<_> = plans.iter().map(|p| (p.settings.name.clone(), p.settings.workers)).collect();
        let became: BTreeMap<_, _> = self.crew.follow(plans, MINUTE).await.into_iter().collect();
        for (name, workers) in workers {
            if became[&name] == Became::Adjusted {
                self.crew.maker().cap(&name).set(workers);
            }
        }
        became
    }

    /// Lets time pass.
    async fn pass(&mut self, time: Duration) {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                event = self.crew.next() => self.crew.handle(event).await,
            }
        }
    }

    async fn until_empty(&mut self, queue: &str) {
        for _ in 0..36_000 {
            let census = self.process.census(queue);
            if census.visible + census.in_flight == 0 {
                return assert_eq!(census.dead, 0);
            }
            self.pass(SECOND / 10).await;
        }
        panic!("{queue} still holds {:?}", self.process.census(queue));
    }

    async fn end(mut self) -> SimProcess {
        self.process.drain.begin(MINUTE);
        assert!(self.crew.all_ended().await, "no listener panicked");
        self.process
    }
}

#[tokio::test(start_paused = true)]
async fn caps_hold_and_nothing_is_lost_whenever_a_listener_is_adjusted_or_replaced() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut it = Reloading::new(500 + seed);
        let (mine, others) = (ScriptedEndpoint::always(200, 700), ScriptedEndpoint::always(200, 1_000));
        // Both share the sessions of one endpoint.
        let shared = limits(24);
        it.queue("mine", 1_500);
        it.queue("others", 1_500);
        let plan = |name: &str, workers, shape, endpoint: &Arc<ScriptedEndpoint>| {
            let (endpoint, limits) = (Arc::clone(endpoint), shared.clone());
            Plan { settings: settings(name, workers), shape, endpoint, limits }
        };
        let other = || plan("others", 4, 0, &others);
        let (mut shape, mut workers) = (0, 16);
        it.follow(vec![plan("mine", workers, shape, &mine), other()]).await;
        it.pass(30 * SECOND).await;
        for _ in 0..60 {
            shape += u32::from(random.bool());
            workers = *random.choice(&[16, 4, 32, 1]).unwrap();
            let became = it.follow(vec![plan("mine", workers, shape, &mine), other()]).await;
            assert_eq!(became["others"], Became::Kept);
            // Any instant: also while the one before drains, and while its successor starts.
            let until = Instant::now() + Duration::from_millis(random.u64(1..4_000));
            while Instant::now() < until {
                it.pass(Duration::from_millis(random.u64(1..50))).await;
                let both = mine.running() + others.running();
                assert!(both <= 24, "seed {seed}: {both} run at an endpoint that takes 24");
            }
        }
        let broken = it.crew.maker().cap("mine").broken.lock().unwrap().clone();
        assert_eq!(broken, Vec::<String>::new(), "seed {seed}: POSTs started beyond the workers");
        let most = it.crew.maker().cap("mine").most.load(Ordering::SeqCst);
        assert!(most >= 16, "at most {most} ran: nothing was tried");
        it.until_empty("mine").await;
        it.until_empty("others").await;
        let process = it.end().await;
        process.assert_balanced();
        assert_eq!((mine.posts().len(), others.posts().len()), (1_500, 1_500), "none twice, none lost");
        assert_eq!(process.count("messages_abandoned_total", ""), 0);
        assert_eq!(
            process.count("messages_received_total", "listener=\"others\""),
            1_500,
            "none was released"
        );
        assert_eq!(shared.sessions.listeners(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_does_not_notice_that_another_is_replaced_a_hundred_times() {
    let mut it = Reloading::new(520);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    it.queue("mine", 4_000);
    it.queue("others", 4_000);
    let plan = |name: &str, shape| Plan {
        settings: settings(name, 4),
        shape,
        endpoint: Arc::clone(&endpoint),
        limits: limits(100),
    };
    let (mine, others) = (plan("mine", 0), plan("others", 0));
    it.follow(vec![mine.clone(), others.clone()]).await;
    it.pass(MINUTE).await;
    let of_others = || endpoint.posts().iter().filter(|post| post.body.starts_with("others")).count();
    for shape in 1..=100 {
        let before = of_others();
        it.follow(vec![Plan { shape, ..mine.clone() }, others.clone()]).await;
        it.pass(5 * SECOND).await;
        let done = of_others() - before;
        assert!((17..=20).contains(&done), "{done} of 20 in five seconds");
    }
    assert_eq!(it.crew.maker().made.load(Ordering::SeqCst), 102);
    assert_eq!(it.running.listeners().len(), 2);
    it.end().await.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_long_after_its_time_out_is_cut_off_and_its_successor_starts() {
    let mut it = Reloading::new(521);
    let (hangs, works) = (ScriptedEndpoint::always(200, 3_600_000), ScriptedEndpoint::always(200, 100));
    it.queue("mine", 20);
    let old =
        Plan { settings: settings("mine", 5), shape: 0, endpoint: Arc::clone(&hangs), limits: limits(5) };
    let mut old_settings = old.settings.clone();
    old_settings.timeout = MINUTE;
    it.follow(vec![Plan { settings: old_settings, ..old.clone() }]).await;
    it.pass(30 * SECOND).await;
    assert_eq!(hangs.running(), 5);
    let new = Plan { shape: 1, endpoint: Arc::clone(&works), ..old };
    assert_eq!(it.follow(vec![new]).await["mine"], Became::Replaced);
    it.pass(74 * SECOND).await;
    assert_eq!(
        (hangs.running(), works.posts().len()),
        (5, 0),
        "the old one has its time-out and a quarter of a minute"
    );
    it.pass(6 * SECOND).await;
    assert!(hangs.running() == 0 && works.posts().len() >= 10, "{} posted", works.posts().len());
    it.until_empty("mine").await;
    let process = it.end().await;
    process.assert_balanced();
    assert_eq!(process.count("messages_deferred_total", ""), 5, "their outcome is unknown");
}

#[tokio::test(start_paused = true)]
async fn a_reload_cuts_off_no_post_that_keeps_to_its_time_out_however_short_a_stop_may_be() {
    let mut it = Reloading::new(523);
    let (slow, works) = (ScriptedEndpoint::always(200, 400_000), ScriptedEndpoint::always(200, 100));
    it.queue("mine", 5);
    let old =
        Plan { settings: settings("mine", 5), shape: 0, endpoint: Arc::clone(&slow), limits: limits(5) };
    let mut old_settings = old.settings.clone();
    old_settings.timeout = 435 * SECOND;
    it.follow(vec![Plan { settings: old_settings, ..old.clone() }]).await;
    it.pass(30 * SECOND).await;
    assert_eq!(slow.running(), 5);
    it.follow(vec![Plan { shape: 1, endpoint: Arc::clone(&works), ..old }]).await;
    it.pass(380 * SECOND).await;
    it.until_empty("mine").await;
    let process = it.end().await;
    process.assert_balanced();
    assert_eq!((process.count("messages_deferred_total", ""), works.posts().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_is_added_one_removed_and_one_comes_back_before_it_has_gone() {
    let mut it = Reloading::new(522);
    let endpoint = ScriptedEndpoint::always(200, 10_000);
    let plan = |name: &str| Plan {
        settings: settings(name, 2),
        shape: 0,
        endpoint: Arc::clone(&endpoint),
        limits: limits(100),
    };
    for name in ["a", "b", "c"] {
        it.queue(name, 200);
    }
    it.follow(vec![plan("a"), plan("b")]).await;
    it.pass(30 * SECOND).await;
    let became = it.follow(vec![plan("b"), plan("c")]).await;
    assert_eq!(became["a"], Became::Removed);
    assert_eq!((became["b"], became["c"]), (Became::Kept, Became::Added));
    let names = |it: &Reloading| it.running.listeners().iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&it), ["a", "b", "c"], "what drains is shown");
    assert_eq!(it.follow(vec![plan("a"), plan("b"), plan("c")]).await["a"], Became::Added);
    it.pass(MINUTE).await;
    assert_eq!(it.crew.maker().made.load(Ordering::SeqCst), 4, "a runs a second time");
    assert_eq!(it.follow(vec![plan("b")]).await.len(), 3);
    it.pass(MINUTE).await;
    assert_eq!(names(&it), ["b"]);
    it.end().await.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_was_told_by_hand_outlives_a_reload_that_is_about_something_else() {
    let mut it = Reloading::new(523);
    let endpoint = ScriptedEndpoint::always(200, 1_000);
    it.queue("mine", 5_000);
    let plan = |workers, shape| Plan {
        settings: settings("mine", workers),
        shape,
        endpoint: Arc::clone(&endpoint),
        limits: limits(100),
    };
    it.follow(vec![plan(8, 0)]).await;
    let told = |it: &Reloading| it.running.listener("mine").unwrap().handle.controls();
    it.running.listener("mine").unwrap().handle.change(|told| (told.workers, told.paused) = (2, true));
    assert_eq!(it.follow(vec![plan(8, 0)]).await["mine"], Became::Kept);
    assert_eq!((told(&it).workers, told(&it).paused), (2, true));
    assert_eq!(it.follow(vec![plan(12, 0)]).await["mine"], Became::Adjusted);
    assert_eq!((told(&it).workers, told(&it).paused), (12, true), "the file has another number");
    assert_eq!(it.follow(vec![plan(12, 1)]).await["mine"], Became::Replaced);
    it.pass(MINUTE).await;
    assert_eq!(
        (told(&it).workers, told(&it).paused),
        (12, true),
        "who paused it did not mean one self of it"
    );
    assert_eq!(endpoint.running(), 0);
    // Drained by hand it stays ended, whatever is reloaded, until it is started.
    let (ended, has_ended) = oneshot::channel();
    it.crew.drain("mine", MINUTE, ended);
    it.pass(MINUTE).await;
    has_ended.await.unwrap();
    it.follow(vec![plan(3, 2)]).await;
    it.pass(MINUTE).await;
    assert_eq!(endpoint.running(), 0);
    it.crew.start("mine").await;
    it.pass(MINUTE).await;
    assert_eq!((endpoint.running(), told(&it).workers), (3, 3), "by the newest configuration");
    it.end().await.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_successor_at_the_same_queue_posts_nothing_again_whose_delete_failed() {
    let mut it = Reloading::new(524);
    let endpoint = ScriptedEndpoint::always(200, 100);
    it.queue("mine", 5);
    let plan = |shape| Plan {
        settings: settings("mine", 8),
        shape,
        endpoint: Arc::clone(&endpoint),
        limits: limits(100),
    };
    *it.crew.maker().faults.lock().unwrap() = Faults { deletes: Deletes::Denied, ..Faults::default() };
    it.follow(vec![plan(0)]).await;
    it.pass(MINUTE).await;
    assert_eq!(endpoint.posts().len(), 5);
    *it.crew.maker().faults.lock().unwrap() = Faults::default();
    assert_eq!(it.follow(vec![plan(1)]).await["mine"], Became::Replaced);
    it.until_empty("mine").await;
    assert_eq!((endpoint.posts().len(), it.crew.maker().made.load(Ordering::SeqCst)), (5, 2));
    it.end().await.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_is_told_while_a_listener_is_replaced_is_told_to_its_successor() {
    let mut it = Reloading::new(525);
    let endpoint = ScriptedEndpoint::always(200, 30_000);
    it.queue("mine", 100);
    let plan = |shape| Plan {
        settings: settings("mine", 4),
        shape,
        endpoint: Arc::clone(&endpoint),
        limits: limits(100),
    };
    it.follow(vec![plan(0)]).await;
    it.pass(SECOND).await;
    it.follow(vec![plan(1)]).await;
    let (before, now) = it.crew.tell("mine", |told| (told.paused, told.workers) = (true, 2)).unwrap();
    assert_eq!((before.paused, now.paused), (false, true));
    it.pass(2 * MINUTE).await;
    let told = it.running.listener("mine").unwrap().handle.controls();
    assert_eq!((told.paused, told.workers, endpoint.running()), (true, 2, 0));
    assert_eq!((it.crew.maker().made.load(Ordering::SeqCst), endpoint.posts().len()), (2, 4));
    // One that was drained is told nothing; started while it ends, it is not paused any more.
    let (ended, _) = oneshot::channel();
    it.crew.drain("mine", MINUTE, ended);
    assert_eq!(it.crew.tell("mine", |told| told.paused = false), None);
    assert_eq!(it.crew.start("mine").await, Told::Ending);
    it.pass(SECOND).await;
    assert!(!it.running.listener("mine").unwrap().handle.controls().paused);
    it.end().await.assert_balanced();
}
