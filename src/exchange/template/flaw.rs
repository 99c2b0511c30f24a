//! What is wrong with a template.

use minijinja::machinery::Span;

/// Why a template is refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The rule it breaks, as the end of a sentence.
    pub rule: String,
    /// What to write instead.
    pub fix: Option<String>,
    /// The name that does not exist.
    pub unknown: Option<Unknown>,
}

/// A name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// As written.
    pub name: String,
    /// Those that do.
    pub known: &'static [&'static str],
}

impl Flaw {
    /// One at this place.
    pub(super) fn at(span: Span, rule: impl Into<String>) -> Self {
        let (line, column) = (usize::from(span.start_line), usize::from(span.start_col) + 1);
        Self { line, column, rule: rule.into(), fix: None, unknown: None }
    }

    /// The same, with what to write instead.
    pub(super) fn fix(self, fix: &str) -> Self {
        Self { fix: Some(fix.to_owned()), ..self }
    }

    /// A name that does not exist.
    pub(super) fn unknown(span: Span, what: &str, name: &str, known: &'static [&'static str]) -> Self {
        let unknown = Some(Unknown { name: name.to_owned(), known });
        Self { unknown, ..Self::at(span, format!("{what} `{name}` does not exist")) }
    }
}
