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
