//! The system's limits for this process, file descriptors and memory, and whether they suffice for its plan.
//!
//! The soft limit of descriptors is raised to the hard limit at the start. Systems keep it low only for the
//! sake of old programs. A container's memory limit is read from its control group, version 2 or 1. Without a
//! readable limit there is no warning. The worst case is measured (`docs/scaling.md`), not guaranteed.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Plan;
use crate::pipeline::ClaimChecks;

/// Descriptors beyond the workers' connections: SQS, admin port, files, the runtime itself.
const OTHER_DESCRIPTORS: u64 = 100;
/// Memory of an idle process, in KiB.
const BASE_KIB: u64 = 30 * 1024;
/// Memory for running receives with messages of 1 MiB, in KiB: up to 16 MiB raw, and the same parsed.
const RECEIVES_KIB: u64 = 64 * 1024;
/// Memory for a message of 1 MiB in one worker, in KiB: as received, as parsed, as posted.
const BODY_KIB: u64 = 1_536;
/// Memory that an endpoint can make one worker use, in KiB: 64 KiB of an answer, 400 KiB of client buffers,
/// TLS.
const ANSWER_KIB: u64 = 717;
/// Control groups write "no limit" as numbers near 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// The limits of this process; `None`: no limit, or unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// File descriptors.
    pub(super) descriptors: Option<u64>,
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
}

impl Limits {
    /// The limits after descriptors were raised as far as allowed.
    pub(super) fn raised() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum {
            // Some systems refuse their own hard limit; then the soft limit stays in force.
            setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
        }
        Self { descriptors: getrlimit(Resource::Nofile).current, memory: memory() }
    }

    /// The limits that [`Self::raised`] would set.
    pub(super) fn reachable() -> Self {
        Self { descriptors: getrlimit(Resource::Nofile).maximum, memory: memory() }
    }
}

/// A limit that may be too low.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shortage {
    /// The present limit and the need.
    pub(super) meaning: String,
    /// The fix.
    pub(super) fix: String,
}

/// The resources that the workers of `plan` may need beyond `limits`.
pub(super) fn shortages(plan: &Plan, limits: Limits) -> Vec<Shortage> {
    let workers: usize = plan.listeners.iter().map(|listener| listener.listener.workers).sum();
    let workers = u64::try_from(workers).unwrap_or(u64::MAX);
    let objects = plan.listeners.iter().map(|listener| {
        let size = listener.claim_check.as_ref().map_or(0, |objects| objects.max_size);
        let objects = ClaimChecks::objects_max(listener.listener.workers);
        u64::try_from(objects.saturating_mul(size) / 1024).unwrap_or(u64::MAX)
    });
    let objects = objects.fold(0, u64::saturating_add);
    let batches = plan.listeners.iter().map(|listener| {
        let bytes = listener.listener.batch_bytes_max(listener.target.answer_kept);
        u64::try_from(bytes / 1024).unwrap_or(u64::MAX)
    });
    let batches = batches.fold(0, u64::saturating_add);
    let shortages = [
        too_few_descriptors(workers, limits),
        too_little_memory(workers, limits),
        too_little_for_more(workers, objects, batches, limits),
    ];
    shortages.into_iter().flatten().collect()
}

fn too_few_descriptors(workers: u64, limits: Limits) -> Option<Shortage> {
    let needed = workers.saturating_add(OTHER_DESCRIPTORS);
    let most = limits.descriptors.filter(|most| *most < needed)?;
    Some(Shortage {
        meaning: format!(
            "{workers} workers may need {needed} file descriptors, and this process may have {most}: without a free \
             one no connection is made, neither to endpoints nor to SQS nor for probes"
        ),
        fix: format!(
            "raise the hard limit to {needed} (LimitNOFILE= of systemd, --ulimit nofile= of Docker, ulimit -Hn), or \
             lower workers"
        ),
    })
}

fn too_little_memory(workers: u64, limits: Limits) -> Option<Shortage> {
    let per_worker = BODY_KIB + ANSWER_KIB;
    let needed = workers.saturating_mul(per_worker).saturating_add(BASE_KIB + RECEIVES_KIB);
    let most = limits.memory.map(|bytes| bytes / 1024).filter(|most| *most < needed)?;
    let mib = |kib: u64| kib.div_ceil(1024);
    let enough = most.saturating_sub(BASE_KIB + RECEIVES_KIB) / per_worker;
    Some(Shortage {
        meaning: format!(
            "{workers} workers may need {} MiB of memory, and the container may use {} MiB: 94 MiB, and for each \
             worker 1.5 MiB for a message of 1 MiB and 0.7 MiB that an endpoint can make it hold",
            mib(needed),
            most / 1024
        ),
        fix: format!(
            "raise the memory limit to {} MiB, or lower workers to {enough}; if messages are smaller or endpoints \
             trusted, take the sum in docs/scaling.md",
            mib(needed),
        ),
    })
}

/// `objects` is what claim checks may be redeemed for at once, and `batches` what batches may hold, in KiB. Said only where
/// everything else has room.
fn too_little_for_more(workers: u64, objects: u64, batches: u64, limits: Limits) -> Option<Shortage> {
    let others = workers.saturating_mul(BODY_KIB + ANSWER_KIB).saturating_add(BASE_KIB + RECEIVES_KIB);
    let needed = others.saturating_add(objects).saturating_add(batches);
    let most = limits.memory.map(|bytes| bytes / 1024).filter(|most| (others..needed).contains(most))?;
    let (needed, most) = (needed.div_ceil(1024), most / 1024);
    let mib = |kib: u64| kib.div_ceil(1024);
    let of_objects = format!(
        "claim checks take {} MiB (an object of claim_check.max_size for each worker, and one for every two after S3 was down)",
        mib(objects)
    );
    let of_batches = format!(
        "batches take {} MiB (for each worker 6 MiB of messages, a request of them and its answer, and 12 MiB)",
        mib(batches)
    );
    let parts = [
        (objects, of_objects, "claim_check.max_size to what is sent"),
        (batches, of_batches, "batch.size to 1"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(kib, ..)| *kib > 0).collect();
    let what: Vec<_> = parts.iter().map(|(_, what, _)| what.as_str()).collect();
    let lower: Vec<_> = parts.iter().map(|(.., lower)| *lower).collect();
    Some(Shortage {
        meaning: format!(
            "of the {needed} MiB that this process may need, {}; and the container may use {most} MiB",
            what.join(", and ")
        ),
        fix: format!("raise the memory limit to {needed} MiB, or lower {}, or workers", lower.join(", or ")),
    })
}

/// The memory limit of this process, in bytes.
fn memory() -> Option<u64> {
    memory_limit(&|path| std::fs::read_to_string(path).ok())
}

/// The smallest limit of the process's control groups. A container often sees only its own group, as the
/// root.
fn memory_limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return None;
        };
        let limits = Path::new(group).ancestors().filter_map(|group| {
            let text = read(&Path::new(root).join(group).join(file))?;
            text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
        });
        limits.min()
    };
    groups.lines().filter_map(of_line).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn too_few_descriptors_and_too_little_memory_are_said_with_their_numbers() {
        let limits = Limits { descriptors: Some(256), memory: Some(256 * MIB) };
        assert_eq!(too_few_descriptors(156, limits), None);
        assert_eq!(too_little_memory(73, limits), None);
        let descriptors = too_few_descriptors(1_000, limits).expect("too few").meaning;
        assert!(descriptors.contains("may need 1100 file descriptors"), "{descriptors}");
        assert!(descriptors.contains("may have 256"), "{descriptors}");
        let Shortage { meaning, fix } = too_little_memory(330, limits).expect("too little");
        assert!(meaning.contains("330 workers may need 821 MiB"), "{meaning}");
        assert!(meaning.contains("may use 256 MiB"), "{meaning}");
        assert!(fix.contains("to 821 MiB, or lower workers to 73"), "{fix}");
    }

    #[test]
    fn claim_checks_and_batches_that_may_not_fit_are_said_with_their_numbers() {
        let limits = Limits { memory: Some(256 * MIB), ..Limits::default() };
        assert_eq!(too_little_for_more(16, 0, 0, limits), None);
        assert_eq!(too_little_for_more(16, 100 * 1024, 0, limits), None);
        let Shortage { meaning, fix } = too_little_for_more(16, 1024 * 1024, 0, limits).expect("too little");
        assert!(
            meaning.contains("of the 1154 MiB that this process may need, claim checks take 1024 MiB"),
            "{meaning}"
        );
        assert!(fix.contains("to 1154 MiB"), "{fix}");
        let batches = too_little_for_more(16, 0, 200 * 1024, limits).expect("too little").meaning;
        assert!(
            batches.contains("of the 330 MiB that this process may need, batches take 200 MiB"),
            "{batches}"
        );
        assert_eq!(too_little_for_more(16, 1024 * 1024, 0, Limits::default()), None);
    }

    #[test]
    fn without_a_known_limit_nothing_is_said() {
        assert_eq!(too_few_descriptors(10_000, Limits::default()), None);
        assert_eq!(too_little_memory(10_000, Limits::default()), None);
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(&|path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_limit_is_that_of_the_control_group_or_of_one_above_it() {
        const OWN: &str = "/proc/self/cgroup";
        // Version 2, with and without a namespace of its own.
        assert_eq!(limit(&[(OWN, "0::/\n"), ("/sys/fs/cgroup/memory.max", "268435456\n")]), Some(256 * MIB));
        let nested = [
            (OWN, "0::/pods/pod1\n"),
            ("/sys/fs/cgroup/pods/pod1/memory.max", "max\n"),
            ("/sys/fs/cgroup/pods/memory.max", "1048576\n"),
        ];
        assert_eq!(limit(&nested), Some(MIB));
        // Version 1: its path is the host's, and its root is the container's.
        let old = [
            (OWN, "12:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n"),
        ];
        assert_eq!(limit(&old), Some(MIB));
    }

    #[test]
    fn no_limit_and_an_unreadable_one_are_none() {
        const OWN: &str = "/proc/self/cgroup";
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[(OWN, "0::/\n")]), None);
        assert_eq!(limit(&[(OWN, "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")]), None);
        let old =
            [(OWN, "4:memory:/\n"), ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(limit(&old), None);
    }
}
