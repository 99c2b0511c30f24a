//! A secret from a file or an environment variable. The configuration itself holds none, and no problem
//! repeats one.
//!
//! People paste the secret itself in place of the file's or variable's name. So a problem repeats that text
//! only if it is known to be a name (`reveal`). A file that other users may read or change leads to a warning
//! (`exposed`).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::auth::written::SecretRef;
use crate::config::env::{Lookup, is_variable_name, set};
use crate::config::file::File;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::reveal;
use crate::secret::{Rule, Secret, SecretError};

/// What to write for a whole header line.
pub(super) const LINE: &str = "write one line such as `Authorization: Bearer …`";
/// What to write for any other secret.
const SECRET: &str = "write nothing but the secret, on one line";

/// The secret that `written` names; `None` when the report has a problem with it.
pub(in crate::config) fn secret(
    written: &SecretRef,
    rule: Rule,
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<Secret> {
    let fault = match (&written.file, &written.env) {
        (Some(_), Some(_)) => Some(Fault::new("has both `file` and `env`").fix("keep one")),
        (None, None) if report.mentions(&format!("{}.", written.key)) => return None,
        (None, None) => {
            Some(Fault::new("needs one of `file` and `env`: a secret is never written here itself"))
        }
        (Some(_), None) | (None, Some(_)) => None,
    };
    if let Some(fault) = fault {
        report.refuse_key(&written.place, &written.key, fault);
        return None;
    }
    either([written.file.as_ref(), written.env.as_ref()], (rule, SECRET), env, report)
}

/// The secret in the file, or in the variable; one of them is written. With its rule goes what to write instead.
pub(super) fn either(
    [file, variable]: [Option<&Written>; 2],
    rule: (Rule, &'static str),
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<Secret> {
    if let Some(file) = file {
        let file = &reveal::path(file, env);
        let secret = report.parse(Some(file), |path| from_file(&file.place, path, rule, Secret::of_file))?;
        warn_of_exposed(file, report);
        return Some(secret);
    }
    report.parse(Some(&reveal::variable(variable?, env)), |name| {
        if !is_variable_name(name) {
            return Err(Fault::new("does not name an environment variable"));
        }
        let text = set(env, name).ok_or_else(|| Fault::new("names a variable that is not set"))?;
        Secret::fixed(&text, rule.0).map_err(|error| match error {
            SecretError::Unfit(why) => Fault::new(format!("leads to {why}")).fix(rule.1),
            SecretError::Unreadable(error) => Fault::new(format!("cannot be read: {error}")),
        })
    })
}

/// The secret in a file that lets others in. With its rule goes what to write instead.
pub(in crate::config) fn of_key_file(
    file: &Written,
    rule: (Rule, &'static str),
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<Secret> {
    let file = &reveal::path(file, env);
    let secret = report.parse(Some(file), |path| from_file(&file.place, path, rule, Secret::of_key_file))?;
    warn_of_exposed(file, report);
    Some(secret)
}

fn from_file(
    place: &Place,
    path: &str,
    (rule, fix): (Rule, &'static str),
    read: fn(PathBuf, Rule) -> Result<Secret, SecretError>,
) -> Result<Secret, Fault> {
    read(File::resolve(place, path), rule).map_err(|error| {
        let error = match error {
            SecretError::Unfit(why) => return Fault::new(format!("leads to {why}")).fix(fix),
            SecretError::Unreadable(error) => error,
        };
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
            (ErrorKind::InvalidInput, _) => {
                let instead = match fix {
                    LINE => "use header_env, or ",
                    SECRET => "use env, or ",
                    _ => "",
                };
                because("it is no regular file")
                    .fix(format!("a pipe or /dev/fd is not read; {instead}write the secret into a file"))
            }
            (ErrorKind::FileTooLarge, _) => because("it is longer than 64 KiB"),
            (kind, _) => because(&kind.to_string()),
        }
    })
}

/// Warns of a file with a secret that other users may read or change.
///
/// The file exists, so the written text is its name and no secret.
pub(in crate::config) fn warn_of_exposed(written: &Written, report: &mut Report) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::auth::header_line;

    #[test]
    fn who_gives_a_pipe_is_told_what_is_read_instead() {
        let fault = from_file(&Place::CommandLine, "/dev/null", (header_line, LINE), Secret::of_file)
            .expect_err("no regular file");
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
