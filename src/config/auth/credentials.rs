//! `endpoints.NAME.auth`: exactly one kind of credentials, with secrets that are in files or variables.

use http::HeaderName;
use url::Url;

use crate::config::auth::headers::header_name;
use crate::config::auth::secret::{LINE, either, secret};
use crate::config::auth::written::{ApiKey, Auth, Basic, OAuth2};
use crate::config::env::Lookup;
use crate::config::problem::{Fault, Place, Report};
use crate::config::{rules, value};
use crate::endpoint::auth::{self, ClientAuth, header_line, password};
use crate::secret::one_line;

/// The credentials that `written` describes, for the endpoint at `url`; `None` when the report has a problem with them.
pub(in crate::config) fn credentials(
    written: &Auth,
    url: Option<&Url>,
    env: Lookup<'_>,
    report: &mut Report,
) -> Option<auth::Auth> {
    let kinds = [
        ("header_file", written.header_file.is_some()),
        ("header_env", written.header_env.is_some()),
        ("bearer", written.bearer.is_some()),
        ("basic", written.basic.is_some()),
        ("api_key", written.api_key.is_some()),
        ("oauth2", written.oauth2.is_some()),
        ("sigv4", written.sigv4.is_some()),
    ];
    let present: Vec<&str> =
        kinds.iter().filter(|(_, is_written)| *is_written).map(|(name, _)| *name).collect();
    if present.len() > 1 {
        let fault = Fault::new(format!("has {} together", present.join(" and "))).fix("keep one");
        report.refuse_key(&written.place, &written.key, fault);
    } else if present.is_empty() && !report.mentions(&format!("{}.", written.key)) {
        let names = kinds.map(|(name, _)| name).join(", ");
        report.refuse_key(&written.place, &written.key, Fault::new(format!("needs one of: {names}")));
    }
    if present.len() != 1 {
        return None;
    }
    let bearer = || secret(written.bearer.as_ref()?, one_line, env, report).map(auth::Auth::Bearer);
    if let Some(bearer) = written.bearer.is_some().then(bearer) {
        return bearer;
    }
    if let Some(basic) = &written.basic {
        return self::basic(basic, env, report);
    }
    if let Some(api_key) = &written.api_key {
        return self::api_key(api_key, env, report);
    }
    if let Some(oauth2) = &written.oauth2 {
        return self::oauth2(oauth2, env, report);
    }
    if let Some(sigv4) = &written.sigv4 {
        return sigv4.settings(url, env, report).map(auth::Auth::SigV4);
    }
    either([written.header_file.as_ref(), written.header_env.as_ref()], (header_line, LINE), env, report)
        .map(auth::Auth::Line)
}

fn basic(written: &Basic, env: Lookup<'_>, report: &mut Report) -> Option<auth::Auth> {
    let name = |text: &str| {
        // RFC 7617, section 2.
        let fits = !text.is_empty() && !text.contains(':') && !text.contains(char::is_control);
        fits.then(|| text.to_owned()).ok_or_else(|| Fault::new("is no user name: without `:`, not empty"))
    };
    require(written.username.is_some(), &written.place, &written.key, "username", report);
    require(written.password.is_some(), &written.place, &written.key, "password", report);
    let username = report.parse(written.username.as_ref(), name);
    let password = secret(written.password.as_ref()?, password, env, report);
    Some(auth::Auth::Basic { username: username?, password: password? })
}

fn api_key(written: &ApiKey, env: Lookup<'_>, report: &mut Report) -> Option<auth::Auth> {
    require(written.header.is_some(), &written.secret.place, &written.secret.key, "header", report);
    let header: Option<HeaderName> = report.parse(written.header.as_ref(), header_name);
    let prefix = |text: &str| {
        let fits = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        fits.then(|| text.to_owned()).ok_or_else(|| Fault::new("has characters that no header carries"))
    };
    let prefix = match &written.prefix {
        Some(written) => report.parse(Some(written), prefix),
        None => Some(String::new()),
    };
    let key = secret(&written.secret, one_line, env, report);
    Some(auth::Auth::ApiKey { header: header?, prefix: prefix?, key: key? })
}

fn oauth2(written: &OAuth2, env: Lookup<'_>, report: &mut Report) -> Option<auth::Auth> {
    let (place, key) = (&written.place, &written.key);
    require(written.token_url.is_some(), place, key, "token_url", report);
    require(written.client_id.is_some(), place, key, "client_id", report);
    require(written.client_secret.is_some(), place, key, "client_secret", report);
    let token_url = report.parse(written.token_url.as_ref(), value::http_url);
    let unencrypted = token_url.as_ref().and_then(|url| rules::credentials_are_encrypted(url, true));
    report.advise(written.token_url.as_ref(), unencrypted);
    let visible = |text: &str| {
        let fits = !text.is_empty() && !text.contains(char::is_control);
        fits.then(|| text.to_owned()).ok_or_else(|| Fault::new("is empty, or has control characters"))
    };
    let client_id = report.parse(written.client_id.as_ref(), visible);
    let audience = report.parse(written.audience.as_ref(), visible);
    let scopes = written.scope.iter().flatten().filter_map(|scope| report.parse(Some(scope), self::scope));
    let scope = Some(scopes.collect::<Vec<_>>().join(" ")).filter(|scope| !scope.is_empty());
    let ways = |text: &str| value::one_of(text, &[("basic", ClientAuth::Basic), ("body", ClientAuth::Body)]);
    let client_auth = report.parse(written.client_auth.as_ref(), ways).unwrap_or_default();
    let client_secret = secret(written.client_secret.as_ref()?, password, env, report)?;
    let (token_url, client_id) = (token_url?, client_id?);
    let oauth2 = auth::OAuth2 { token_url, client_id, client_secret, scope, audience, client_auth };
    Some(auth::Auth::OAuth2(Box::new(oauth2)))
}

/// One scope, or several with spaces between (RFC 6749, section 3.3).
fn scope(text: &str) -> Result<String, Fault> {
    let fits = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    if text.trim().is_empty() || !text.split(' ').all(fits) {
        return Err(Fault::new("is no scope: visible characters without quotation marks"));
    }
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn require(is_written: bool, place: &Place, key: &str, name: &str, report: &mut Report) {
    let path = format!("{key}.{name}");
    if !is_written && !report.mentions(&path) {
        report.refuse_key(place, &path, Fault::new("is required"));
    }
}
