//! The algorithm a listener calls: `owner/name[/version]`, its path and its query.
//!
//! The path is fixed when the listener is built (`/v1/algo/OWNER/NAME[/VERSION]?timeout=SECONDS`); only the
//! content type depends on the message: JSON bodies as `application/json`, everything else as
//! `application/text`, which is what such servers expect of a plain string.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A reference to an algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithm {
    owner: String,
    name: String,
    version: Option<String>,
}

/// Why a text is no algorithm reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// Not two or three parts.
    #[error("write it as OWNER/NAME or OWNER/NAME/VERSION")]
    Parts,
    /// A part with a character that has no place in it.
    #[error("{part:?}: letters, digits, '_', '-' and '.' only")]
    Character {
        /// The offending part.
        part: String,
    },
    /// A version that is none of the three forms.
    #[error("version {version:?}: a version number (1.2.0), a 40-digit hash, or latestPrivate")]
    Version {
        /// The offending version.
        version: String,
    },
}

impl Algorithm {
    /// Path and query of the call; `timeout` is what the server may spend, in whole seconds.
    pub fn path_and_query(&self, timeout: Duration) -> String {
        let version = self.version.as_ref().map(|version| format!("/{version}")).unwrap_or_default();
        format!("/v1/algo/{}/{}{version}?timeout={}", self.owner, self.name, timeout.as_secs())
    }

    /// Who has written it.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name, without that of its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that is called, unless it is the newest.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let (Some(owner), Some(name), version, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AlgorithmError::Parts);
        };
        for part in [owner, name] {
            if part.is_empty() || !part.chars().all(is_name_character) {
                return Err(AlgorithmError::Character { part: part.to_owned() });
            }
        }
        if let Some(version) = version.filter(|version| !is_version(version)) {
            return Err(AlgorithmError::Version { version: version.to_owned() });
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned(), version: version.map(str::to_owned) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "/{version}"))
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Up to three numbers with dots, forty hexadecimal digits, or `latestPrivate`.
fn is_version(version: &str) -> bool {
    let hash = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    let numbers = version.split('.').count() <= 3
        && version.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    hash || numbers || version == "latestPrivate"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(420);

    #[test]
    fn all_forms_of_a_version_make_a_path() {
        let path = |text: &str| text.parse::<Algorithm>().map(|algorithm| algorithm.path_and_query(TIMEOUT));
        assert_eq!(path("demo/Hello"), Ok("/v1/algo/demo/Hello?timeout=420".to_owned()));
        assert_eq!(path("demo/Hello/0.1.3"), Ok("/v1/algo/demo/Hello/0.1.3?timeout=420".to_owned()));
        assert!(path("demo/Hello/latestPrivate").is_ok());
        assert!(path(&format!("demo/Hello/{}", "a1".repeat(20))).is_ok());
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        assert_eq!("demo".parse::<Algorithm>(), Err(AlgorithmError::Parts));
        assert_eq!("a/b/1.0.0/c".parse::<Algorithm>(), Err(AlgorithmError::Parts));
        assert!(matches!("a b/c".parse::<Algorithm>(), Err(AlgorithmError::Character { .. })));
        assert!(matches!("/c".parse::<Algorithm>(), Err(AlgorithmError::Character { .. })));
        assert!(matches!("a/b/latest".parse::<Algorithm>(), Err(AlgorithmError::Version { .. })));
    }
}
