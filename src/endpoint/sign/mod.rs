//! Signatures over final requests: the last step before the client.
//!
//! A [`Signature`] is made here, of a secret. A signature with credentials of AWS is made behind the port
//! [`RequestSigner`]. Everything is signed anew for each attempt, with the time of the attempt.

mod digest;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod hmac;
mod standard_webhooks;

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub use self::hmac::HmacFormat;
pub use self::standard_webhooks::webhook_secret;
use crate::limit::clock::Wall;
use crate::message::MessageId;
use crate::policy::outcome::{Step, Unsent};
use crate::ports::{RequestSigner, ToSign, Unsigned};
use crate::secret::Secret;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A signature by a shared secret. Equal ones are written alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Signature {
    /// Standard Webhooks, with one or two secrets that fit [`webhook_secret`].
    StandardWebhooks(Vec<Secret>),
    /// A header with an HMAC.
    Hmac {
        /// What is signed.
        format: HmacFormat,
        /// The header's name.
        header: HeaderName,
        /// The key, as text.
        secret: Secret,
    },
}

impl Signature {
    /// The headers that carry it.
    pub fn headers(&self) -> Vec<HeaderName> {
        match self {
            Self::StandardWebhooks(_) => vec![WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE],
            Self::Hmac { header, .. } => vec![header.clone()],
        }
    }
}

/// What signs the requests of one endpoint.
#[derive(Debug)]
pub(super) struct Signer {
    signature: Option<Signature>,
    with_credentials: Option<Arc<dyn RequestSigner>>,
    clock: Wall,
}

impl Signer {
    pub(super) fn new(signature: Option<Signature>, clock: Wall) -> Self {
        Self { signature, with_credentials: None, clock }
    }

    /// Whether there is anything to sign with.
    pub(super) fn signs(&self) -> bool {
        self.signature.is_some() || self.with_credentials.is_some()
    }

    /// Adds signatures to the headers of a request that is complete otherwise. `id` is that of its message.
    ///
    /// # Errors
    /// There are no credentials to sign with, so the request cannot be sent.
    ///
    /// # Cancel safety
    /// Nothing is left behind: credentials being fetched are fetched anew by the next request.
    pub(super) async fn sign(
        &self,
        id: Option<&MessageId>,
        url: &Url,
        body: &[u8],
        headers: &mut HeaderMap,
    ) -> Result<(), Unsent> {
        // Every request has an id: its exchange names it.
        let id = id.map_or("unknown", MessageId::as_str);
        let now = self.clock.now();
        // Rules exclude it: the secret was found fit.
        let unfit =
            |why: &str| Unsent { step: Step::Other, text: format!("the request cannot be signed: {why}") };
        match &self.signature {
            Some(Signature::StandardWebhooks(secrets)) => {
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let mut present = Vec::new();
                for secret in secrets {
                    present.push(secret.current().await);
                }
                let id = visible(id);
                let signatures =
                    standard_webhooks::signatures(present.iter().map(|secret| &**secret), &id, seconds, body)
                        .map_err(unfit)?;
                headers.insert(WEBHOOK_ID, value(&id)?);
                headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
                headers.insert(WEBHOOK_SIGNATURE, value(&signatures)?);
            }
            Some(Signature::Hmac { format, header, secret }) => {
                let signature = hmac::signature(*format, &secret.current().await, url, body);
                headers.insert(header.clone(), value(&signature)?);
            }
            None => {}
        }
        if let Some(signer) = &self.with_credentials {
            let added = signer.sign(ToSign { url, headers, body, now }).await;
            let text = |error: Unsigned| Unsent { step: Step::AwsCredentials, text: error.to_string() };
            headers.extend(added.map_err(text)?);
        }
        Ok(())
    }

    /// Heeds what the endpoint answered to a signed request.
    pub(super) fn answered(&self, status: u16) {
        if !matches!(status, 401 | 403) {
            return;
        }
        match &self.signature {
            Some(Signature::StandardWebhooks(secrets)) => secrets.iter().for_each(Secret::doubt),
            Some(Signature::Hmac { secret, .. }) => secret.doubt(),
            None => {}
        }
        if let Some(signer) = &self.with_credentials {
            signer.doubt();
        }
    }

    /// Lets `signer` sign with credentials of its own.
    pub(super) fn with_credentials(self, signer: Arc<dyn RequestSigner>) -> Self {
        Self { with_credentials: Some(signer), ..self }
    }

    /// The texts that a log must not repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        let secrets = match &self.signature {
            Some(Signature::StandardWebhooks(secrets)) => secrets.as_slice(),
            Some(Signature::Hmac { secret, .. }) => std::slice::from_ref(secret),
            None => &[],
        };
        let mut texts: Vec<String> =
            secrets.iter().flat_map(Secret::values).map(|text| text.to_string()).collect();
        texts.extend(self.with_credentials.iter().flat_map(|signer| signer.secrets()));
        texts
    }
}

/// An id as a header carries it: SQS's ids are visible ASCII, those of other servers may not be.
fn visible(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect()
}

fn value(text: &str) -> Result<HeaderValue, Unsent> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Unsent { step: Step::Other, text: "a signature fits in no header".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}
