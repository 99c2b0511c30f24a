//! The keys below `claim_check`, `headers`, `auth` and `sign` that are written, for `check --explain`.
//!
//! No preset fills them, so they need no place in `keys`. Values that may be secrets are hidden by whoever shows them.

use crate::config::auth::written::{Auth, Header, SecretRef};
use crate::config::fields::Own;
use crate::config::file::{Endpoint, Listener};
use crate::config::problem::Written;
use crate::config::shown::shown_key;
use crate::config::sign::written::Sign;

/// A key with what is written there.
pub(super) type Key<'a> = (String, Vec<&'a Written>);

/// Those of a listener.
pub(super) fn of_listener(listener: &Listener) -> Vec<Key<'_>> {
    let mut keys = headers(&listener.headers);
    for (name, written) in listener.claim_check.iter().flat_map(|claim_check| claim_check.written()) {
        keys.push((format!("claim_check.{name}"), written));
    }
    keys.retain(|(_, written)| !written.is_empty());
    keys
}

/// Those of an endpoint.
pub(super) fn of_endpoint(endpoint: &Endpoint) -> Vec<Key<'_>> {
    let mut keys = headers(&endpoint.headers);
    keys.extend(endpoint.auth.iter().flat_map(credentials));
    keys.extend(endpoint.sign.iter().flat_map(signature));
    keys.retain(|(_, written)| !written.is_empty());
    keys
}

fn headers(headers: &[Header]) -> Vec<Key<'_>> {
    headers.iter().flat_map(header).collect()
}

fn header(header: &Header) -> Vec<Key<'_>> {
    let key = format!("headers.{}", shown_key(&header.name.raw));
    match &header.value {
        Own::Scalar(text) => vec![(key, vec![text])],
        Own::Map(reference) => secret(&key, Some(reference)),
        Own::Refused => Vec::new(),
    }
}

fn secret<'a>(key: &str, reference: Option<&'a SecretRef>) -> Vec<Key<'a>> {
    let Some(SecretRef { file, env, .. }) = reference else { return Vec::new() };
    vec![one(&format!("{key}.file"), file.as_ref()), one(&format!("{key}.env"), env.as_ref())]
}

fn one<'a>(key: &str, written: Option<&'a Written>) -> Key<'a> {
    (key.to_owned(), written.into_iter().collect())
}

fn credentials(auth: &Auth) -> Vec<Key<'_>> {
    let mut keys = secret("auth.bearer", auth.bearer.as_ref());
    if let Some(basic) = &auth.basic {
        keys.push(one("auth.basic.username", basic.username.as_ref()));
        keys.extend(secret("auth.basic.password", basic.password.as_ref()));
    }
    if let Some(api_key) = &auth.api_key {
        keys.push(one("auth.api_key.header", api_key.header.as_ref()));
        keys.push(one("auth.api_key.prefix", api_key.prefix.as_ref()));
        keys.extend(secret("auth.api_key", Some(&api_key.secret)));
    }
    if let Some(oauth2) = &auth.oauth2 {
        keys.push(one("auth.oauth2.token_url", oauth2.token_url.as_ref()));
        keys.push(one("auth.oauth2.client_id", oauth2.client_id.as_ref()));
        keys.extend(secret("auth.oauth2.client_secret", oauth2.client_secret.as_ref()));
        keys.push(("auth.oauth2.scope".to_owned(), oauth2.scope.iter().flatten().collect()));
        keys.push(one("auth.oauth2.audience", oauth2.audience.as_ref()));
        keys.push(one("auth.oauth2.client_auth", oauth2.client_auth.as_ref()));
    }
    let sigv4 = auth.sigv4.iter().flat_map(|sigv4| sigv4.written());
    keys.extend(sigv4.map(|(name, written)| one(&format!("auth.sigv4.{name}"), written)));
    keys
}

fn signature(sign: &Sign) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    for (number, each) in sign.standard_webhooks.iter().flat_map(|webhooks| &webhooks.secrets).enumerate() {
        keys.extend(secret(&format!("sign.standard_webhooks.secrets[{number}]"), Some(each)));
    }
    if let Some(hmac) = &sign.hmac {
        keys.push(one("sign.hmac.format", hmac.format.as_ref()));
        keys.push(one("sign.hmac.header", hmac.header.as_ref()));
        keys.extend(secret("sign.hmac.secret", hmac.secret.as_ref()));
    }
    keys
}
