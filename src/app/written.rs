//! What is written for a listener, and where.
//!
//! Whoever reaches the port learns where: file, line, and whether it can be changed here. The keys may have secrets in any
//! place: a path, a template, an address. So they are for whoever shows the token.

use serde_json::{Map, Value, json};

use crate::admin::NotStored;
use crate::app::listener_file;
use crate::app::reload::{Explain, Load};
use crate::config::{self, ConfigErrors, ListenerPlan, OriginKind, Plan};

/// What is written for the listener `name`; with its keys if `whole`. Reads files, so call it where that may block.
pub(super) fn written(load: &Load, explain: &Explain, name: &str, whole: bool) -> Result<Value, NotStored> {
    let plan = load(None).map_err(|errors| not_valid(&errors))?;
    let listener = find(&plan, name).ok_or(NotStored::NoSuchListener)?;
    let is_kept = listener.origin.kind == OriginKind::Directory;
    let (mut keys, mut all, mut object) = (None, None, None);
    if whole {
        let rows = explain().unwrap_or_default();
        let rows: Vec<_> = rows.iter().filter(|row| row.listener.as_deref() == Some(name)).collect();
        let of_file_alone = rows.iter().filter(|row| row.from != "default");
        keys = Some(of_file_alone.map(|row| (row.key.clone(), json!(row.value))).collect::<Map<_, _>>());
        let row = |row: &&config::Explained| json!({ "key": row.key, "value": row.value, "from": row.from });
        all = Some(rows.iter().map(row).collect::<Vec<_>>());
        if let Some(path) = listener.origin.path.as_ref().filter(|_| is_kept) {
            let text = listener_file::read(path).map_err(|error| listener_file::failed(path, &error))?;
            object = text.as_deref().and_then(config::keys_of);
        }
    }
    Ok(json!({
        "listener": name,
        "origin": listener.origin.kind.label(),
        "file": listener.origin.path.as_ref().map(|path| path.display().to_string()),
        "line": listener.origin.line,
        "editable": is_kept,
        "keys": keys,
        "all": all,
        "object": object,
    }))
}

/// The listener of this name.
pub(super) fn find<'a>(plan: &'a Plan, name: &str) -> Option<&'a ListenerPlan> {
    plan.listeners.iter().find(|one| one.listener.name == name)
}

/// The configuration is not valid as it is.
pub(super) fn not_valid(errors: &ConfigErrors) -> NotStored {
    NotStored::Conflict {
        why: format!("the configuration is not valid as it is: {}", first(errors)),
        fix: "correct it first; `queuepost check --offline` lists all that is wrong".to_owned(),
    }
}

fn first(errors: &ConfigErrors) -> String {
    errors.problems().first().map(ToString::to_string).unwrap_or_default()
}
