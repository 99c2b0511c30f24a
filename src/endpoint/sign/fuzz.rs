//! What the fuzzer feeds to signatures: secrets as a person may write them, ids of other servers, any body.

use http::{HeaderMap, HeaderName};

use super::{HmacFormat, Signature, Signer, webhook_secret};
use crate::limit::clock::Wall;
use crate::message::MessageId;
use crate::secret::{Secret, one_line};

/// A secret that its rule accepts signs everything, in headers that a client sends.
pub(in crate::endpoint) async fn signatures(secret: &str, id: &str, body: &[u8]) {
    let Ok(url) = "https://api.example/work?a=b".parse() else { return };
    let hmac = |format| {
        let header = HeaderName::from_static("x-signature");
        Secret::fixed(secret, one_line).ok().map(|secret| Signature::Hmac { format, header, secret })
    };
    let webhook = Secret::fixed(secret, webhook_secret).ok();
    let all = [
        webhook.map(|secret| Signature::StandardWebhooks(vec![secret.clone(), secret])),
        hmac(HmacFormat::Github),
        hmac(HmacFormat::SimpleSqsd),
    ];
    for signature in all.into_iter().flatten() {
        let names = signature.headers();
        let signer = Signer::new(Some(signature), Wall::System);
        let mut headers = HeaderMap::new();
        let outcome = signer.sign(Some(&MessageId::new(id)), &url, body, &mut headers).await;
        assert!(outcome.is_ok(), "accepted, and signs nothing: {secret:?}, {id:?}");
        for name in names {
            let value = headers.get(&name).and_then(|value| value.to_str().ok());
            assert!(value.is_some_and(|value| !value.is_empty()) || id.is_empty(), "{name} of {id:?}");
        }
    }
}
