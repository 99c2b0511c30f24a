//! Some fields of a JSON object, each read when it is asked for.
//!
//! The rest of the object is checked to be JSON and not kept. Nesting costs no stack here: what is not asked for
//! is skipped, and objects in it are asked for in turn. A field of the wrong type is
//! an error that names the field. Its value is in no error.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

/// The fields that were asked for and are there.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// Of what, for errors: `SNS envelope`.
    what: &'static str,
    fields: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The fields `names` of the object that `json` is; `None` if it is no object, or no JSON.
    pub(super) fn read(json: &'a [u8], what: &'static str, names: &'static [&'static str]) -> Option<Self> {
        if !json.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let fields = reader.deserialize_map(Fields { names }).ok()?;
        reader.end().ok()?;
        Some(Self { what, fields })
    }

    /// The JSON of a field; null counts as absent.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.fields.iter().find(|(field, _)| *field == name)?;
        Some(*value).filter(|value| value.get() != "null")
    }

    /// A field that is text, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.read_as(name, "a string")
    }

    /// A field of some type, if it is there; `kind` names the type.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn read_as<T: Deserialize<'a>>(&self, name: &str, kind: &str) -> Result<Option<T>, String> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|_| format!("`{name}` of the {} is not {kind}", self.what))
    }

    /// The fields `names` of a field that is an object.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub(super) fn object(&self, name: &str, names: &'static [&'static str]) -> Result<Self, String> {
        let object = self.raw(name).and_then(|value| Self::read(value.get().as_bytes(), self.what, names));
        object.ok_or_else(|| format!("`{name}` of the {} is not an object", self.what))
    }

    /// Whether a field is this text.
    pub(super) fn says(&self, name: &str, text: &str) -> bool {
        self.text(name).is_ok_and(|value| value.as_deref() == Some(text))
    }

    /// Whether a field is text.
    pub(super) fn has_text(&self, name: &str) -> bool {
        self.text(name).is_ok_and(|value| value.is_some())
    }
}

struct Fields {
    names: &'static [&'static str],
}

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Self::Value = Vec::with_capacity(self.names.len());
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(name) = self.names.iter().find(|name| **name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value()?;
            fields.retain(|(earlier, _)| earlier != name);
            fields.push((name, value));
        }
        Ok(fields)
    }
}
