//! Collects what is written for each listener, its endpoint's keys included, in the names of `check --explain`.

use crate::config::file::{File, Listener};
use crate::config::keys::{self, Slot};
use crate::config::nested_keys;
use crate::config::written_keys::WrittenKeys;

/// The keys of each listener, in the order of the file.
pub(super) fn of(mut file: File) -> Vec<WrittenKeys> {
    let mut listeners = std::mem::take(&mut file.listeners);
    listeners.iter_mut().map(|listener| of_one(listener, &mut file)).collect()
}

fn of_one(listener: &mut Listener, file: &mut File) -> WrittenKeys {
    let mut all = WrittenKeys::default();
    put_all(&mut all, "", &keys::of_listener(listener));
    for (key, written) in nested_keys::of_listener(listener) {
        all.put(key, &written);
    }
    for (number, row) in listener.on_response.iter().enumerate() {
        let texts = row.status.iter().flatten().chain(&row.action).chain(&row.delay);
        all.put(format!("on_response[{number}]"), &texts.collect::<Vec<_>>());
    }
    let named = listener.endpoint.as_ref().and_then(|name| name.text.clone());
    let endpoint = file.endpoints.iter_mut().find(|endpoint| Some(&endpoint.name.raw) == named.as_ref());
    let endpoint = endpoint.unwrap_or(&mut listener.own);
    put_all(&mut all, "endpoint.", &keys::of_endpoint(endpoint));
    for (key, written) in nested_keys::of_endpoint(endpoint) {
        all.put(format!("endpoint.{key}"), &written);
    }
    all
}

fn put_all(all: &mut WrittenKeys, prefix: &str, keys: &[(&'static str, Slot<'_>)]) {
    for (key, slot) in keys {
        match slot {
            Slot::Named(named) => {
                for (name, written) in named.iter() {
                    all.put(format!("{prefix}{key}.{}", name.raw), &[written]);
                }
            }
            Slot::One(_) | Slot::List(_) => all.put(format!("{prefix}{key}"), &slot.written()),
        }
    }
}
