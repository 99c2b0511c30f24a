//! The endpoint behind a limiter, with counters instead of a record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuepost::exchange::Request;
use queuepost::policy::outcome::{Answer, Attempt};
use queuepost::ports::{BoxFuture, Endpoint};
use tokio::time::Instant;

use super::case::Case;
use super::limiter::{Counting, Headers, Limiter, Refusal};

/// Spread of the time a POST takes: sigma of the log-normal distribution.
const SERVICE_SIGMA: f64 = 0.3;
/// How fast an endpoint says no.
const REFUSES_IN: Duration = Duration::from_millis(5);

/// An endpoint that all processes share.
pub struct LimitedEndpoint {
    refusal: Refusal,
    headers: Headers,
    latency: Duration,
    /// Of the POSTs that it takes, the share that it answers 503 all the same.
    faults: f64,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    counting: Counting,
    running: usize,
    /// By second.
    seconds: Vec<Second>,
}

/// What happened within a second.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// Successes, by process.
    pub successes: Vec<u32>,
    pub posts: u32,
    pub refused: u32,
}

impl LimitedEndpoint {
    pub fn new(case: &Case) -> Arc<Self> {
        let Case { refusal, headers, latency, faults, .. } = *case;
        let state = State {
            random: fastrand::Rng::with_seed(case.seed),
            counting: Counting::new(case.limiter_at(Duration::ZERO)),
            running: 0,
            seconds: Vec::new(),
        };
        let state = Mutex::new(state);
        Arc::new(Self { refusal, headers, latency, faults, started: Instant::now(), state })
    }

    /// From now on it takes that.
    pub fn set_limiter(&self, limiter: Limiter) {
        self.state.lock().unwrap().counting.limiter = limiter;
    }

    pub fn seconds(&self) -> Vec<Second> {
        self.state.lock().unwrap().seconds.clone()
    }

    fn count(&self, at: Duration, count: impl FnOnce(&mut Second)) {
        let seconds = &mut self.state.lock().unwrap().seconds;
        let second = at.as_secs() as usize;
        if seconds.len() <= second {
            seconds.resize(second + 1, Second::default());
        }
        count(&mut seconds[second]);
    }

    async fn answer(&self, process: usize) -> Attempt {
        let now = self.started.elapsed();
        self.count(now, |second| second.posts += 1);
        let (taken, quota) = {
            let state = &mut *self.state.lock().unwrap();
            let taken = state.counting.take(now, state.running);
            state.running += usize::from(taken.is_ok());
            let taken = taken.map(|()| (state.service(self.latency), state.random.f64() < self.faults));
            (taken, state.counting.stated(self.headers, now))
        };
        let mut answer = self.take(process, now, taken).await;
        if let Attempt::Answered(answer) = &mut answer {
            answer.quota = quota;
        }
        answer
    }

    /// Takes a POST for so long, which fails then or does not; or refuses it, as the next is taken after that time.
    async fn take(
        &self,
        process: usize,
        now: Duration,
        taken: Result<(Duration, bool), Duration>,
    ) -> Attempt {
        match taken {
            Err(after) => {
                self.count(now, |second| second.refused += 1);
                tokio::time::sleep(REFUSES_IN.min(self.latency)).await;
                self.refusal.answer(after)
            }
            Ok((lasts, fails)) => {
                let running = Running(self);
                tokio::time::sleep(lasts).await;
                drop(running);
                if fails {
                    return Refusal::Unavailable.answer(Duration::ZERO);
                }
                self.count(self.started.elapsed(), |second| {
                    if second.successes.len() <= process {
                        second.successes.resize(process + 1, 0);
                    }
                    second.successes[process] += 1;
                });
                Attempt::Answered(Answer { status: 200, ..Answer::default() })
            }
        }
    }
}

impl State {
    fn service(&mut self, latency: Duration) -> Duration {
        let (one, two) = (1.0 - self.random.f64(), self.random.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        latency.mul_f64((SERVICE_SIGMA * normal - SERVICE_SIGMA * SERVICE_SIGMA / 2.0).exp())
    }
}

/// Counts a running POST until it ends, however it ends.
struct Running<'a>(&'a LimitedEndpoint);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().running -= 1;
    }
}

/// The endpoint as one process sees it.
pub struct From {
    pub endpoint: Arc<LimitedEndpoint>,
    pub process: usize,
}

impl Endpoint for From {
    fn post(&self, _request: Request) -> BoxFuture<'_, Attempt> {
        Box::pin(self.endpoint.answer(self.process))
    }
}
