//! Every shell block of the documents is typed as it stands there, against the real program. A block that cannot be is marked in the
//! page, with a reason that a reader does not see; `repo::documents` holds the marks to a list.
//!
//! `documents/run.py` types one page. It knows what has to be there before a page begins.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::repo::documents::{pages, shell_blocks};

/// Pages that run at once: each starts a few processes.
const AT_ONCE: usize = 3;

#[tokio::test]
async fn every_shell_block_of_a_document_does_what_it_should_or_says_why_it_is_not_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    let mut blocks = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let count = shell_blocks(&text).iter().filter(|block| block.not_run.is_none()).count();
        if count == 0 {
            continue;
        }
        blocks += count;
        let name = page.strip_prefix(root).unwrap().display().to_string();
        let places = Arc::clone(&places);
        runs.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let mut command = Command::new("python3");
            command.arg(root.join("tests/e2e/documents/run.py"));
            command.arg(env!("CARGO_BIN_EXE_queuepost")).arg(&name).stdin(Stdio::null()).kill_on_drop(true);
            (name, count, command.output().await.expect("python3"))
        });
    }
    assert!(blocks > 40, "only {blocks} blocks");
    let mut wrong = Vec::new();
    for (name, count, ran) in runs.join_all().await {
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        if !ran.status.success() || !said.contains(&format!("{name}: {count} blocks ran")) {
            wrong.push(format!("{said}{}", String::from_utf8_lossy(&ran.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
