//! The keys of the admin port: where it listens, and who may change something through it.
//!
//! Changes are off by default. They need a token that is in a file, so that no configuration holds it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::auth;
use crate::config::env::{Lookup, set};
use crate::config::fields::Fields;
use crate::config::problem::{ConfigErrors, Fault, Place, Report, Written};
use crate::config::shown::Reveal;
use crate::config::value;
use crate::secret::{Secret, one_line};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
const ADDRESS_FLAG: &str = "--admin-address";
pub(super) const ADDRESS_VARIABLE: &str = "QUEUEPOST_ADMIN_LISTEN";
const TOKEN_FLAG: &str = "--token-file";
pub(super) const TOKEN_VARIABLE: &str = "QUEUEPOST_ADMIN_TOKEN_FILE";
/// Fewest characters of a token: as many random ones cannot be guessed.
const TOKEN_MIN: usize = 16;
const TOKEN_FIX: &str = "write a random token of 16 characters or more: openssl rand -hex 32 > FILE";

/// Where the admin port listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminAddresses {
    /// With all its routes.
    pub all: SocketAddr,
    /// With metrics and probes alone.
    pub metrics: Option<SocketAddr>,
}

/// `admin`, as written.
#[derive(Debug, Default)]
pub(super) struct AdminKeys {
    pub(super) listen: Option<Written>,
    pub(super) metrics_listen: Option<Written>,
    pub(super) allow_changes: Option<Written>,
    pub(super) token_file: Option<Written>,
}

impl AdminKeys {
    pub(super) fn read(mut fields: Fields<'_>) -> Self {
        let keys = Self {
            listen: fields.text("listen"),
            metrics_listen: fields.text("metrics_listen"),
            allow_changes: fields.text("allow_changes"),
            token_file: fields.path_of_file("token_file"),
        };
        fields.finish();
        keys
    }

    /// Where the port listens, and where metrics and probes are served too.
    pub(super) fn addresses(&self, report: &mut Report) -> AdminAddresses {
        let all = report.parse(self.listen.as_ref(), value::socket_address).unwrap_or(LISTEN);
        let metrics = report.parse(self.metrics_listen.as_ref(), value::socket_address);
        if let (Some(written), Some(same)) = (&self.metrics_listen, metrics.filter(|other| *other == all))
            && same.port() != 0
        {
            let fault = Fault::new("is the address of `admin.listen`, which serves metrics already");
            report.refuse(written, fault.fix("write another port, or leave it out"));
        }
        AdminAddresses { all, metrics }
    }

    /// The token that changes need; `None` where they are off.
    pub(super) fn token(&self, env: Lookup<'_>, report: &mut Report) -> Option<Secret> {
        let token = self
            .token_file
            .as_ref()
            .and_then(|file| auth::of_key_file(file, (token, TOKEN_FIX), env, report));
        let allowed = report.parse(self.allow_changes.as_ref(), value::truth).unwrap_or_default();
        if !allowed {
            let idle = "has no effect without `admin.allow_changes: true`".to_owned();
            report.advise(self.token_file.as_ref(), Some(idle));
            return None;
        }
        if let (Some(written), None) = (&self.allow_changes, &self.token_file) {
            let fault =
                Fault::new("needs `admin.token_file`: a file with the token that each change must show");
            report.refuse(written, fault.fix(TOKEN_FIX));
        }
        token
    }
}

/// Whether a text may be the token.
fn token(text: &str) -> Result<(), &'static str> {
    one_line(text)?;
    if text.len() < TOKEN_MIN { Err("a token of fewer than 16 characters") } else { Ok(()) }
}

/// Reads and checks the admin address of the process on this machine. For commands that call it.
///
/// `typed` is the value of `--admin-address`. Its variable is that of `run`, so both name the same process.
pub fn admin_address(
    typed: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<SocketAddr, ConfigErrors> {
    let mut report = Report::default();
    let given = match typed {
        Some(typed) => Some((Place::Flag(ADDRESS_FLAG), typed.to_owned())),
        None => set(env, ADDRESS_VARIABLE).map(|raw| (Place::Variable(ADDRESS_VARIABLE), raw)),
    };
    let written = given.map(|(place, raw)| Written::plain(ADDRESS_FLAG.to_owned(), place, raw));
    let address = report.parse(written.as_ref(), value::socket_address).unwrap_or(LISTEN);
    report.finish().map(|_| address)
}

/// Reads the token that commands show to the process on this machine; `None` when none is named.
///
/// `typed` is the value of `--token-file`. Its variable is that of `run`.
pub fn admin_token(
    typed: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Secret>, ConfigErrors> {
    let mut report = Report::default();
    let given = match typed {
        Some(typed) => Some((Place::Flag(TOKEN_FLAG), typed.to_owned())),
        None => set(env, TOKEN_VARIABLE).map(|raw| (Place::Variable(TOKEN_VARIABLE), raw)),
    };
    let written = given.map(|(place, raw)| Written {
        reveal: Reveal::Path,
        ..Written::plain(TOKEN_FLAG.to_owned(), place, raw)
    });
    let token = written.and_then(|file| auth::of_key_file(&file, (token, TOKEN_FIX), env, &mut report));
    report.finish().map(|_| token)
}
