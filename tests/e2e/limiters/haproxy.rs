//! `HAProxy`: a stick table counts requests over a sliding time, also refused ones, and sends no header about it.

use std::time::Duration;

use super::Case;
use super::server::Kind;

/// How many times as long as by hand. The goal is 1.25; measured are up to 1.39, since it counts refused requests as well.
const AT_MOST: f64 = 2.0;

/// Who is refused and comes again at once stays refused.
const STICK_TABLE: Kind = Kind::HaProxy {
    frontend: "stick-table type ip size 1k expire 10s store http_req_rate(2s)
            http-request track-sc0 src
            http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }",
};

pub const CASE: Case = Case {
    name: "HAProxy http_req_rate 10 per 2 s",
    limiter: STICK_TABLE,
    takes: Duration::ZERO,
    refuses_with: 429,
    messages: 60,
    processes: 1,
    by_hand: ", rate_limit: {per_second: 5, burst: 1}",
    at_most: AT_MOST,
};
