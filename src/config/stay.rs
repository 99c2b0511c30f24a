//! The keys that say how long messages are hidden, and how long they may stay in the queue.

use std::time::Duration;

use crate::config::file::Listener;
use crate::config::problem::{Fault, Report};
use crate::config::{rules, value};
use crate::policy::visibility::CEILING;

const SECOND: Duration = Duration::from_secs(1);
/// Below it a lease could end between two extensions: the last one is sent 20 s before the end.
pub(super) const VISIBILITY_MIN: Duration = Duration::from_secs(30);
/// SQS keeps messages for at most 14 days (`MessageRetentionPeriod`).
pub(super) const RETENTION_MAX: Duration = Duration::from_hours(14 * 24);

/// How long a receive hides messages, in whole seconds.
pub(super) fn visibility(written: &Listener, report: &mut Report) -> Option<Duration> {
    report.parse(written.visibility_timeout.as_ref(), |text| {
        let visibility = whole_seconds(value::duration(text, Duration::ZERO, Duration::MAX)?)?;
        if (VISIBILITY_MIN..=CEILING).contains(&visibility) {
            return Ok(visibility);
        }
        let longest = humantime::format_duration(CEILING);
        Err(Fault::new(format!("is out of range: 30s to {longest}")).fix(
            "a message in flight is extended by this time, at the latest 20 s before its end, and SQS counts 12h at most",
        ))
    })
}

/// How long a deferred message is hidden, whatever its receive count.
pub(super) fn retry_delay(written: &Listener, timeout: Duration, report: &mut Report) -> Option<Duration> {
    let delay = |text: &str| value::duration(text, SECOND, value::TWELVE_HOURS);
    let delay = report.parse(written.retry_delay.as_ref(), delay)?;
    report.advise(written.retry_delay.as_ref(), rules::pause_fits_after_request(delay, timeout));
    Some(delay)
}

/// The age since its first receive at which a message is deleted without a POST.
pub(super) fn retention(written: &Listener, report: &mut Report) -> Option<Duration> {
    report.parse(written.retention.as_ref(), |text| value::duration(text, SECOND, RETENTION_MAX))
}

fn whole_seconds(time: Duration) -> Result<Duration, Fault> {
    if time.subsec_nanos() == 0 { Ok(time) } else { Err(Fault::new("is not in whole seconds")) }
}
