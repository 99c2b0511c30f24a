//! Receivers and libraries of others, which read what queuepost sends: `.ci/peers` installs them into `target/peers`.

mod unwrap;

use std::path::{Path, PathBuf};

use crate::contract::server::skipped;

/// Python of the environment that has the packages of `requirements.txt`.
///
/// `None` where it is not installed: then `test` is skipped by name, except in CI.
pub fn python(test: &str) -> Option<PathBuf> {
    installed(test, "python", "python/bin/python")
}

/// The folder with the packages of `node/package.json`; `None` as above.
#[allow(dead_code, reason = "what is sent to packages of Node comes with its own test")]
pub fn node(test: &str) -> Option<PathBuf> {
    installed(test, "node", "node")
}

fn installed(test: &str, name: &str, path: &str) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    if tools.join(format!("{name}.pin")).exists() {
        return Some(tools.join(path));
    }
    assert!(std::env::var_os("CI").is_none(), "the {name} packages are missing in CI");
    skipped(&format!(
        "{test}: the {name} packages are not installed (.ci/peers installs them into target/peers)"
    ));
    None
}
