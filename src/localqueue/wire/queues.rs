//! The operations on queues themselves.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Call, json, nothing, parse, queue_name, required};
use crate::localqueue::BrokerError;
use crate::localqueue::attributes::READABLE;

/// Most queues in one listing.
const MAX_LISTED: usize = 1000;

/// The fields of all requests on queues; each operation reads the fields it knows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    queue_url: Option<String>,
    queue_name: Option<String>,
    queue_name_prefix: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default, alias = "tags")]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Url {
    queue_url: String,
}

/// `CreateQueue`.
pub(super) fn create(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    let name = required("QueueName", request.queue_name)?;
    let existed = call.broker.queue_exists(&name);
    call.broker.create_queue(call.now, &name, &request.attributes)?;
    if !existed {
        call.broker.tag_queue(&name, &request.tags)?;
    }
    json(&Url { queue_url: call.queue_url(&name) })
}

/// `DeleteQueue`.
pub(super) fn delete(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    call.broker.delete_queue(queue_name(request.queue_url.as_deref())?)?;
    Ok(nothing())
}

/// `GetQueueUrl`.
pub(super) fn url(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    let name = required("QueueName", request.queue_name)?;
    if !call.broker.queue_exists(&name) {
        return Err(BrokerError::QueueDoesNotExist);
    }
    json(&Url { queue_url: call.queue_url(&name) })
}

/// `ListQueues`.
pub(super) fn list(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        queue_urls: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
    }
    let request: Request = parse(body)?;
    let names = call.broker.list_queues(request.queue_name_prefix.as_deref().unwrap_or_default());
    let (queue_urls, next_token) = page(call, &request, names)?;
    json(&Answer { queue_urls, next_token })
}

/// `ListDeadLetterSourceQueues`.
pub(super) fn list_sources(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    struct Answer {
        // This list's name is the only one in the API in lower case; it is present even when empty.
        #[serde(rename = "queueUrls")]
        queue_urls: Vec<String>,
        #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
    }
    let request: Request = parse(body)?;
    let names = call.broker.list_dead_letter_source_queues(queue_name(request.queue_url.as_deref())?)?;
    let (queue_urls, next_token) = page(call, &request, names)?;
    json(&Answer { queue_urls, next_token })
}

/// The URLs of one page, and the token of the next page: the last name of this one.
fn page(
    call: &Call<'_>,
    request: &Request,
    names: Vec<String>,
) -> Result<(Vec<String>, Option<String>), BrokerError> {
    let size = match request.max_results {
        None => MAX_LISTED,
        Some(given) => usize::try_from(given)
            .ok()
            .filter(|size| (1..=MAX_LISTED).contains(size))
            .ok_or_else(|| BrokerError::invalid("MaxResults", &given, "Must be between 1 and 1000."))?,
    };
    let after = match &request.next_token {
        None => None,
        Some(token) => Some(
            URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(
                || BrokerError::invalid("NextToken", token, "It is not a token of this server."),
            )?,
        ),
    };
    let mut names: Vec<_> =
        names.into_iter().filter(|name| after.as_ref().is_none_or(|after| name > after)).collect();
    let more = names.len() > size;
    names.truncate(size);
    let token = names.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last));
    Ok((names.iter().map(|name| call.queue_url(name)).collect(), token))
}

/// `GetQueueAttributes`: the requested attributes, none by default.
pub(super) fn attributes(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, String>,
    }
    let request: Request = parse(body)?;
    let mut attributes = call.broker.attributes(call.now, queue_name(request.queue_url.as_deref())?)?;
    let asked = request.attribute_names;
    if let Some(unknown) = asked.iter().find(|name| !READABLE.contains(&name.as_str())) {
        return Err(BrokerError::InvalidAttributeName(unknown.clone()));
    }
    if !asked.iter().any(|name| name == "All") {
        attributes.retain(|name, _| asked.contains(name));
    }
    json(&Answer { attributes })
}

/// `SetQueueAttributes`.
pub(super) fn set_attributes(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    call.broker.set_attributes(call.now, queue_name(request.queue_url.as_deref())?, &request.attributes)?;
    Ok(nothing())
}

/// `PurgeQueue`.
pub(super) fn purge(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    call.broker.purge(call.now, queue_name(request.queue_url.as_deref())?)?;
    Ok(nothing())
}

/// `ListQueueTags`.
pub(super) fn tags(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<'a> {
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        tags: &'a BTreeMap<String, String>,
    }
    let request: Request = parse(body)?;
    json(&Answer { tags: call.broker.tags(queue_name(request.queue_url.as_deref())?)? })
}

/// `TagQueue`.
pub(super) fn tag(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    call.broker.tag_queue(queue_name(request.queue_url.as_deref())?, &request.tags)?;
    Ok(nothing())
}

/// `UntagQueue`.
pub(super) fn untag(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, BrokerError> {
    let request: Request = parse(body)?;
    call.broker.untag_queue(queue_name(request.queue_url.as_deref())?, &request.tag_keys)?;
    Ok(nothing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::localqueue::{Broker, Decision, Timestamp};

    fn answer(
        broker: &mut Broker,
        operation: fn(&mut Call<'_>, &[u8]) -> Result<Vec<u8>, BrokerError>,
        body: &str,
    ) -> Result<serde_json::Value, BrokerError> {
        let decision = Decision::default();
        let mut call = Call { broker, now: Timestamp(0), origin: "http://h", decision: &decision };
        operation(&mut call, body.as_bytes()).map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    #[test]
    fn a_queue_is_made_with_its_tags() {
        let mut broker = Broker::new(1);
        let made = answer(&mut broker, create, r#"{"QueueName":"q","tags":{"team":"x"}}"#).unwrap();
        assert_eq!(made["QueueUrl"], "http://h/000000000000/q");
        assert_eq!(answer(&mut broker, tags, r#"{"QueueUrl":"q"}"#).unwrap()["Tags"]["team"], "x");
    }

    #[test]
    fn queues_are_listed_in_pages() {
        let mut broker = Broker::new(1);
        for name in ["a", "b", "c"] {
            broker.create_queue(Timestamp(0), name, &BTreeMap::new()).unwrap();
        }
        let first = answer(&mut broker, list, r#"{"MaxResults":2}"#).unwrap();
        assert_eq!(first["QueueUrls"].as_array().unwrap().len(), 2);
        let next = format!(r#"{{"MaxResults":2,"NextToken":{}}}"#, first["NextToken"]);
        let second = answer(&mut broker, list, &next).unwrap();
        assert_eq!(second["QueueUrls"][0], "http://h/000000000000/c");
        assert!(second.get("NextToken").is_none());
        assert!(answer(&mut broker, list, r#"{"MaxResults":0}"#).is_err());
        assert!(answer(&mut broker, list, r#"{"NextToken":"?"}"#).is_err());
    }

    #[test]
    fn only_the_attributes_asked_for_are_answered() {
        let mut broker = Broker::new(1);
        broker.create_queue(Timestamp(0), "q", &BTreeMap::new()).unwrap();
        let none = answer(&mut broker, attributes, r#"{"QueueUrl":"q"}"#).unwrap();
        assert!(none.get("Attributes").is_none());
        let one =
            answer(&mut broker, attributes, r#"{"QueueUrl":"q","AttributeNames":["QueueArn"]}"#).unwrap();
        assert_eq!(one["Attributes"].as_object().unwrap().len(), 1);
        let unknown = answer(&mut broker, attributes, r#"{"QueueUrl":"q","AttributeNames":["No"]}"#);
        assert_eq!(unknown, Err(BrokerError::InvalidAttributeName("No".into())));
    }
}
