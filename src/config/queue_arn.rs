//! The ARN of a queue, as far as its text and the environment tell: no server is asked.

use crate::config::env::Lookup;
use crate::config::value::is_account;
use crate::sqs::{self, QueueRef};

/// What servers that are not Amazon's call their account.
const NO_ACCOUNT: &str = "000000000000";
/// The region of a queue without one: what servers on a developer's machine call theirs.
const NO_REGION: &str = "us-east-1";
/// Variables of the SDKs that name the region.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// The account that the queue's text names.
pub(super) fn account(queue: &QueueRef) -> Option<&str> {
    match queue {
        QueueRef::Arn { account, .. } => Some(account.as_str()),
        QueueRef::Url(url) => {
            url.path_segments().and_then(|mut parts| parts.next()).filter(|part| is_account(part))
        }
        QueueRef::Name(_) => None,
    }
}

/// The ARN of a queue.
pub(super) fn arn(region: &str, account: &str, name: &str) -> String {
    let partition = match region.split_once('-') {
        Some(("cn", _)) => "aws-cn",
        Some(("us", place)) if place.starts_with("gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:sqs:{region}:{account}:{name}")
}

/// Region and ARN of a queue, whose listener has the region `region`: what nobody wrote has a stand-in.
pub(super) fn region_and_arn(queue: &QueueRef, region: Option<&str>, env: Lookup<'_>) -> (String, String) {
    let of_env = || REGION_VARIABLES.iter().find_map(|name| env(name)).filter(|region| !region.is_empty());
    let region = sqs::region(queue).map(str::to_owned).or_else(|| region.map(str::to_owned)).or_else(of_env);
    let region = region.unwrap_or_else(|| NO_REGION.to_owned());
    let arn = arn(&region, account(queue).unwrap_or(NO_ACCOUNT), queue.name());
    (region, arn)
}
