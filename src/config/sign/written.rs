//! `endpoints.NAME.sign` as written. No rule is checked here.

use crate::config::auth::written::SecretRef;
use crate::config::fields::Fields;
use crate::config::problem::{Place, Written};

/// `endpoints.NAME.sign`.
#[derive(Debug)]
pub(in crate::config) struct Sign {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) standard_webhooks: Option<StandardWebhooks>,
    pub(in crate::config) hmac: Option<Hmac>,
}

/// `sign.standard_webhooks`.
#[derive(Debug)]
pub(in crate::config) struct StandardWebhooks {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) secrets: Vec<SecretRef>,
}

/// `sign.hmac`.
#[derive(Debug)]
pub(in crate::config) struct Hmac {
    pub(in crate::config) key: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) format: Option<Written>,
    pub(in crate::config) header: Option<Written>,
    pub(in crate::config) secret: Option<SecretRef>,
}

impl Sign {
    pub(in crate::config) fn read(mut fields: Fields<'_>) -> Self {
        let sign = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            standard_webhooks: fields.map("standard_webhooks", StandardWebhooks::read),
            hmac: fields.map("hmac", Hmac::read),
        };
        fields.finish();
        sign
    }
}

impl Sign {
    /// The signature of simple-sqsd in this header, with the key that is the value of a variable.
    pub(in crate::config) fn of_simple_sqsd(key: &'static str, header: &str, variable: &'static str) -> Self {
        let place = Place::Variable(key);
        let text = |text: &str| Some(Written::plain(key.to_owned(), place.clone(), text.to_owned()));
        let secret = SecretRef::of_variable(variable.to_owned(), Place::Variable(variable), variable);
        let hmac = Hmac {
            key: key.to_owned(),
            place: place.clone(),
            format: text("simple-sqsd"),
            header: text(header),
            secret: Some(secret),
        };
        Self { key: key.to_owned(), place, standard_webhooks: None, hmac: Some(hmac) }
    }
}

impl StandardWebhooks {
    fn read(mut fields: Fields<'_>) -> Self {
        let webhooks = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            secrets: fields.list("secrets", SecretRef::read),
        };
        fields.finish();
        webhooks
    }
}

impl Hmac {
    fn read(mut fields: Fields<'_>) -> Self {
        let hmac = Self {
            key: fields.path().to_owned(),
            place: fields.place().clone(),
            format: fields.text("format"),
            header: fields.text("header"),
            secret: fields.map("secret", SecretRef::read),
        };
        fields.finish();
        hmac
    }
}
