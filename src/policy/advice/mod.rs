//! What a failure means and what to do about it: the one place for these texts.
//!
//! Every class of failure has a stable label, a meaning (one sentence) and a fix. Logs, commands and
//! `docs/errors.md` print them from here. The areas that read errors of the SDK and of the HTTP client pick
//! the class.
//! Texts are for people; the program branches on the closed kind of a class. For SQS that is
//! [`queue::QueueErrorKind`] or [`entry::EntryErrorKind`], which stands beside the classes it groups. For an
//! endpoint it is the outcome.
//!
//! Texts have placeholders, `{action}` for instance. [`fill`] replaces them with what is known of the case at
//! hand.

/// Declares the classes of one kind of failure: an enum whose variants know their texts.
macro_rules! classes {
    (
        $(#[$about:meta])*
        $name:ident of $kind:ident;
        $($variant:ident, $label:literal, $of:ident: $meaning:literal; $fix:literal;)+
    ) => {
        classes! {
            $(#[$about])*
            $name;
            $($variant, $label: $meaning; $fix;)+
        }

        impl $name {
            /// What the program branches on.
            pub fn kind(self) -> $kind {
                match self { $(Self::$variant => $kind::$of,)+ }
            }
        }
    };
    (
        $(#[$about:meta])*
        $name:ident;
        $($variant:ident, $label:literal: $meaning:literal; $fix:literal;)+
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(clippy::doc_markdown, reason = "the comments on variants are texts for a log")]
        pub enum $name {
            $(#[doc = $meaning] $variant,)+
        }

        impl $name {
            /// Every class, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable name, for logs and documentation.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What happened, with placeholders.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What to do about it, with placeholders.
            pub fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix,)+ }
            }
        }
    };
}

pub mod endpoint;
pub mod entry;
pub mod queue;

/// A meaning and a fix with all placeholders replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What happened.
    pub meaning: String,
    /// What to do about it.
    pub fix: String,
}

/// Replaces the placeholders of a text: `{name}` becomes the value of that name. A placeholder without a
/// value stays.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    // In one pass, so that a value that looks like a placeholder is not replaced.
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let gap = after.split_once('}').and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (value, after))
        });
        if let Some((value, after)) = gap {
            filled.push_str(value);
            rest = after;
        } else {
            filled.push('{');
            rest = after;
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
