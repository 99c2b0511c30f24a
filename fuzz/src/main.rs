//! libFuzzer around the targets of `queuepost::fuzz`; the variable `QUEUEPOST_FUZZ` names the one to feed.
//!
//! One program for all targets, so that it is built and linked once. `.ci/fuzz` builds and runs it.

#![no_main]

use std::sync::OnceLock;

static FEED: OnceLock<fn(&[u8])> = OnceLock::new();

fn named() -> fn(&[u8]) {
    let name = std::env::var("QUEUEPOST_FUZZ").unwrap_or_default();
    queuepost::fuzz::target(&name).unwrap_or_else(|| {
        let known = queuepost::fuzz::TARGETS.map(|target| target.name).join(", ");
        eprintln!("QUEUEPOST_FUZZ={name:?} is no target: {known}");
        std::process::exit(2)
    })
}

libfuzzer_sys::fuzz_target!(init: {
    FEED.get_or_init(named);
}, |input: &[u8]| {
    FEED.get_or_init(named)(input);
});
