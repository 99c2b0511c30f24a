//! Prints an error with its whole chain of causes, each once.
//!
//! In this crate `Display` of an error never includes its source; in other crates it may. So a cause is
//! skipped when the line already ends with its text.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources, joined by `: `.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> String {
        let link = |source: Option<Box<Link>>, &text: &&'static str| Some(Box::new(Link { text, source }));
        let error = texts.iter().rev().fold(None, link).expect("at least one");
        Chain(&*error).to_string()
    }

    #[test]
    fn every_cause_is_printed_in_order() {
        assert_eq!(
            chain(&["receive failed", "dispatch failure", "refused"]),
            "receive failed: dispatch failure: refused"
        );
        assert_eq!(chain(&["alone"]), "alone");
    }

    #[test]
    fn a_cause_that_is_already_in_the_text_is_not_repeated() {
        assert_eq!(
            chain(&["receive failed: refused", "refused", "os error 111"]),
            "receive failed: refused: os error 111"
        );
    }
}
