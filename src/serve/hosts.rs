//! The host names that a server answers to, and the web pages that may call it.
//!
//! A web page can resolve its own name to a server on the visitor's machine or network (DNS rebinding). Then
//! its requests are same-origin: it may send anything and read the answers. The `Host` header shows such
//! requests, because it is still the page's name. An IP address or `localhost` in it is no other site's name.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode, Version};

use super::Refusal;

/// The host names that a server answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// Names beside IP addresses and `localhost`; `None` for any name.
    names: Option<Vec<String>>,
    /// The answer to a request for another name.
    reason: &'static str,
}

impl Hosts {
    /// IP addresses, `localhost` and these names; their port and final dot are ignored. Requests for other
    /// names are answered with `reason` and status 421.
    pub fn only(names: &[String], reason: &'static str) -> Self {
        let host = |name: &String| {
            let authority = name.parse::<Authority>().ok();
            let host = authority.as_ref().map_or(name.as_str(), |authority| authority.host());
            host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
        };
        let names = names.iter().map(host).collect();
        Self { names: Some(names), reason }
    }

    /// On loopback: IP addresses and `localhost`. Elsewhere: any name, because others choose the names there.
    pub fn by_address(address: SocketAddr, reason: &'static str) -> Self {
        let loopback = address.ip().to_canonical().is_loopback();
        if loopback { Self::only(&[], reason) } else { Self { names: None, reason } }
    }

    /// Refuses a request for another name, or one with an invalid host.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let bad = |reason| Refusal { status: StatusCode::BAD_REQUEST, reason };
        let mut lines = request.headers().get_all(HOST).iter();
        let (first, second) = (lines.next(), lines.next());
        if second.is_some() {
            return Err(bad("The request has several Host headers. Send one."));
        }
        // RFC 9112, section 3.2. HTTP/1.0 clients need not send it.
        if first.is_none() && request.version() >= Version::HTTP_11 {
            return Err(bad("The request has no Host header. HTTP/1.1 asks for one."));
        }
        // A request target may be a full URL and so name a host, too (RFC 9112, section 3.2.2).
        if request.uri().authority().is_some_and(|authority| !self.knows(authority.host())) {
            return Err(self.foreign());
        }
        // Empty where the client's URL has no host.
        let Some(value) = first.filter(|value| !value.is_empty()) else { return Ok(()) };
        let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else {
            return Err(bad("The Host header is no host."));
        };
        if self.knows(authority.host()) { Ok(()) } else { Err(self.foreign()) }
    }

    fn foreign(&self) -> Refusal {
        Refusal { status: StatusCode::MISDIRECTED_REQUEST, reason: self.reason }
    }

    fn knows(&self, host: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        host == "localhost" || bare.parse::<IpAddr>().is_ok() || names.contains(&host)
    }
}

/// Whether a page of another site sent the request, by the headers that browsers add.
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let site = headers.get("sec-fetch-site").map(text);
    if site.is_some_and(|site| !matches!(site.as_str(), "same-origin" | "none")) {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else { return false };
    // A proxy with TLS has another scheme than this server, so the scheme only says which port needs no name.
    let (address, port) = match origin.split_once("://") {
        Some(("http", address)) => (address, ":80"),
        Some(("https", address)) => (address, ":443"),
        Some(_) | None => return true,
    };
    let own = headers.get(HOST).map(text).unwrap_or_default();
    let bare = |address: &str| address.strip_suffix(port).unwrap_or(address).to_owned();
    own.is_empty() || bare(address) != bare(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "why";

    /// The status of the refusal, if an HTTP/1.1 request with these `Host` lines is refused.
    fn refused(hosts: &Hosts, target: &str, lines: &[&str]) -> Option<u16> {
        let mut request = Request::get(target);
        for line in lines {
            request = request.header(HOST, *line);
        }
        hosts.check(&request.body(()).unwrap()).err().map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn on_loopback_ip_addresses_and_localhost_are_answered_and_other_names_refused() {
        for bound in ["127.0.0.1:9464", "127.0.0.2:1", "[::1]:9464", "[::ffff:127.0.0.1]:1"] {
            let hosts = Hosts::by_address(bound.parse().unwrap(), WHY);
            for host in
                ["localhost", "LocalHost:9464", "localhost.", "127.0.0.1:9464", "[::1]:9464", "10.1.2.3", ""]
            {
                assert_eq!(refused(&hosts, "/", &[host]), None, "{host:?} at {bound}");
            }
            let foreign = [
                "attacker.example",
                "attacker.example:9464",
                "localhost.attacker.example",
                "127.0.0.1.evil.example",
                "queue",
            ];
            for host in foreign {
                assert_eq!(refused(&hosts, "/", &[host]), Some(421), "{host:?} at {bound}");
            }
        }
    }

    #[test]
    fn a_name_the_server_was_given_is_answered() {
        let hosts = Hosts::only(&["Queue".to_owned()], WHY);
        assert_eq!(refused(&hosts, "/", &["queue:9324"]), None);
        assert_eq!(refused(&hosts, "/", &["queues"]), Some(421));
    }

    #[test]
    fn a_name_given_with_a_port_or_a_final_dot_is_the_name() {
        for given in ["queue:9324", "queue.", "Queue.:9324"] {
            let hosts = Hosts::only(&[given.to_owned()], WHY);
            for asked in ["queue", "queue:9324", "queue:1", "queue."] {
                assert_eq!(refused(&hosts, "/", &[asked]), None, "{asked} for {given}");
            }
        }
    }

    #[test]
    fn beyond_loopback_every_name_is_answered() {
        for bound in ["0.0.0.0:9464", "[::]:9464", "10.1.2.3:9464"] {
            let hosts = Hosts::by_address(bound.parse().unwrap(), WHY);
            for host in ["queuepost.queuepost.svc:9464", "10.1.2.3:9464", "localhost"] {
                assert_eq!(refused(&hosts, "/", &[host]), None, "{host} at {bound}");
            }
            assert_eq!(refused(&hosts, "/", &["a b"]), Some(400));
        }
    }

    #[test]
    fn a_whole_url_as_request_target_is_judged_by_its_host_too() {
        let hosts = Hosts::only(&[], WHY);
        assert_eq!(refused(&hosts, "http://127.0.0.1:9464/livez", &["127.0.0.1:9464"]), None);
        assert_eq!(refused(&hosts, "http://attacker.example/livez", &["127.0.0.1"]), Some(421));
        assert_eq!(refused(&hosts, "http://127.0.0.1/livez", &["attacker.example"]), Some(421));
    }

    #[test]
    fn http_1_0_needs_no_host_and_http_1_1_exactly_one() {
        let hosts = Hosts::only(&[], WHY);
        let old = Request::get("/").version(Version::HTTP_10).body(()).unwrap();
        assert_eq!(hosts.check(&old), Ok(()));
        assert_eq!(refused(&hosts, "/", &[]), Some(400));
        assert_eq!(refused(&hosts, "/", &["localhost", "localhost"]), Some(400));
        for wrong in ["user@localhost", "local host", "[::1", "\u{e4}"] {
            assert_eq!(refused(&hosts, "/", &[wrong]), Some(400), "{wrong:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_told_by_origin_or_by_fetch_metadata() {
        let another = |pairs: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            };
            is_from_another_site(&pairs.iter().map(pair).collect())
        };
        let host = ("host", "127.0.0.1:9325");
        assert!(!another(&[host]));
        assert!(!another(&[host, ("origin", "http://127.0.0.1:9325"), ("sec-fetch-site", "same-origin")]));
        assert!(!another(&[host, ("sec-fetch-site", "none")]));
        for origin in [
            "http://attacker.example",
            "null",
            "http://127.0.0.1:3000",
            "http://127.0.0.1",
            "https://127.0.0.1",
            "http://127.0.0.1:9325.attacker.example",
            "ftp://127.0.0.1:9325",
            "127.0.0.1:9325",
            "http://",
            "",
        ] {
            assert!(another(&[host, ("origin", origin)]), "{origin}");
            assert!(another(&[("origin", origin)]), "{origin} without a host");
        }
        // The page comes through a proxy with TLS; browsers leave out the port of the scheme.
        for (host, origin) in [
            ("ops.example", "https://ops.example"),
            ("Ops.Example", "https://ops.example"),
            ("ops.example:443", "https://ops.example"),
            ("ops.example:80", "http://ops.example"),
            ("ops.example:8443", "https://ops.example:8443"),
            ("[::1]:443", "https://[::1]"),
        ] {
            assert!(!another(&[("host", host), ("origin", origin)]), "{origin} at {host}");
        }
        for (host, origin) in [
            ("ops.example", "https://ops.example:8443"),
            ("ops.example:443", "http://ops.example"),
            ("ops.example", "https://ops.example.attacker.example"),
        ] {
            assert!(another(&[("host", host), ("origin", origin)]), "{origin} at {host}");
        }
        assert!(another(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(another(&[host, ("sec-fetch-site", "same-site")]));
    }
}
