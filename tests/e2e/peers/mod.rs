//! Receivers and libraries of others, which read what queuepost sends: `.ci/peers` installs them into `target/peers`.

#[cfg(feature = "s3")]
mod claim_check;
mod cloudevents;
mod django;
mod editor;
mod lambda;
mod lines;
mod oauth2;
mod openapi;
mod signatures;
mod unwrap;

use std::path::{Path, PathBuf};

use crate::contract::server::skipped;

/// Python of the environment that has the packages of `requirements.txt`.
///
/// `None` where it is not installed: then `test` is skipped by name, except in CI.
pub fn python(test: &str) -> Option<PathBuf> {
    installed(test, "python", "python/bin/python")
}

/// A program of the environment that has the packages of `api/requirements.txt`; `None` as above.
pub fn api(test: &str, program: &str) -> Option<PathBuf> {
    installed(test, "api", &format!("api/bin/{program}"))
}

/// The folder with the packages of `node/package.json`; `None` as above.
pub fn node(test: &str) -> Option<PathBuf> {
    installed(test, "node", "node")
}

/// The folder with the packages of `tests/console/package.json`; `None` as above.
pub fn console(test: &str) -> Option<PathBuf> {
    installed(test, "console", "console")
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

/// Runs a script of this folder with the address of a server; the lines that it prints.
async fn run_script(python: &Path, script: &str, url: &str) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/peers").join(script);
    let mut command = tokio::process::Command::new(python);
    let ran = command.arg(script).arg(url).kill_on_drop(true).output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A file that configures listeners to one endpoint: the queue of each, and its own keys as YAML.
fn config(test: &str, listeners: &[(&str, &str)], endpoint: &str) -> String {
    let listener = |(queue, keys): &(&str, &str)| {
        format!("  - {{queue: '{queue}', url: '{endpoint}', receive_wait: 1s, {keys}}}\n")
    };
    let listeners: String = listeners.iter().map(listener).collect();
    let yaml = format!("listeners:\n{listeners}admin: {{listen: 127.0.0.1:0}}\nlog: {{format: json}}\n");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}.yaml", std::process::id()));
    std::fs::write(&path, yaml).unwrap();
    path.to_str().unwrap().to_owned()
}
