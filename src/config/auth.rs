//! The header with an endpoint's credentials, from a file or an environment variable.
//!
//! The whole line `Name: value` is the secret. So any authentication scheme fits, and the configuration holds
//! no secret. No problem repeats the line.
//! People paste the secret itself in place of the file's or variable's name. So a problem repeats that text
//! only if it is known to be a name (`reveal`). A file that other users may read or change leads to a warning
//! (`exposed`).

use std::io::ErrorKind;
use std::path::Path;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

use crate::config::env::{Lookup, is_variable_name, set};
use crate::config::file::{self, File};
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::reveal;
use crate::endpoint::{AuthHeader, regular_file};

/// Longest file with a header, in bytes; servers accept headers of about 8 KiB.
const LENGTH_MAX: u64 = 64 * 1024;
const EXAMPLE: &str = "one line such as `Authorization: Bearer …`";

/// The header that `written` names; `None` when the report has a problem with it.
pub(super) fn header(written: &file::Auth, env: Lookup<'_>, report: &mut Report) -> Option<AuthHeader> {
    match (&written.header_file, &written.header_env) {
        (Some(file), None) => {
            let file = &reveal::path(file, env);
            let header =
                report.parse(Some(file), |path| line(&written.prefix, &from_file(&file.place, path)?))?;
            warn_of_exposed(file, report);
            Some(header)
        }
        (None, Some(variable)) => report.parse(Some(&reveal::variable(variable, env)), |name| {
            if !is_variable_name(name) {
                return Err(Fault::new("does not name an environment variable"));
            }
            let secret = set(env, name).ok_or_else(|| Fault::new("names a variable that is not set"))?;
            line(&written.prefix, &secret)
        }),
        (None, None) => {
            let fault = Fault::new("needs one of `header_file` and `header_env`");
            report.refuse_key(&written.place, &written.key, fault);
            None
        }
        (Some(_), Some(_)) => {
            let fault = Fault::new("has both `header_file` and `header_env`").fix("keep one");
            report.refuse_key(&written.place, &written.key, fault);
            None
        }
    }
}

fn from_file(place: &Place, path: &str) -> Result<String, Fault> {
    read(&File::resolve(place, path)).map_err(|error| {
        let because = |rule: &str| Fault::new(format!("names a file that cannot be read: {rule}"));
        match (error.kind(), place) {
            (ErrorKind::NotFound, Place::File { .. }) if Path::new(path).is_relative() => {
                because("there is no such file")
                    .fix("a relative path starts at the directory of the configuration file")
            }
            (ErrorKind::NotFound, _) => because("there is no such file"),
            (ErrorKind::PermissionDenied, _) => {
                because("permission denied").fix("let the user of this process read it")
            }
            (ErrorKind::InvalidData, _) => because("it is not text in UTF-8"),
            (ErrorKind::InvalidInput, _) => because("it is no regular file").fix(format!(
                "a pipe or /dev/fd is not read; use header_env, or write {EXAMPLE} into a file"
            )),
            (ErrorKind::FileTooLarge, _) => {
                because("it is longer than 64 KiB").fix(format!("write {EXAMPLE}"))
            }
            (kind, _) => because(&kind.to_string()),
        }
    })
}

/// The text of a regular file that is not too long.
fn read(path: &Path) -> std::io::Result<String> {
    String::from_utf8(regular_file::read(path, LENGTH_MAX)?).map_err(|_| ErrorKind::InvalidData.into())
}

/// Warns of a file with a secret that other users may read or change.
///
/// The file exists, so the written text is its name and no secret.
pub(super) fn warn_of_exposed(written: &Written, report: &mut Report) {
    let Some(path) = written.text.as_deref().map(|path| File::resolve(&written.place, path)) else { return };
    let warning = exposed(&path).map(|mode| {
        let path = path.display();
        format!("names {path}, which others on this machine can read or change (mode {mode:03o}): chmod 600 {path}")
    });
    report.advise(Some(written), warning);
}

/// The mode of a file that other users may access; `None` when only its owner may, or when it is not ours.
///
/// Only our own files count. Secrets that an orchestrator mounts belong to root, and the container isolates
/// them. Kubernetes mounts them in a directory `..DATE` behind links, also when the process is root itself.
#[cfg(unix)]
fn exposed(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    /// Group and others may write, others may read.
    const EXPOSED: u32 = 0o026;
    let path = path.canonicalize().ok()?;
    let mounted = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".."));
    let file = std::fs::metadata(&path).ok()?;
    // The kernel's entry for this process; without one, every file that is not root's counts as ours.
    let ours = match std::fs::metadata("/proc/self") {
        Ok(process) => process.uid() == file.uid(),
        Err(_) => file.uid() != 0,
    };
    (ours && !mounted && file.mode() & EXPOSED != 0).then_some(file.mode() & 0o777)
}

#[cfg(not(unix))]
fn exposed(_: &Path) -> Option<u32> {
    None
}

/// The header of a secret behind `prefix`.
fn line(prefix: &str, secret: &str) -> Result<AuthHeader, Fault> {
    if !prefix.is_empty() && secret.trim().is_empty() {
        return Err(Fault::new("leads to nothing: it is empty").fix("write the key"));
    }
    parse(&format!("{prefix}{secret}"))
}

fn parse(line: &str) -> Result<AuthHeader, Fault> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Fault::new("leads to nothing: it is empty").fix(format!("write {EXAMPLE}")));
    }
    if line.contains(['\r', '\n']) {
        return Err(Fault::new("leads to more than one line").fix(format!("write {EXAMPLE}")));
    }
    let no_header =
        || Fault::new("does not lead to a header: it has no `Name: value`").fix(format!("write {EXAMPLE}"));
    let (name, value) = line.split_once(':').ok_or_else(no_header)?;
    let name: HeaderName = name.trim().parse().map_err(|_| no_header())?;
    if [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&name) {
        return Err(Fault::new(format!("leads to a header the client sets itself: {name}")));
    }
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| Fault::new("leads to a header with characters that are not allowed in one"))?;
    if value.is_empty() {
        return Err(Fault::new("leads to a header without a value").fix(format!("write {EXAMPLE}")));
    }
    value.set_sensitive(true);
    Ok(AuthHeader { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_sensitive_header() {
        for line in [
            "Authorization: Bearer s3cr3t",
            "authorization:Bearer s3cr3t\n",
            "Authorization:  Bearer s3cr3t \r\n",
        ] {
            let header = parse(line).expect(line);
            assert_eq!(
                (header.name.as_str(), header.value.as_bytes()),
                ("authorization", &b"Bearer s3cr3t"[..])
            );
            assert!(header.value.is_sensitive());
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for line in [
            "",
            "s3cr3t",
            "A: s3cr3t\nB: s3cr3t",
            "s3 cr3t: x",
            "X-Key:",
            "X-Key: s3cr3t\u{7f}",
            "Host: s3cr3t",
        ] {
            let fault = format!("{:?}", parse(line).expect_err(line));
            assert!(!fault.contains("cr3t"), "{fault}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_a_device_and_a_file_that_is_too_long_are_refused_and_none_is_waited_for() {
        let directory = std::env::temp_dir().join(format!("queuepost-{}-header-files", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (pipe, link) = (directory.join("pipe"), directory.join("link"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let with_length = |length: usize| {
            let path = directory.join(length.to_string());
            std::fs::write(&path, "x".repeat(length)).expect("a file");
            path
        };
        let (fits, long) = (with_length(64 * 1024), with_length(64 * 1024 + 1));
        std::os::unix::fs::symlink(&fits, &link).expect("a link");
        let kind = |path: &Path| read(path).map(|text| text.len()).map_err(|error| error.kind());
        let zero = Path::new("/dev/zero");
        let found = [kind(&pipe), kind(zero), kind(&directory), kind(&long), kind(&fits), kind(&link)];
        std::fs::remove_dir_all(&directory).ok();
        let (no_file, too_long) = (Err(ErrorKind::InvalidInput), Err(ErrorKind::FileTooLarge));
        assert_eq!(found, [no_file, no_file, no_file, too_long, Ok(64 * 1024), Ok(64 * 1024)]);
    }

    #[test]
    fn who_gives_a_pipe_is_told_what_is_read_instead() {
        let fault = from_file(&Place::CommandLine, "/dev/null").expect_err("no regular file");
        let told = "a pipe or /dev/fd is not read; use header_env";
        assert!(format!("{fault:?}").contains(told), "{fault:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_or_change_is_exposed_unless_it_is_mounted() {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(format!("queuepost-{}-exposed", std::process::id()));
        let mounted = directory.join("..2024_01_01");
        std::fs::create_dir_all(&mounted).expect("a directory");
        let with_mode = |path: &Path, mode: u32| {
            std::fs::write(path, "X: y").expect("a file");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            exposed(path)
        };
        let found =
            [0o600, 0o640, 0o400, 0o644, 0o660, 0o602].map(|mode| with_mode(&directory.join("a"), mode));
        let behind_links = with_mode(&mounted.join("a"), 0o644);
        std::fs::remove_dir_all(&directory).ok();
        assert_eq!(found, [None, None, None, Some(0o644), Some(0o660), Some(0o602)]);
        assert_eq!(behind_links, None);
        assert_eq!(exposed(&directory.join("a")), None, "no such file");
    }
}
