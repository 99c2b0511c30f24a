//! A token and a directory of listeners for `queuepost dev`, so that its console can change things without any setup.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::{Overrides, Plan};

/// A folder for this process alone, removed at its end.
pub(super) struct Workbench {
    folder: PathBuf,
    /// What changes have to show.
    pub(super) token: String,
}

impl Workbench {
    /// Makes the folder, with a new token.
    pub(super) fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("queuepost-dev-{}", std::process::id()));
        // Left by an earlier process of this number.
        fs::remove_dir_all(&folder).ok();
        DirBuilder::new().mode(0o700).create(&folder)?;
        fs::create_dir(folder.join("listeners"))?;
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = format!("{:032x}", u128::from_ne_bytes(random));
        let made = Self { folder, token };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(made.token_file())?;
        file.write_all(made.token.as_bytes())?;
        Ok(made)
    }

    /// Lends the directory, and the token where the configuration has none of its own; whether it lends the token. The
    /// listeners of the configuration's own directory are copied: what is changed here is not kept there.
    pub(super) fn lend(&self, plan: &Plan, overrides: &mut Overrides) -> bool {
        let listeners = self.folder.join("listeners");
        if let Some(theirs) = &plan.listeners_dir
            && copy_files(theirs, &listeners).is_err()
        {
            return false;
        }
        overrides.listeners_dir = Some(listeners.display().to_string());
        let lends = plan.admin_token.is_none();
        if lends {
            overrides.admin_allow_changes = Some("true".to_owned());
            overrides.admin_token_file = Some(self.token_file().display().to_string());
        }
        lends
    }

    fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }
}

/// Copies the files that a directory of listeners shows; what is hidden is none of them.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if !name.as_encoded_bytes().starts_with(b".") && fs::metadata(&path)?.is_file() {
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}

impl Drop for Workbench {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_that_are_kept_are_copied_and_what_is_hidden_is_not() {
        let there = std::env::temp_dir().join(format!("queuepost-workbench-{}", std::process::id()));
        fs::create_dir_all(there.join("a folder")).unwrap();
        for name in ["orders.yaml", ".orders.json.tmp"] {
            fs::write(there.join(name), name).unwrap();
        }
        let workbench = Workbench::new().unwrap();
        let copies = workbench.folder.join("listeners");
        copy_files(&there, &copies).unwrap();
        let names: Vec<_> = fs::read_dir(&copies).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["orders.yaml"]);
        fs::remove_file(copies.join("orders.yaml")).unwrap();
        assert_eq!(fs::read_to_string(there.join("orders.yaml")).unwrap(), "orders.yaml");
        fs::remove_dir_all(&there).unwrap();
    }
}
