//! The key `template`: as written, and compiled.
//!
//! `${VAR}` is not replaced in templates, so that no variable of the environment gets into a request. A problem names line
//! and column in the template, beside the place of its key in the file.

use crate::config::fields::Fields;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::shown::did_you_mean;
use crate::exchange::template::{Flaw, Parts};

/// `listeners[].template`.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// The key itself and its position, if it was written.
    written: Option<(String, Place)>,
    pub(super) path: Option<Written>,
    /// Names and their templates.
    pub(super) query: Vec<(Written, Written)>,
    /// Names and their templates.
    pub(super) headers: Vec<(Written, Written)>,
    pub(super) body: Option<Written>,
}

impl Template {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let template = Self {
            written: Some((fields.path().to_owned(), fields.place().clone())),
            path: fields.verbatim("path"),
            query: fields.verbatim_map("query"),
            headers: fields.verbatim_map("headers"),
            body: fields.verbatim("body"),
        };
        fields.finish();
        template
    }

    /// Whether it makes the path, so that none need be written beside it.
    pub(super) fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// Whether anything of it is there.
    pub(super) fn is_written(&self) -> bool {
        let has_map = !self.query.is_empty() || !self.headers.is_empty();
        self.written.is_some() || has_map || self.path.is_some() || self.body.is_some()
    }

    /// The compiled templates, if there are any; those with a problem are left out, and reported.
    pub(super) fn compile(&self, is_algorithm: bool, is_batch: bool, report: &mut Report) -> Option<Parts> {
        let mut parts = if is_batch { Parts::of_batch() } else { Parts::default() };
        let is_empty = self.path.is_none() && self.query.is_empty() && self.headers.is_empty();
        if is_empty && self.body.is_none() {
            let (key, place) = self.written.as_ref()?;
            if !report.mentions(key) {
                let fault = Fault::new("has no template");
                report.refuse_key(
                    place,
                    key,
                    fault.fix("write `path`, `query`, `headers` or `body` below it"),
                );
            }
            return None;
        }
        if let Some(path) = &self.path {
            if is_algorithm {
                let fault = Fault::new("is not allowed with `algorithm`, which has its own path");
                report.refuse_key(&path.place, &path.key, fault);
            }
            tell(path, source(path).map_or(Ok(()), |source| parts.path(source)), report);
        }
        for (name, value) in &self.query {
            tell(value, source(value).map_or(Ok(()), |source| parts.query(&name.raw, source)), report);
        }
        for (name, value) in &self.headers {
            match Parts::header_name(&name.raw) {
                Ok(name) => {
                    tell(value, source(value).map_or(Ok(()), |source| parts.header(&name, source)), report);
                }
                Err(rule) => report.refuse_key(&name.place, &name.key, Fault::new(rule)),
            }
        }
        if let Some(body) = &self.body {
            tell(body, source(body).map_or(Ok(()), |source| parts.body(source)), report);
        }
        Some(parts)
    }
}

/// The text of a template; `None` when it was refused already.
fn source(written: &Written) -> Option<&str> {
    written.text.as_deref()
}

/// Reports the flaws of a template.
pub(super) fn tell(written: &Written, compiled: Result<(), Vec<Flaw>>, report: &mut Report) {
    for flaw in compiled.err().into_iter().flatten() {
        let Flaw { line, column, rule, fix, unknown } = flaw;
        let fault = Fault::new(format!("at {line}:{column} of the template: {rule}"));
        let near = unknown.map(|unknown| {
            did_you_mean(&unknown.name, unknown.known.iter().copied())
                .unwrap_or_else(|| format!("there are: {}", unknown.known.join(", ")))
        });
        let fault = fix.or(near).into_iter().fold(fault, Fault::fix);
        report.refuse_key(&written.place, &written.key, fault);
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
