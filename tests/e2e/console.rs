//! The console in headless Chromium: its story against a real process, its views and states, and its JavaScript.
//!
//! The scripts are in `tests/console`; `.ci/peers` installs their packages, and Chromium where it can. Without either a
//! test is skipped by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::dev::addresses;
use super::peers;
use super::process::Queuepost;
use crate::contract::server::skipped;

const TOKEN: &str = "planted-token-0123456789";
/// How long a whole script may take. A machine with one busy processor needs minutes.
const SCRIPT_MAX: Duration = Duration::from_mins(10);

/// A folder of its own with the scripts, the console's JavaScript and the packages; `None` where these are not installed.
fn scripts(test: &str) -> Option<PathBuf> {
    let packages = peers::console(test)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("console-{test}"));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(folder.join("console")).unwrap();
    copy(&root.join("tests/console"), &folder, &["mjs", "json"]);
    copy(&root.join("src/admin/console"), &folder.join("console"), &["html", "css", "js", "svg"]);
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.join("node_modules")).unwrap();
    Some(folder)
}

fn copy(from: &Path, to: &Path, extensions: &[&str]) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Chromium of this machine: the variable `QUEUEPOST_CHROMIUM`, or Debian's package.
fn chromium(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("QUEUEPOST_CHROMIUM").map(PathBuf::from);
    let found = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    if found.exists() {
        return Some(found);
    }
    skipped(&format!("{test}: Chromium is not installed (.ci/peers installs it on Debian, as root)"));
    None
}

/// Runs a script to its end; what it printed.
async fn node(folder: &Path, args: &[&str], chromium: Option<&Path>) -> String {
    let mut command = Command::new("node");
    command.args(args).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(chromium) = chromium {
        command.env("QUEUEPOST_CHROMIUM", chromium);
    }
    let ran = tokio::time::timeout(SCRIPT_MAX, command.output()).await.expect("the script ends").unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{args:?}:\n{printed}");
    printed
}

#[tokio::test]
async fn the_story_of_a_listener_can_be_clicked_through() {
    let test = "the_story_of_a_listener_can_be_clicked_through";
    let (Some(folder), Some(chromium)) = (scripts(test), chromium(test)) else { return };
    let [queue, endpoint, admin] = addresses();
    let (token_file, listeners) = (folder.join("token"), folder.join("listeners"));
    fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    fs::create_dir(&listeners).unwrap();
    let yaml = format!(
        "listeners_dir: {}\nadmin: {{listen: '{admin}', allow_changes: true, token_file: {}}}\nlog: {{format: json}}\n\
         listeners:\n  - {{name: orders, queue: 'http://{queue}/000000000000/demo', url: 'http://{endpoint}/orders', receive_wait: 1s}}\n",
        listeners.display(),
        token_file.display()
    );
    let file = folder.join("queuepost.yaml");
    fs::write(&file, yaml).unwrap();
    // `dev` lends its queue and its endpoint; the process that the page shows is another.
    let [_, _, unused] = addresses();
    let args = ["--queue-listen", &queue, "--endpoint-listen", &endpoint, "--admin-listen", &unused];
    let dev = Queuepost::start(&[&["dev"], &args[..]].concat(), &[]);
    dev.until_line("embedded queue listening").await;
    let mut bridge = Queuepost::start(&["run", "--config", file.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    let urls = [&admin, &queue, &endpoint].map(|address| format!("http://{address}"));
    let [page, queues, endpoint] = urls.each_ref().map(String::as_str);
    let told = node(&folder, &["story.mjs", page, queues, endpoint, TOKEN], Some(&chromium)).await;
    assert!(told.contains("ok a listener is deleted after its name was typed"), "{told}");
    assert!(fs::read_dir(&listeners).unwrap().next().is_none(), "a file of the deleted listener is left");
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains(TOKEN), "the token is in the log");
}

#[tokio::test]
async fn every_view_of_the_console_is_without_barriers_in_light_dark_and_on_a_phone() {
    let test = "every_view_of_the_console_is_without_barriers_in_light_dark_and_on_a_phone";
    let (Some(folder), Some(chromium)) = (scripts(test), chromium(test)) else { return };
    let told = node(&folder, &["barriers.mjs", "console"], Some(&chromium)).await;
    for name in ["light", "dark", "phone", "phone-dark"] {
        let last = format!("ok {name}: a process that is gone is told of, and found again");
        assert!(told.contains(&last), "{told}");
    }
}

#[tokio::test]
async fn the_console_words_times_rates_keys_and_troubles_rightly() {
    let Some(folder) = scripts("the_console_words_times_rates_keys_and_troubles_rightly") else { return };
    let told = node(&folder, &["words.mjs"], None).await;
    assert_eq!(told.lines().filter(|line| line.starts_with("ok ")).count(), 5, "{told}");
}

#[tokio::test]
async fn the_javascript_of_the_console_passes_eslint() {
    let test = "the_javascript_of_the_console_passes_eslint";
    let Some(folder) = scripts(test) else { return };
    node(&folder, &["node_modules/eslint/bin/eslint.js", "--max-warnings", "0", "."], None).await;
    fs::write(folder.join("console/bad.js"), "export const a = b;\n").unwrap();
    let mut command = Command::new("node");
    let ran = command.args(["node_modules/eslint/bin/eslint.js", "."]).current_dir(&folder).output().await;
    assert!(!ran.unwrap().status.success(), "eslint looks at nothing");
}
