//! What the host of a queue's URL tells: region, kind of AWS address, or that the server is not AWS.
//!
//! Pure. Only the host is read. A region is accepted where AWS writes it, if it has the form of one. So
//! servers that imitate AWS's names (`sqs.us-east-1.localhost.localstack.cloud`) tell their region too.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::sqs::QueueRef;

/// Ends of AWS's host names: commercial, China, dual stack (both), European sovereign cloud, isolated regions.
const AWS_DOMAINS: [&str; 9] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
];
/// Resolves to 127.0.0.1, with every name below it, as its owner promises.
const LOCALSTACK: &str = "localhost.localstack.cloud";

/// The region that a queue's URL or ARN names.
pub fn region(queue: &QueueRef) -> Option<&str> {
    match queue {
        QueueRef::Arn { region, .. } => Some(region),
        QueueRef::Name(_) => None,
        QueueRef::Url(url) => region_of_host(url.host_str()?),
    }
}

fn region_of_host(host: &str) -> Option<&str> {
    // The oldest form of AWS names has no region.
    if host == "queue.amazonaws.com" {
        return Some("us-east-1");
    }
    let labels = host.split('.');
    labels.clone().zip(labels.skip(1)).find_map(|pair| match pair {
        ("sqs" | "sqs-fips", region) | (region, "queue") if is_region(region) => Some(region),
        _ => None,
    })
}

/// Whether a label has the form of `eu-west-1` or `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    label.rsplit_once('-').is_some_and(|(place, number)| place.contains('-') && digits(number))
}

/// Whether `url` is an address of AWS.
pub fn is_aws(url: &Url) -> bool {
    url.domain().is_some_and(|host| AWS_DOMAINS.iter().any(|domain| host.ends_with(domain)))
}

/// Whether `url` is an AWS address inside a private network: only its own host name leads there.
pub(super) fn is_vpc_endpoint(url: &Url) -> bool {
    is_aws(url) && url.domain().is_some_and(|host| host.contains(".vpce."))
}

/// Whether `url` is AWS's FIPS 140 endpoint of the region.
pub(super) fn is_fips(url: &Url) -> bool {
    is_aws(url) && url.domain().is_some_and(|host| host.starts_with("sqs-fips."))
}

/// Whether `url` is AWS's dual-stack (IPv4 and IPv6) endpoint of the region.
pub(super) fn is_dual_stack(url: &Url) -> bool {
    url.domain().is_some_and(|host| {
        let dual = [".api.aws", ".api.amazonwebservices.com.cn"].iter().any(|domain| host.ends_with(domain));
        dual && (host.starts_with("sqs.") || host.starts_with("sqs-fips."))
    })
}

/// Whether `url` leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => Ipv4Addr::is_loopback(&address),
        Some(Host::Ipv6(address)) => Ipv6Addr::is_loopback(&address),
        Some(Host::Domain(name)) => [LOCALSTACK, "localhost"]
            .iter()
            .any(|local| name.strip_suffix(local).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_region_is_read_from_every_form_of_address() {
        for (host, expected) in [
            ("sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("sqs.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("sqs-fips.us-east-2.amazonaws.com", Some("us-east-2")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("sqs.eusc-de-east-1.amazonaws.eu", Some("eusc-de-east-1")),
            ("sqs.ap-southeast-4.api.aws", Some("ap-southeast-4")),
            ("vpce-0a1b-2c3d.sqs.us-west-2.vpce.amazonaws.com", Some("us-west-2")),
            ("vpce-0a1b-2c3d-us-west-2a.sqs.us-west-2.vpce.amazonaws.com", Some("us-west-2")),
            ("us-west-1.queue.amazonaws.com", Some("us-west-1")),
            ("queue.amazonaws.com", Some("us-east-1")),
            ("sqs.us-east-1.localhost.localstack.cloud", Some("us-east-1")),
            ("sqs.example.com", None),
            ("localhost", None),
            ("127.0.0.1", None),
        ] {
            let queue = QueueRef::Url(url(&format!("https://{host}/123456789012/orders")));
            assert_eq!(region(&queue), expected, "{host}");
        }
    }

    #[test]
    fn aws_is_told_from_its_imitators() {
        assert!(is_aws(&url("https://sqs.eu-west-1.amazonaws.com/1/q")));
        assert!(is_aws(&url("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/q")));
        assert!(!is_aws(&url("https://sqs.eu-west-1.amazonaws.com.example.org/1/q")));
        assert!(!is_aws(&url("http://10.0.0.7:9324/1/q")));
        assert!(is_vpc_endpoint(&url("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/q")));
        assert!(!is_vpc_endpoint(&url("https://sqs.eu-west-1.amazonaws.com/1/q")));
    }

    #[test]
    fn fips_and_dual_stack_are_seen_in_the_name() {
        let kinds = |text: &str| (is_fips(&url(text)), is_dual_stack(&url(text)));
        assert_eq!(kinds("https://sqs.us-east-1.amazonaws.com/1/q"), (false, false));
        assert_eq!(kinds("https://sqs-fips.us-east-1.amazonaws.com/1/q"), (true, false));
        assert_eq!(kinds("https://sqs.us-east-1.api.aws/1/q"), (false, true));
        assert_eq!(kinds("https://sqs-fips.us-east-1.api.aws/1/q"), (true, true));
    }

    #[test]
    fn loopback_is_an_address_or_a_name_below_localhost() {
        for local in ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "sqs.localhost"] {
            assert!(is_loopback(&url(&format!("http://{local}:9324/"))), "{local}");
        }
        assert!(is_loopback(&url("http://sqs.us-east-1.localhost.localstack.cloud:4566/")));
        for remote in ["elasticmq", "10.0.0.1", "[::2]", "localhost.example.com", "notlocalhost"] {
            assert!(!is_loopback(&url(&format!("http://{remote}:9324/"))), "{remote}");
        }
    }
}
