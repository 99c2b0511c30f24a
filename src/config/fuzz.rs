//! What the fuzzer feeds to this area: a configuration, and the file of one more listener.
//!
//! Nothing but the input is read: the configuration is the text of a variable, and the listener's file is on trial in a
//! directory without others.

use std::fmt::Write as _;

use crate::config::{ConfigErrors, Overrides, Place, Problem, Trial, explain, keys_of, load_with};
use crate::escape;

/// The value of every variable that a configuration asks for; no error may repeat it.
const SECRET: &str = "s3cr3t of!the environment";
/// A directory that has no file of a listener.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The configuration; the file of a listener; further variables, a line for each. The byte 0x1E separates them.
///
/// Every problem says where it is, in words that are safe to print and have no secret. What is valid can be explained.
pub(crate) fn configuration(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0x1e);
    let main = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let tried = parts
        .next()
        .filter(|tried| !tried.is_empty())
        .map(|tried| String::from_utf8_lossy(tried).into_owned());
    let variables = parts.next().map(|lines| String::from_utf8_lossy(lines).into_owned()).unwrap_or_default();
    let trial = tried.clone().map(|text| Trial { name: "tried".to_owned(), text: Some(text) });
    let env = |name: &str| match name {
        "QUEUEPOST_CONFIG_TEXT" => Some(main.clone()),
        "QUEUEPOST_LISTENERS_DIR" => Some(FOLDER.to_owned()),
        // Nothing is read from files.
        "QUEUEPOST_CONFIG" => None,
        _ => given(&variables, name).or_else(|| known(name)).map(str::to_owned),
    };
    let overrides = Overrides::default();
    match load_with(&overrides, &env, false, trial.as_ref()) {
        Err(errors) => refused(&errors, &main, tried.as_deref()),
        Ok(plan) => {
            plan.warnings.iter().for_each(|warning| is_safe(warning));
            if trial.is_none() {
                let explained = explain(&overrides, &env, false);
                assert!(explained.is_ok(), "valid, and cannot be explained");
                for row in explained.into_iter().flatten() {
                    let shown = row.value.unwrap_or_default();
                    assert!(!shown.contains(SECRET), "{}: {shown:?}", row.key);
                }
            }
        }
    }
    for text in [Some(main.as_str()), tried.as_deref()].into_iter().flatten() {
        if let Some(keys) = keys_of(text) {
            let again = serde_json::to_string(&keys).ok().and_then(|text| keys_of(&text));
            assert_eq!(again, Some(keys), "written as JSON the keys mean something else");
        }
    }
}

/// The value of a variable that the input has.
fn given<'a>(variables: &'a str, name: &str) -> Option<&'a str> {
    variables.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The value of a variable that is always there.
fn known(name: &str) -> Option<&'static str> {
    let is_secret = ["TOKEN", "KEY", "SECRET", "PASSWORD"].iter().any(|end| name.ends_with(end));
    match name {
        name if ["QUEUEPOST_", "SQSD_"].iter().any(|start| name.starts_with(start)) => None,
        _ if is_secret => Some(SECRET),
        name if name.ends_with("_URL") => Some("https://api.example/x"),
        name if name.ends_with("ROLE_ARN") => Some("arn:aws:iam::123456789012:role/consumer"),
        _ => None,
    }
}

fn refused(errors: &ConfigErrors, main: &str, tried: Option<&str>) {
    assert!(!errors.problems().is_empty(), "refused without a reason");
    for problem in errors.problems() {
        has_its_place(problem, main, tried);
    }
    let mut shown = String::new();
    assert!(write!(shown, "{errors}").is_ok());
    shown.lines().for_each(is_safe);
}

fn has_its_place(problem: &Problem, main: &str, tried: Option<&str>) {
    assert!(!problem.rule.is_empty(), "{problem:?}");
    match &problem.place {
        Place::File { path, line, .. } => {
            let text = if path.ends_with(".json") { tried.unwrap_or_default() } else { main };
            // Line ends of YAML: CR, LF, or both.
            let lines = text.split(['\r', '\n']).count();
            assert!(
                usize::try_from(*line).is_ok_and(|line| line <= lines + 1),
                "{problem:?} of {lines} lines"
            );
            assert!(*line > 0 || !problem.key.is_empty() || !problem.rule.is_empty(), "{problem:?}");
        }
        Place::CommandLine => assert!(!problem.key.is_empty(), "{problem:?}"),
        Place::Flag(_) | Place::Variable(_) | Place::Preset(_) => {}
    }
}

/// What is printed steers no terminal and tells no secret.
fn is_safe(shown: &str) {
    assert!(!shown.chars().any(escape::is_unsafe), "{shown:?}");
    assert!(!shown.contains(SECRET), "{shown:?}");
}
