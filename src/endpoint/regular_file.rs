//! Files that a configuration names, read without waiting and without end.
//!
//! A pipe may never end or have no writer, a device never ends, and neither is there a second time. So a file has to be
//! a regular one, and has a longest length.

use std::io::{Error, ErrorKind, Read as _};
use std::path::Path;

/// Longest TLS file: a bundle of every public authority has a quarter of it.
pub const TLS_FILE_MAX: u64 = 1024 * 1024;

/// The bytes of a regular file of `max` bytes at most; else `InvalidInput` or `FileTooLarge`.
pub fn read(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is longer than {} KiB", max / 1024)));
    }
    Ok(bytes)
}
