//! Watches the file of a configuration.
//!
//! Looked at are its contents and the link `..data` beside it. By that Kubernetes swaps all files of a `ConfigMap` at once.
//! A look reads a few kilobytes every other second, which works on every file system and in every container. It runs on a
//! thread of its own: a file system that hangs stops the watch and nothing else.
//!
//! A change counts when two looks in a row found the same: who writes a file in pieces is waited for.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Notify;

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
}

impl Look {
    /// Looks at the file.
    pub(super) fn at(path: &Path) -> Self {
        let contents = regular_file::read(path, LONGEST).ok().map(|contents| {
            let mut hasher = DefaultHasher::new();
            contents.hash(&mut hasher);
            hasher.finish()
        });
        let link = path.parent().and_then(|folder| std::fs::read_link(folder.join("..data")).ok());
        Self { contents, link }
    }
}

/// Tells of every change of the file since `known`; ends never.
pub(super) async fn watch(path: PathBuf, known: Look, changed: &Notify) {
    let (mut known, mut before) = (known, None);
    loop {
        tokio::time::sleep(if before.is_some() { SETTLES_WITHIN } else { EVERY }).await;
        let path = path.clone();
        let Ok(look) = tokio::task::spawn_blocking(move || Look::at(&path)).await else { continue };
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
    fn other_contents_and_another_target_of_the_link_are_changes_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("queuepost-{}-watch", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("queuepost.yaml");
        let gone = Look::at(&file);
        std::fs::write(&file, "a").unwrap();
        let first = Look::at(&file);
        assert_ne!(gone, first);
        std::fs::write(&file, "a").unwrap();
        std::fs::write(folder.join("other"), "b").unwrap();
        assert_eq!(Look::at(&file), first);
        std::os::unix::fs::symlink("..2026_01", folder.join("..data")).unwrap();
        let swapped = Look::at(&file);
        assert_ne!(swapped, first);
        std::fs::write(&file, "b").unwrap();
        assert_ne!(Look::at(&file), swapped);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
