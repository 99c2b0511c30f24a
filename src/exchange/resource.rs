//! Path and query that a request is sent to, below the scheme, host and port of its endpoint.
//!
//! A template or a message may choose them; nothing else of an address. So a text is accepted only if every server reads the
//! same path in it: no dot segments, no slash or control character in percent-encoding, no second address. What is
//! accepted is sent byte for byte.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Longest path and query together, in bytes; servers commonly take 8 KiB.
const LENGTH_MAX: usize = 8 * 1024;

/// A path and a query, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    path: String,
    query: Option<String>,
}

impl Resource {
    /// A path that starts with `/`, and a query without its `?`; both percent-encoded.
    ///
    /// # Errors
    /// The rule that is broken, without words of the text.
    pub fn new(path: &str, query: Option<&str>) -> Result<Self, String> {
        if path.len().saturating_add(query.map_or(0, str::len)) > LENGTH_MAX {
            return Err("path and query are longer than 8 KiB".to_owned());
        }
        if !path.starts_with('/') || path.starts_with("//") {
            return Err("the path does not start with a single `/`".to_owned());
        }
        if let Some(refused) = path.chars().find(|&c| !is_allowed(c) || matches!(c, '?' | '#')) {
            return Err(format!("the path has a character that must be percent-encoded ({})", name(refused)));
        }
        path.split('/').try_for_each(segment)?;
        if let Some(refused) = query.and_then(|query| query.chars().find(|&c| !is_allowed(c) || c == '#')) {
            return Err(format!(
                "the query has a character that must be percent-encoded ({})",
                name(refused)
            ));
        }
        Ok(Self { path: path.to_owned(), query: query.filter(|query| !query.is_empty()).map(str::to_owned) })
    }

    /// The path, from its first `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

impl fmt::Debug for Resource {
    /// Its length: a message may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.as_ref().map_or(0, String::len);
        write!(f, "Resource({} and {query} bytes)", self.path.len())
    }
}

/// Visible ASCII that parsers of addresses leave as it is.
fn is_allowed(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '`' | '{' | '}' | '\'' | '^' | '|')
}

/// One part of a path between slashes.
fn segment(segment: &str) -> Result<(), String> {
    let decoded: Vec<u8> = percent_decode_str(segment).collect();
    if segment.bytes().filter(|&byte| byte == b'%').count() * 2 + decoded.len() != segment.len() {
        return Err("the path has a `%` that is not followed by two hexadecimal digits".to_owned());
    }
    if decoded == b"." || decoded == b".." {
        return Err("the path has a `.` or `..` segment".to_owned());
    }
    if decoded.iter().any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control()) {
        return Err("the path has an encoded slash, backslash or control character".to_owned());
    }
    Ok(())
}

/// A character for an error message.
fn name(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    proptest! {
        #[test]
        fn what_is_accepted_is_sent_as_it_is_to_the_address_it_is_given(
            path in "[/.%2eEfF5c:@a-z?#\\\\ ]{0,12}|/\\PC{0,8}",
            query in proptest::option::of("[/.%=&a-z#?:@ ]{0,12}|\\PC{0,8}"),
        ) {
            if let Ok(resource) = Resource::new(&path, query.as_deref()) {
                let mut url: Url = "https://user.example:8443/base?key=1".parse().unwrap();
                url.set_path(resource.path());
                url.set_query(resource.query());
                let sent = resource.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
                prop_assert_eq!(url.as_str(), format!("https://user.example:8443{sent}"));
            }
        }
    }

    #[test]
    fn a_plain_path_with_its_query_is_kept_byte_for_byte() {
        for (path, query) in [
            ("/", None),
            ("/a/b%20c/", Some("x=1&y=%2F..")),
            ("/orders;v=1/a..b/...", Some("next=https://example.com/")),
            ("/%C3%A4/@:!$&()*+,=~", None),
        ] {
            let resource = Resource::new(path, query).unwrap();
            assert_eq!((resource.path(), resource.query()), (path, query));
        }
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_refused() {
        for path in [
            "",
            "a",
            "//evil.example/a",
            "https://evil.example/",
            "/a/../b",
            "/a/%2e%2E/b",
            "/.",
            "/a/.%2e",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a\r\nHost: b",
            "/a b",
            "/a?b",
            "/a#b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/ä",
            "/a\u{7f}",
        ] {
            assert!(Resource::new(path, None).is_err(), "{path:?}");
        }
        for query in ["a b", "a#b", "a\r\nb", "a\u{0}", "ä"] {
            assert!(Resource::new("/", Some(query)).is_err(), "{query:?}");
        }
        assert!(Resource::new(&format!("/{}", "a".repeat(8 * 1024)), None).is_err());
    }
}
