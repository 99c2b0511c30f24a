//! The one digest of all signatures here.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// HMAC-SHA256 (RFC 2104) over the parts of a text, one after the other.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("a key may have any length") };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
