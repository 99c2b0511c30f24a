//! The endpoint of an outage: its capacity over time, and counters instead of a record.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use queuepost::exchange::Request;
use queuepost::policy::outcome::{Answer, Attempt, Step, Unsent};
use queuepost::policy::retry_after::RetryAfter;
use queuepost::ports::{BoxFuture, Endpoint};
use tokio::time::Instant;

use super::lines;
use super::scenario::{BURST, Behaviour, SERVICE_SECONDS, Scenario};

/// Spread of the time a POST takes: sigma of the log-normal distribution.
const SERVICE_SIGMA: f64 = 0.3;
/// How fast an endpoint says no.
const REFUSES_IN: Duration = Duration::from_millis(5);
/// How the bodies of poisonous messages begin.
pub const POISON: &str = "poison";
/// When the listener gives up.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct EndpointModel {
    scenario: Scenario,
    started: Instant,
    max_receives: u32,
    /// Whether the consumer gives a message up for which nothing could be sent.
    gives_up_unsent: bool,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    running: usize,
    tokens: f64,
    tokens_at: Duration,
    counters: Counters,
}

/// What has been counted.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    pub posts: u64,
    /// POSTs that brought nothing.
    pub in_vain: u64,
    /// Successes by second since the start.
    pub successes: Vec<u32>,
    /// Receives of the messages that succeeded.
    pub receives: u64,
    pub first_success_after: Option<Duration>,
    pub last_success: Duration,
    /// Messages that failed on their final receive and were not posted again.
    pub doomed: HashSet<String>,
    /// Messages that succeeded.
    taken: HashSet<String>,
    /// POSTs of messages that had succeeded before.
    pub again: u64,
}

impl Counters {
    pub fn done(&self) -> u64 {
        self.successes.iter().map(|count| u64::from(*count)).sum()
    }

    /// The endpoint took a message.
    fn succeeded(&mut self, body: &str, receives: u32, at: Duration) {
        self.again += u64::from(!self.taken.insert(body.to_owned()));
        let second = at.as_secs() as usize;
        if self.successes.len() <= second {
            self.successes.resize(second + 1, 0);
        }
        self.successes[second] += 1;
        self.receives += u64::from(receives);
        self.last_success = at;
        self.doomed.remove(body);
    }
}

impl EndpointModel {
    pub fn new(scenario: Scenario, max_receives: u32, gives_up_unsent: bool, seed: u64) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            running: 0,
            tokens: BURST,
            tokens_at: Duration::ZERO,
            counters: Counters::default(),
        };
        Self { scenario, started: Instant::now(), max_receives, gives_up_unsent, state: Mutex::new(state) }
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn counters(&self) -> Counters {
        self.state.lock().unwrap().counters.clone()
    }

    /// Forgets what was counted so far.
    pub fn start_over(&self) {
        self.state.lock().unwrap().counters = Counters::default();
    }

    /// One POST of messages: the body of each, and how often it was received.
    pub async fn take(&self, messages: &[(&str, u32)]) -> Attempt {
        let is_poisoned = self.scenario.poison && messages.iter().any(|(body, _)| is_poison(body));
        let (takes, attempt) = if is_poisoned {
            (REFUSES_IN, answer(500, None))
        } else {
            self.state.lock().unwrap().begin(self.scenario.behaviour(self.elapsed()), self.elapsed())
        };
        let works = matches!(&attempt, Attempt::Answered(answer) if answer.status == 200);
        let running = works.then(|| Running(self));
        tokio::time::sleep(takes).await;
        drop(running);
        let at = self.elapsed();
        let counters = &mut self.state.lock().unwrap().counters;
        counters.posts += 1;
        if works {
            for (body, receives) in messages {
                counters.succeeded(body, *receives, at);
            }
            if at >= self.scenario.outage().1 {
                counters.first_success_after.get_or_insert(at);
            }
        } else {
            counters.in_vain += 1;
            let given_up = self.gives_up_unsent || !matches!(attempt, Attempt::Unsent(_));
            let final_ones =
                messages.iter().filter(|(_, receives)| given_up && *receives >= self.max_receives);
            counters.doomed.extend(final_ones.map(|(body, _)| (*body).to_owned()));
        }
        attempt
    }
}

impl State {
    /// What comes of a POST that begins now, and when.
    fn begin(&mut self, behaviour: Behaviour, now: Duration) -> (Duration, Attempt) {
        match behaviour {
            Behaviour::Takes(sessions) if self.running < sessions => self.work(),
            Behaviour::Takes(_) => (REFUSES_IN, answer(429, None)),
            Behaviour::Paced { per_second, retry_after } => {
                let saved = (now - self.tokens_at).as_secs_f64() * per_second;
                (self.tokens, self.tokens_at) = ((self.tokens + saved).min(BURST), now);
                if self.tokens < 1.0 {
                    return (REFUSES_IN, answer(429, retry_after));
                }
                self.tokens -= 1.0;
                self.work()
            }
            Behaviour::Answers { status, retry_after } => (REFUSES_IN, answer(status, retry_after)),
            Behaviour::Unreachable => (
                REFUSES_IN,
                Attempt::Unsent(Unsent { step: Step::Refused, text: "connection refused".to_owned() }),
            ),
            Behaviour::Hangs => (TIMEOUT, Attempt::TimedOut),
        }
    }

    fn work(&mut self) -> (Duration, Attempt) {
        self.running += 1;
        let (one, two) = (1.0 - self.random.f64(), self.random.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        let seconds = SERVICE_SECONDS * (SERVICE_SIGMA * normal - SERVICE_SIGMA * SERVICE_SIGMA / 2.0).exp();
        (Duration::from_secs_f64(seconds), answer(200, None))
    }
}

fn answer(status: u16, retry_after: Option<Duration>) -> Attempt {
    let retry_after = retry_after.map(RetryAfter::Delay);
    Attempt::Answered(Answer { status, retry_after, ..Answer::default() })
}

/// Whether a message is one that a scenario with poison refuses.
pub fn is_poison(body: &str) -> bool {
    body.starts_with(POISON)
}

/// Counts a running POST until it ends, however it ends.
struct Running<'a>(&'a EndpointModel);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().running -= 1;
    }
}

impl Endpoint for EndpointModel {
    fn post(&self, request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(async move {
            let body = std::str::from_utf8(&request.body).unwrap();
            match request.headers.get("x-queuepost-receive-count") {
                Some(receives) => self.take(&[(body, receives.to_str().unwrap().parse().unwrap())]).await,
                None => self.take(&lines::read(body)).await,
            }
        })
    }
}
