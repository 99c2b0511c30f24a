//! `HAProxy`: a stick table counts requests over a sliding time, also refused ones, and sends no header about it.

use std::time::Duration;

use super::server::Kind;
use super::{Case, assert_about_as_fast_as_by_hand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_stick_table_of_haproxy_messages_go_about_as_fast_as_with_its_rate_written_by_hand() {
    let frontend = "stick-table type ip size 1k expire 10s store http_req_rate(2s)
            http-request track-sc0 src
            http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }";
    let case = Case {
        name: "HAProxy http_req_rate 10 per 2 s",
        limiter: Kind::HaProxy { frontend },
        takes: Duration::ZERO,
        refuses_with: 429,
        messages: 60,
        processes: 1,
        by_hand: ", rate_limit: {per_second: 5, burst: 1}",
        at_most: 6.0,
    };
    assert_about_as_fast_as_by_hand(&[case]).await;
}
