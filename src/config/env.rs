//! The environment: this file alone reads it, and replaces `${VAR}` in the configuration file.
//!
//! All readers use a lookup function, so tests never touch the process environment. An empty variable counts
//! as unset where it stands for a flag, because composed environments often have empty variables. `${VAR}`
//! takes an empty variable as it is.
//! An unset variable without a default is a problem that names it. Otherwise a literal `${VAR}` would end up
//! in an address.

use crate::config::problem::Fault;

/// Looks variables up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process; `None` when unset or not Unicode.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names of the variables of this process that start like those of this program.
pub fn process_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(OURS)).collect();
    names.sort_unstable();
    names
}

/// What the names of this program's variables start with.
pub(super) const OURS: &str = "QUEUEPOST_";

/// A variable with a non-empty value.
pub(super) fn set(env: Lookup<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

/// Whether `name` is valid for a variable: letters, digits and `_`, not starting with a digit.
pub(super) fn is_variable_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// Replaces `${VAR}` and `${VAR:-default}` (used when VAR is unset or empty); `$${` stands for `${`.
pub(super) fn interpolate(text: &str, env: Lookup<'_>) -> Result<String, Fault> {
    let mut result = String::with_capacity(text.len());
    let mut unset: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let Some((reference, after)) = after.split_once('}') else {
            return Err(Fault::new("has a `${` without its `}`").fix("write `$${` for a literal `${`"));
        };
        rest = after;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_variable_name(name) {
            return Err(Fault::new("has a `${…}` that names no variable")
                .fix("write `${NAME}` or `${NAME:-default}`, and `$${` for a literal `${`"));
        }
        match (env(name), default) {
            (Some(value), default) if !value.is_empty() || default.is_none() => result.push_str(&value),
            (_, Some(default)) => result.push_str(default),
            (_, None) => unset.push(name),
        }
    }
    result.push_str(rest);
    match unset.as_slice() {
        [] => Ok(result),
        [name, ..] => {
            let fix = format!("set it, or give a default: `${{{name}:-default}}`");
            Err(Fault::new(format!("names a variable that is not set: {}", unset.join(", "))).fix(fix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("api.example".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced_and_everything_else_stays() {
        let cases = [
            ("plain", "plain"),
            ("https://${HOST}/v1", "https://api.example/v1"),
            ("${HOST}${HOST}", "api.exampleapi.example"),
            ("${MISSING:-a:-b}", "a:-b"),
            ("${EMPTY:-full}", "full"),
            ("[${EMPTY}]", "[]"),
            ("${MISSING:-}", ""),
            ("$${HOST} costs $5 or $$", "${HOST} costs $5 or $$"),
        ];
        for (text, expected) in cases {
            assert_eq!(interpolate(text, &env), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_unset_variable_is_named() {
        let fault = interpolate("${HOST}:${PORT}/${PATH_NAME}", &env).expect_err("two are unset");
        let expected = Fault::new("names a variable that is not set: PORT, PATH_NAME")
            .fix("set it, or give a default: `${PORT:-default}`");
        assert_eq!(fault, expected);
    }

    #[test]
    fn a_malformed_reference_is_refused() {
        for text in ["${HOST", "${}", "${A B}", "${1A}", "${HOST-x}"] {
            assert!(interpolate(text, &env).is_err(), "{text}");
        }
    }
}
