//! Reads the keys of one map: each key once, by name, into the expected type.
//!
//! When [`Fields::finish`] is called, every key that was not read is unknown. So the keys that the code reads
//! are the known ones, and there is no second list to maintain. Only this file replaces `${VAR}` in scalars.
//! A value of the wrong type is reported without being repeated.

use crate::config::env::{Lookup, interpolate};
use crate::config::peers;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::shown::{Reveal, did_you_mean, shown_key};
use crate::config::tree::{Key, Node, Value};

/// A value that may be a scalar or a map.
#[derive(Debug)]
pub(super) enum Own<T> {
    /// A scalar that no problem may repeat.
    Scalar(Written),
    /// The keys of a map.
    Map(T),
    /// A list; the report says so.
    Refused,
}

/// The keys of one map that were not read yet.
pub(super) struct Fields<'a> {
    path: String,
    place: Place,
    entries: Vec<(Key, Node)>,
    asked: Vec<&'static str>,
    env: Lookup<'a>,
    report: &'a mut Report,
}

impl<'a> Fields<'a> {
    /// The map `node`, whose keys are at `path`; `None`, and a problem, if it is no map.
    pub(super) fn new(path: String, node: Node, env: Lookup<'a>, report: &'a mut Report) -> Option<Self> {
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Nothing => Vec::new(),
            Value::Scalar(_) | Value::List(_) => {
                report.refuse_key(&node.place, &path, Fault::new("must be a map of keys and values"));
                return None;
            }
        };
        Some(Self { path, place: node.place, entries, asked: Vec::new(), env, report })
    }

    /// Where the map starts.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Path of the map itself.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// One scalar.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Written> {
        self.one(name, Reveal::Text)
    }

    /// One scalar that is an address.
    pub(super) fn address(&mut self, name: &'static str) -> Option<Written> {
        self.one(name, Reveal::Origin)
    }

    /// One scalar that is a path; a user may have written a secret in its place.
    pub(super) fn path_of_file(&mut self, name: &'static str) -> Option<Written> {
        self.one(name, Reveal::Path)
    }

    /// One scalar that names a variable; a user may have written a secret in its place.
    pub(super) fn variable(&mut self, name: &'static str) -> Option<Written> {
        self.one(name, Reveal::Variable)
    }

    /// One scalar that no problem may repeat.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Written> {
        self.one(name, Reveal::Nothing)
    }

    fn one(&mut self, name: &'static str, reveal: Reveal) -> Option<Written> {
        let node = self.take(name)?;
        let key = self.key(name);
        Some(self.scalar(key, node, reveal))
    }

    /// A list of scalars; a single scalar counts as a list of one.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<Written>> {
        let node = self.take(name)?;
        let key = self.key(name);
        let Value::List(items) = node.value else {
            return Some(vec![self.scalar(key, node, Reveal::Text)]);
        };
        if items.is_empty() {
            self.report.refuse_key(&node.place, &key, Fault::new("must not be empty"));
            return None;
        }
        let item = |(index, item)| self.scalar(format!("{key}[{index}]"), item, Reveal::Text);
        Some(items.into_iter().enumerate().map(item).collect())
    }

    /// A map below this one, read by `read`.
    pub(super) fn map<T>(&mut self, name: &'static str, read: impl FnOnce(Fields<'_>) -> T) -> Option<T> {
        let node = self.take(name)?;
        let key = self.key(name);
        Fields::new(key, node, self.env, self.report).map(read)
    }

    /// A list of maps, each read by `read`.
    pub(super) fn list<T>(&mut self, name: &'static str, mut read: impl FnMut(Fields<'_>) -> T) -> Vec<T> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let key = self.key(name);
        let Value::List(items) = node.value else {
            self.report.refuse_key(&node.place, &key, Fault::new("must be a list: one `- ` for each"));
            return Vec::new();
        };
        let item = |(index, item)| {
            Fields::new(format!("{key}[{index}]"), item, self.env, self.report).map(&mut read)
        };
        items.into_iter().enumerate().filter_map(item).collect()
    }

    /// A map with names chosen by the user as keys, each value read by `read`.
    pub(super) fn named<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Written, Fields<'_>) -> T,
    ) -> Vec<T> {
        let key = self.key(name);
        let entries = self.map(name, |mut fields| std::mem::take(&mut fields.entries)).unwrap_or_default();
        let entry = |(name, node): (Key, Node)| {
            let path = join(&key, &name.name);
            let written = Written::plain(path.clone(), name.place, name.name);
            Fields::new(path, node, self.env, self.report).map(|fields| read(written, fields))
        };
        entries.into_iter().filter_map(entry).collect()
    }

    /// A map with names chosen by the user as keys; a value that is a map is read by `read`.
    pub(super) fn named_values<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Fields<'_>) -> T,
    ) -> Vec<(Written, Own<T>)> {
        let key = self.key(name);
        let entries = self.map(name, |mut fields| std::mem::take(&mut fields.entries)).unwrap_or_default();
        let entry = |(name, node): (Key, Node)| {
            let path = join(&key, &name.name);
            let written = Written::plain(path.clone(), name.place, name.name);
            let value = match node.value {
                Value::Map(_) => Fields::new(path, node, self.env, self.report)
                    .map_or(Own::Refused, |fields| Own::Map(read(fields))),
                Value::Scalar(_) => Own::Scalar(self.scalar(path, node, Reveal::Nothing)),
                Value::List(_) | Value::Nothing => {
                    let fault = Fault::new("must be a text, or `{file: …}` or `{env: …}` for a secret");
                    self.report.refuse_key(&node.place, &path, fault);
                    Own::Refused
                }
            };
            (written, value)
        };
        entries.into_iter().map(entry).collect()
    }

    /// Refuses every key that was not read.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            let fault = Fault::new("is not a key of the configuration");
            let near = peers::hint(&self.path, &key.name)
                .or_else(|| did_you_mean(&key.name, self.asked.iter().copied()));
            // In `{s3cr3t}` the secret is a key without a value.
            let hidden = near.is_none() && matches!(node.value, Value::Nothing);
            let fault = match near {
                Some(near) => fault.fix(near),
                None => fault.fix(format!("known here: {}", self.asked.join(", "))),
            };
            let name = if hidden { "" } else { key.name.as_str() };
            self.report.refuse_key(&key.place, &join(&self.path, name), fault);
        }
    }

    fn key(&self, name: &str) -> String {
        join(&self.path, name)
    }

    fn take(&mut self, name: &'static str) -> Option<Node> {
        self.asked.push(name);
        self.remove(name).filter(|node| !matches!(node.value, Value::Nothing))
    }

    fn remove(&mut self, name: &str) -> Option<Node> {
        let index = self.entries.iter().position(|(key, _)| key.name == name)?;
        Some(self.entries.remove(index).1)
    }

    fn scalar(&mut self, key: String, node: Node, reveal: Reveal) -> Written {
        let Value::Scalar(raw) = node.value else {
            self.report.refuse_key(&node.place, &key, Fault::new("must be a single value"));
            return Written { key, place: node.place, raw: String::new(), text: None, reveal };
        };
        let mut written = Written { reveal, ..Written::plain(key, node.place, raw) };
        match interpolate(&written.raw, self.env) {
            Ok(text) => written.text = Some(text),
            Err(fault) => {
                written.text = None;
                self.report.refuse(&written, fault);
            }
        }
        written
    }
}

/// A path and a name below it; the name is hidden where it may be a secret.
fn join(path: &str, name: &str) -> String {
    let name = shown_key(name);
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
