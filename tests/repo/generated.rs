//! Generated documents: a test compares each with the code, and `QUEUEPOST_BLESS=1` rewrites them.

use std::fs;
use std::path::Path;

/// Fails unless the file at `path`, from the project's folder, holds exactly `expected`; rewrites it with
/// `QUEUEPOST_BLESS=1`.
pub fn matches(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("QUEUEPOST_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let differing = expected.lines().zip(found.lines()).position(|(expected, found)| expected != found);
    let line = differing.unwrap_or_else(|| expected.lines().count().min(found.lines().count()));
    assert!(
        found == expected,
        "{path} does not say what the code says, first in line {}:\n  the code: {:?}\n  the file: {:?}\n\
         rewrite it with: QUEUEPOST_BLESS=1 cargo test --test it repo",
        line + 1,
        expected.lines().nth(line).unwrap_or_default(),
        found.lines().nth(line).unwrap_or_default(),
    );
}
