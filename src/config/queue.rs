//! A queue as a user writes it: URL, ARN or name. `sqs` derives region and server from its host.

use crate::config::problem::Fault;
use crate::config::value::{address, is_account, is_partition, is_region};
use crate::sqs::{self, QueueRef};

/// Longest name of an SQS queue.
const NAME_MAX: usize = 80;
const EXAMPLE: &str =
    "write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, arn:aws:sqs:REGION:ACCOUNT:NAME or NAME";

/// Suffix of every FIFO queue's name, and of no standard queue's; it counts towards the length.
const FIFO: &str = ".fifo";

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
        ["arn", _, service, ..] if *service != "sqs" && is_region(service) => {
            Err(Fault::new(format!("is an ARN of {service}, not of SQS"))
                .fix("write arn:aws:sqs:REGION:ACCOUNT:NAME"))
        }
        _ => Err(Fault::new("is no ARN of a queue").fix("write arn:aws:sqs:REGION:ACCOUNT:NAME")),
    }
}

fn parse_url(text: &str) -> Result<QueueRef, Fault> {
    let url = address(text, EXAMPLE)?;
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
    let account = url.path_segments().and_then(|mut parts| parts.next()).unwrap_or_default();
    let depth = url.path_segments().map_or(0, Iterator::count);
    if sqs::is_aws(&url) && !(depth == 2 && is_account(account)) {
        return Err(
            Fault::new("does not have the path /ACCOUNT/NAME, with an account of 12 digits").fix(EXAMPLE)
        );
    }
    Ok(QueueRef::Url(url))
}

fn checked_name(name: &str) -> Result<String, Fault> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let stem = name.strip_suffix(FIFO).filter(|stem| !stem.is_empty());
    if (1..=NAME_MAX).contains(&name.len()) && stem.unwrap_or(name).chars().all(valid) {
        return Ok(name.to_owned());
    }
    Err(Fault::new("is no queue: a name has 1 to 80 letters, digits, `_` and `-`").fix(EXAMPLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

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
            "https://sqs.eu-west-1.amazonaws.com/orders",
            "https://sqs.eu-west-1.amazonaws.com/12/orders",
            "https://sqs.eu-west-1.amazonaws.com/queues/123456789012/orders",
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
        for text in [".fifo", "a.b", "a.fifo.fifo", "a.fifo2", &format!("{}.fifo", "q".repeat(76))] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fifo_queue_is_known_by_its_name_in_every_form() {
        for text in ["orders.fifo", "arn:aws:sqs:eu-west-1:123456789012:orders.fifo", &format!("{AWS}.fifo")]
        {
            assert!(queue(text).name() == "orders.fifo" && queue(text).is_fifo(), "{text}");
        }
        assert!(!queue("orders").is_fifo() && !queue("orders_fifo").is_fifo());
    }
}
