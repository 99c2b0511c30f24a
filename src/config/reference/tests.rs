//! That the table says what the loader does: the same keys, words, ranges and defaults.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::config::file::File;
use crate::config::load::variables;
use crate::config::plan::Plan;
use crate::config::problem::{ConfigErrors, Report};
use crate::config::{check, presets};

/// Puts a map into the document that has it at its place.
type Wrap<'a> = &'a dyn Fn(Value) -> Value;

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "s3cr3t".to_owned())
}

/// The plan of a document; JSON is YAML.
fn load(document: &Value) -> Result<Plan, ConfigErrors> {
    let mut report = Report::default();
    let Some(mut file) = File::parse(&document.to_string(), &"f".into(), &env, &mut report) else {
        return Err(report.into_errors());
    };
    presets::apply(&mut file, &mut report);
    let plan = check::plan(&file, &env, false, false, &mut report);
    report.finish().map(|_| plan)
}

/// The rules and fixes that `document` breaks at `path`.
fn broken(document: &Value, path: &str) -> Vec<(String, Option<String>)> {
    let errors = load(document).err();
    let problems = errors.iter().flat_map(ConfigErrors::problems).filter(|problem| problem.key == path);
    problems.map(|problem| (problem.rule.clone(), problem.fix.clone())).collect()
}

/// Visits every map of keys, with its path and what puts it into a document.
fn maps(
    keys: &'static [Key],
    path: &str,
    wrap: Wrap<'_>,
    visit: &mut dyn FnMut(&'static [Key], &str, Wrap<'_>),
) {
    visit(keys, path, wrap);
    for key in keys {
        let name = key.name;
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let inner = key.below();
        match key.shape {
            Shape::One(_) | Shape::OneOrMore(_) | Shape::Texts(_) => {}
            Shape::Map(_) | Shape::OneOf(_) => maps(inner, &below, &|map| wrap(json!({name: map})), visit),
            Shape::Named(_) => {
                maps(inner, &format!("{below}.api"), &|map| wrap(json!({name: {"api": map}})), visit);
            }
            Shape::TextsOrMaps(_) => {
                maps(inner, &format!("{below}.X-A"), &|map| wrap(json!({name: {"X-A": map}})), visit);
            }
            Shape::List(_) => maps(inner, &format!("{below}[0]"), &|map| wrap(json!({name: [map]})), visit),
        }
    }
}

/// Visits every key of every map, with its path and what makes a document of its value.
fn all(visit: &mut dyn FnMut(&Key, &str, Wrap<'_>)) {
    maps(KEYS, "", &|map| map, &mut |keys, path, wrap| {
        for key in keys {
            let below = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            visit(key, &below, &|value| wrap(json!({key.name: value})));
        }
    });
}

#[test]
fn every_map_has_the_keys_that_the_loader_reads() {
    let mut seen = 0;
    maps(KEYS, "", &|map| map, &mut |keys, path, wrap| {
        let unknown = if path.is_empty() { "zzzzzzzzzz".to_owned() } else { format!("{path}.zzzzzzzzzz") };
        let problems = broken(&wrap(json!({"zzzzzzzzzz": 1})), &unknown);
        let fix = problems.first().and_then(|(_, fix)| fix.clone()).unwrap_or_default();
        let known = fix.strip_prefix("known here: ").unwrap_or_else(|| panic!("{path}: {problems:?}"));
        let known: BTreeSet<&str> = known.split(", ").collect();
        let named: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
        assert_eq!(named, known, "left: config/reference, right: what is read below `{path}`");
        seen += 1;
    });
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_is_no_map_for_the_table_is_none_for_the_loader() {
    all(&mut |key, path, wrap| {
        let of_map = broken(&wrap(json!({"a": [1]})), path);
        let of_text = broken(&wrap(json!("zzzzzzzzzz")), path);
        let says = |found: &[(String, Option<String>)], words: &str| {
            found.iter().any(|(rule, _)| rule.contains(words))
        };
        match key.shape {
            Shape::One(_) | Shape::OneOrMore(_) => {
                assert!(says(&of_map, "must be a single value"), "{path}: {of_map:?}");
            }
            Shape::List(_) => assert!(says(&of_text, "must be a list"), "{path}: {of_text:?}"),
            Shape::Map(_) | Shape::OneOf(_) | Shape::Named(_) | Shape::Texts(_) | Shape::TextsOrMaps(_) => {
                assert!(says(&of_text, "must be a map"), "{path}: {of_text:?}");
            }
        }
        let first = broken(&wrap(json!(["zzzzzzzzzz"])), path);
        let takes_list = !says(&first, "must be a single value") && !says(&first, "must be a map");
        assert_eq!(
            takes_list,
            matches!(key.shape, Shape::OneOrMore(_) | Shape::List(_)),
            "{path}: {first:?}"
        );
    });
}

#[test]
fn the_words_of_a_key_are_those_that_are_taken() {
    all(&mut |key, path, wrap| {
        let words = match key.shape {
            Shape::One(Kind::Word(words)) | Shape::OneOrMore(Kind::Word(words)) => words,
            Shape::One(Kind::Truth) => &["true", "false"],
            _ => return,
        };
        // Some words are read once queue and address are known.
        let mut document = json!({"listeners": [{"queue": "orders", "url": "https://h.example"}]});
        merge(&mut document, wrap(json!("zzzzzzzzzz")));
        let problems = broken(&document, path);
        let taken = problems.iter().find_map(|(rule, _)| rule.strip_prefix("is none of: "));
        let taken: BTreeSet<&str> = taken.unwrap_or_default().split(", ").collect();
        assert_eq!(words.iter().copied().collect::<BTreeSet<_>>(), taken, "{path}: {problems:?}");
    });
}

#[test]
fn the_range_of_a_key_is_the_one_that_is_taken() {
    let spoken = |time: Duration| humantime::format_duration(time).to_string();
    let mut seen = 0;
    all(&mut |key, path, wrap| {
        let (inside, outside) = match key.shape {
            Shape::One(Kind::Whole(min, max)) => {
                ([min.to_string(), max.to_string()], vec![(min - 1).to_string(), (max + 1).to_string()])
            }
            Shape::One(Kind::Number(min, max)) => {
                ([min.to_string(), max.to_string()], vec![(min / 2.0).to_string(), (max * 2.0).to_string()])
            }
            Shape::One(Kind::Duration(min, max)) => {
                let step = if min < SECOND { Duration::from_millis(1) } else { SECOND };
                let below = min.checked_sub(step).map(spoken);
                ([spoken(min), spoken(max)], below.into_iter().chain([spoken(max + SECOND)]).collect())
            }
            _ => return,
        };
        let is_outside = |text: &str| {
            broken(&wrap(json!(text)), path).iter().any(|(rule, _)| rule.starts_with("is out of range"))
        };
        for text in inside {
            assert!(!is_outside(&text), "{path}: {text} is refused");
        }
        for text in outside {
            assert!(is_outside(&text), "{path}: {text} is taken");
        }
        seen += 1;
    });
    assert!(seen > 15, "{seen}");
}

/// Puts `more` into `document`, at the places of its maps and lists.
fn merge(document: &mut Value, more: Value) {
    match (document, more) {
        (Value::Object(map), Value::Object(more)) => {
            for (name, value) in more {
                merge(map.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(list), Value::Array(more)) => {
            list.iter_mut().zip(more).for_each(|(one, more)| merge(one, more));
        }
        (place, more) => *place = more,
    }
}

#[test]
#[cfg(feature = "s3")]
fn the_default_of_a_key_is_the_one_that_applies() {
    let whole = json!({
        "listeners": [{"queue": "orders", "endpoint": "api", "path": "/run"}],
        "endpoints": {"api": {"url": "https://h.example"}},
    });
    // What a group needs beside the key.
    let beside = |path: &str| match path.rsplit_once('.').map_or("", |(above, _)| above) {
        above if above.ends_with("claim_check") => json!({"buckets": "payloads"}),
        above if above.contains("results") => json!({"queue": "done"}),
        above if above.ends_with("fleet") => json!({"dns": "queuepost.test"}),
        above if above.ends_with("oauth2") => {
            json!({"token_url": "https://t.example", "client_id": "a", "client_secret": {"env": "TOKEN"}})
        }
        _ => json!({}),
    };
    let mut seen = 0;
    maps(KEYS, "", &|map| map, &mut |keys, path, wrap| {
        for key in keys {
            let Some(default) = key.default else { continue };
            let mut bare = whole.clone();
            let below = format!("{path}.{}", key.name);
            merge(&mut bare, wrap(beside(&below)));
            let mut written = bare.clone();
            merge(&mut written, wrap(json!({key.name: default})));
            let plan = |document: &Value| {
                format!("{:?}", load(document).unwrap_or_else(|errors| panic!("{document}: {errors}")))
            };
            assert_eq!(plan(&bare), plan(&written), "{below}: {default}");
            seen += 1;
        }
    });
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_flag_with_a_variable_is_at_one_key() {
    let mut flags = vec!["--config"];
    all(&mut |key, _, _| flags.extend(key.flag));
    let mut variables: Vec<&str> = variables().into_iter().map(|(flag, _)| flag).collect();
    variables.sort_unstable();
    flags.sort_unstable();
    assert_eq!(flags, variables);
}

#[test]
fn a_default_is_found_by_the_name_that_is_explained() {
    for (key, default) in [
        ("workers", "16"),
        ("endpoint.adaptive", "true"),
        ("admin.listen", "127.0.0.1:9464"),
        ("batch.size", "1"),
    ] {
        assert_eq!(default_of(key), Some(default), "{key}");
    }
    assert_eq!(default_of("endpoint"), None);
}

#[test]
fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
    let names = |keys: &'static [Key]| keys.iter().map(|key| key.name).collect::<BTreeSet<_>>();
    let (of_listener, of_endpoint) = (names(listener::KEYS), names(endpoint::KEYS));
    // These are keys of `auth: {sigv4}` too, or the name of the map itself.
    let unclear = BTreeSet::from(["name", "region", "profile", "role_arn", "external_id"]);
    for name in of_endpoint.difference(&of_listener) {
        let told = crate::config::peers::hint("listeners[0]", name).unwrap_or_default();
        assert!(told.contains("a key of an endpoint"), "{name}: {told}");
    }
    for name in of_listener.difference(&of_endpoint).filter(|name| !unclear.contains(*name)) {
        let told = crate::config::peers::hint("endpoints.api", name).unwrap_or_default();
        assert!(told.contains("a key of a listener"), "{name}: {told}");
        let told = crate::config::peers::hint("", name).unwrap_or_default();
        assert!(told.contains("under `listeners`"), "{name}: {told}");
    }
}
