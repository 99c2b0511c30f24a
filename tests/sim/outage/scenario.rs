//! The scenarios: what the endpoint does, and from when to when.
//!
//! Each has three parts: before, the outage, after. An endpoint that is up takes 20 POSTs at once.

use std::time::Duration;

/// POSTs an endpoint that is up takes at once.
pub const SESSIONS: usize = 20;
/// Mean time such a POST takes, in seconds.
pub const SERVICE_SECONDS: f64 = 0.2;
/// Starts a paced endpoint saves up.
pub const BURST: f64 = 50.0;

/// What an endpoint does to a POST.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// Takes so many at once, and answers the others 429.
    Takes(usize),
    /// Takes so many a second (a token bucket that holds [`BURST`]), and answers the others 429.
    Paced { per_second: f64, retry_after: Option<Duration> },
    /// Answers everything with this status.
    Answers { status: u16, retry_after: Option<Duration> },
    /// Refuses the connection.
    Unreachable,
    /// Takes the request and does not answer.
    Hangs,
}

impl Behaviour {
    /// Messages per second it can do.
    pub fn capacity(self) -> f64 {
        match self {
            Self::Takes(sessions) => sessions as f64 / SERVICE_SECONDS,
            Self::Paced { per_second, .. } => per_second,
            Self::Answers { .. } | Self::Unreachable | Self::Hangs => 0.0,
        }
    }
}

/// What the POSTs in vain of a scenario met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 429.
    Throttled,
    /// Something else.
    Other(&'static str),
}

/// One scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// For the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub refusal: Refusal,
    /// Seconds of an endpoint that is up.
    pub before: u64,
    pub outage: Behaviour,
    /// How many seconds that lasts.
    pub lasts: u64,
    /// Seconds of an endpoint that is up.
    pub after: u64,
    /// Workers, and sessions, of each process.
    pub workers: usize,
    /// Whether some messages are answered 500 whatever happens to the others.
    pub poison: bool,
}

/// Workers of a process, where it is not about their number.
const WORKERS: usize = 64;
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
        workers: WORKERS,
        poison: false,
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
    Scenario { refusal, outage, lasts, ..throttles(name, title, None) }
}

const fn paced(name: &'static str, title: &'static str, retry_after: Option<Duration>) -> Scenario {
    let outage = Behaviour::Paced { per_second: 50.0, retry_after };
    Scenario { before: 0, outage, lasts: 10 * MINUTES, after: 0, ..throttles(name, title, None) }
}

const fn answers(status: u16) -> Behaviour {
    Behaviour::Answers { status, retry_after: None }
}

const CAPACITY: Scenario = Scenario {
    before: 200,
    outage: Behaviour::Takes(5),
    lasts: 200,
    after: 200,
    ..throttles("capacity", "20 at once, then 5, then 20 again: 200 s each", None)
};

/// Nothing happens to an endpoint that takes so many at once.
const fn up(name: &'static str, title: &'static str, sessions: usize, lasts: u64) -> Scenario {
    Scenario {
        before: 0,
        outage: Behaviour::Takes(sessions),
        lasts,
        after: 0,
        ..throttles(name, title, None)
    }
}

/// Those of FIFO queues.
pub const OF_FIFO: [Scenario; 4] = [
    throttles("throttled", "429 for an hour, without Retry-After", None),
    fails("deploy", "503 for ten minutes (a deploy)", "503", answers(503), 10 * MINUTES),
    CAPACITY,
    Scenario {
        refusal: Refusal::Other("500"),
        poison: true,
        ..up(
            "poison",
            "the first message of one group in a thousand is always answered 500",
            SESSIONS,
            10 * MINUTES,
        )
    },
];

/// Those of batches. A poison message fails every POST that carries it, and the answer does not say which one failed.
pub const OF_BATCHES: [Scenario; 4] = [
    Scenario { title: "an endpoint that takes 20 POSTs at once", ..CALM[0] },
    Scenario { title: "one message in a thousand fails every POST that carries it: 500", ..OF_FIFO[3] },
    OF_FIFO[0],
    OF_FIFO[1],
];

/// Those for mechanisms alone: what one costs or saves while nothing is wrong, or where refusals cost long pauses.
pub const CALM: [Scenario; 3] = [
    up("calm", "an endpoint that takes 20 at once, for two minutes", SESSIONS, 2 * MINUTES),
    Scenario {
        workers: 512,
        ..up("fast", "an endpoint that takes 512 at once, for 15 seconds, with 512 workers", 512, 15)
    },
    paced("paced-5", "50 a second for ten minutes, with Retry-After: 5", Some(Duration::from_secs(5))),
];

/// Those of standard queues, in the order of the page.
pub const SCENARIOS: [Scenario; 11] = [
    throttles("throttled", "429 for an hour, without Retry-After", None),
    throttles("throttled-30", "429 for an hour, with Retry-After: 30", Some(Duration::from_secs(30))),
    throttles("throttled-1", "429 for an hour, with Retry-After: 1", Some(Duration::from_secs(1))),
    fails("dead", "connection refused for an hour", "refused", Behaviour::Unreachable, HOUR),
    fails("hanging", "no answer within 60 s, for an hour", "timed out", Behaviour::Hangs, HOUR),
    fails("deploy", "503 for ten minutes (a deploy)", "503", answers(503), 10 * MINUTES),
    fails("wrong-key", "401 for an hour (a wrong key)", "401", answers(401), HOUR),
    CAPACITY,
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

    /// Whether the endpoint still takes something during the outage.
    pub fn is_partial(&self) -> bool {
        self.outage.capacity() > 0.0
    }

    /// What the endpoint does at a time.
    pub fn behaviour(&self, at: Duration) -> Behaviour {
        let (from, to) = self.outage();
        if (from..to).contains(&at) { self.outage } else { Behaviour::Takes(SESSIONS) }
    }
}
