//! Where the configuration as written comes from: a file, or the text of it in a variable.
//!
//! The text is for places that hand a container variables and no files, such as tasks of ECS. It is read as a
//! file is: several listeners, `${VAR}`, and positions, which are those within the text. A relative path in it
//! starts at the working directory. `--config` wins over both variables, as every flag does. The two variables
//! together are refused, because nothing says which of them is meant.

use crate::config::env::{Lookup, set};
use crate::config::file::{self, File};
use crate::config::problem::{Fault, Place, Report};

/// The flag that names the file.
pub(super) const FLAG: &str = "--config";
/// The variable that names the file.
pub(super) const VARIABLE: &str = "QUEUEPOST_CONFIG";
/// The variable with the configuration itself.
const TEXT: &str = "QUEUEPOST_CONFIG_TEXT";

/// The configuration as written; empty without one. `None` when it cannot be read, which the report says.
pub(super) fn read(flag: Option<&str>, env: Lookup<'_>, report: &mut Report) -> Option<File> {
    let (path, text) = (set(env, VARIABLE), set(env, TEXT));
    if let Some(path) = flag {
        return file::read(path, env, report);
    }
    match (path, text) {
        (None, None) => Some(File::none()),
        (Some(path), None) => file::read(&path, env, report),
        (None, Some(text)) => File::parse(&text, &TEXT.into(), env, report),
        (Some(_), Some(_)) => {
            let fault = Fault::new(format!("is set, and {TEXT} too"));
            report.refuse_key(&Place::Variable(VARIABLE), "", fault.fix("unset one of them"));
            None
        }
    }
}
