//! Every number of a gate, with its reason.

use std::time::Duration;

use super::pauses::Pauses;

/// The numbers of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// Fewest rejections in a row that close, unless only one POST may run at once: one may be chance.
    pub rejections_min: usize,
    /// Most: at a large limit a small backlog would be used up before as many were rejected as may run at once.
    pub rejections_max: usize,
    /// Refused credentials, or messages nobody takes at the listener's path, in a row that close.
    pub faults: usize,
    /// Times between probes.
    pub pauses: Pauses,
    /// Probes out at once while the endpoint hangs: a pause apart they cover a time-out of a minute and more.
    pub probes_max: usize,
    /// A probe without an answer for so long was taken. To connect takes 5 s at most, and who refuses is faster.
    pub taken_after: Duration,
    /// Between two rounds of receives that find no message.
    pub idle_pause: Duration,
    /// The same while messages on their final receive are kept here, at least: each round may bring one more.
    pub kept_pause: Duration,
    /// A message on its final receive is no probe for so long: another may be found, or arrive.
    pub patience: Duration,
    /// The same where no poller can look, because such messages hold all workers.
    pub patience_alone: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            rejections_min: 3,
            rejections_max: 20,
            faults: 5,
            pauses: Pauses::default(),
            probes_max: 4,
            taken_after: Duration::from_secs(10),
            idle_pause: Duration::from_secs(5),
            kept_pause: Duration::from_secs(20),
            patience: Duration::from_secs(3_600),
            patience_alone: Duration::from_secs(75),
        }
    }
}
