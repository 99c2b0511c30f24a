//! Flask-Limiter: 20 requests within any four seconds. It says so in `X-RateLimit` headers, and in `Retry-After`, which
//! comes with successes too.

use std::time::Duration;

use super::server::Kind;
use super::{Case, assert_about_as_fast_as_by_hand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_flask_limiter_messages_go_about_as_fast_as_with_its_rate_written_by_hand() {
    let case = Case {
        name: "Flask-Limiter 20 per 4 s",
        limiter: Kind::Flask,
        takes: Duration::ZERO,
        refuses_with: 429,
        messages: 60,
        processes: 1,
        by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
        at_most: 6.0,
    };
    assert_about_as_fast_as_by_hand(&[case]).await;
}
