//! Rate limiters by other authors, and the real binary without a word about their limits in its configuration.
//!
//! Each case has two runs side by side, with a limiter of its own each. One run is the program as it comes; the other
//! has the right `rate_limit` or `sessions` written by hand. Both deliver everything exactly once, and dead-letter
//! nothing. The program as it comes takes at most `at_most` times as long; the goal is 1.25. Times are only
//! compared within a case: how fast the machine is says nothing.
//!
//! - `express`: express-rate-limit under node, with each form of the `RateLimit` headers.
//! - `flask`: Flask-Limiter under Python.
//! - `haproxy`: a stick table that counts requests, refused ones too.
//! - `nginx`: `limit_req` and `limit_conn`, and two processes behind one `limit_req`.
//!
//! Helper: `server` starts the limiters. `.ci/limiters` installs them. One that is not installed is skipped by name,
//! except in CI.

mod express;
mod flask;
mod haproxy;
mod nginx;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use self::server::{Kind, Limiter};
use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

/// What a 429 hides a message for, in both runs. The five minutes of the default would hide how fast messages went:
/// one refusal more or less would be all that counts.
const THROTTLE_DELAY: &str = "1s";
/// How long a run may take in waits of [`PATIENCE`], whatever the ratio.
const WAITS_MAX: u32 = 4;
/// How many times as long as by hand the program may take, where headers tell of the rate.
const GOAL: f64 = 1.25;

/// A limiter, and what is sent through it.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    limiter: Kind,
    /// How long a request takes behind the limiter, where the limiter is a proxy.
    takes: Duration,
    /// The status of a refusal.
    refuses_with: u16,
    messages: usize,
    /// Processes of queuepost, on one queue.
    processes: usize,
    /// What an endpoint's configuration says where somebody knew the limit; it is per process.
    by_hand: &'static str,
    /// How many times as long the program may take as it comes.
    at_most: f64,
}

impl Case {
    /// A limiter without a backend that takes 20 requests in four seconds, and says so in headers.
    const fn of_twenty_in_four_seconds(name: &'static str, limiter: Kind) -> Self {
        Self {
            name,
            limiter,
            takes: Duration::ZERO,
            refuses_with: 429,
            messages: 60,
            processes: 1,
            // A little below five: at five, a request that comes a moment early would be the 21st.
            by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
            at_most: GOAL,
        }
    }
}

/// What a run took.
struct Run {
    seconds: f64,
    refusals: usize,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s, {} refusals", self.seconds, self.refusals)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_headers_tell_of_is_used_about_as_well_as_one_written_by_hand() {
    let [draft_6, draft_7, draft_8] = express::CASES;
    assert_about_as_fast_as_by_hand(&[draft_6, draft_7, draft_8, flask::CASE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_nothing_tells_of_is_used_about_as_well_as_one_written_by_hand() {
    let [rate, with_burst, shared] = nginx::OF_RATE;
    assert_about_as_fast_as_by_hand(&[rate, with_burst, shared, haproxy::CASE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_requests_at_once_is_used_about_as_well_as_one_written_by_hand() {
    assert_about_as_fast_as_by_hand(&nginx::OF_REQUESTS_AT_ONCE).await;
}

/// Judges the cases, all side by side; says what each took.
async fn assert_about_as_fast_as_by_hand(cases: &[Case]) {
    let mut judged = JoinSet::new();
    for case in cases.iter().copied().filter(|case| case.limiter.is_installed(case.name)) {
        judged.spawn(async move {
            let (by_hand, as_it_comes) = tokio::join!(run(case, case.by_hand), run(case, ""));
            let ratio = as_it_comes.seconds / by_hand.seconds;
            let name = case.name;
            let line =
                format!("{name}: by hand {by_hand}; as it comes {as_it_comes}; {ratio:.2} times as long");
            // Past the test runner, which hides the output of passing tests.
            std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
            (ratio > case.at_most).then(|| format!("{line}, not at most {}", case.at_most))
        });
    }
    let too_slow: Vec<String> = judged.join_all().await.into_iter().flatten().collect();
    assert!(too_slow.is_empty(), "{too_slow:#?}");
}

/// Sends all messages of a case through a new limiter; `settings` are more lines of the endpoint's configuration.
async fn run(case: Case, settings: &str) -> Run {
    let endpoint = HttpEndpoint::start(200, case.takes).await;
    let limiter = Limiter::start(case.limiter, &endpoint.url).await;
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    for number in 0..case.messages {
        queues.send("orders", &format!("m-{number}"));
    }
    let config = format!(
        "listeners: [{{name: orders, queue: '{queue}', endpoint: api, path: /work, \
         throttle_delay: {THROTTLE_DELAY}, receive_wait: 1s}}]\nendpoints: {{api: {{url: '{}'{settings}}}}}\n\
         admin: {{listen: 127.0.0.1:0}}\nlog: {{format: json}}\n",
        limiter.url
    );
    let path = limiter.folder.join("queuepost.yaml");
    std::fs::write(&path, config).unwrap();
    let args = ["run", "--config", path.to_str().unwrap()];
    let begun = Instant::now();
    let mut processes: Vec<Queuepost> = (0..case.processes).map(|_| Queuepost::start(&args, &[])).collect();
    for process in &mut processes {
        process.find_admin().await;
    }
    until_empty(&queues, case.name).await;
    let seconds = begun.elapsed().as_secs_f64();
    for process in &mut processes {
        let ended = process.stop().await;
        assert_eq!(ended.code, Some(0), "{}: {}", case.name, ended.output);
    }
    assert_eq!(queues.census("orders"), (0, 0, 0), "{}: visible, in flight, dead-lettered", case.name);
    Run { seconds, refusals: refusals(case, &limiter, &endpoint).await }
}

/// How often the limiter refused. Each message was let through exactly once, and there was no third answer.
async fn refusals(case: Case, limiter: &Limiter, endpoint: &HttpEndpoint) -> usize {
    let answers = limiter.answers(case.messages).await;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, message) in answers.iter().filter(|(status, _)| *status == 200) {
        *times.entry(message).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{}: delivered more than once: {twice:?}", case.name);
    assert_eq!(times.len(), case.messages, "{}: messages delivered", case.name);
    if case.limiter.is_proxy() {
        let bodies = endpoint.seen.bodies();
        assert_eq!((bodies.len(), endpoint.seen.count()), (case.messages, case.messages), "{}", case.name);
    }
    let refusals = answers.iter().filter(|(status, _)| *status == case.refuses_with).count();
    let others: Vec<_> =
        answers.iter().filter(|(status, _)| ![200, case.refuses_with].contains(status)).collect();
    assert!(others.is_empty(), "{}: other answers: {others:?}", case.name);
    refusals
}

async fn until_empty(queues: &QueueServer, name: &str) {
    let end = Instant::now() + PATIENCE * WAITS_MAX;
    loop {
        let (visible, in_flight, dead) = queues.census("orders");
        if visible + in_flight == 0 {
            return;
        }
        assert!(
            Instant::now() < end,
            "{name}: still {visible} visible, {in_flight} in flight, {dead} dead-lettered"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
