//! Watches the file of a configuration, and the directory of listeners.
//!
//! Looked at are the file's contents and the link `..data` beside it. By that link Kubernetes swaps all files of a `ConfigMap` at
//! once. Of the directory it is the names of its files, with their sizes and times.
//! A look reads a few kilobytes every other second, which works on every file system and in every container. It runs on a
//! thread of its own: a file system that hangs stops the watch and nothing else.
//!
//! A change counts when two looks in a row found the same: who writes a file in pieces is waited for.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::config;
use crate::secret::regular_file;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Time until a look that found a change is repeated.
const SETTLES_WITHIN: Duration = Duration::from_millis(500);
/// More than any configuration has, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// A hash of the contents; `None`: they cannot be read.
    contents: Option<u64>,
    link: Option<PathBuf>,
    /// A hash of what the directory of listeners has; `None`: there is none, or it cannot be read.
    listeners: Option<u64>,
}

impl Look {
    /// Looks at the file and at the directory of listeners.
    pub(super) fn at(file: Option<&Path>, folder: Option<&Path>) -> Self {
        let contents = file.and_then(|file| regular_file::read(file, LONGEST).ok()).map(|contents| {
            let mut hasher = DefaultHasher::new();
            contents.hash(&mut hasher);
            hasher.finish()
        });
        let beside = file.and_then(Path::parent);
        let link = beside.and_then(|beside| std::fs::read_link(beside.join("..data")).ok());
        Self { contents, link, listeners: folder.and_then(listeners) }
    }
}

/// Which files of listeners there are, and which version of each. They are not read: there may be thousands.
fn listeners(folder: &Path) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for file in config::listener_files(folder).ok()? {
        file.hash(&mut hasher);
        let version =
            std::fs::metadata(&file).ok().map(|of| (of.len(), of.ino(), of.mtime(), of.mtime_nsec()));
        version.hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Tells of every change since `known` of the file, and of the directory that is watched; ends never.
pub(super) async fn follow(
    file: Option<PathBuf>,
    folder: watch::Receiver<Option<PathBuf>>,
    known: Look,
    changed: &Notify,
) {
    let (mut known, mut before) = (known, None);
    loop {
        tokio::time::sleep(if before.is_some() { SETTLES_WITHIN } else { EVERY }).await;
        let (file, folder) = (file.clone(), folder.borrow().clone());
        let look = move || Look::at(file.as_deref(), folder.as_deref());
        let Ok(look) = tokio::task::spawn_blocking(look).await else { continue };
        if look == known {
            before = None;
        } else if before.as_ref() == Some(&look) {
            known = look;
            before = None;
            changed.notify_one();
        } else {
            before = Some(look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_in_the_directory_of_listeners_is_a_change() {
        let folder = std::env::temp_dir().join(format!("queuepost-{}-watch-listeners", std::process::id()));
        let look = || Look::at(None, Some(&folder));
        let gone = look();
        std::fs::create_dir_all(&folder).unwrap();
        let empty = look();
        assert_ne!(gone, empty);
        std::fs::write(folder.join(".orders.json.tmp"), "half").unwrap();
        std::fs::write(folder.join("notes.txt"), "none of ours").unwrap();
        assert_eq!(look(), empty);
        std::fs::write(folder.join("orders.json"), "{}").unwrap();
        let one = look();
        assert_ne!(one, empty);
        assert_eq!(look(), one);
        std::fs::write(folder.join("orders.json"), "{ }").unwrap();
        let changed = look();
        assert_ne!(changed, one);
        std::fs::rename(folder.join("orders.json"), folder.join("refunds.json")).unwrap();
        assert_ne!(look(), changed);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn other_contents_and_another_target_of_the_link_are_changes_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("queuepost-{}-watch", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("queuepost.yaml");
        let gone = Look::at(Some(&file), None);
        std::fs::write(&file, "a").unwrap();
        let first = Look::at(Some(&file), None);
        assert_ne!(gone, first);
        std::fs::write(&file, "a").unwrap();
        std::fs::write(folder.join("other"), "b").unwrap();
        assert_eq!(Look::at(Some(&file), None), first);
        std::os::unix::fs::symlink("..2026_01", folder.join("..data")).unwrap();
        let swapped = Look::at(Some(&file), None);
        assert_ne!(swapped, first);
        std::fs::write(&file, "b").unwrap();
        assert_ne!(Look::at(Some(&file), None), swapped);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
