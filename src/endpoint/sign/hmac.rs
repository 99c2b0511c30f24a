//! Plain HMAC-SHA256 in hexadecimal digits, as GitHub and simple-sqsd send it.
//!
//! Neither format signs a time, so a request can be replayed by whoever sees it.

use url::Url;

use super::digest::hmac_sha256;

/// What is signed, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HmacFormat {
    /// `sha256=` and the digits, over the body.
    Github,
    /// The digits, over `POST URL`, a line feed and the body.
    SimpleSqsd,
}

/// The value of the header.
pub(super) fn signature(format: HmacFormat, secret: &str, url: &Url, body: &[u8]) -> String {
    let key = secret.as_bytes();
    match format {
        HmacFormat::Github => format!("sha256={}", hex(&hmac_sha256(key, &[body]))),
        HmacFormat::SimpleSqsd => {
            let head = format!("POST {url}\n");
            hex(&hmac_sha256(key, &[head.as_bytes(), body]))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a text cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_githubs_documentation_is_signed_as_there() {
        let url = "http://127.0.0.1/".parse().expect("a URL");
        assert_eq!(
            signature(HmacFormat::Github, "It's a Secret to Everybody", &url, b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn simple_sqsd_signs_method_address_and_body() {
        let url = "http://127.0.0.1:8080/work?a=b".parse().expect("a URL");
        let signed = signature(HmacFormat::SimpleSqsd, "key", &url, b"hello");
        assert_eq!(signed, hex(&hmac_sha256(b"key", &[b"POST http://127.0.0.1:8080/work?a=b\nhello"])));
        // Of RFC 4231, test case 2.
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
