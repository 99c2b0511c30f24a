//! What a fuzzer feeds: one function of bytes for each place where this program reads what others wrote.
//!
//! A function has an area do its work with the bytes, and checks what must hold whatever they were. It stands beside that
//! area's code (`exchange/fuzz`), since most of what it calls is private. None of this is in the program: it is compiled
//! for tests, and with `--cfg fuzzing`. `docs/fuzzing.md` says how to run a fuzzer.
//!
//! Tests feed what is committed in `fuzz/corpus`, and variants of it that are the same in each run.

#[cfg(test)]
mod tests;

use crate::{admin, config, endpoint, exchange, localqueue, sqs};

/// One place that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder with its corpus.
    pub name: &'static str,
    /// Works on an input, and panics if something does not hold.
    pub feed: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "admin", feed: admin::fuzz::requests },
    Target { name: "answer", feed: endpoint::fuzz::answer },
    Target { name: "configuration", feed: config::fuzz::configuration },
    Target { name: "credentials", feed: endpoint::fuzz::credentials },
    Target { name: "queue", feed: localqueue::fuzz::requests },
    Target { name: "receive", feed: sqs::fuzz::answers },
    Target { name: "request", feed: exchange::fuzz::request },
    Target { name: "template", feed: exchange::fuzz::template },
    Target { name: "unwrap", feed: exchange::fuzz::unwrap },
    Target { name: "verdicts", feed: exchange::fuzz::verdicts },
];

/// What the target of this name is fed to, if there is one.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|target| target.name == name).map(|target| target.feed)
}
