//! nginx: `limit_req` limits requests per second, `limit_conn` requests at once. Neither sends a header about it.

use std::time::Duration;

use super::server::Kind;
use super::{Case, assert_about_as_fast_as_by_hand};

/// A request that comes less than 200 ms after the last one let through is refused.
const LIMIT_REQ: Kind = Kind::Nginx {
    http: "limit_req_zone $binary_remote_addr zone=rate:1m rate=5r/s;",
    location: "limit_req zone=rate; limit_req_status 429;",
};
/// Five requests may come early.
const LIMIT_REQ_BURST: Kind = Kind::Nginx {
    http: "limit_req_zone $binary_remote_addr zone=rate:1m rate=5r/s;",
    location: "limit_req zone=rate burst=5 nodelay; limit_req_status 429;",
};
const LIMIT_CONN: Kind = Kind::Nginx {
    http: "limit_conn_zone $binary_remote_addr zone=running:1m;",
    location: "limit_conn running 4; limit_conn_status 429;",
};
/// Refuses with 503, as nginx does unless told otherwise.
const LIMIT_CONN_503: Kind = Kind::Nginx {
    http: "limit_conn_zone $binary_remote_addr zone=running:1m;",
    location: "limit_conn running 4;",
};

const RATE: Case = Case {
    name: "nginx limit_req 5/s",
    limiter: LIMIT_REQ,
    takes: Duration::ZERO,
    refuses_with: 429,
    messages: 60,
    processes: 1,
    // One start every 208 ms: at exactly 200 ms, each that comes a moment early would be refused.
    by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
    at_most: 6.0,
};
const RATE_WITH_BURST: Case = Case {
    name: "nginx limit_req 5/s, burst 5",
    limiter: LIMIT_REQ_BURST,
    by_hand: ", rate_limit: {per_second: 5, burst: 5}",
    ..RATE
};
const AT_ONCE: Case = Case {
    name: "nginx limit_conn 4",
    limiter: LIMIT_CONN,
    takes: Duration::from_millis(100),
    messages: 300,
    by_hand: ", sessions: 4",
    ..RATE
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_limit_req_of_nginx_messages_go_about_as_fast_as_with_its_rate_written_by_hand() {
    let shared = Case {
        name: "nginx limit_req 5/s, burst 5, two processes",
        processes: 2,
        by_hand: ", rate_limit: {per_second: 2.5, burst: 2}",
        ..RATE_WITH_BURST
    };
    assert_about_as_fast_as_by_hand(&[RATE, RATE_WITH_BURST, shared]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_limit_conn_of_nginx_messages_go_about_as_fast_as_with_its_sessions_written_by_hand() {
    let by_default = Case {
        name: "nginx limit_conn 4, refusing with 503",
        limiter: LIMIT_CONN_503,
        refuses_with: 503,
        ..AT_ONCE
    };
    assert_about_as_fast_as_by_hand(&[AT_ONCE, by_default]).await;
}
