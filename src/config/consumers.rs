//! Finds listeners that consume the same queue, however its name is written, and decides whether that is
//! allowed.
//!
//! Two listeners from one queue to one address are refused; to different addresses they get a warning. The
//! queue's text alone decides: no server is asked.

use url::Url;

use crate::config::firsts::Firsts;
use crate::config::problem::Fault;
use crate::config::rules;
use crate::sqs::{self, QueueRef};

/// The queue of a listener, and where its messages go.
#[derive(Debug, Clone)]
pub(super) struct Consumer<'a> {
    /// Path of the listener's key.
    pub(super) key: &'a str,
    /// Its queue, and the credentials that read it.
    pub(super) queue: &'a sqs::Settings,
    /// Index of its endpoint: address, credentials and TLS files.
    pub(super) endpoint: usize,
    /// Its full address there.
    pub(super) url: &'a Url,
}

/// Where messages go: index of the endpoint and full address.
type Target = (usize, Url);

/// The listeners so far, by queue and target; the values are the paths of the first one's key.
#[derive(Default)]
pub(super) struct Consumers {
    of_target: Firsts<(Identity, Target), String>,
    of_queue: Firsts<Identity, (Target, String)>,
}

impl Consumers {
    /// Adds a listener: it is refused, or allowed, possibly with a warning.
    pub(super) fn add(&mut self, mine: &Consumer<'_>) -> Result<Option<String>, Fault> {
        let (queue, target, key) =
            (identity(mine.queue), (mine.endpoint, mine.url.clone()), mine.key.to_owned());
        let same = self.of_target.earlier((queue.clone(), target.clone()), key.clone());
        rules::listeners_differ(same.map(String::as_str))?;
        let first = self.of_queue.earlier(queue, (target, key));
        Ok(rules::queue_is_not_shared(first.map(|(_, key)| key.as_str())))
    }
}

/// The identity of a queue: equal for all spellings of one queue, as far as the text tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Identity {
    /// Region, account and name at AWS.
    Aws(String, String, String),
    /// Origin and path at another server.
    Elsewhere(String, String),
    /// A name whose account only the credentials determine: name, region, profile and role.
    Named(String, Option<String>, Option<String>, Option<String>),
}

/// Whether two settings name one queue, as far as the text tells.
pub(super) fn is_same(a: &sqs::Settings, b: &sqs::Settings) -> bool {
    identity(a) == identity(b)
}

fn identity(settings: &sqs::Settings) -> Identity {
    let aws = |region: &str, account: &str, name: &str| {
        Identity::Aws(region.to_owned(), account.to_owned(), name.to_owned())
    };
    let role = settings.role.as_ref().map(|role| role.arn.as_str());
    let region = settings.region.as_deref();
    match &settings.queue {
        QueueRef::Arn { region, account, name } => aws(region, account, name),
        QueueRef::Name(name) => {
            let account = role.and_then(|arn| arn.split(':').nth(4));
            if let (Some(region), Some(account)) = (region, account) {
                return aws(region, account, name);
            }
            let (region, profile) = (settings.region.clone(), settings.profile.clone());
            Identity::Named(name.clone(), region, profile, role.map(str::to_owned))
        }
        QueueRef::Url(url) => {
            match (sqs::region(&settings.queue), url.path().trim_start_matches('/').split_once('/')) {
                (Some(region), Some((account, name))) if sqs::is_aws(url) => aws(region, account, name),
                _ => Identity::Elsewhere(url.origin().ascii_serialization(), url.path().to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::queue;
    use crate::sqs::Role;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn settings(text: &str) -> sqs::Settings {
        let queue = queue::parse(text).expect(text);
        sqs::Settings { queue, region: None, profile: None, role: None, address: None }
    }

    #[test]
    fn two_listeners_on_one_queue_are_warned_of_however_it_is_written() {
        let address = url("https://h/a");
        let shared = |a: &sqs::Settings, b: &sqs::Settings| {
            let mut consumers = Consumers::default();
            let first = Consumer { key: "listeners[0]", queue: a, endpoint: 0, url: &address };
            assert_eq!(consumers.add(&first), Ok(None));
            let second = Consumer { key: "listeners[1]", queue: b, endpoint: 0, url: &url("https://h/b") };
            consumers.add(&second).expect("allowed")
        };
        let aws = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
        let arn = "arn:aws:sqs:eu-west-1:123456789012:orders";
        let of_role = sqs::Settings {
            region: Some("eu-west-1".to_owned()),
            role: Some(Role { arn: "arn:aws:iam::123456789012:role/x".to_owned(), external_id: None }),
            ..settings("orders")
        };
        for (a, b) in [
            (settings(aws), settings(aws)),
            (settings(aws), settings(arn)),
            (settings("https://eu-west-1.queue.amazonaws.com/123456789012/orders"), settings(aws)),
            (settings(arn), of_role),
            (settings("orders"), settings("orders")),
            (settings("http://localhost:9324/q/orders"), settings("http://LOCALHOST:9324/q/orders")),
        ] {
            let told = shared(&a, &b).expect("a warning");
            assert!(
                told.contains("is the queue of listeners[0] too") && told.contains("by chance"),
                "{told}"
            );
        }
        let elsewhere = sqs::Settings { region: Some("us-east-1".to_owned()), ..settings("orders") };
        for (a, b) in [
            (settings(aws), settings("https://sqs.eu-west-1.amazonaws.com/210987654321/orders")),
            (settings(aws), settings("https://sqs.us-east-1.amazonaws.com/123456789012/orders")),
            (settings(aws), settings("orders")),
            (settings("orders"), elsewhere),
            (settings("http://localhost:9324/q/orders"), settings("http://localhost:9325/q/orders")),
            (settings("Orders"), settings("orders")),
        ] {
            assert_eq!(shared(&a, &b), None, "{a:?} {b:?}");
        }
    }

    #[test]
    fn two_listeners_from_one_queue_to_one_address_are_told_to_raise_workers() {
        let (queue, address) = (settings("orders"), url("https://h/a"));
        let consumer = |key, endpoint| Consumer { key, queue: &queue, endpoint, url: &address };
        let mut consumers = Consumers::default();
        assert_eq!(consumers.add(&consumer("listeners[0]", 0)), Ok(None));
        let told = format!("{:?}", consumers.add(&consumer("listeners[1]", 0)).expect_err("refused"));
        assert!(told.contains("raise `workers` of listeners[0]"), "{told}");
        // The same address with other credentials is another endpoint.
        assert!(consumers.add(&consumer("listeners[2]", 1)).is_ok());
    }
}
