//! A queue as a person names it: URL, ARN or name; and what its address says of region and server.
//!
//! The Rust SDK takes the host of a request from its endpoint rules, never from the queue's URL. So when that host
//! is not one the rules lead to, it becomes the address of SQS, unless the SDK's own variables name one.

use url::Url;

use crate::config::env::{Lookup, set};
use crate::config::problem::Fault;
use crate::config::value::{is_account, is_partition, is_region};
use crate::sqs::QueueRef;

/// Longest name of an SQS queue.
const NAME_MAX: usize = 80;
/// Ends of the host names of AWS: commercial, China, dual stack, European sovereign cloud.
const AWS_DOMAINS: [&str; 5] =
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn", ".amazonaws.eu"];
const EXAMPLE: &str =
    "write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, arn:aws:sqs:REGION:ACCOUNT:NAME or NAME";

/// The queue that `text` names.
pub(super) fn parse(text: &str) -> Result<QueueRef, Fault> {
    if text.contains("://") {
        return parse_url(text);
    }
    if !text.starts_with("arn:") {
        return checked_name(text).map(QueueRef::Name);
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "sqs", region, account, name]
            if is_partition(partition) && is_region(region) && is_account(account) =>
        {
            let name = checked_name(name)?;
            Ok(QueueRef::Arn { region: (*region).to_owned(), account: (*account).to_owned(), name })
        }
        _ => Err(Fault::new("is no ARN of a queue").fix("write arn:aws:sqs:REGION:ACCOUNT:NAME")),
    }
}

fn parse_url(text: &str) -> Result<QueueRef, Fault> {
    let url = Url::parse(text).map_err(|error| Fault::new(format!("is no address: {error}")).fix(EXAMPLE))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Fault::new("is neither http:// nor https://").fix(EXAMPLE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("must not contain credentials")
            .fix("the AWS credential chain provides them: environment, profile, role"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new("must not have a query or a fragment").fix(EXAMPLE));
    }
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::new("does not end with the name of a queue").fix(EXAMPLE));
    }
    checked_name(name)?;
    Ok(QueueRef::Url(url))
}

fn checked_name(name: &str) -> Result<String, Fault> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if let Some(stem) = name.strip_suffix(".fifo")
        && !stem.is_empty()
    {
        return Err(
            Fault::new("is a FIFO queue").fix("FIFO queues are not supported yet; use a standard queue")
        );
    }
    if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(valid) {
        return Ok(name.to_owned());
    }
    Err(Fault::new("is no queue: a name has 1 to 80 letters, digits, `_` and `-`").fix(EXAMPLE))
}

/// The region the queue's URL or ARN names.
pub(super) fn region(queue: &QueueRef) -> Option<&str> {
    match queue {
        QueueRef::Arn { region, .. } => Some(region),
        QueueRef::Name(_) => None,
        QueueRef::Url(url) => {
            let host = url.host_str().filter(|host| is_aws(host))?;
            let labels: Vec<&str> = host.split('.').collect();
            labels.windows(2).find_map(|pair| match *pair {
                // The second is the address of old; its us-east-1 has no region.
                ["sqs" | "sqs-fips", region] | [region, "queue"] => Some(region),
                ["queue", "amazonaws"] => Some("us-east-1"),
                _ => None,
            })
        }
    }
}

/// Where SQS is spoken to, when the URL says so and the SDK's own variables do not.
pub(super) fn address(queue: &QueueRef, env: Lookup<'_>) -> Option<Url> {
    let QueueRef::Url(url) = queue else { return None };
    let host = url.host_str()?;
    // The SDK's rules never lead to a VPC endpoint without private DNS: only its own URL does.
    let by_rules = is_aws(host) && !host.contains(".vpce.");
    if by_rules || sdk_has_an_address(env) {
        return None;
    }
    let mut origin = url.clone();
    origin.set_path("/");
    Some(origin)
}

fn sdk_has_an_address(env: Lookup<'_>) -> bool {
    let ignored = set(env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    !ignored.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && (set(env, "AWS_ENDPOINT_URL_SQS").is_some() || set(env, "AWS_ENDPOINT_URL").is_some())
}

fn is_aws(host: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

    fn no_env(_: &str) -> Option<String> {
        None
    }

    fn queue(text: &str) -> QueueRef {
        parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn a_queue_is_named_by_url_arn_or_name() {
        for text in [
            AWS,
            "http://localhost:9324/queue/orders",
            "arn:aws-cn:sqs:cn-north-1:123456789012:orders",
            "orders",
        ] {
            assert_eq!(queue(text).name(), "orders", "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let cases = [
            "",
            "a b",
            "https://sqs.eu-west-1.amazonaws.com",
            "https://sqs.eu-west-1.amazonaws.com/1/orders/",
            "ftp://host/orders",
            "http://key:secret@host/orders",
            "http://host/orders?a=b",
            "http://host/orders#a",
            "arn:aws:sns:eu-west-1:123456789012:orders",
            "arn:aws:sqs:eu-west-1:12:orders",
            "arn:aws:sqs:orders",
            "arn:awsx:sqs:eu-west-1:123456789012:orders",
            "http://host/or%20ders",
        ];
        for text in cases {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"q".repeat(81)).is_err());
    }

    #[test]
    fn a_fifo_queue_is_refused_in_every_form() {
        for text in ["orders.fifo", "arn:aws:sqs:eu-west-1:123456789012:orders.fifo", &format!("{AWS}.fifo")]
        {
            let fault = format!("{:?}", parse(text).expect_err(text));
            assert!(fault.contains("FIFO queues are not supported yet; use a standard queue"), "{fault}");
        }
    }

    #[test]
    fn the_region_is_read_from_every_aws_address() {
        let cases = [
            (AWS, Some("eu-west-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", Some("us-gov-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1")),
            ("https://sqs.eu-west-1.api.aws/1/q", Some("eu-west-1")),
            ("https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://eu-west-1.queue.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://queue.amazonaws.com/1/q", Some("us-east-1")),
            ("http://localhost:9324/1/q", None),
            ("http://sqs.eu-west-1.localhost.localstack.cloud:4566/1/q", None),
            ("q", None),
        ];
        for (text, expected) in cases {
            assert_eq!(region(&queue(text)), expected, "{text}");
        }
    }

    #[test]
    fn another_server_is_addressed_by_the_origin_of_the_url() {
        let address = |text: &str| address(&queue(text), &no_env).map(String::from);
        assert_eq!(address("http://localhost:9324/queue/q"), Some("http://localhost:9324/".to_owned()));
        let vpce = "https://vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com/";
        assert_eq!(address(&format!("{vpce}1/q")), Some(vpce.to_owned()));
        assert_eq!(address(AWS), None);
        assert_eq!(address("q"), None);
    }

    #[test]
    fn the_variables_of_the_sdk_win_over_the_url() {
        let local = queue("http://localhost:9324/queue/q");
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"] {
            let env = |name: &str| (name == variable).then(|| "http://sqs.test".to_owned());
            assert_eq!(address(&local, &env), None, "{variable}");
            let ignored = |name: &str| match name {
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Some("true".to_owned()),
                name => env(name),
            };
            assert!(address(&local, &ignored).is_some(), "{variable}");
        }
    }
}
