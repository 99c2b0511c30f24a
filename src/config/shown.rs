//! How much of a written value a problem repeats, and which known key a misspelt one may be.
//!
//! Users put secrets where they do not belong: in addresses, and in place of keys. So an address is shown up
//! to its port, and a key only if it is a word.

use url::Url;

/// Longest value a problem repeats.
const SHOWN_CHARACTERS: usize = 80;
/// Longest key that a problem repeats, one more than the longest listener name.
const NAME_MAX: usize = 64;

/// How much of a value a problem may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reveal {
    /// The whole value; of an address: scheme, host and port.
    Text,
    /// The value should be an address: host and port are shown, even when the scheme is missing.
    Origin,
    /// The value should be a path, but may be the secret itself: hidden, unless `reveal` knows the path.
    Path,
    /// The value should be a variable's name, but may be the secret itself: hidden, unless `reveal` knows it.
    Variable,
    /// The first bytes of the value.
    Beginning(usize),
    /// Nothing.
    Nothing,
}

impl Reveal {
    /// Why the value is hidden, and how to see it, where that is not obvious.
    pub(super) fn hidden(self) -> Option<&'static str> {
        match self {
            Self::Path => Some(
                "REDACTED, since it may be the secret itself: look where it was written; a path is shown once its \
                 directory exists",
            ),
            Self::Variable => Some(
                "REDACTED, since it may be the secret itself: look where it was written; a name is shown once it is \
                 set, or if it is in capitals with a word such as AUTH, TOKEN or KEY",
            ),
            Self::Text | Self::Origin | Self::Beginning(_) | Self::Nothing => None,
        }
    }
}

/// The name of a key; `…` for a text that is no word, since it may be a secret.
pub(super) fn shown_key(name: &str) -> &str {
    let word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let is_word = name.chars().count() <= NAME_MAX && !name.is_empty() && name.chars().all(word);
    if is_word { name } else { "…" }
}

/// A value as a problem repeats it. An address is cut after its origin, because credentials may be in user
/// information, path and query. Long values are cut, unusual ones quoted.
pub(super) fn shown(raw: &str, reveal: Reveal) -> String {
    match reveal {
        Reveal::Text | Reveal::Origin => {}
        Reveal::Beginning(length) => {
            let beginning = raw.get(..length).unwrap_or_default();
            return format!("{beginning}{}", if beginning.len() < raw.len() { "…" } else { "" });
        }
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

/// At most [`SHOWN_CHARACTERS`], in quotes if it is not one plain word.
fn quoted(raw: &str) -> String {
    let mut text: String = raw.chars().take(SHOWN_CHARACTERS).collect();
    if text.len() < raw.len() {
        text.push('…');
    }
    let plain = |c: char| c.is_alphanumeric() || "-_./:+%${}?@…".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("{text:?}") }
}

/// `; did you mean …?` for a name that is close to one of `known`.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(meant)
}

/// The one of `known` that is close to a name in lower case.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (distance(&name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 5)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn distance(name: &str, candidate: &str) -> usize {
    #[cfg(test)]
    COMPARISONS.with(|count| count.set(count.get() + 1));
    strsim::osa_distance(name, &candidate.replace('-', "_"))
}

#[cfg(test)]
thread_local! {
    /// Names compared in this thread.
    pub(super) static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Whether a fix suggests a name.
pub(super) fn is_suggestion(fix: &str) -> bool {
    fix.starts_with("did you mean")
}

/// The form of a suggested name.
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
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let known = ["queue", "workers", "throttle_delay"];
        assert_eq!(did_you_mean("wrokers", known), Some("did you mean `workers`?".to_owned()));
        assert_eq!(did_you_mean("Throttle-Delay", known), Some("did you mean `throttle_delay`?".to_owned()));
        assert_eq!(did_you_mean("colour", known), None);
    }
}
