//! Flask-Limiter: 20 requests within any four seconds. It says so in `X-RateLimit` headers, and in `Retry-After`, which
//! comes with successes too.

use std::time::Duration;

use super::Case;
use super::server::Kind;

/// How many times as long as by hand. The goal is 1.25.
const AT_MOST: f64 = 1.6;

pub const CASE: Case = Case {
    name: "Flask-Limiter 20 per 4 s",
    limiter: Kind::Flask,
    takes: Duration::ZERO,
    refuses_with: 429,
    messages: 60,
    processes: 1,
    by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
    at_most: AT_MOST,
};
