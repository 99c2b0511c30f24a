//! The presets: defaults of other keys, under one name.
//!
//! A preset writes its texts into the keys that nobody wrote, before any rule is checked. So the rules hold for them as for
//! every text, and a problem names the preset as its place. No later code knows which preset a listener has.
//! A key of the endpoint starts with `endpoint.`. It is written beside the listener's own `url`, or into the
//! endpoint that the listener names.

use crate::config::file::{Endpoint, File, Listener};
use crate::config::firsts::Firsts;
use crate::config::keys;
use crate::config::matillion::MATILLION;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::shown::Reveal;
use crate::config::value;
use crate::exchange::SQSD_AGENT;

const ENDPOINT: &str = "endpoint.";

/// One preset.
#[derive(Debug)]
struct Preset {
    name: &'static str,
    /// Keys, and their texts unless others are written.
    defaults: &'static [(&'static str, &'static str)],
    /// Keys without which it has no meaning.
    needs: &'static [&'static str],
    /// Keys that it cannot honour.
    refuses: &'static [&'static str],
}

/// All presets; the first is that of a listener without one.
const PRESETS: [Preset; 6] = [
    Preset { name: "raw", defaults: &[], needs: &[], refuses: OF_ALGORITHMS },
    Preset { name: ALGORITHMIA, defaults: ALGORITHMIA_DEFAULTS, needs: &["algorithm"], refuses: &[] },
    Preset { name: "sqsd", defaults: SQSD_DEFAULTS, needs: &[], refuses: OF_ALGORITHMS },
    Preset { name: "cloudevents", defaults: CLOUDEVENTS_DEFAULTS, needs: &[], refuses: NOT_OF_EVENTS },
    Preset { name: "lambda", defaults: LAMBDA_DEFAULTS, needs: &[], refuses: NOT_OF_EVENTS },
    Preset { name: "matillion", defaults: MATILLION, needs: &[], refuses: OF_ALGORITHMS },
];

/// Keys that only a call of an algorithm has.
const OF_ALGORITHMS: &[&str] = &["algorithm"];

/// What `algorithm` implies.
const ALGORITHMIA: &str = "algorithmia";

/// An algorithm of Algorithmia, or of a server with its interface.
const ALGORITHMIA_DEFAULTS: &[(&str, &str)] = &[
    ("url", "https://api.algorithmia.com"),
    // The server's own limit of 420 s, and 15 s in which its answer arrives.
    ("timeout", "435s"),
    ("content_type", "algorithmia"),
    // The session limit of an account.
    ("endpoint.sessions", "80"),
];

/// Keys that a listener of events cannot honour: the event says how its request looks.
const NOT_OF_EVENTS: &[&str] = &["algorithm", "content_type", "message_headers", "user_agent"];

/// Events of `CloudEvents`; their HTTP binding takes every 2xx for success.
const CLOUDEVENTS_DEFAULTS: &[(&str, &str)] = &[("cloudevents.mode", "binary"), ("success", "2xx")];

/// An event source mapping of AWS Lambda, with its defaults for queues of SQS.
const LAMBDA_DEFAULTS: &[(&str, &str)] = &[
    ("lambda.partial_failures", "true"),
    // BatchSize, MaximumBatchingWindowInSeconds.
    ("batch.size", "10"),
    ("batch.window", "0s"),
    ("success", "2xx"),
];

/// Elastic Beanstalk's daemon, with the defaults of its options.
const SQSD_DEFAULTS: &[(&str, &str)] = &[
    // HttpPath is the key `path`, or the path of the `url`.
    ("url", "http://localhost/"),
    ("message_headers", "sqsd"),
    ("user_agent", SQSD_AGENT),
    // MimeType, HttpConnections, ConnectTimeout, InactivityTimeout, ErrorVisibilityTimeout, VisibilityTimeout.
    ("content_type", "application/json"),
    ("workers", "50"),
    ("endpoint.connect_timeout", "5s"),
    ("timeout", "299s"),
    ("retry_delay", "2s"),
    ("visibility_timeout", "300s"),
    ("success", "200"),
];

/// The presets by name, each with keys and the texts that it gives them; a key of the endpoint starts with `endpoint.`.
pub fn presets() -> Vec<(&'static str, &'static [(&'static str, &'static str)])> {
    PRESETS.iter().map(|preset| (preset.name, preset.defaults)).collect()
}

/// Fills the keys of every listener from its preset.
pub(super) fn apply(file: &mut File, report: &mut Report) {
    let mut by_name = Firsts::default();
    for (index, endpoint) in file.endpoints.iter().enumerate() {
        by_name.earlier(endpoint.name.raw.clone(), index);
    }
    for listener in &mut file.listeners {
        if let Some(preset) = chosen(listener, report) {
            let name = listener.endpoint.as_ref().and_then(|name| name.text.clone());
            let named =
                name.and_then(|name| by_name.get(name)).and_then(|&index| file.endpoints.get_mut(index));
            preset.fill(listener, named);
        }
    }
}

/// The preset of a listener; `None` when it was refused.
fn chosen(listener: &mut Listener, report: &mut Report) -> Option<&'static Preset> {
    if let (None, Some(algorithm)) = (&listener.preset, &listener.algorithm) {
        let (key, place) = (listener.key_of("preset"), algorithm.place.clone());
        listener.preset = Some(Written::plain(key, place, ALGORITHMIA.to_owned()));
    }
    let Some(written) = listener.preset.clone() else { return PRESETS.first() };
    let named: Vec<(&'static str, &'static Preset)> =
        PRESETS.iter().map(|preset| (preset.name, preset)).collect();
    let preset = report.parse(Some(&written), |text| value::one_of(text, &named))?;
    let mut is_possible = true;
    for (key, slot) in keys::of_listener(listener) {
        match slot.written().first() {
            Some(refused) if preset.refuses.contains(&key) => {
                let rule = format!("is not possible with the preset `{}`", preset.name);
                report.refuse(refused, Fault::new(rule).fix(way_out(key)));
                is_possible = false;
            }
            None if preset.needs.contains(&key) => {
                let fault = Fault::new(format!("needs `{key}`"));
                report.refuse(
                    &written,
                    fault.fix(format!("write it, or choose another preset: {}", names(preset))),
                );
                is_possible = false;
            }
            Some(_) | None => {}
        }
    }
    is_possible.then_some(preset)
}

/// The names of the other presets.
fn names(than: &Preset) -> String {
    let others = PRESETS.iter().filter(|preset| preset.name != than.name);
    others.map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

/// What to do about a key that a preset cannot honour.
fn way_out(key: &str) -> String {
    let honours = |preset: &&Preset| !preset.refuses.contains(&key);
    let others: Vec<&str> = PRESETS.iter().filter(honours).map(|preset| preset.name).collect();
    format!("remove it, or choose another preset: {}", others.join(", "))
}

impl Preset {
    /// Writes its texts where there is none.
    fn fill(&self, listener: &mut Listener, mut named: Option<&mut Endpoint>) {
        let has_address = listener.url.is_some() || listener.endpoint.is_some();
        for &(key, text) in self.defaults {
            if key == "url" && has_address {
                continue;
            }
            let written = |key: String| {
                let reveal = if key.ends_with("url") { Reveal::Origin } else { Reveal::Text };
                Written { reveal, ..Written::plain(key, Place::Preset(self.name), text.to_owned()) }
            };
            let Some(of_endpoint) = key.strip_prefix(ENDPOINT) else {
                let path = listener.key_of(key);
                keys::make_room(listener, key, &Place::Preset(self.name));
                keys::fill(keys::of_listener(listener), key, written(path));
                continue;
            };
            let path = listener.key_of(of_endpoint);
            match &mut named {
                Some(endpoint) => {
                    let path = format!("{}.{of_endpoint}", endpoint.name.key);
                    keys::fill(keys::of_endpoint(endpoint), of_endpoint, written(path))
                }
                None => keys::fill(keys::of_endpoint(&mut listener.own), of_endpoint, written(path)),
            };
        }
    }
}

#[cfg(test)]
#[path = "presets_tests.rs"]
mod tests;
