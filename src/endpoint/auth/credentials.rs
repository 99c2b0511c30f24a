//! What goes into a request to show who sends it.
//!
//! Values are made for each request, because a secret may change between two of them. Every value is marked
//! sensitive, so that no layer below prints it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::oauth2::{OAuth2, Tokens};
use crate::exchange::is_of_client;
use crate::policy::outcome::{Step, Unsent};
use crate::secret::Secret;

/// The kinds of credentials. Equal ones are written alike, whatever the present value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// A whole header line, `Name: value`, that fits [`header_line`].
    Line(Secret),
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer(Secret),
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// Text without colon and control characters.
        username: String,
        /// A secret that fits [`password`].
        password: Secret,
    },
    /// A header of its own with a key.
    ApiKey {
        /// The header's name.
        header: HeaderName,
        /// Text before the key, `Simple ` for instance.
        prefix: String,
        /// The key.
        key: Secret,
    },
    /// `Authorization: Bearer …` with a token of a token server.
    OAuth2(Box<OAuth2>),
    /// A signature with credentials of AWS, which is made elsewhere ([`crate::ports::RequestSigner`]).
    SigV4(SigV4),
}

/// What a signature with credentials of AWS is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigV4 {
    /// The service's name in signatures: `lambda`, `execute-api`.
    pub service: String,
    /// The region of the service.
    pub region: String,
    /// Named profile of the shared AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id that the role's owner requires.
    pub external_id: Option<String>,
}

impl Auth {
    /// The header that carries the credentials, as far as is known.
    pub fn header(&self) -> HeaderName {
        match self {
            Self::Line(line) => parse(&line.known()).map_or(AUTHORIZATION, |(name, _)| name),
            Self::ApiKey { header, .. } => header.clone(),
            Self::Bearer(_) | Self::Basic { .. } | Self::OAuth2(_) | Self::SigV4(_) => AUTHORIZATION,
        }
    }

    /// Whether another server is asked for them: for a token, or for credentials of a role.
    pub fn asks_others(&self) -> bool {
        matches!(self, Self::OAuth2(_) | Self::SigV4(_))
    }

    /// The secret that a person wrote, if there is one.
    fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Line(secret)
            | Self::Bearer(secret)
            | Self::Basic { password: secret, .. }
            | Self::ApiKey { key: secret, .. } => Some(secret),
            Self::OAuth2(oauth2) => Some(&oauth2.client_secret),
            Self::SigV4(_) => None,
        }
    }
}

/// The credentials of one endpoint, as its requests use them.
#[derive(Debug, Default)]
pub(in crate::endpoint) struct Credentials {
    auth: Option<Auth>,
    tokens: Option<Tokens>,
}

/// The credentials in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) struct Used {
    /// The number of the token.
    token: Option<u64>,
}

impl Credentials {
    /// Credentials of this kind; `http` makes the client that asks a token server.
    pub(in crate::endpoint) fn new<E>(
        auth: Option<&Auth>,
        http: impl FnOnce() -> Result<reqwest::Client, E>,
    ) -> Result<Self, E> {
        let tokens = match auth {
            Some(Auth::OAuth2(oauth2)) => Some(Tokens::new(OAuth2::clone(oauth2), http()?)),
            Some(
                Auth::Line(_) | Auth::Bearer(_) | Auth::Basic { .. } | Auth::ApiKey { .. } | Auth::SigV4(_),
            )
            | None => None,
        };
        Ok(Self { auth: auth.cloned(), tokens })
    }

    /// Adds the credentials to a request.
    ///
    /// # Errors
    /// There is no token, so the request cannot be sent.
    ///
    /// # Cancel safety
    /// A token being fetched is fetched anew by the next request.
    pub(in crate::endpoint) async fn add(&self, headers: &mut HeaderMap) -> Result<Used, Unsent> {
        let Some(auth) = &self.auth else { return Ok(Used { token: None }) };
        let mut used = Used { token: None };
        let header = match (auth, &self.tokens) {
            (Auth::OAuth2(_), Some(tokens)) => {
                let token = tokens.token().await?;
                used.token = Some(token.number);
                bearer(&token.text)
            }
            (Auth::OAuth2(_), None) => None,
            (Auth::SigV4(_), _) => return Ok(used),
            (Auth::Line(line), _) => parse(&line.current().await).ok(),
            (Auth::Bearer(secret), _) => bearer(&secret.current().await),
            (Auth::Basic { username, password }, _) => basic(username, &password.current().await),
            (Auth::ApiKey { header, prefix, key }, _) => {
                value(&format!("{prefix}{}", key.current().await)).map(|value| (header.clone(), value))
            }
        };
        // Rules exclude it: every value was found fit for a header.
        let unfit = || Unsent { step: Step::Other, text: "the credentials fit in no header".to_owned() };
        let (name, value) = header.ok_or_else(unfit)?;
        headers.insert(name, value);
        Ok(used)
    }

    /// Heeds what the endpoint answered to a request with these credentials.
    pub(in crate::endpoint) fn answered(&self, used: Used, status: u16) {
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].iter().any(|no| *no == status);
        if let (Some(auth), true) = (&self.auth, refused) {
            auth.secret().into_iter().for_each(Secret::doubt);
        }
        if let (Some(tokens), Some(number)) = (&self.tokens, used.token) {
            tokens.answered(number, StatusCode::UNAUTHORIZED != status);
        }
    }

    /// The texts that a log must not repeat: present and former secrets, and what was made of them.
    pub(in crate::endpoint) fn secrets(&self) -> Vec<String> {
        let Some(auth) = &self.auth else { return Vec::new() };
        let mut texts = Vec::new();
        for secret in auth.secret().into_iter().flat_map(Secret::values) {
            match auth {
                Auth::Line(_) => {
                    texts.extend(parse(&secret).ok().iter().flat_map(|(_, value)| in_value(value)));
                }
                Auth::Basic { username, .. } => {
                    texts.extend(basic(username, &secret).iter().flat_map(|(_, value)| in_value(value)));
                    texts.push(secret.to_string());
                }
                Auth::Bearer(_) | Auth::ApiKey { .. } | Auth::OAuth2(_) | Auth::SigV4(_) => {
                    texts.push(secret.to_string());
                }
            }
        }
        texts.extend(self.tokens.iter().flat_map(Tokens::secrets));
        texts
    }
}

/// The rule of a whole header line.
pub fn header_line(line: &str) -> Result<(), &'static str> {
    parse(line).map(drop)
}

/// The rule of a password: any text on one line (RFC 7617, section 2: no control characters).
pub fn password(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("nothing: it is empty");
    }
    if text.contains(char::is_control) { Err("more than one line, or control characters") } else { Ok(()) }
}

/// Name and value of a header line.
fn parse(line: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    const NO_HEADER: &str = "no header: it has no `Name: value`";
    if line.is_empty() {
        return Err("nothing: it is empty");
    }
    if line.contains(['\r', '\n']) {
        return Err("more than one line");
    }
    let (name, text) = line.split_once(':').ok_or(NO_HEADER)?;
    let name: HeaderName = name.trim().parse().map_err(|_| NO_HEADER)?;
    if is_of_client(&name) {
        return Err("a header the client sets itself");
    }
    let value = value(text.trim()).ok_or("a header with characters that are not allowed in one")?;
    if value.is_empty() { Err("a header without a value") } else { Ok((name, value)) }
}

fn bearer(token: &str) -> Option<(HeaderName, HeaderValue)> {
    value(&format!("Bearer {token}")).map(|value| (AUTHORIZATION, value))
}

fn basic(username: &str, password: &str) -> Option<(HeaderName, HeaderValue)> {
    let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
    value(&format!("Basic {encoded}")).map(|value| (AUTHORIZATION, value))
}

fn value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The secrets in a header's value: as a whole, its words after the scheme, and the password of `Basic`.
fn in_value(value: &HeaderValue) -> Vec<String> {
    let Ok(value) = std::str::from_utf8(value.as_bytes()) else { return Vec::new() };
    let words = value.split_whitespace().skip(1).map(str::to_owned);
    std::iter::once(value.to_owned()).chain(words).chain(of_basic(value).into_iter().flatten()).collect()
}

/// User with password, and password alone, of HTTP basic authentication.
fn of_basic(value: &str) -> Option<[String; 2]> {
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(encoded.trim()))?;
    let both = String::from_utf8(decoded.ok()?).ok()?;
    let password = both.split_once(':')?.1.to_owned();
    Some([both, password])
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
