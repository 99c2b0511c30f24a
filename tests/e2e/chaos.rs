//! The real binary between a failing queue and a failing endpoint, while it is killed and restarted.
//!
//! Between the binary and each side is a [`Proxy`], whose recorded exchanges show what became of every
//! message. Nothing is lost, no deleted message is posted, and no message is deleted without a success. Every
//! duplicate has a reason: a fault lost its answer, or the process with the message in flight was killed.
//!
//! An ordinary run is short. `QUEUEPOST_CHAOS=60 cargo test --test it chaos -- --nocapture` keeps up the load
//! for 60 seconds and prints the figures. `QUEUEPOST_CHAOS_SEED=7` repeats the faults of a failure that
//! printed this seed.

mod history;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::history::{MessageHistory, posts};
use super::fault_proxy::{Fault, Proxy, Rates};
use super::process::{PATIENCE, Queuepost, until};
use super::servers::HttpEndpoint;
use crate::contract::server::{Kind, Server};

/// Load of an ordinary run.
const SECONDS: u64 = 4;
const MESSAGES: usize = 2_000;
/// Messages per minute of a long run.
const RATE: usize = 20_000;
/// How long a process runs at least before it is ended, and how many messages it posts meanwhile.
const LIFE_MILLIS: Range<u64> = 1_000..4_000;
const POSTS: usize = 100;
/// The same in a short run, so that it has several processes.
const SHORT_LIFE_MILLIS: Range<u64> = 300..1_200;
const BATCH: usize = 10;
const WORKERS: &str = "32";

/// The faults between the binary and its endpoint, and between it and its queue. They are rare enough that
/// the adaptive limit does not fall to one POST at a time.
const AT_ENDPOINT: Rates = &[
    (Fault::Delay, 20),
    (Fault::Slow, 20),
    (Fault::Reset, 3),
    (Fault::Unavailable, 5),
    (Fault::LostAnswer, 3),
    (Fault::CutAnswer, 3),
];
const AT_QUEUE: Rates = &[
    (Fault::Delay, 20),
    (Fault::Slow, 20),
    (Fault::Reset, 5),
    (Fault::Unavailable, 5),
    (Fault::LostAnswer, 5),
    (Fault::CutAnswer, 5),
];
/// Faults that cause no duplicates.
const SLOW_ONLY: Rates = &[(Fault::Delay, 50), (Fault::Slow, 50)];

/// Length and number of messages of this run, and the range of process lifetimes.
fn load() -> (Duration, usize, Range<u64>) {
    match number("QUEUEPOST_CHAOS") {
        Some(seconds) => (Duration::from_secs(seconds), RATE * seconds as usize / 60, LIFE_MILLIS),
        None => (Duration::from_secs(SECONDS), MESSAGES, SHORT_LIFE_MILLIS),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Queue, endpoint and the proxies before them.
struct Setup {
    name: &'static str,
    seed: u64,
    random: fastrand::Rng,
    client: Client,
    queue: String,
    dead: String,
    to_queue: Proxy,
    to_endpoint: Proxy,
    processes: usize,
    _endpoint: HttpEndpoint,
    _server: Server,
}

impl Setup {
    async fn set(kind: Kind, at_queue: Rates, at_endpoint: Rates) -> Option<Self> {
        let server = kind.start().await?;
        let seed = number("QUEUEPOST_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("{}: QUEUEPOST_CHAOS_SEED={seed}", kind.name());
        let client = server.client("queuepost");
        let create = async |name: &str, redrive: Option<String>| {
            let create = client.create_queue().queue_name(name);
            let attributes = redrive.map(|policy| [(QueueAttributeName::RedrivePolicy, policy)].into());
            create.set_attributes(attributes).send().await.unwrap().queue_url.unwrap()
        };
        let dead = create("chaos-dlq", None).await;
        let ask = client.get_queue_attributes().queue_url(&dead);
        let ask = ask.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
        let arn = &ask.attributes.unwrap()[&QueueAttributeName::QueueArn];
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"1000"}}"#);
        let queue = create("chaos", Some(policy)).await;
        let address = |url: &str| -> SocketAddr { url.split('/').nth(2).unwrap().parse().unwrap() };
        let to_queue = Proxy::start(address(&server.url), seed, at_queue).await;
        let endpoint = HttpEndpoint::start(200, Duration::from_millis(10)).await;
        let to_endpoint = Proxy::start(address(&endpoint.url), seed ^ 1, at_endpoint).await;
        Some(Self {
            name: kind.name(),
            seed,
            random: fastrand::Rng::with_seed(seed),
            client,
            queue,
            dead,
            to_queue,
            to_endpoint,
            processes: 0,
            _endpoint: endpoint,
            _server: server,
        })
    }

    /// Sends messages, evenly over a time, while other work goes on.
    fn send(&self, messages: usize, over: Duration) -> JoinSet<()> {
        let (client, queue) = (self.client.clone(), self.queue.clone());
        let mut sending = JoinSet::new();
        sending.spawn(async move {
            let start = Instant::now();
            for first in (0..messages).step_by(BATCH) {
                let entries = (first..messages.min(first + BATCH)).map(|number| {
                    let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
                    entry.message_body(format!("m-{number}")).build().unwrap()
                });
                let batch = client.send_message_batch().queue_url(&queue);
                let answer = batch.set_entries(Some(entries.collect())).send().await.unwrap();
                assert!(answer.failed.is_empty());
                tokio::time::sleep_until(start + over.mul_f64(first as f64 / messages as f64)).await;
            }
        });
        sending
    }

    /// Starts the next process; its POSTs carry its number in their path.
    async fn process(&mut self) -> Queuepost {
        self.processes += 1;
        let path = self.queue.splitn(4, '/').nth(3).unwrap();
        let queue = format!("http://{}/{path}", self.to_queue.address);
        let url = format!("http://{}/{}", self.to_endpoint.address, self.processes);
        // Far longer than any call takes here, because a timeout would cause a duplicate without a recorded
        // reason.
        let more = ["--workers", WORKERS, "--timeout", "10s", "--region", "us-east-1"];
        Queuepost::run(&queue, &url, &more).await
    }

    /// The life of a process: a random time, and until it has posted something.
    async fn run_process(&mut self, millis: Range<u64>) {
        let before = self.to_endpoint.count();
        sleep(Duration::from_millis(self.random.u64(millis))).await;
        // When so little is left, the run is nearly over anyway.
        let posted = until(|| (self.to_endpoint.count() >= before + POSTS).then_some(()));
        tokio::select! {
            posted = posted => assert!(posted.is_some(), "seed {}: nothing is posted any more", self.seed),
            () = self.until_few() => {}
        }
    }

    /// Waits until the queue has few visible messages.
    async fn until_few(&self) {
        while self.depth(&self.queue).await.0 > POSTS {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Counts of messages visible and in flight.
    async fn depth(&self, queue: &str) -> (usize, usize) {
        let ask = self.client.get_queue_attributes().queue_url(queue);
        let attributes =
            ask.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
        let number = |name| attributes[&name].parse().unwrap();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Waits until nothing is left, as long as the number of messages falls.
    async fn until_empty(&self, bridge: &Queuepost) {
        let (mut least, mut end) = (usize::MAX, Instant::now() + PATIENCE);
        loop {
            let (visible, in_flight) = self.depth(&self.queue).await;
            if visible + in_flight == 0 {
                return;
            }
            if visible + in_flight < least {
                (least, end) = (visible + in_flight, Instant::now() + PATIENCE);
            }
            assert!(Instant::now() < end, "seed {}: {least} are left\n{}", self.seed, bridge.output());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Makes messages in flight visible, as the end of their visibility would in half a minute or more.
    async fn let_go(&self) {
        let MessageHistory { handles, deleted, .. } = MessageHistory::of(&self.to_queue.exchanges());
        let there = handles.into_iter().filter(|(_, body)| !deleted.contains_key(body));
        let handles: Vec<String> = there.map(|(handle, _)| handle).collect();
        for handles in handles.chunks(BATCH) {
            let entries = handles.iter().enumerate().map(|(id, handle)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
                entry.receipt_handle(handle).visibility_timeout(0).build().unwrap()
            });
            let change = self.client.change_message_visibility_batch().queue_url(&self.queue);
            // Expired handles are refused, each as an entry of its own.
            change.set_entries(Some(entries.collect())).send().await.ok();
        }
    }
}

/// Kills, faults and restarts for as long as the load lasts; then checks all promises.
async fn kills_and_faults(kind: Kind) {
    let (lasts, messages, lives) = load();
    let Some(mut setup) = Setup::set(kind, AT_QUEUE, AT_ENDPOINT).await else { return };
    let mut sending = setup.send(messages, lasts);
    let start = Instant::now();
    while start.elapsed() < lasts || !sending.is_empty() || setup.to_endpoint.count() < messages / 2 {
        let mut bridge = setup.process().await;
        setup.run_process(lives.clone()).await;
        bridge.kill().await;
        while let Some(sent) = sending.try_join_next() {
            sent.unwrap();
        }
    }
    let killed = setup.processes;
    let before_the_end = setup.depth(&setup.queue).await;
    setup.to_queue.be_harmless();
    setup.to_endpoint.be_harmless();
    setup.to_queue.until_quiet().await;
    setup.let_go().await;
    let mut last = setup.process().await;
    setup.until_empty(&last).await;
    let ended = last.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);

    let (calls, answers) = (setup.to_queue.exchanges(), setup.to_endpoint.exchanges());
    let (history, posts) = (MessageHistory::of(&calls), posts(&answers));
    let sent: BTreeSet<String> = (0..messages).map(|number| format!("m-{number}")).collect();
    let (mut by_kill, mut by_lost_answer) = (0, 0);
    let mut complaints = Vec::new();
    for body in &sent {
        let posts = posts.get(body).map(Vec::as_slice).unwrap_or_default();
        let accepted = posts.iter().find(|(_, post)| post.succeeded() && post.passed_on);
        match (accepted, history.asked.get(body)) {
            (None, _) => complaints.push(format!("{body} was never accepted")),
            (Some((_, post)), Some(asked)) if *asked < post.asked => {
                complaints.push(format!("{body} was deleted before it was accepted"));
            }
            (Some(_), None) => complaints.push(format!("{body} was not deleted")),
            (Some(_), Some(_)) => {}
        }
        let deleted = history.deleted.get(body);
        if posts.iter().any(|(_, post)| deleted.is_some_and(|deleted| post.asked > *deleted)) {
            complaints.push(format!("{body} was posted after it was deleted"));
        }
        for pair in posts.windows(2) {
            let [(first, post), (second, _)] = pair else { unreachable!() };
            if post.fault.loses_answer() {
                by_lost_answer += 1;
            } else if second > first {
                // One process at a time: the first was killed before the second began.
                by_kill += 1;
            } else {
                complaints.push(format!("{body} was posted twice by process {first}: {post:?}"));
            }
        }
    }
    assert_eq!(setup.depth(&setup.dead).await, (0, 0), "nothing is dead-lettered");
    println!(
        "{}: {messages} messages over {} s, {killed} kills, {} calls to the queue with {:?}, {} posts with {:?}, \
         at the end of the load {before_the_end:?} visible and in flight; posted again: {by_kill} by kills, \
         {by_lost_answer} by lost answers, {} unexplained",
        setup.name,
        lasts.as_secs(),
        calls.len(),
        setup.to_queue.faults(),
        answers.len(),
        setup.to_endpoint.faults(),
        complaints.len(),
    );
    assert!(complaints.is_empty(), "seed {}:\n{}", setup.seed, complaints.join("\n"));
    assert!(killed > 1 && !setup.to_queue.faults().is_empty() && setup.to_endpoint.faults().len() > 3);
}

/// Two processes, one of which is being replaced at any time.
async fn rolling_restarts(kind: Kind) {
    let (lasts, messages, lives) = load();
    let Some(mut setup) = Setup::set(kind, SLOW_ONLY, SLOW_ONLY).await else { return };
    let mut sending = setup.send(messages, lasts);
    let mut running = [setup.process().await, setup.process().await];
    let start = Instant::now();
    let mut stopped = 0;
    let mut stop = async |process: &mut Queuepost| {
        let ended = process.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        stopped += 1;
    };
    while start.elapsed() < lasts || !sending.is_empty() {
        setup.run_process(lives.clone()).await;
        running.rotate_left(1);
        stop(&mut running[0]).await;
        running[0] = setup.process().await;
        while let Some(sent) = sending.try_join_next() {
            sent.unwrap();
        }
    }
    // Both at once, when about half of the messages are left.
    for process in &mut running {
        stop(process).await;
    }
    let (left, in_flight) = setup.depth(&setup.queue).await;
    assert_eq!(in_flight, 0, "seed {}: nothing is left in flight", setup.seed);
    running = [setup.process().await, setup.process().await];
    setup.until_empty(&running[0]).await;
    for process in &mut running {
        stop(process).await;
    }
    let answers = setup.to_endpoint.exchanges();
    let posts = posts(&answers);
    let twice: Vec<_> = posts.iter().filter(|(_, posts)| posts.len() > 1).collect();
    println!(
        "{}: {messages} messages over {} s, {stopped} processes stopped, {} posts with {:?}, {left} left in the middle; \
         {} posted twice",
        setup.name,
        lasts.as_secs(),
        answers.len(),
        setup.to_endpoint.faults(),
        twice.len(),
    );
    assert!(twice.is_empty(), "seed {}: {twice:?}", setup.seed);
    assert_eq!(posts.len(), messages, "seed {}", setup.seed);
    assert_eq!(setup.depth(&setup.dead).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_faults_lose_nothing_and_duplicate_only_what_they_must_with_the_embedded_queue() {
    kills_and_faults(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_faults_lose_nothing_and_duplicate_only_what_they_must_with_elasticmq() {
    kills_and_faults(Kind::ElasticMq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_duplicate_nothing_and_leave_nothing_in_flight_with_the_embedded_queue() {
    rolling_restarts(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_duplicate_nothing_and_leave_nothing_in_flight_with_elasticmq() {
    rolling_restarts(Kind::ElasticMq).await;
}
