//! Flask-Limiter: 20 requests within any four seconds. It says so in `X-RateLimit` headers, and in `Retry-After`, which
//! comes with successes too.

use super::Case;
use super::server::Kind;

pub const CASE: Case = Case::of_twenty_in_four_seconds("Flask-Limiter 20 per 4 s", Kind::Flask);
