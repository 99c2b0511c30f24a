//! The system's trust store, read once, because parsing its certificates is the slowest part of building a
//! client.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_platform_verifier::Verifier;

/// Offered by ALPN, in order of preference, as reqwest itself offers them.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS for an endpoint without TLS files, as reqwest would set it up. Its session cache is not shared.
pub(super) fn of_system() -> Result<ClientConfig, rustls::Error> {
    static READ: OnceLock<ClientConfig> = OnceLock::new();
    let mut config = if let Some(read) = READ.get() {
        read.clone()
    } else {
        // A failure is not cached: the next client tries again.
        let read = read()?;
        READ.get_or_init(|| read).clone()
    };
    config.resumption = Resumption::default();
    Ok(config)
}

fn read() -> Result<ClientConfig, rustls::Error> {
    let default = || Arc::new(aws_lc_rs::default_provider());
    let provider = CryptoProvider::get_default().map_or_else(default, Arc::clone);
    let verifier = Verifier::new(Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_trusts_is_read_once_and_http_2_is_offered_first() {
        let (one, other) = (of_system().expect("a trust store"), of_system().expect("a trust store"));
        assert!(Arc::ptr_eq(one.crypto_provider(), other.crypto_provider()));
        assert_eq!(one.alpn_protocols, PROTOCOLS);
    }
}
