//! express-rate-limit: 20 requests in each window of four seconds. It says so in `RateLimit` headers, and with a refusal
//! in `Retry-After`.

use std::time::Duration;

use super::Case;
use super::server::Kind;

/// How many times as long as by hand. The goal is 1.25.
const AT_MOST: f64 = 1.6;

const DRAFT_6: Case = Case {
    name: "express-rate-limit 20 per 4 s, headers of draft 6",
    limiter: Kind::Express { headers: "draft-6" },
    takes: Duration::ZERO,
    refuses_with: 429,
    messages: 60,
    processes: 1,
    // A little below five: windows begin with a request, so 21 would fall into one now and then.
    by_hand: ", rate_limit: {per_second: 4.8, burst: 1}",
    at_most: AT_MOST,
};
const DRAFT_7: Case = Case {
    name: "express-rate-limit 20 per 4 s, headers of draft 7",
    limiter: Kind::Express { headers: "draft-7" },
    ..DRAFT_6
};
const DRAFT_8: Case = Case {
    name: "express-rate-limit 20 per 4 s, headers of draft 8",
    limiter: Kind::Express { headers: "draft-8" },
    ..DRAFT_6
};

pub const CASES: [Case; 3] = [DRAFT_6, DRAFT_7, DRAFT_8];
