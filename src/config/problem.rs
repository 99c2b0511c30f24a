//! A problem of the configuration: where it is, and what to write instead.
//!
//! Every check adds to one [`Report`] and goes on. So a person sees all problems at once, in the order of the
//! file. A problem shows a value as it was *written*: `${TOKEN}`, never the variable's value. Of an address
//! it shows only the origin, and `REDACTED` for a possible secret. The line of the file follows, with the
//! same parts hidden (`excerpt`). Warnings do not stop the start.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use crate::config::excerpt::{At, Excerpt, Source, excerpt};
use crate::config::shown::{Reveal, is_suggestion, meant, shown};
use crate::escape;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the configuration file; line and column count from 1, and line 0 is the file as a whole.
    File {
        /// On the command line.
        path: Arc<str>,
        /// Line.
        line: u64,
        /// Column, in characters.
        column: u64,
    },
    /// A flag, `--workers`.
    Flag(&'static str),
    /// An environment variable, `QUEUEPOST_WORKERS`.
    Variable(&'static str),
    /// A preset's default, by the name of the preset.
    Preset(&'static str),
    /// Nowhere: a missing value has no position. The key names the flag to add.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0, .. } => f.write_str(&escape::line(path)),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", escape::line(path)),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// Path of the key, `listeners[0].workers`; empty for the file as a whole.
    pub key: String,
    /// The value as written; `REDACTED` where it may be a secret or name one.
    pub value: Option<String>,
    /// The rule it breaks, as the end of a sentence.
    pub rule: String,
    /// What to write instead.
    pub fix: Option<String>,
    /// The line of the file with hidden parts removed.
    pub source: Option<Excerpt>,
}

impl fmt::Display for Problem {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match &self.place {
            Place::File { .. } | Place::Preset(_) => {
                write!(f, "{}: ", self.place)?;
                self.key.as_str()
            }
            Place::Flag(name) | Place::Variable(name) => name,
            Place::CommandLine => self.key.as_str(),
        };
        f.write_str(&escape::line(subject))?;
        match &self.value {
            Some(value) => write!(f, ": {} ", escape::line(value))?,
            None if subject.is_empty() => {}
            None => f.write_str(" ")?,
        }
        f.write_str(&escape::line(&self.rule))?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "; {}", escape::line(fix)))
    }
}

/// Most problems that a person is shown: they scroll by, and one mistake is often made in every listener.
pub const SHOWN_MAX: usize = 200;

/// All problems of the configuration; each prints as one line, followed by the line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// The problems, those of the file first and in its order.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems a person is not shown, and where they are; `None` if all are.
    pub fn left_out(&self) -> Option<String> {
        let more = self.problems.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0)?;
        Some(format!("and {more} more; `queuepost check --offline --format json` lists all"))
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
            if let Some(source) = &problem.source {
                write!(f, "\n{source}")?;
            }
        }
        match self.left_out() {
            Some(words) => write!(f, "\n{words}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Why a text is not valid for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    rule: String,
    fix: Option<String>,
}

impl Fault {
    /// The broken rule, as the end of a sentence that starts with the value: `is out of range: 1 to 9`.
    pub(super) fn new(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), fix: None }
    }

    /// What to write instead.
    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// A scalar as it was written, and where.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// Path of its key.
    pub(super) key: String,
    /// Its position.
    pub(super) place: Place,
    /// The text before interpolation: what a problem may repeat.
    pub(super) raw: String,
    /// The text to use; `None` when a problem was reported already.
    pub(super) text: Option<String>,
    /// How much of the text a problem may repeat.
    pub(super) reveal: Reveal,
}

impl Written {
    /// A text that is used as written.
    pub(super) fn plain(key: String, place: Place, raw: String) -> Self {
        Self { key, place, text: Some(raw.clone()), raw, reveal: Reveal::Text }
    }
}

/// Problems and warnings so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    /// Key and position of each problem, for fast look-up: a file can have thousands of problems.
    refused: HashSet<(String, Place)>,
    /// Keys with a problem in their order, so that those below another are neighbours.
    keys: BTreeSet<String>,
    /// What was suggested in the place of misspelt keys.
    meant: HashSet<String>,
    warnings: Vec<String>,
    /// The texts of the files, by their paths.
    sources: HashMap<Arc<str>, Source>,
}

impl Report {
    /// Stores the text of a file, to show lines of it.
    pub(super) fn quote_from(&mut self, path: &Arc<str>, source: &str) {
        self.sources.insert(Arc::clone(path), Source::new(source));
    }

    /// Adds a problem with a written value.
    pub(super) fn refuse(&mut self, written: &Written, fault: Fault) {
        let fault = match written.reveal.hidden() {
            Some(why) => {
                Fault { fix: Some(fault.fix.map_or_else(String::new, |fix| fix + "; ") + why), ..fault }
            }
            None => fault,
        };
        let value = shown(&written.raw, written.reveal);
        let whole = value == written.raw || value == format!("{:?}", written.raw);
        let at = if whole { At::Value(&written.raw) } else { At::Node };
        self.add(&written.place, &written.key, Some(value), fault, at);
    }

    /// Adds a problem that has a key but no value to show.
    pub(super) fn refuse_key(&mut self, place: &Place, key: &str, fault: Fault) {
        self.add(place, key, None, fault, At::Node);
    }

    /// Adds a problem if a written value breaks a rule. Without a value there is no rule to break. A value
    /// that was refused already gets no second problem.
    pub(super) fn require(&mut self, written: Option<&Written>, rule: Result<(), Fault>) {
        if let (Some(written), Err(fault)) = (written, rule)
            && !self.refused.contains(&(written.key.clone(), written.place.clone()))
        {
            self.refuse(written, fault);
        }
    }

    /// Adds a warning about a written value, if both exist.
    pub(super) fn advise(&mut self, written: Option<&Written>, warning: Option<String>) {
        if let (Some(written), Some(warning)) = (written, warning) {
            self.warn(&written.place, &written.key, &warning);
        }
    }

    /// Adds the problem that the file is no YAML.
    pub(super) fn refuse_syntax(&mut self, place: &Place, fault: Fault) {
        self.add(place, "", None, fault, At::Syntax);
    }

    fn add(&mut self, place: &Place, key: &str, value: Option<String>, fault: Fault, at: At<'_>) {
        let source = match place {
            Place::File { path, line, column } => {
                self.sources.get(path).and_then(|source| excerpt(source, *line, *column, at))
            }
            Place::Flag(_) | Place::Variable(_) | Place::Preset(_) | Place::CommandLine => None,
        };
        let (place, key) = (place.clone(), key.to_owned());
        self.refused.insert((key.clone(), place.clone()));
        self.keys.insert(key.clone());
        self.meant.extend(fault.fix.clone().filter(|fix| is_suggestion(fix)));
        self.problems.push(Problem { place, key, value, rule: fault.rule, fix: fault.fix, source });
    }

    /// Adds a warning about the key at `place`.
    pub(super) fn warn(&mut self, place: &Place, key: &str, warning: &str) {
        let problem = Problem {
            place: place.clone(),
            key: key.to_owned(),
            value: None,
            rule: warning.to_owned(),
            fix: None,
            source: None,
        };
        self.warnings.push(problem.to_string());
    }

    /// Whether `key`, a key below it or a possible misspelling of it has a problem.
    pub(super) fn mentions(&self, key: &str) -> bool {
        let next = self.keys.range::<str, _>((Bound::Included(key), Bound::Unbounded)).next();
        next.is_some_and(|next| next.starts_with(key)) || self.meant.contains(&meant(key))
    }

    /// The value of `written`; `None` if there is none or it was refused, now or before.
    pub(super) fn parse<T>(
        &mut self,
        written: Option<&Written>,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let written = written?;
        match parse(written.text.as_deref()?) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.refuse(written, fault);
                None
            }
        }
    }

    /// The warnings if no value was refused, else every problem.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigErrors> {
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(self.into_errors()) }
    }

    /// Every problem, by position.
    pub(super) fn into_errors(mut self) -> ConfigErrors {
        self.problems.sort_by(|a, b| a.place.cmp(&b.place));
        ConfigErrors { problems: self.problems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_cannot_steer_a_terminal_whatever_the_file_holds() {
        let evil = "a\u{202e}b\x1b[31m\u{9b}\nforged".to_owned();
        let problem = Problem {
            place: Place::File { path: evil.as_str().into(), line: 7, column: 14 },
            key: evil.clone(),
            value: Some(evil.clone()),
            rule: evil.clone(),
            fix: Some(evil),
            source: None,
        };
        assert!(!problem.to_string().chars().any(escape::is_unsafe), "{problem}");
    }

    #[test]
    fn a_problem_is_one_line_that_says_where_what_and_why() {
        let place = Place::File { path: "queuepost.yaml".into(), line: 7, column: 14 };
        let mut problem = Problem {
            place,
            key: "listeners[0].workers".to_owned(),
            value: Some("0".to_owned()),
            rule: "is out of range: 1 to 10,000".to_owned(),
            fix: None,
            source: None,
        };
        let text = "listeners[0].workers: 0 is out of range: 1 to 10,000";
        assert_eq!(problem.to_string(), format!("queuepost.yaml:7:14: {text}"));
        problem.place = Place::Flag("--workers");
        assert_eq!(problem.to_string(), "--workers: 0 is out of range: 1 to 10,000");
        problem.value = None;
        assert_eq!(problem.to_string(), "--workers is out of range: 1 to 10,000");
    }
}
