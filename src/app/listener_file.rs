//! The file of one listener in `listeners_dir`: written whole or not at all.
//!
//! A new text goes to a hidden file beside it and is forced to the disk. A rename puts it in place. Then the directory is
//! forced to the disk, too. So whoever reads meanwhile, or after a power cut, finds the old text or the new one.
//!
//! Several processes may write one directory at once, so each hidden file has a name of its own. One that a process left
//! when it was killed is read by nobody.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::admin::{Keys, NotStored};
use crate::secret::regular_file;

/// More than any listener has, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Brings a directory to the disk.
pub(super) type Force = fn(&Path) -> io::Result<()>;

/// The text of a listener's file: JSON, which is YAML too.
pub(super) fn text(keys: &Keys) -> String {
    format!("{:#}\n", serde_json::Value::Object(keys.clone()))
}

/// The text of the file; `None` where there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match regular_file::read(path, LONGEST) {
        Ok(bytes) => {
            String::from_utf8(bytes).map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the file this text, or removes it; `force` brings the directory to the disk. After an error the file has the old
/// text or the new one.
pub(super) fn put(path: &Path, text: Option<&str>, force: Force) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match text {
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        },
        Some(text) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Process ids of two pods are often the same.
            let unique = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
            let beside = folder.join(format!(".{name}.{unique}.tmp"));
            write(&beside, text).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
                // It is hidden and read by nobody.
                fs::remove_file(&beside).ok();
            })?;
        }
    }
    force(folder)
}

/// Forces what a directory names to the disk.
pub(super) fn to_disk(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An error of the machine with a listener's file.
pub(super) fn failed(path: &Path, error: &io::Error) -> NotStored {
    NotStored::Failed {
        why: format!("{}: {error}", path.display()),
        fix: "let the process write the directory, and look whether the disk is full".to_owned(),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("queuepost-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_replaced_and_removed_and_nothing_is_left_beside_it() {
        let folder = folder("listener-file");
        let path = folder.join("orders.json");
        assert_eq!(read(&path).unwrap(), None);
        put(&path, Some("one"), to_disk).unwrap();
        put(&path, Some("two"), to_disk).unwrap();
        assert_eq!(
            (read(&path).unwrap().as_deref(), names(&folder)),
            (Some("two"), vec!["orders.json".to_owned()])
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        put(&path, None, to_disk).unwrap();
        put(&path, None, to_disk).unwrap();
        assert!(names(&folder).is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there_and_nothing_beside_it() {
        let folder = folder("listener-file-full");
        let path = folder.join("orders.json");
        // No file takes the place of a directory.
        fs::create_dir(&path).unwrap();
        assert!(put(&path, Some("two"), to_disk).is_err());
        assert_eq!(names(&folder), ["orders.json"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_another_process_is_writing_beside_it_is_not_touched() {
        let folder = folder("listener-file-others");
        let path = folder.join("orders.json");
        let others = [".orders.json.tmp", ".orders.json.1-0000000000000000.tmp"];
        for other in others {
            fs::write(folder.join(other), "half of").unwrap();
        }
        put(&path, Some("one"), to_disk).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        for other in others {
            assert_eq!(fs::read_to_string(folder.join(other)).unwrap(), "half of", "{other}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_text_is_json_with_a_line_for_each_key() {
        let keys =
            json!({"queue": "orders", "url": "http://127.0.0.1:1/a\u{1b}"}).as_object().unwrap().clone();
        assert_eq!(
            text(&keys),
            "{\n  \"queue\": \"orders\",\n  \"url\": \"http://127.0.0.1:1/a\\u001b\"\n}\n"
        );
    }
}
