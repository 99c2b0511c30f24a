//! `listeners_dir`: a directory with one file for each listener, read together with the configuration.
//!
//! A file has the keys of one entry of `listeners`; its name without the ending is the listener's. Read are `.yaml`, `.yml` and
//! `.json`, in the order of their names. Hidden files, and what editors leave beside a file, are not. What is wrong is said with the
//! file, line and column, as of the configuration itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::env::Lookup;
use crate::config::fields::Fields;
use crate::config::file::{File, Listener};
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::tree;
use crate::secret::regular_file;

/// Endings of files that are read.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Longest file of a listener, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// A file of the directory as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Name of the listener, which is that of the file.
    pub name: String,
    /// The text; `None`: as if there were no such file.
    pub text: Option<String>,
}

/// One file of the directory.
struct Found {
    name: String,
    path: PathBuf,
}

/// Adds the listeners of the directory to those of the file. With `trial` as if its file were there, or not.
pub(super) fn read(file: &mut File, trial: Option<&Trial>, env: Lookup<'_>, report: &mut Report) {
    let Some(folder) = folder(file) else { return };
    let found = match entries(&folder) {
        Ok(found) => found,
        Err(error) => {
            if let Some(written) = &file.listeners_dir {
                let fault = Fault::new(format!("cannot be read: {}", reason(&error)));
                report.refuse(written, fault.fix("create the directory, and let this process read it"));
            }
            return;
        }
    };
    let is_tried = |found: &Found| trial.is_some_and(|trial| trial.name == found.name);
    for found in found.iter().filter(|found| !is_tried(found)) {
        let shown: Arc<str> = found.path.to_string_lossy().into();
        match text(&found.path) {
            Ok(text) => listener(file, &found.name, &shown, &text, env, report),
            Err(error) => {
                let place = Place::File { path: shown, line: 0, column: 0 };
                let fault = Fault::new(format!("the file cannot be read: {}", reason(&error)));
                report.refuse_key(&place, "", fault.fix("let this process read it, or remove it"));
            }
        }
    }
    if let Some(Trial { name, text: Some(text) }) = trial {
        let path = found.iter().find(|found| is_tried(found)).map(|found| found.path.clone());
        let path = path.unwrap_or_else(|| folder.join(format!("{name}.json")));
        listener(file, name, &path.to_string_lossy().into(), text, env, report);
    }
}

/// The directory, if one is written.
pub(super) fn folder(file: &File) -> Option<PathBuf> {
    let written = file.listeners_dir.as_ref()?;
    Some(File::resolve(&written.place, written.text.as_ref()?))
}

/// Adds one listener.
fn listener(file: &mut File, name: &str, path: &Arc<str>, text: &str, env: Lookup<'_>, report: &mut Report) {
    report.quote_from(path, text);
    let Some(root) = tree::parse(text, path, report) else { return };
    let Some(fields) = Fields::new(String::new(), root, env, report) else { return };
    let mut listener = Listener::read(fields);
    let place = Place::File { path: Arc::clone(path), line: 0, column: 0 };
    match &listener.name {
        None => listener.name = Some(Written::plain("name".to_owned(), place, name.to_owned())),
        Some(written) if written.text.as_deref().is_some_and(|text| text != name) => {
            let fault = Fault::new("is not the name of its file");
            report.refuse(written, fault.fix(format!("leave it out, or write `{name}`, or rename the file")));
        }
        Some(_) => {}
    }
    file.listeners.push(listener);
}

/// The files that are read, by name. Of two with one name both are read: the second is refused as a listener of the same name.
fn entries(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        found.extend(name_of(&path).map(|name| Found { name, path }));
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// The name of the listener whose file this is, if it is one.
fn name_of(path: &Path) -> Option<String> {
    let (stem, ending) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let is_read = ENDINGS.contains(&ending) && !stem.is_empty() && !stem.starts_with(['.', '#']);
    (is_read && !path.is_dir()).then(|| stem.to_owned())
}

/// Every file of the directory that is read, for whoever watches it.
pub fn listener_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().map(|found| found.path).collect())
}

/// The keys that the text of a listener's file has, as JSON; `None` when it is no map of YAML.
///
/// Written as JSON they mean the same: numbers and booleans are such only where that keeps their text. `2024.10` is a text.
pub fn keys_of(text: &str) -> Option<Map<String, Value>> {
    match json(tree::parse(text, &Arc::from(""), &mut Report::default())?) {
        Value::Object(keys) => Some(keys),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn json(node: tree::Node) -> Value {
    match node.value {
        tree::Value::Nothing => Value::Null,
        tree::Value::Scalar(text) => {
            let typed = serde_json::from_str(&text).ok();
            let typed = typed.filter(|typed: &Value| typed.is_number() || typed.is_boolean());
            let shown = typed.as_ref().map(Value::to_string);
            typed.filter(|_| shown.as_ref() == Some(&text)).unwrap_or(Value::String(text))
        }
        tree::Value::List(items) => items.into_iter().map(json).collect(),
        tree::Value::Map(entries) => entries.into_iter().map(|(key, node)| (key.name, json(node))).collect(),
    }
}

fn text(path: &Path) -> io::Result<String> {
    let not_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    String::from_utf8(regular_file::read(path, LONGEST)?).map_err(not_text)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::NotADirectory => "it is no directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
