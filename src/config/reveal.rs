//! Whether a text is the name of a file or variable, so that a problem may repeat it.
//!
//! People paste the secret itself in the place of the name, and no text shows which it is: `admin/swordfish`
//! could be either. So existence decides. A path is shown if its directory exists, or up to its existing
//! part. A variable is shown if it is set, or has a usual name for credentials.

use std::path::{Component, Path, PathBuf};

use crate::config::env::{Lookup, is_variable_name};
use crate::config::file::File;
use crate::config::problem::{Place, Written};
use crate::config::shown::Reveal;

/// Words in the usual names of variables with credentials.
const CREDENTIAL_WORDS: [&str; 8] =
    ["AUTH", "TOKEN", "KEY", "SECRET", "HEADER", "PASS", "PASSWORD", "CREDENTIAL"];
/// Longest word in such a name; random secrets are longer.
const WORD_MAX: usize = 14;
/// Most changes between letters and digits in a word: `K8S` has two, a random secret has many.
const CHANGES_MAX: usize = 2;

/// A path, shown up to the part that is known to be a path.
pub(super) fn path(written: &Written, env: Lookup<'_>) -> Written {
    let reveal = match used_as_written(written) {
        Some(text) if written.reveal == Reveal::Path => of_path(text, &written.place, env),
        Some(_) | None => written.reveal,
    };
    Written { reveal, ..written.clone() }
}

/// The name of a variable, shown if it is known to be one.
pub(super) fn variable(written: &Written, env: Lookup<'_>) -> Written {
    let is_one = |name: &&str| is_variable_name(name) && (env(name).is_some() || is_called_like_one(name));
    let reveal = match used_as_written(written).filter(is_one) {
        Some(_) if written.reveal == Reveal::Variable => Reveal::Text,
        Some(_) | None => written.reveal,
    };
    Written { reveal, ..written.clone() }
}

/// The text, unless it is empty or has `${VAR}` in it.
fn used_as_written(written: &Written) -> Option<&str> {
    written.text.as_deref().filter(|text| *text == written.raw && !text.is_empty())
}

fn of_path(text: &str, place: &Place, env: Lookup<'_>) -> Reveal {
    let resolved = |path: &str| resolved(place, path, env);
    if resolved(text).exists() {
        return Reveal::Beginning(text.len());
    }
    // The slashes, the last one first. Of `/x` nothing is left before the slash, and `/` always exists.
    let mut parents = text.rmatch_indices('/').map(|(at, _)| (at, text.get(..at).unwrap_or_default()));
    let Some((_, parent)) = parents.next() else { return Reveal::Path };
    let has_name = |path: &str| {
        let named = |part: Component<'_>| matches!(part, Component::Normal(_));
        !path.is_empty() && Path::new(path).components().any(named)
    };
    let starts_like_one = [".", "..", "~"].contains(&text.split('/').next().unwrap_or_default());
    if (has_name(parent) || starts_like_one) && resolved(parent).is_dir() && !text.ends_with('/') {
        return Reveal::Beginning(text.len());
    }
    let known = parents.find(|(_, parent)| *parent != "~" && has_name(parent) && resolved(parent).is_dir());
    known.map_or(Reveal::Path, |(at, _)| Reveal::Beginning(at + 1))
}

/// The directory a path starts from. `~` works as in a shell, although no code here opens such a file.
fn resolved(place: &Place, path: &str, env: Lookup<'_>) -> PathBuf {
    match (path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')), env("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home + rest),
        _ => File::resolve(place, path),
    }
}

/// Words in capitals, of which one is usual for credentials.
fn is_called_like_one(name: &str) -> bool {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(capital)
        && name.split('_').all(is_word)
        && name.split('_').any(|word| CREDENTIAL_WORDS.contains(&word))
}

/// Whether a text, possibly empty, is no random secret: short, with letters and digits apart.
fn is_word(text: &str) -> bool {
    let digits: Vec<bool> = text.chars().map(|c| c.is_ascii_digit()).collect();
    let changes = digits.windows(2).filter(|pair| pair.first() != pair.last()).count();
    text.len() <= WORD_MAX && changes <= CHANGES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shown::shown;

    fn written(raw: &str, place: &Place, reveal: Reveal) -> Written {
        Written { reveal, ..Written::plain("auth".to_owned(), place.clone(), raw.to_owned()) }
    }

    #[test]
    fn a_path_is_shown_as_far_as_its_directories_exist_and_a_secret_in_its_place_is_not() {
        let directory = std::env::temp_dir().join(format!("queuepost-{}-reveal", std::process::id()));
        std::fs::create_dir_all(directory.join("secrets/deep")).expect("a directory");
        std::fs::write(directory.join("hUnTeR2"), "").expect("a file");
        let here = directory.to_str().expect("text").to_owned();
        let place = Place::File { path: format!("{here}/c.yaml").as_str().into(), line: 1, column: 1 };
        let env = |name: &str| (name == "HOME").then(|| here.clone());
        let told = |raw: &str| {
            let written = path(&written(raw, &place, Reveal::Path), &env);
            shown(raw, written.reveal)
        };
        let absolute = format!("{here}/secrets/authHeader");
        let paths =
            ["./auth", "secrets/api.header", "./secrets/x", "~/secrets/auth", "~/auth", "hUnTeR2", &absolute];
        let whole = paths.map(told);
        let partly = [
            ("secrets/missing/auth".to_owned(), "secrets/…".to_owned()),
            (format!("{here}/secrets/missing/deep/auth"), format!("{here}/secrets/…")),
        ];
        let in_part = partly.clone().map(|(raw, _)| told(&raw));
        let hidden = [
            "admin/swordfish",
            "hunter2.com",
            "sk_live_abcdefgh/key",
            "s3cr3t",
            "swordfish",
            "/swordfish",
            "//swordfish",
            "hunter2/",
            "/s3cr3t/x",
            "~swordfish",
            "~/swordfish/x",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "/9j/4AAQSkZJRgABAQ",
            "Authorization: Bearer abc",
            "https://u:p@h/x",
            "-----BEGIN PRIVATE KEY-----",
            "",
        ]
        .map(|secret| (secret, told(secret)));
        std::fs::remove_dir_all(&directory).ok();
        assert_eq!(whole, paths);
        assert_eq!(in_part, partly.map(|(_, expected)| expected));
        for (secret, told) in hidden {
            assert_eq!(told, "REDACTED", "{secret}");
        }
    }

    #[test]
    fn a_variable_is_shown_if_it_is_set_or_called_after_credentials_and_a_secret_in_its_place_is_not() {
        let env = |name: &str| (name == "Odd_Name1").then(String::new);
        let told = |raw: &str| {
            let written = variable(&written(raw, &Place::CommandLine, Reveal::Variable), &env);
            shown(raw, written.reveal)
        };
        for name in ["ORDERS_AUTH_HEADER", "TOKEN", "AUTH_HEADER_2", "OAUTH2_TOKEN", "Odd_Name1"] {
            assert_eq!(told(name), name);
        }
        for secret in [
            "SWORDFISH99",
            "HUNTER2",
            "SWORDFISH",
            "swordfish_key",
            "sk_live_abcdefgh/key",
            "KEYSTONE_HUNTER2",
            "KEY_A1B2C3D4E5F6",
            "KEY_ABCDEFGHIJKLMNOPQRST",
            "AKIAIOSFODNN7EXAMPLE",
            "AUTH\u{1b}[0m",
            "Bearer s3cr3t",
            "",
        ] {
            assert_eq!(told(secret), "REDACTED", "{secret}");
        }
    }
}
