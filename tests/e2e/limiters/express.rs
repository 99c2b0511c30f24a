//! express-rate-limit: 20 requests in each window of four seconds. It says so in `RateLimit` headers, and with a refusal
//! in `Retry-After`.

use std::time::Duration;

use super::server::Kind;
use super::{Case, assert_about_as_fast_as_by_hand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_express_rate_limit_messages_go_about_as_fast_as_with_its_rate_written_by_hand() {
    let draft_6 = Case {
        name: "express-rate-limit 20 per 4 s, headers of draft 6",
        limiter: Kind::Express { headers: "draft-6" },
        takes: Duration::ZERO,
        refuses_with: 429,
        messages: 60,
        processes: 1,
        // A little below five: windows begin with a request, so 21 would fall into one now and then.
        by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
        at_most: 6.0,
    };
    let draft_7 = Case {
        name: "express-rate-limit 20 per 4 s, headers of draft 7",
        limiter: Kind::Express { headers: "draft-7" },
        ..draft_6
    };
    let draft_8 = Case {
        name: "express-rate-limit 20 per 4 s, headers of draft 8",
        limiter: Kind::Express { headers: "draft-8" },
        ..draft_6
    };
    assert_about_as_fast_as_by_hand(&[draft_6, draft_7, draft_8]).await;
}
