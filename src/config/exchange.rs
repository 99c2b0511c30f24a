//! The keys that say how messages become requests, and which answers are a success.

use std::sync::Arc;
use std::time::Duration;

use crate::config::file::Listener;
use crate::config::problem::{Fault, Report};
use crate::config::{rules, value};
use crate::exchange::{Algorithm, Exchange, Raw, Single, Success, Unwrap};
use crate::policy::outcome::StatusSet;

/// How much earlier than our timeout the algorithm's server must answer.
const ALGORITHM_MARGIN: Duration = Duration::from_secs(15);

/// The exchange of a listener.
pub(super) fn exchange(
    written: &Listener,
    name: &str,
    queue: &str,
    success: Success,
    unwrap: Unwrap,
) -> Arc<dyn Exchange> {
    let raw = if written.algorithm.is_some() { Raw::algorithm } else { Raw::new };
    Arc::new(Single::new(raw(name, queue), success).unwrapping(unwrap))
}

/// Which answers mean that the work is done.
pub(super) fn success(written: &Listener, report: &mut Report) -> Success {
    let default = Success::default();
    let errors = |text: &str| value::one_of(text, &[("permanent", true), ("success", false)]);
    let statuses = success_statuses(written, report).unwrap_or(default.statuses);
    let error_in_body = report.parse(written.error_in_body.as_ref(), errors);
    let error_in_body_is_failure = error_in_body.unwrap_or(default.error_in_body_is_failure);
    Success { statuses, error_in_body_is_failure }
}

fn success_statuses(written: &Listener, report: &mut Report) -> Option<StatusSet> {
    let mut all = Vec::new();
    for item in written.success.as_deref()? {
        let ranges = |text: &str| {
            let ranges = value::statuses(text, false)?;
            ranges.iter().try_for_each(|&(low, high)| rules::success_leaves_out_failures(low, high))?;
            Ok(ranges)
        };
        for (low, high) in report.parse(Some(item), ranges).unwrap_or_default() {
            report.advise(Some(item), rules::success_leaves_out_refusals(low, high));
            all.push((low, high));
        }
    }
    Some(StatusSet::new(all))
}

/// Path and query of the algorithm's call, or the listener's `path`.
pub(super) fn algorithm_path(written: &Listener, timeout: Duration, report: &mut Report) -> Option<String> {
    let algorithm = report.parse(written.algorithm.as_ref(), |text| {
        text.parse::<Algorithm>().map_err(|_| {
            Fault::new("is no algorithm: OWNER/NAME or OWNER/NAME/VERSION")
                .fix("VERSION is a version number (1.2.0), a 40-digit hash or latestPrivate")
        })
    });
    let void = report.parse(written.output.as_ref(), |text| value::one_of(text, &[("void", "&output=void")]));
    let is_algorithm = written.algorithm.is_some();
    report.require(written.output.as_ref(), rules::goes_with("algorithm", is_algorithm));
    report.require(written.path.as_ref(), rules::path_is_not_of_an_algorithm(is_algorithm));
    let server = timeout.saturating_sub(ALGORITHM_MARGIN).max(Duration::from_secs(1));
    algorithm.map(|algorithm| algorithm.path_and_query(server) + void.unwrap_or_default())
}
