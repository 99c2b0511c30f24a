//! `endpoints.NAME.sign`: signatures by shared secrets, which are in files or variables. `written` has the keys as written.

pub(super) mod written;

use http::{HeaderName, header};

use crate::config::auth::{header_name, secret};
use crate::config::env::Lookup;
use crate::config::problem::{Fault, Report};
use crate::config::sign::written::{Hmac, Sign, StandardWebhooks};
use crate::config::value;
use crate::endpoint::auth::password;
use crate::endpoint::sign::{HmacFormat, Signature, webhook_secret};

/// Where GitHub and its libraries look.
const GITHUB: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// Secrets that may be active at a time: the old one and the new one.
const ACTIVE_MAX: usize = 2;
const FORMATS: [(&str, HmacFormat); 2] =
    [("github", HmacFormat::Github), ("simple-sqsd", HmacFormat::SimpleSqsd)];

impl Sign {
    /// The signature of the endpoint's requests; `None` when the report has a problem with it. `of_auth` is the header
    /// that the endpoint's credentials take.
    pub(in crate::config) fn signature(
        &self,
        of_auth: Option<&HeaderName>,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> Option<Signature> {
        match (&self.standard_webhooks, &self.hmac) {
            (Some(webhooks), None) => webhooks.signature(env, report),
            (None, Some(hmac)) => hmac.signature(of_auth, env, report),
            (None, None) => {
                if !report.mentions(&format!("{}.", self.key)) {
                    let fault = Fault::new("needs one of: standard_webhooks, hmac");
                    report.refuse_key(&self.place, &self.key, fault);
                }
                None
            }
            (Some(_), Some(_)) => {
                let fault = Fault::new("has standard_webhooks and hmac together").fix("keep one");
                report.refuse_key(&self.place, &self.key, fault);
                None
            }
        }
    }
}

impl StandardWebhooks {
    fn signature(&self, env: Lookup<'_>, report: &mut Report) -> Option<Signature> {
        let key = format!("{}.secrets", self.key);
        let fault = match self.secrets.len() {
            0 if report.mentions(&key) => return None,
            0 => Some(Fault::new("is required: a list of `{file: F}` or `{env: V}`, one or two")),
            1..=ACTIVE_MAX => None,
            _ => Some(Fault::new("has more than two secrets").fix("keep the present one and the next one")),
        };
        if let Some(fault) = fault {
            report.refuse_key(&self.place, &key, fault);
            return None;
        }
        // All of them are read, so that all problems are found at once.
        let secrets: Vec<_> =
            self.secrets.iter().map(|written| secret(written, webhook_secret, env, report)).collect();
        secrets.into_iter().collect::<Option<Vec<_>>>().map(Signature::StandardWebhooks)
    }
}

impl Hmac {
    fn signature(
        &self,
        of_auth: Option<&HeaderName>,
        env: Lookup<'_>,
        report: &mut Report,
    ) -> Option<Signature> {
        let format = report.parse(self.format.as_ref(), |text| value::one_of(text, &FORMATS));
        let name = |text: &str| {
            let name = header_name(text)?;
            if Some(&name) == of_auth {
                return Err(Fault::new("is the header that the endpoint's `auth` sets").fix("name another"));
            }
            if name == header::CONTENT_TYPE {
                return Err(Fault::new("is the header with the type of the body").fix("name another"));
            }
            Ok(name)
        };
        let written = report.parse(self.header.as_ref(), name);
        let header = match (format, &self.header) {
            (Some(HmacFormat::Github), None) => Some(GITHUB),
            _ => written,
        };
        let sqsd = "write the name that simple-sqsd has in SQSD_HTTP_HMAC_HEADER";
        let missing = [
            ("format", self.format.is_none(), Fault::new("is required: github or simple-sqsd")),
            (
                "header",
                format == Some(HmacFormat::SimpleSqsd) && self.header.is_none(),
                Fault::new("is required with the format simple-sqsd").fix(sqsd),
            ),
            ("secret", self.secret.is_none(), Fault::new("is required: `{file: F}` or `{env: V}`")),
        ];
        for (name, is_missing, fault) in missing {
            let key = format!("{}.{name}", self.key);
            if is_missing && !report.mentions(&key) {
                report.refuse_key(&self.place, &key, fault);
            }
        }
        let secret = secret(self.secret.as_ref()?, password, env, report);
        Some(Signature::Hmac { format: format?, header: header?, secret: secret? })
    }
}
