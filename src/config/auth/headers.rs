//! `headers` of endpoints and listeners: names with fixed values, or with secrets.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use crate::config::auth::secret::secret;
use crate::config::auth::written::Header;
use crate::config::env::Lookup;
use crate::config::fields::Own;
use crate::config::problem::{Fault, Report};
use crate::endpoint::auth::{Auth, FixedHeaders, HeaderText};
use crate::endpoint::sign::Signature;
use crate::exchange::is_of_client;
use crate::secret::one_line;

/// The headers as written. `taken` are those that the endpoint sets later, and the key that says so.
pub(in crate::config) fn headers(
    written: &[Header],
    taken: &[(HeaderName, &str)],
    env: Lookup<'_>,
    report: &mut Report,
) -> FixedHeaders {
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for Header { name: written, value } in written {
        let name = |text: &str| {
            let name = header_name(text)?;
            if let Some((_, by)) = taken.iter().find(|(taken, _)| *taken == name) {
                let fault = Fault::new(format!("is the header that the endpoint's `{by}` sets"));
                return Err(fault.fix("keep one of them"));
            }
            if !known.insert(name.clone()) {
                return Err(Fault::new("is there twice: header names know no capitals"));
            }
            Ok(name)
        };
        let name = report.parse(Some(written), name);
        let text = match value {
            Own::Scalar(text) => report.parse(Some(text), self::text).map(HeaderText::Text),
            Own::Map(written) => secret(written, one_line, env, report).map(HeaderText::Secret),
            Own::Refused => None,
        };
        found.extend(name.zip(text));
    }
    FixedHeaders::new(found)
}

/// The headers that an endpoint's credentials and signature take, and the key that says so.
pub(in crate::config) fn taken(
    auth: Option<&Auth>,
    sign: Option<&Signature>,
) -> Vec<(HeaderName, &'static str)> {
    let signature = sign.into_iter().flat_map(Signature::headers).map(|name| (name, "sign"));
    auth.map(|auth| (auth.header(), "auth")).into_iter().chain(signature).collect()
}

/// The name of a header that a user may set.
pub(in crate::config) fn header_name(text: &str) -> Result<HeaderName, Fault> {
    let name: HeaderName = text.parse().map_err(|_| {
        Fault::new("is no name of a header").fix("write letters, digits and `-`, such as X-Api-Key")
    })?;
    if is_of_client(&name) {
        return Err(Fault::new("is a header that the HTTP client sets itself").fix("remove it"));
    }
    Ok(name)
}

fn text(text: &str) -> Result<HeaderValue, Fault> {
    one_line(text).map_err(|_| {
        Fault::new("is no value of a header: one line of visible ASCII characters")
            .fix("percent-encode or base64-encode it if the endpoint expects that")
    })?;
    HeaderValue::from_str(text).map_err(|_| Fault::new("is no value of a header"))
}
