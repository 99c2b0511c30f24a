//! The configuration file as written: every key with its text and position. No rule is checked here and no
//! default applied.
//!
//! Flags and environment variables use the same structs, so a flag replaces a value of the file by a move. A
//! relative path in the file starts at the file's own directory.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::admin::AdminKeys;
use crate::config::auth::written::{Auth, Header};
use crate::config::batch::Batch;
use crate::config::claim_check::ClaimCheck;
use crate::config::cloudevents::CloudEvents;
use crate::config::env::Lookup;
use crate::config::fields::Fields;
use crate::config::fleet::FleetKeys;
use crate::config::lambda::Lambda;
use crate::config::problem::{Fault, Place, Report, Written};
use crate::config::results::Results;
use crate::config::sign::written::Sign;
use crate::config::template::Template;
use crate::config::tree;

/// The whole file.
#[derive(Debug)]
pub(super) struct File {
    /// `listeners`.
    pub(super) listeners: Vec<Listener>,
    /// `endpoints`, in the order of the file.
    pub(super) endpoints: Vec<Endpoint>,
    /// `listeners_dir`.
    pub(super) listeners_dir: Option<Written>,
    /// `admin`.
    pub(super) admin: AdminKeys,
    pub(super) fleet: FleetKeys,
    /// `shutdown.deadline`.
    pub(super) shutdown_deadline: Option<Written>,
    /// `log.format`.
    pub(super) log_format: Option<Written>,
    /// `log.level`.
    pub(super) log_level: Option<Written>,
    /// What to say about where values came from.
    pub(super) notes: Vec<String>,
    /// The position of the file as a whole; that of the command line if there is no file.
    pub(super) place: Place,
}

/// One entry of `listeners`.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) preset: Option<Written>,
    pub(super) name: Option<Written>,
    pub(super) queue: Option<Written>,
    pub(super) url: Option<Written>,
    pub(super) endpoint: Option<Written>,
    pub(super) path: Option<Written>,
    pub(super) algorithm: Option<Written>,
    pub(super) owner: Option<Written>,
    pub(super) output: Option<Written>,
    pub(super) error_in_body: Option<Written>,
    pub(super) cloudevents: Option<CloudEvents>,
    pub(super) lambda: Option<Lambda>,
    pub(super) batch: Batch,
    pub(super) role_arn: Option<Written>,
    pub(super) external_id: Option<Written>,
    pub(super) region: Option<Written>,
    pub(super) profile: Option<Written>,
    pub(super) workers: Option<Written>,
    pub(super) paused: Option<Written>,
    pub(super) timeout: Option<Written>,
    pub(super) success: Option<Vec<Written>>,
    pub(super) unwrap: Option<Vec<Written>>,
    pub(super) non_work: Option<Written>,
    pub(super) claim_check: Option<ClaimCheck>,
    pub(super) throttle_delay: Option<Written>,
    pub(super) receive_wait: Option<Written>,
    pub(super) latency_budget: Option<Written>,
    pub(super) retry_delay: Option<Written>,
    pub(super) retention: Option<Written>,
    pub(super) visibility_timeout: Option<Written>,
    pub(super) message_headers: Option<Written>,
    pub(super) user_agent: Option<Written>,
    pub(super) content_type: Option<Written>,
    pub(super) record_answers: Option<Written>,
    pub(super) on_response: Vec<Row>,
    pub(super) headers: Vec<Header>,
    pub(super) template: Template,
    pub(super) results: Option<Results>,
    /// The flags for the endpoint of a listener with a `url` of its own.
    pub(super) own: Endpoint,
}

/// One entry of `on_response`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) status: Option<Vec<Written>>,
    pub(super) action: Option<Written>,
    pub(super) delay: Option<Written>,
}

/// One entry of `endpoints`.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) name: Written,
    pub(super) url: Option<Written>,
    pub(super) auth: Option<Auth>,
    pub(super) sign: Option<Sign>,
    pub(super) headers: Vec<Header>,
    pub(super) sessions: Option<Written>,
    pub(super) per_second: Option<Written>,
    pub(super) burst: Option<Written>,
    pub(super) connect_timeout: Option<Written>,
    pub(super) pool_idle_timeout: Option<Written>,
    pub(super) retry_after_scope: Option<Written>,
    pub(super) adaptive: Option<Written>,
    pub(super) tls: Option<Tls>,
}

/// `endpoints.NAME.tls`.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) ca_file: Option<Written>,
    pub(super) cert_file: Option<Written>,
    pub(super) key_file: Option<Written>,
}

/// Reads the file at `path`. `None` when it cannot be read or is not YAML; the report then says so.
pub(super) fn read(path: &str, env: Lookup<'_>, report: &mut Report) -> Option<File> {
    let name: Arc<str> = path.into();
    let place = Place::File { path: Arc::clone(&name), line: 0, column: 0 };
    match std::fs::read_to_string(path) {
        Ok(source) => File::parse(&source, &name, env, report),
        Err(error) => {
            report.refuse_key(&place, "", unreadable(path, &error));
            None
        }
    }
}

/// The reason why the file at `path` cannot be read.
fn unreadable(path: &str, error: &Error) -> Fault {
    let because = |rule: &str| Fault::new(format!("the file cannot be read: {rule}"));
    match error.kind() {
        ErrorKind::NotFound if path.starts_with('/') => {
            because("there is no such file").fix("correct --config")
        }
        ErrorKind::NotFound => because("there is no such file")
            .fix("correct --config; a relative path starts at the working directory"),
        ErrorKind::IsADirectory => because("it is a directory").fix("name the file in it"),
        ErrorKind::PermissionDenied => because("permission denied")
            .fix("let the user of this process read the file and enter its directories"),
        ErrorKind::InvalidData => because("it is not text in UTF-8").fix("save it as UTF-8"),
        _ => because(&error.to_string()),
    }
}

impl File {
    /// An empty configuration, for a start without a file.
    pub(super) fn none() -> Self {
        Self {
            listeners: Vec::new(),
            endpoints: Vec::new(),
            listeners_dir: None,
            admin: AdminKeys::default(),
            fleet: FleetKeys::default(),
            shutdown_deadline: None,
            log_format: None,
            log_level: None,
            notes: Vec::new(),
            place: Place::CommandLine,
        }
    }

    /// Reads the text of the file at `path`.
    pub(super) fn parse(source: &str, path: &Arc<str>, env: Lookup<'_>, report: &mut Report) -> Option<Self> {
        report.quote_from(path, source);
        let root = tree::parse(source, path, report)?;
        let mut fields = Fields::new(String::new(), root, env, report)?;
        let mut file = Self::none();
        file.place = Place::File { path: Arc::clone(path), line: 0, column: 0 };
        file.listeners = fields.list("listeners", Listener::read);
        file.endpoints = fields.named("endpoints", Endpoint::read);
        file.listeners_dir = fields.path_of_file("listeners_dir");
        let text = |name: &'static str| {
            move |mut fields: Fields<'_>| {
                let text = fields.text(name);
                fields.finish();
                text
            }
        };
        file.admin = fields.map("admin", AdminKeys::read).unwrap_or_default();
        file.fleet = fields.map("fleet", FleetKeys::read).unwrap_or_default();
        file.shutdown_deadline = fields.map("shutdown", text("deadline")).flatten();
        (file.log_format, file.log_level) = fields
            .map("log", |mut fields| {
                let log = (fields.text("format"), fields.text("level"));
                fields.finish();
                log
            })
            .unwrap_or_default();
        fields.finish();
        Some(file)
    }

    /// The base of a relative path written at `place`: the directory of the file, else the working directory.
    pub(super) fn resolve(place: &Place, path: &str) -> PathBuf {
        match place {
            Place::File { path: file, .. } => {
                Path::new(&**file).parent().map_or_else(|| path.into(), |directory| directory.join(path))
            }
            Place::Flag(_) | Place::Variable(_) | Place::Preset(_) | Place::CommandLine => path.into(),
        }
    }
}

impl Listener {
    /// A listener without any value yet.
    pub(super) fn empty(key: &str, place: &Place) -> Self {
        Self {
            key: key.to_owned(),
            place: place.clone(),
            preset: None,
            name: None,
            queue: None,
            url: None,
            endpoint: None,
            path: None,
            algorithm: None,
            owner: None,
            output: None,
            error_in_body: None,
            cloudevents: None,
            lambda: None,
            batch: Batch::default(),
            role_arn: None,
            external_id: None,
            region: None,
            profile: None,
            workers: None,
            paused: None,
            timeout: None,
            success: None,
            unwrap: None,
            non_work: None,
            claim_check: None,
            throttle_delay: None,
            receive_wait: None,
            latency_budget: None,
            retry_delay: None,
            retention: None,
            visibility_timeout: None,
            message_headers: None,
            user_agent: None,
            content_type: None,
            record_answers: None,
            on_response: Vec::new(),
            headers: Vec::new(),
            template: Template::default(),
            results: None,
            own: Endpoint::empty(Written::plain(key.to_owned(), place.clone(), String::new())),
        }
    }

    /// Path of one of its keys; the flag when there is no file.
    pub(super) fn key_of(&self, name: &str) -> String {
        match self.place {
            Place::CommandLine => format!("--{}", name.replace('_', "-")),
            // The file is the listener's own.
            Place::File { .. } if self.key.is_empty() => name.to_owned(),
            Place::File { .. } | Place::Flag(_) | Place::Variable(_) | Place::Preset(_) => {
                format!("{}.{name}", self.key)
            }
        }
    }

    /// Reads the keys of one listener.
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let mut listener = Self::empty(fields.path(), fields.place());
        listener.preset = fields.text("preset");
        listener.name = fields.text("name");
        listener.queue = fields.text("queue");
        listener.url = fields.address("url");
        listener.endpoint = fields.text("endpoint");
        listener.path = fields.text("path");
        listener.algorithm = fields.text("algorithm");
        listener.owner = fields.text("listener_owner");
        listener.output = fields.text("output");
        listener.error_in_body = fields.text("error_in_body");
        listener.cloudevents = fields.map("cloudevents", CloudEvents::read);
        listener.lambda = fields.map("lambda", Lambda::read);
        listener.batch = fields.map("batch", Batch::read).unwrap_or_default();
        listener.role_arn = fields.text("role_arn");
        listener.external_id = fields.secret("external_id");
        listener.region = fields.text("region");
        listener.profile = fields.text("profile");
        listener.workers = fields.text("workers");
        listener.paused = fields.text("paused");
        listener.timeout = fields.text("timeout");
        listener.success = fields.texts("success");
        listener.unwrap = fields.texts("unwrap");
        listener.non_work = fields.text("non_work");
        listener.claim_check = fields.map("claim_check", ClaimCheck::read);
        listener.throttle_delay = fields.text("throttle_delay");
        listener.receive_wait = fields.text("receive_wait");
        listener.latency_budget = fields.text("latency_budget");
        listener.retry_delay = fields.text("retry_delay");
        listener.retention = fields.text("retention");
        listener.visibility_timeout = fields.text("visibility_timeout");
        listener.message_headers = fields.text("message_headers");
        listener.user_agent = fields.text("user_agent");
        listener.content_type = fields.text("content_type");
        listener.record_answers = fields.text("record_answers");
        listener.on_response = fields.list("on_response", Row::read);
        listener.headers = Header::all(&mut fields);
        listener.template = fields.map("template", Template::read).unwrap_or_default();
        listener.results = fields.map("results", Results::read);
        fields.finish();
        listener
    }
}

impl Row {
    fn read(mut fields: Fields<'_>) -> Self {
        let row = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            status: fields.texts("status"),
            action: fields.text("action"),
            delay: fields.text("delay"),
        };
        fields.finish();
        row
    }
}

impl Endpoint {
    /// An endpoint with only a name yet.
    pub(super) fn empty(name: Written) -> Self {
        Self {
            name,
            url: None,
            auth: None,
            sign: None,
            headers: Vec::new(),
            sessions: None,
            per_second: None,
            burst: None,
            connect_timeout: None,
            pool_idle_timeout: None,
            retry_after_scope: None,
            adaptive: None,
            tls: None,
        }
    }

    fn read(name: Written, mut fields: Fields<'_>) -> Self {
        let mut endpoint = Self::empty(name);
        endpoint.url = fields.address("url");
        endpoint.auth = fields.map("auth", Auth::read);
        endpoint.sign = fields.map("sign", Sign::read);
        endpoint.headers = Header::all(&mut fields);
        endpoint.sessions = fields.text("sessions");
        (endpoint.per_second, endpoint.burst) = fields
            .map("rate_limit", |mut fields| {
                let rate = (fields.text("per_second"), fields.text("burst"));
                fields.finish();
                rate
            })
            .unwrap_or_default();
        endpoint.connect_timeout = fields.text("connect_timeout");
        endpoint.pool_idle_timeout = fields.text("pool_idle_timeout");
        endpoint.retry_after_scope = fields.text("retry_after_scope");
        endpoint.adaptive = fields.text("adaptive");
        endpoint.tls = fields.map("tls", Tls::read);
        fields.finish();
        endpoint
    }
}

impl Tls {
    fn read(mut fields: Fields<'_>) -> Self {
        let tls = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            ca_file: fields.text("ca_file"),
            cert_file: fields.text("cert_file"),
            key_file: fields.path_of_file("key_file"),
        };
        fields.finish();
        tls
    }
}
