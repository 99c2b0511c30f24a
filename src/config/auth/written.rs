//! `auth` and `headers` as written. No rule is checked here.

use crate::config::fields::{Fields, Own};
use crate::config::problem::{Place, Written};
use crate::config::sigv4::SigV4;

/// `endpoints.NAME.auth`.
#[derive(Debug)]
pub(in crate::config) struct Auth {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) header_file: Option<Written>,
    pub(in crate::config) header_env: Option<Written>,
    pub(in crate::config) bearer: Option<SecretRef>,
    pub(in crate::config) basic: Option<Basic>,
    pub(in crate::config) api_key: Option<ApiKey>,
    pub(in crate::config) oauth2: Option<OAuth2>,
    pub(in crate::config) sigv4: Option<SigV4>,
}

/// A secret: `{file: F}` or `{env: V}`.
#[derive(Debug)]
pub(in crate::config) struct SecretRef {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) file: Option<Written>,
    pub(in crate::config) env: Option<Written>,
}

/// `auth.basic`.
#[derive(Debug)]
pub(in crate::config) struct Basic {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) username: Option<Written>,
    pub(in crate::config) password: Option<SecretRef>,
}

/// `auth.api_key`.
#[derive(Debug)]
pub(in crate::config) struct ApiKey {
    pub(in crate::config) header: Option<Written>,
    pub(in crate::config) prefix: Option<Written>,
    pub(in crate::config) secret: SecretRef,
}

/// `auth.oauth2`.
#[derive(Debug)]
pub(in crate::config) struct OAuth2 {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) token_url: Option<Written>,
    pub(in crate::config) client_id: Option<Written>,
    pub(in crate::config) client_secret: Option<SecretRef>,
    pub(in crate::config) scope: Option<Vec<Written>>,
    pub(in crate::config) audience: Option<Written>,
    pub(in crate::config) client_auth: Option<Written>,
}

/// One entry of `headers`.
#[derive(Debug)]
pub(in crate::config) struct Header {
    pub(in crate::config) name: Written,
    pub(in crate::config) value: Own<SecretRef>,
}

impl Auth {
    /// Credentials without any value yet.
    pub(in crate::config) fn empty(key: String, place: Place) -> Self {
        Self {
            key,
            place,
            header_file: None,
            header_env: None,
            bearer: None,
            basic: None,
            api_key: None,
            oauth2: None,
            sigv4: None,
        }
    }

    /// A header of this name, whose value is a secret behind a prefix.
    pub(in crate::config) fn of_header(
        key: String,
        place: Place,
        (header, prefix): (&str, &str),
        secret: SecretRef,
    ) -> Self {
        let text = |text: &str| Some(Written::plain(key.clone(), place.clone(), text.to_owned()));
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty()).and_then(text);
        let api_key = Some(ApiKey { header: text(header), prefix, secret });
        Self { api_key, ..Self::empty(key, place) }
    }

    pub(in crate::config) fn read(mut fields: Fields<'_>) -> Self {
        let mut auth = Self::empty(fields.path().to_owned(), fields.place().clone());
        auth.header_file = fields.path_of_file("header_file");
        auth.header_env = fields.variable("header_env");
        auth.bearer = fields.map("bearer", SecretRef::read);
        auth.basic = fields.map("basic", Basic::read);
        auth.api_key = fields.map("api_key", ApiKey::read);
        auth.oauth2 = fields.map("oauth2", OAuth2::read);
        auth.sigv4 = fields.map("sigv4", SigV4::read);
        fields.finish();
        auth
    }
}

impl SecretRef {
    pub(in crate::config) fn read(mut fields: Fields<'_>) -> Self {
        let secret = Self::of(&mut fields);
        fields.finish();
        secret
    }

    /// The secret in this file.
    pub(in crate::config) fn of_file(key: String, place: Place, file: Written) -> Self {
        Self { key, place, file: Some(file), env: None }
    }

    /// The secret that is the value of this variable.
    pub(in crate::config) fn of_variable(key: String, place: Place, variable: &str) -> Self {
        let env = Some(Written::plain(key.clone(), place.clone(), variable.to_owned()));
        Self { key, place, file: None, env }
    }

    /// The keys of a secret among others.
    fn of(fields: &mut Fields<'_>) -> Self {
        Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            file: fields.path_of_file("file"),
            env: fields.variable("env"),
        }
    }
}

impl Basic {
    fn read(mut fields: Fields<'_>) -> Self {
        let basic = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            username: fields.secret("username"),
            password: fields.map("password", SecretRef::read),
        };
        fields.finish();
        basic
    }
}

impl ApiKey {
    fn read(mut fields: Fields<'_>) -> Self {
        let api_key = Self {
            header: fields.secret("header"),
            prefix: fields.secret("prefix"),
            secret: SecretRef::of(&mut fields),
        };
        fields.finish();
        api_key
    }
}

impl OAuth2 {
    fn read(mut fields: Fields<'_>) -> Self {
        let oauth2 = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            token_url: fields.address("token_url"),
            client_id: fields.secret("client_id"),
            client_secret: fields.map("client_secret", SecretRef::read),
            scope: fields.texts("scope"),
            audience: fields.secret("audience"),
            client_auth: fields.text("client_auth"),
        };
        fields.finish();
        oauth2
    }
}

impl Header {
    /// `headers`, in the order of the file.
    pub(in crate::config) fn all(fields: &mut Fields<'_>) -> Vec<Self> {
        let entries = fields.named_values("headers", SecretRef::read);
        entries.into_iter().map(|(name, value)| Self { name, value }).collect()
    }
}
