//! Reads files that a configuration names, without blocking and with a size limit.
//!
//! A pipe may never end or have no writer, and a device never ends. Neither can be read a second time. So a
//! file must be a regular one, and no longer than a limit.

use std::io::{Error, ErrorKind, Read as _};
use std::path::Path;

/// Longest TLS file. A bundle of all public authorities has a quarter of this size.
pub const TLS_FILE_MAX: u64 = 1024 * 1024;

/// The bytes of a regular file of at most `max` bytes; else `InvalidInput` or `FileTooLarge`.
pub fn read(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    // Opening a pipe in blocking mode would wait for its writer.
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
