//! express-rate-limit: 20 requests in each window of four seconds. It says so in `RateLimit` headers, and with a refusal
//! in `Retry-After`.

use super::Case;
use super::server::Kind;

pub const CASES: [Case; 3] = [
    Case::of_twenty_in_four_seconds(
        "express-rate-limit 20 per 4 s, headers of draft 6",
        Kind::Express { headers: "draft-6" },
    ),
    Case::of_twenty_in_four_seconds(
        "express-rate-limit 20 per 4 s, headers of draft 7",
        Kind::Express { headers: "draft-7" },
    ),
    Case::of_twenty_in_four_seconds(
        "express-rate-limit 20 per 4 s, headers of draft 8",
        Kind::Express { headers: "draft-8" },
    ),
];
