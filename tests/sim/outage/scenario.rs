//! The scenarios: how the endpoint behaves, and from when to when.
//!
//! Each has three parts: before, the outage, after. A healthy endpoint accepts 20 POSTs at once.

use std::time::Duration;

/// POSTs that a healthy endpoint accepts at once.
pub const SESSIONS: usize = 20;
/// Mean time such a POST takes, in seconds.
pub const SERVICE_SECONDS: f64 = 0.2;
/// Starts that a rate-limited endpoint saves up.
pub const BURST: f64 = 50.0;

/// How an endpoint treats a POST.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// Accepts so many at once, and answers the others 429.
    Takes(usize),
    /// Accepts so many a second (a token bucket of size [`BURST`]), and answers the others 429.
    Paced { per_second: f64, retry_after: Option<Duration> },
    /// Answers everything with this status.
    Answers { status: u16, retry_after: Option<Duration> },
    /// Refuses the connection.
    Unreachable,
    /// Accepts the request and does not answer.
    Hangs,
}

impl Behaviour {
    /// Messages per second that the endpoint accepts.
    pub fn capacity(self) -> f64 {
        match self {
            Self::Takes(sessions) => sessions as f64 / SERVICE_SECONDS,
            Self::Paced { per_second, .. } => per_second,
            Self::Answers { .. } | Self::Unreachable | Self::Hangs => 0.0,
        }
    }
}

/// The result of the failed POSTs of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 429.
    Throttled,
    /// Another result.
    Other(&'static str),
}

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// For the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub refusal: Refusal,
    /// Seconds of a healthy endpoint before the outage.
    pub before: u64,
    pub outage: Behaviour,
    /// How many seconds that lasts.
    pub lasts: u64,
    /// Seconds of a healthy endpoint after the outage.
    pub after: u64,
}

const MINUTES: u64 = 60;
const HOUR: u64 = 60 * MINUTES;

const fn throttles(name: &'static str, title: &'static str, retry_after: Option<Duration>) -> Scenario {
    let outage = Behaviour::Answers { status: 429, retry_after };
    Scenario {
        name,
        title,
        refusal: Refusal::Throttled,
        before: 60,
        outage,
        lasts: HOUR,
        after: 10 * MINUTES,
    }
}

const fn fails(
    name: &'static str,
    title: &'static str,
    met: &'static str,
    outage: Behaviour,
    lasts: u64,
) -> Scenario {
    let refusal = Refusal::Other(met);
    Scenario { name, title, refusal, before: 60, outage, lasts, after: 10 * MINUTES }
}

const fn paced(name: &'static str, title: &'static str, retry_after: Option<Duration>) -> Scenario {
    let outage = Behaviour::Paced { per_second: 50.0, retry_after };
    Scenario { name, title, refusal: Refusal::Throttled, before: 0, outage, lasts: 10 * MINUTES, after: 0 }
}

const fn answers(status: u16) -> Behaviour {
    Behaviour::Answers { status, retry_after: None }
}

/// All of them, in the order of the page.
pub const SCENARIOS: [Scenario; 11] = [
    throttles("throttled", "429 for an hour, without Retry-After", None),
    throttles("throttled-30", "429 for an hour, with Retry-After: 30", Some(Duration::from_secs(30))),
    throttles("throttled-1", "429 for an hour, with Retry-After: 1", Some(Duration::from_secs(1))),
    fails("dead", "connection refused for an hour", "refused", Behaviour::Unreachable, HOUR),
    fails("hanging", "no answer within 60 s, for an hour", "timed out", Behaviour::Hangs, HOUR),
    fails("deploy", "503 for ten minutes (a deploy)", "503", answers(503), 10 * MINUTES),
    fails("wrong-key", "401 for an hour (a wrong key)", "401", answers(401), HOUR),
    Scenario {
        name: "capacity",
        title: "20 at once, then 5, then 20 again: 200 s each",
        refusal: Refusal::Throttled,
        before: 200,
        outage: Behaviour::Takes(5),
        lasts: 200,
        after: 200,
    },
    paced("paced", "50 a second for ten minutes, without Retry-After", None),
    paced(
        "paced-half",
        "50 a second for ten minutes, with Retry-After: 0.5",
        Some(Duration::from_millis(500)),
    ),
    paced("paced-1", "50 a second for ten minutes, with Retry-After: 1", Some(Duration::from_secs(1))),
];

impl Scenario {
    /// Start and end of the outage.
    pub fn outage(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.before), Duration::from_secs(self.before + self.lasts))
    }

    /// When the last part ends.
    pub fn end(&self) -> Duration {
        Duration::from_secs(self.before + self.lasts + self.after)
    }

    /// Whether the endpoint still accepts something during the outage.
    pub fn is_partial(&self) -> bool {
        self.outage.capacity() > 0.0
    }

    /// How the endpoint behaves at a time.
    pub fn behaviour(&self, at: Duration) -> Behaviour {
        let (from, to) = self.outage();
        if (from..to).contains(&at) { self.outage } else { Behaviour::Takes(SESSIONS) }
    }
}
