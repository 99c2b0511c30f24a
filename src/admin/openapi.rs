//! The document of the routes in the form of `OpenAPI` 3.1, put together of the part of each room.
//!
//! The parts are written by hand beside the routes. A test holds the whole to the routes that exist, and
//! `docs/openapi.json` to the whole.

use serde_json::{Map, Value, json};

/// What all parts share.
const HEAD: &str = include_str!("openapi/head.json");

/// The parts, each with its `paths` and `schemas`.
const PARTS: [&str; 7] = [
    include_str!("openapi/console.json"),
    include_str!("openapi/status.json"),
    include_str!("openapi/listeners.json"),
    include_str!("openapi/changes.json"),
    include_str!("openapi/event_listeners.json"),
    include_str!("openapi/messages.json"),
    include_str!("openapi/probes.json"),
];

/// The whole document.
pub fn document() -> Value {
    let mut whole: Value = serde_json::from_str(HEAD).unwrap_or_default();
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for part in PARTS {
        let part: Value = serde_json::from_str(part).unwrap_or_default();
        for (key, all) in [("paths", &mut paths), ("schemas", &mut schemas)] {
            let of_part = part.get(key).and_then(Value::as_object);
            all.extend(of_part.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    if let Some(own) = whole.pointer("/components/schemas").and_then(Value::as_object) {
        schemas.extend(own.clone());
    }
    for (place, value) in [
        ("/info/version", json!(env!("CARGO_PKG_VERSION"))),
        ("/paths", Value::Object(paths)),
        ("/components/schemas", Value::Object(schemas)),
    ] {
        if let Some(slot) = whole.pointer_mut(place) {
            *slot = value;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_is_json_and_no_name_comes_twice() {
        assert!(serde_json::from_str::<Value>(HEAD).is_ok());
        let mut seen = BTreeSet::new();
        for part in PARTS {
            let part: Value = serde_json::from_str(part).unwrap();
            assert_eq!(part.as_object().unwrap().keys().collect::<Vec<_>>(), ["paths", "schemas"]);
            for key in ["paths", "schemas"] {
                for name in part[key].as_object().unwrap().keys() {
                    assert!(seen.insert(format!("{key} {name}")), "{name} comes twice");
                }
            }
        }
        assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    /// All values of `$ref`, and all `operationId`s.
    fn named<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get(key).and_then(Value::as_str));
                object.values().for_each(|value| named(value, key, found));
            }
            Value::Array(values) => values.iter().for_each(|value| named(value, key, found)),
            _ => {}
        }
    }

    #[test]
    fn what_is_referred_to_is_there_and_what_is_there_is_referred_to() {
        let document = document();
        let (mut to, mut ids) = (Vec::new(), Vec::new());
        named(&document, "$ref", &mut to);
        named(&document["paths"], "operationId", &mut ids);
        for to in &to {
            assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
        }
        for kind in ["schemas", "responses", "parameters"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let path = format!("#/components/{kind}/{name}");
                assert!(to.contains(&path.as_str()), "nothing refers to {path}");
            }
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
