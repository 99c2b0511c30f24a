//! The names of headers that not everybody may set, in one place for configuration, credentials and templates.
//!
//! Those of the connection are set by the HTTP client alone. Those of credentials are the configuration's: it may name a
//! fixed `Cookie` or `Authorization`, but no message may choose one.

use http::HeaderName;

/// What frames the message or the connection (RFC 9110, sections 7.6 and 10.1.1; RFC 9112, section 6).
const CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// What tells a server who asks.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Whether the HTTP client alone decides about a header: it frames the message or the connection.
pub fn is_of_client(name: &HeaderName) -> bool {
    CONNECTION.contains(&name.as_str())
}

/// Whether a header is beyond what a message may choose: the client's, or credentials.
pub fn is_beyond_messages(name: &HeaderName) -> bool {
    is_of_client(name) || CREDENTIALS.contains(&name.as_str()) || name.as_str().starts_with("proxy-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_the_configurations_to_set_and_no_messages() {
        let of = |name| (is_of_client(&name), is_beyond_messages(&name));
        for name in ["cookie", "authorization", "proxy-authorization", "proxy-anything"] {
            assert_eq!(of(HeaderName::from_static(name)), (false, true), "{name}");
        }
        for name in CONNECTION {
            assert_eq!(of(HeaderName::from_static(name)), (true, true), "{name}");
        }
        assert_eq!(of(HeaderName::from_static("x-tenant")), (false, false));
    }
}
