//! What the log says of an adaptive limit: what the endpoint takes, and which setting would have said so at once.
//!
//! How often it does is decided in `limit/sessions/news.rs`, for all listeners of the endpoint together.

use super::EventLog;
use crate::limit::{Constraint, LearnedLimit};

impl EventLog {
    /// A limit of the endpoint is known now, or has changed much.
    pub(crate) fn learned(&self, learned: &LearnedLimit) {
        let Some(constraint) = learned.constraint else { return };
        let LearnedLimit { at_once, per_second, last_refusal, .. } = *learned;
        let (endpoint, limited_by) = (self.endpoint.as_str(), learned.limited_by());
        let per_second = per_second.map(|rate| (rate * 1_000.0).round() / 1_000.0);
        let (reason, fix) = (last_refusal.map(|refusal| refusal.reason.label()), fix(constraint, learned));
        let words = match constraint {
            Constraint::Rate => "the endpoint limits POSTs per second",
            Constraint::Concurrency => "the endpoint limits POSTs at once",
        };
        tracing::info!(endpoint, limited_by, at_once, per_second, reason, fix, "adaptive limit: {words}");
    }
}

/// The setting that says so, a bit below what was found.
fn fix(constraint: Constraint, learned: &LearnedLimit) -> String {
    match constraint {
        Constraint::Concurrency => {
            let at_once = learned.at_once;
            let posts = if at_once == 1 { "POST" } else { "POSTs" };
            format!("takes about {at_once} {posts} at once: sessions: {at_once} would say so at once")
        }
        Constraint::Rate => {
            let rate = learned.per_second.unwrap_or_default();
            let (mut decimals, mut step) = (0, 1.0);
            // Rounded down by a fifth at most; the configuration allows five decimals.
            while step > rate / 5.0 && decimals < 5 {
                (decimals, step) = (decimals + 1, step / 10.0);
            }
            let advised = ((rate / step + 1e-6).floor() * step).max(step);
            let precision = decimals.max(usize::from(rate < 10.0));
            format!(
                "takes about {rate:.precision$}/s: rate_limit: {{per_second: {advised:.decimals$}}} would say so at once"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fix_is_a_setting_just_below_what_the_endpoint_takes() {
        for (rate, wanted) in [
            (47.31, "takes about 47/s: rate_limit: {per_second: 47} would say so at once"),
            (5.12, "takes about 5.1/s: rate_limit: {per_second: 5} would say so at once"),
            (2.999, "takes about 3.0/s: rate_limit: {per_second: 2.9} would say so at once"),
            (0.3, "takes about 0.30/s: rate_limit: {per_second: 0.30} would say so at once"),
            (0.016_66, "takes about 0.017/s: rate_limit: {per_second: 0.016} would say so at once"),
        ] {
            let learned = LearnedLimit {
                at_once: 20,
                per_second: Some(rate),
                constraint: Some(Constraint::Rate),
                is_found: true,
                last_refusal: None,
            };
            assert_eq!(fix(Constraint::Rate, &learned), wanted);
            let wanted = "takes about 20 POSTs at once: sessions: 20 would say so at once";
            assert_eq!(fix(Constraint::Concurrency, &learned), wanted);
        }
    }
}
