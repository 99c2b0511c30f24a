//! Every key of the configuration file: what it means, what it takes, and its default. One table for people and editors.
//!
//! The JSON Schema, the page `docs/configuration.md` and the defaults of `check --explain` are made of it. The loader reads its
//! keys by itself, for the sake of its diagnostics. So tests hold the table to the loader: the same keys in every map,
//! the same words, ranges and defaults.
//!
//! - this file: the parts of the table and its top. `listener` and `endpoint` have the rest.
//! - `schema`: makes the JSON Schema.

mod endpoint;
mod listener;
mod schema;

use std::time::Duration;

use crate::config::fleet::REPLICAS_MAX;
use crate::config::value::TWELVE_HOURS;

pub use schema::schema;

/// One key of a map.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it does, in whole sentences.
    pub doc: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// The text that means the same as its absence.
    pub default: Option<&'static str>,
    /// What its absence means where no text says that.
    pub otherwise: Option<&'static str>,
    /// The flag that replaces it. `variables` knows the variable of each flag.
    pub flag: Option<&'static str>,
    /// A page below `docs/` that says more.
    pub page: Option<&'static str>,
    /// Whether its map is refused without it.
    pub is_required: bool,
}

/// What is written under a key.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One text.
    One(Kind),
    /// One text or a list of them.
    OneOrMore(Kind),
    /// Texts under names that the user chooses.
    Texts(Kind),
    /// Texts, or maps of these keys, under names that the user chooses.
    TextsOrMaps(&'static [Key]),
    /// A map of these keys.
    Map(&'static [Key]),
    /// A map of exactly one of these keys.
    OneOf(&'static [Key]),
    /// Maps of these keys under names that the user chooses.
    Named(&'static [Key]),
    /// A list of maps of these keys.
    List(&'static [Key]),
}

/// What a text means.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text, of this form.
    Text(&'static str),
    /// A template, in which `${VAR}` is not replaced.
    Template,
    /// An address, `http://` or `https://`.
    Address(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Truth,
    /// A whole number in this range.
    Whole(u32, u32),
    /// A number in this range.
    Number(f64, f64),
    /// A duration in this range.
    Duration(Duration, Duration),
    /// Statuses: `200`, `200-299`, `2xx`.
    Statuses,
    /// A number of bytes: `64MiB`.
    Size(&'static str),
}

impl Key {
    const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        let (default, otherwise, flag, page) = (None, None, None, None);
        Self { name, doc, shape, default, otherwise, flag, page, is_required: false }
    }

    const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    const fn otherwise(self, words: &'static str) -> Self {
        Self { otherwise: Some(words), ..self }
    }

    const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }

    const fn page(self, page: &'static str) -> Self {
        Self { page: Some(page), ..self }
    }

    const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The keys below it, if it has a map or maps of known keys.
    pub const fn below(&self) -> &'static [Self] {
        match self.shape {
            Shape::TextsOrMaps(keys)
            | Shape::Map(keys)
            | Shape::OneOf(keys)
            | Shape::Named(keys)
            | Shape::List(keys) => keys,
            Shape::One(_) | Shape::OneOrMore(_) | Shape::Texts(_) => &[],
        }
    }
}

/// A secret: never itself in the file.
const SECRET: &[Key] = &[
    Key::new(
        "file",
        Shape::One(Kind::Text("path")),
        "The file that holds the secret, on one line. It is read again when it changes.",
    ),
    Key::new(
        "env",
        Shape::One(Kind::Text("name of a variable")),
        "The environment variable whose value is the secret.",
    ),
];

/// Header values: a text, or a secret.
const HEADERS: Shape = Shape::TextsOrMaps(SECRET);

const SECOND: Duration = Duration::from_secs(1);

/// The keys at the top of the configuration file, with all below them.
pub fn reference() -> &'static [Key] {
    KEYS
}

const KEYS: &[Key] = &[
    Key::new(
        "listeners",
        Shape::List(listener::KEYS),
        "The listeners: each takes the messages of one queue to one endpoint. At least one, unless `listeners_dir` is set.",
    ),
    Key::new(
        "listeners_dir",
        Shape::One(Kind::Text("path")),
        "A directory with more listeners: a file for each, `NAME.yaml` or `NAME.json`, with the keys of one entry of `listeners`. The console \
         and the API create, change and remove them there.",
    )
    .flag("--listeners-dir")
    .page("listeners-dir.md"),
    Key::new(
        "endpoints",
        Shape::Named(endpoint::KEYS),
        "Endpoints by name, for what several listeners share: caps, credentials, TLS. A name has 1 to 63 lower-case letters, \
         digits and `-`.",
    ),
    Key::new("admin", Shape::Map(ADMIN), "The port for metrics, health and status."),
    Key::new(
        "fleet",
        Shape::Map(FLEET),
        "Other processes of the same configuration: `sessions` and `rate_limit` hold for all of them together, and each has its share.",
    )
    .page("fleet.md"),
    Key::new("shutdown", Shape::Map(SHUTDOWN), "How the process ends."),
    Key::new("log", Shape::Map(LOG), "The log, on standard output."),
];

const ADMIN: &[Key] = &[
    Key::new(
        "listen",
        Shape::One(Kind::Text("IP address and port")),
        "Where metrics, health and status are served. On a loopback address the port answers only to IP addresses and `localhost`.",
    )
    .default("127.0.0.1:9464")
    .flag("--admin-listen"),
    Key::new(
        "metrics_listen",
        Shape::One(Kind::Text("IP address and port")),
        "A second address, which serves `/metrics`, `/livez` and `/readyz` alone. So others may scrape and probe there, and not reach the rest.",
    )
    .flag("--admin-metrics-listen"),
    Key::new(
        "allow_changes",
        Shape::One(Kind::Truth),
        "Whether whoever shows the token may pause, resume, drain, test and reload.",
    )
    .default("false")
    .flag("--admin-allow-changes")
    .page("control.md"),
    Key::new(
        "token_file",
        Shape::One(Kind::Text("path")),
        "File with that token, 16 characters or more. It is read again when it changes.",
    )
    .flag("--admin-token-file")
    .page("control.md"),
];

const FLEET: &[Key] = &[
    Key::new(
        "dns",
        Shape::One(Kind::Text("DNS name")),
        "A name with an address record for each process: a headless Service. One that begins with `_` has SRV records.",
    )
    .flag("--fleet-dns"),
    Key::new("server", Shape::One(Kind::Text("IP address and port")), "The DNS server that is asked.")
        .otherwise("those of `/etc/resolv.conf`"),
    Key::new(
        "replicas",
        Shape::One(Kind::Whole(1, REPLICAS_MAX)),
        "The number of processes, where it is fixed and no name has them. Nobody watches whether it is true.",
    ),
    Key::new(
        "workers",
        Shape::One(Kind::Truth),
        "Whether `workers`, too, are for all processes together, and not for each.",
    )
    .default("false"),
];

const SHUTDOWN: &[Key] = &[Key::new(
    "deadline",
    Shape::One(Kind::Duration(SECOND, TWELVE_HOURS)),
    "How long a stop may take. What still runs then is cut off, and its messages are deferred. Give the process ten seconds more \
     before it is killed.",
)
.otherwise("longest `timeout` + 15s, 25s to 110s")
.flag("--shutdown-deadline")];

const LOG: &[Key] = &[
    Key::new("format", Shape::One(Kind::Word(&["text", "json"])), "How lines are written.")
        .otherwise("text on a terminal, else json")
        .flag("--log-format"),
    Key::new(
        "level",
        Shape::One(Kind::Text("level or filter")),
        "`error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,hyper=debug`.",
    )
    .default("info")
    .flag("--log-level"),
];

/// The default of a key as `check --explain` names it: `workers`, `endpoint.adaptive`, `admin.listen`.
pub(super) fn default_of(key: &str) -> Option<&'static str> {
    let found = match key.strip_prefix("endpoint.") {
        Some(of_endpoint) => find(endpoint::KEYS, of_endpoint),
        None => find(listener::KEYS, key).or_else(|| find(KEYS, key)),
    };
    found.and_then(|key| key.default)
}

/// Whether a listener, an endpoint or the process has a key of this name.
pub(super) fn is_key(name: &str) -> bool {
    [KEYS, listener::KEYS, endpoint::KEYS].iter().any(|keys| find(keys, name).is_some())
}

fn find(keys: &'static [Key], path: &str) -> Option<&'static Key> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let key = keys.iter().find(|key| key.name == name)?;
    rest.map_or(Some(key), |rest| find(key.below(), rest))
}

#[cfg(test)]
mod tests;
