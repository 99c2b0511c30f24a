//! Signatures of the Standard Webhooks specification, version 1.0.0: symmetric ones, `v1`.
//!
//! Signed are the message's id, the time and the body. There may be two active secrets, so that a receiver can
//! change from one to the other: each makes a signature.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;

use super::digest::hmac_sha256;

/// What the specification's own libraries put before a secret.
const PREFIX: &str = "whsec_";
/// Length of a key in bytes (section "Signature scheme").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The libraries read secrets with padding and without.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The rule of a secret: base64 of 24 to 64 bytes, with or without `whsec_` before it.
pub fn webhook_secret(text: &str) -> Result<(), &'static str> {
    key(text).map(drop)
}

/// The value of `webhook-signature`: a signature for each secret, separated by spaces.
pub(super) fn signatures<'a>(
    secrets: impl Iterator<Item = &'a str>,
    id: &str,
    timestamp: u64,
    body: &[u8],
) -> Result<String, &'static str> {
    let head = format!("{id}.{timestamp}.");
    let sign = |secret: &str| {
        let signature = hmac_sha256(&key(secret)?, &[head.as_bytes(), body]);
        Ok(format!("v1,{}", BASE64_STANDARD.encode(signature)))
    };
    Ok(secrets.map(sign).collect::<Result<Vec<String>, &'static str>>()?.join(" "))
}

fn key(text: &str) -> Result<Vec<u8>, &'static str> {
    if text.is_empty() {
        return Err("nothing: it is empty");
    }
    if text.starts_with("whsk_") || text.starts_with("whpk_") {
        return Err("a key of asymmetric signatures, which are not made here");
    }
    let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
    let key = ANY_PADDING.decode(encoded).map_err(|_| "no secret of Standard Webhooks: whsec_ and base64")?;
    if KEY_BYTES.contains(&key.len()) {
        Ok(key)
    } else {
        Err("no secret of Standard Webhooks: these have 24 to 64 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_example_of_the_reference_libraries_is_signed_as_they_sign_it() {
        let sign = |secrets: &[&str]| signatures(secrets.iter().copied(), ID, 1_614_265_330, BODY);
        assert_eq!(sign(&[SECRET]), Ok(SIGNATURE.to_owned()));
        assert_eq!(sign(&[&SECRET["whsec_".len()..]]), Ok(SIGNATURE.to_owned()));
        let other = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
        let both = sign(&[SECRET, &other]).expect("two");
        assert_eq!(both, format!("{SIGNATURE} {}", sign(&[&other]).expect("one")));
    }

    #[test]
    fn a_secret_is_base64_of_24_to_64_bytes() {
        let of = |length: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![1; length]));
        for right in [of(24), of(25), of(64), of(25).trim_end_matches('=').to_owned()] {
            assert_eq!(webhook_secret(&right), Ok(()), "{right}");
        }
        for wrong in
            [String::new(), "whsec_".to_owned(), of(23), of(65), "whsec_!".to_owned(), "whsk_AAAA".to_owned()]
        {
            assert!(webhook_secret(&wrong).is_err(), "{wrong}");
        }
    }
}
