//! nginx: `limit_req` limits requests per second, `limit_conn` requests at once. Neither sends a header about it.

use std::time::Duration;

use super::server::Kind;
use super::{Case, GOAL};

const RATE: Case = Case {
    name: "nginx limit_req 5/s",
    limiter: Kind::Nginx {
        // A request that comes less than 200 ms after the last one let through is refused.
        http: "limit_req_zone $binary_remote_addr zone=rate:1m rate=5r/s;",
        location: "limit_req zone=rate; limit_req_status 429;",
    },
    takes: Duration::ZERO,
    refuses_with: 429,
    messages: 60,
    processes: 1,
    // One start every 222 ms: at 200 ms, each that comes a moment early would be refused.
    by_hand: ", rate_limit: {per_second: 4.5, burst: 1}",
    at_most: GOAL,
};
const RATE_WITH_BURST: Case = Case {
    name: "nginx limit_req 5/s, burst 5",
    limiter: Kind::Nginx {
        http: "limit_req_zone $binary_remote_addr zone=rate:1m rate=5r/s;",
        location: "limit_req zone=rate burst=5 nodelay; limit_req_status 429;",
    },
    by_hand: ", rate_limit: {per_second: 5, burst: 5}",
    ..RATE
};
const SHARED_RATE: Case = Case {
    name: "nginx limit_req 5/s, burst 5, two processes",
    processes: 2,
    by_hand: ", rate_limit: {per_second: 2.5, burst: 2}",
    ..RATE_WITH_BURST
};

const AT_ONCE: Case = Case {
    name: "nginx limit_conn 4",
    limiter: Kind::Nginx {
        http: "limit_conn_zone $binary_remote_addr zone=running:1m;",
        location: "limit_conn running 4; limit_conn_status 429;",
    },
    takes: Duration::from_millis(200),
    messages: 120,
    by_hand: ", sessions: 4",
    at_most: GOAL,
    ..RATE
};
const AT_ONCE_503: Case = Case {
    name: "nginx limit_conn 4, refusing with 503",
    limiter: Kind::Nginx {
        http: "limit_conn_zone $binary_remote_addr zone=running:1m;",
        // It is 503 unless told otherwise.
        location: "limit_conn running 4;",
    },
    refuses_with: 503,
    // A 503 hides its message for ten seconds. With fewer messages the first refusal would be all that counts. With more the
    // second: five at once are tried again after some 200.
    messages: 200,
    ..AT_ONCE
};

pub const OF_RATE: [Case; 3] = [RATE, RATE_WITH_BURST, SHARED_RATE];
pub const OF_REQUESTS_AT_ONCE: [Case; 2] = [AT_ONCE, AT_ONCE_503];
