//! How much of what was written a problem repeats, and which known name may have been meant.
//!
//! Secrets stand where they do not belong: in addresses, in place of keys. So an address is shown up to its port, and
//! a key only if it is a word.

use url::Url;

/// Longest value a problem repeats.
const SHOWN_CHARACTERS: usize = 80;
/// Longest name of a key that a problem repeats, one more than that of a listener.
const NAME_MAX: usize = 64;

/// Longest word in a path or a variable's name; a token is longer. Keys and codes are often in capitals.
const WORD_MAX: usize = 20;
/// Longest word in capitals.
const CAPITALS_MAX: usize = 14;
/// Most changes between letters and digits in such a word: `k8s` has two, a token many.
const CHANGES_MAX: usize = 2;

/// How much of a value a problem may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reveal {
    /// All of it; of an address, scheme, host and port.
    Text,
    /// It is meant to be an address: host and port, even when the scheme is missing.
    Origin,
    /// It is meant to be a path: all of it if it looks like one, else nothing.
    Path,
    /// It is meant to be the name of a variable: all of it if it looks like one, else nothing.
    Variable,
    /// Nothing.
    Nothing,
}

/// The name of a key; `…` for what is no word, since a secret can stand where a key belongs.
pub(super) fn shown_key(name: &str) -> &str {
    let word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let is_word = name.chars().count() <= NAME_MAX && !name.is_empty() && name.chars().all(word);
    if is_word { name } else { "…" }
}

/// A value as a problem repeats it: addresses without what follows the origin (credentials hide in user
/// information, path and query alike), long ones cut, odd ones quoted.
pub(super) fn shown(raw: &str, reveal: Reveal) -> String {
    match reveal {
        Reveal::Text | Reveal::Origin => {}
        Reveal::Path if looks_like_a_path(raw) => return raw.to_owned(),
        Reveal::Variable if looks_like_a_variable(raw) => return raw.to_owned(),
        Reveal::Path | Reveal::Variable | Reveal::Nothing => return "REDACTED".to_owned(),
    }
    if raw.contains("://") {
        return match Url::parse(raw) {
            Ok(url) if url.host().is_some() && !raw.contains("${") => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or_default())
            }
            Ok(_) | Err(_) => "the address".to_owned(),
        };
    }
    if reveal == Reveal::Origin {
        let origin = raw.split(['/', '?', '#']).next().unwrap_or_default();
        let host = origin.rsplit('@').next().unwrap_or_default();
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        if !port.chars().all(|c| c.is_ascii_digit()) {
            return "the address".to_owned();
        }
        return if host == raw { quoted(raw) } else { quoted(&format!("{host}/…")) };
    }
    if let Some((_, host)) = raw.rsplit_once('@') {
        return quoted(&format!("…@{}", host.split('?').next().unwrap_or_default()));
    }
    match raw.split_once('?') {
        Some((path, _)) => quoted(&format!("{path}?…")),
        None => quoted(raw),
    }
}

/// Whether a text is a path and not the secret itself: it has a slash or a suffix, and is made of words.
///
/// In doubt it is none: tokens hold slashes and dots too, but seldom words in one case between them.
fn looks_like_a_path(raw: &str) -> bool {
    let file = raw.rsplit('/').next().unwrap_or_default();
    let suffix = file.rsplit_once('.').is_some_and(|(stem, suffix)| {
        !stem.is_empty() && (1..=6).contains(&suffix.len()) && suffix.chars().all(|c| c.is_ascii_lowercase())
    });
    let parts = raw.strip_prefix("~/").unwrap_or(raw).split(['/', '.', '_', '-']);
    (raw.contains('/') || suffix) && file.chars().any(char::is_alphabetic) && parts.into_iter().all(is_word)
}

/// Whether a text is the name of a variable and not the secret itself: words in capitals.
fn looks_like_a_variable(raw: &str) -> bool {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    raw.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && raw.chars().any(char::is_alphabetic)
        && raw.chars().all(capital)
        && raw.split('_').all(is_word)
}

/// Whether a text, which may be empty, is no part of a token: short, in one case, letters and digits apart.
fn is_word(text: &str) -> bool {
    let capitals = text.chars().skip(1).any(char::is_uppercase);
    let mixed = capitals && text.chars().any(char::is_lowercase);
    let digits: Vec<bool> = text.chars().map(|c| c.is_ascii_digit()).collect();
    let changes = digits.windows(2).filter(|pair| pair.first() != pair.last()).count();
    text.len() <= if capitals { CAPITALS_MAX } else { WORD_MAX }
        && text.chars().all(|c| c.is_ascii_alphanumeric())
        && !mixed
        && changes <= CHANGES_MAX
}

/// At most [`SHOWN_CHARACTERS`], in quotes if it is not one plain word.
fn quoted(raw: &str) -> String {
    let mut text: String = raw.chars().take(SHOWN_CHARACTERS).collect();
    if text.len() < raw.len() {
        text.push('…');
    }
    let plain = |c: char| c.is_alphanumeric() || "-_./:+%${}?@…".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("{text:?}") }
}

/// `; did you mean …?` for a name that is nearly one of `known`.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.replace('-', "_")), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 5)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| meant(candidate))
}

/// How a name is suggested.
pub(super) fn meant(name: &str) -> String {
    format!("did you mean `{name}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_up_to_its_port_only() {
        let text = |raw: &str| shown(raw, Reveal::Text);
        let origin = |raw: &str| shown(raw, Reveal::Origin);
        assert_eq!(text("https://u:secret@h.example:8443/secret?secret"), "https://h.example:8443/…");
        assert_eq!(text("https://${HOST_WITH_SECRET}/x"), "the address");
        assert_eq!(text("https://h.example:70000/secret"), "the address");
        assert_eq!(text("run?key=secret"), "run?…");
        assert_eq!(text("a b"), "\"a b\"");
        assert_eq!(text(""), "\"\"");
        assert_eq!(text(&"x".repeat(100)).chars().count(), SHOWN_CHARACTERS + 1);
        assert_eq!(origin("u:secret@h.example:8443/secret?secret"), "h.example:8443/…");
        assert_eq!(origin("h.example"), "h.example");
        assert_eq!(origin("h.example:secret"), "the address");
        assert_eq!(text("https:/u:secret@h.example/q?secret"), "…@h.example/q");
        assert_eq!(shown("secret", Reveal::Nothing), "REDACTED");
    }

    #[test]
    fn a_path_or_a_variables_name_is_shown_and_a_secret_in_its_place_is_not() {
        for path in [
            "/etc/queuepost/orders-auth",
            "/run/secrets/AUTH_HEADER",
            "secrets/api.header",
            "./auth",
            "../v2/k8s/header",
            "~/.queuepost/auth",
            "header.txt",
        ] {
            assert_eq!(shown(path, Reveal::Path), path);
        }
        for variable in ["ORDERS_AUTH", "TOKEN", "AUTH_HEADER_2", "_X", "AUTHORIZATION", "OAUTH2_TOKEN"] {
            assert_eq!(shown(variable, Reveal::Variable), variable);
        }
        let secrets = [
            "s3cr3t",
            "swordfish",
            "Bearer s3cr3t",
            "Authorization: Bearer abc",
            "hunter2/",
            "/s3cr3t/x",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "/9j/4AAQSkZJRgABAQ",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N",
            "a3f5c9d27b1e4f60/8d92",
            "xoxb-123456789012-abcdEFGHijkl",
            "AKIAIOSFODNN7EXAMPLE",
            "JBSWY3DPEHPK3PXP",
            "https://u:p@h/x",
            "-----BEGIN PRIVATE KEY-----",
            "AUTH\u{1b}[0m",
            "",
        ];
        for secret in secrets {
            for reveal in [Reveal::Path, Reveal::Variable] {
                assert_eq!(shown(secret, reveal), "REDACTED", "{secret}");
            }
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let known = ["queue", "workers", "throttle_delay"];
        assert_eq!(did_you_mean("wrokers", known), Some("did you mean `workers`?".to_owned()));
        assert_eq!(did_you_mean("Throttle-Delay", known), Some("did you mean `throttle_delay`?".to_owned()));
        assert_eq!(did_you_mean("colour", known), None);
    }
}
