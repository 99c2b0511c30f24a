//! Bodies made of several messages, and which of them is at fault when there is none.

use bytes::Bytes;

use super::*;
use crate::message::{Attribute, AttributeValue, MessageId, ReceiptHandle};

const LIST: &str = "[{% for each in messages | list %}{% if not loop.first %},{% endif %}{\"id\":{{ each.message.id | tojson }},\
                    \"n\":{{ each.json.n | number }},\"t\":{{ each.attributes.tenant | default('none') | tojson }}}{% endfor %}]";

fn message(id: &str, body: &str) -> Message {
    Message::new(MessageId::new(id), ReceiptHandle::new("AQEB"), Bytes::copy_from_slice(body.as_bytes()))
}

fn shape(parts: Parts) -> TemplatedBatch {
    let base = Base { path: "/api".to_owned(), query: None };
    TemplatedBatch::new(parts, Look::default(), base, "listener", "orders").unwrap()
}

fn of_body(source: &str) -> TemplatedBatch {
    let mut parts = Parts::of_batch();
    parts.body(source).unwrap_or_else(|flaws| panic!("{source}: {flaws:?}"));
    shape(parts)
}

fn request(shape: &TemplatedBatch, messages: &[Message]) -> Result<Request, Unshapeable> {
    let messages: Vec<Cow<'_, Message>> = messages.iter().map(Cow::Borrowed).collect();
    shape.request_of(&messages)
}

#[test]
fn a_body_has_all_messages_each_with_what_one_has_alone() {
    let tenant = AttributeValue::Text("acme".to_owned());
    let tenant = Attribute { name: "tenant".to_owned(), data_type: "String".to_owned(), value: tenant };
    let second = Message { attributes: vec![tenant], ..message("b", "{\"n\":2}") };
    let made = request(&of_body(LIST), &[message("a", "{\"n\":1}"), second]).unwrap();
    assert_eq!(made.body, r#"[{"id":"a","n":1,"t":"none"},{"id":"b","n":2,"t":"acme"}]"#);
    assert_eq!(made.headers["content-type"], "application/json");
    let text = of_body("{{ queue }}:{% for each in messages | list %} {{ each.body }}{% endfor %}");
    let made = request(&text, &[message("a", "x"), message("b", "y")]).unwrap();
    assert_eq!(
        (&*made.body, &made.headers["content-type"]),
        (&b"orders: x y"[..], &"text/plain; charset=utf-8".parse().unwrap())
    );
    let by_index = of_body("{{ messages[1]['json'].n }} of {{ messages | length }}");
    assert_eq!(request(&by_index, &[message("a", "1"), message("b", "{\"n\":5}")]).unwrap().body, "5 of 2");
}

#[test]
fn the_other_parts_are_made_of_names_alone() {
    let mut parts = Parts::of_batch();
    parts.path("/{{ queue }}").unwrap();
    parts.query("from", "{{ listener }}").unwrap();
    parts.header(&Parts::header_name("x-queue").unwrap(), "{{ queue | upper }}").unwrap();
    parts.body("{{ messages | length }}").unwrap();
    let made = request(&shape(parts), &[message("a", "x"), message("b", "y")]).unwrap();
    let resource = made.resource.unwrap();
    assert_eq!((resource.path(), resource.query()), ("/api/orders", Some("from=listener")));
    assert_eq!((&made.headers["x-queue"], &*made.body), (&"ORDERS".parse().unwrap(), &b"2"[..]));
}

#[test]
fn what_is_of_one_message_is_refused_at_the_start_with_what_to_write_instead() {
    for name in ["body", "json.id", "attributes.a", "message.id"] {
        let source = format!("{{{{ {name} }}}}");
        let root = name.split('.').next().unwrap();
        let flaws = Parts::of_batch().body(&source).unwrap_err();
        let expected = format!("has `{root}`, which is of single messages, and a request carries several");
        assert_eq!(flaws[0].rule, expected);
        assert!(flaws[0].fix.as_ref().unwrap().contains("{% for each in messages | list %}"), "{flaws:?}");
        assert_eq!(Parts::of_batch().query("q", &source).unwrap_err()[0].rule, expected);
    }
    let flaws = Parts::of_batch().path("/{{ messages[0].json.id }}").unwrap_err();
    assert!(flaws[0].rule.contains("`messages`, which is of single messages"), "{flaws:?}");
    let flaws = Parts::of_batch().body("{{ mesages }}").unwrap_err();
    assert_eq!(flaws[0].rule, "the variable `mesages` does not exist");
    let flaws = Parts::default().body("{{ messages | length }}").unwrap_err();
    assert_eq!(flaws[0].fix.as_deref(), Some("write `batch: {size: 10}`"));
}

#[test]
fn a_loop_may_name_its_variable_like_a_message() {
    let named = of_body(
        "{% for message in messages | list %}{{ message.json.n }}{{ message.message.id }}{% endfor %}",
    );
    assert_eq!(request(&named, &[message("a", "{\"n\":1}")]).unwrap().body, "1a");
}

#[test]
fn the_message_that_spoils_the_body_is_named_with_its_field() {
    let good = || message("a", "{\"n\":1}");
    let shape = of_body(LIST);
    for (bad, words) in [
        ("{\"n\":\"s3cr3t\"}", "`each.json.n` is a text, and a number is needed"),
        ("{}", "`each.json.n` is missing"),
        ("no json", "is missing: the body is no JSON"),
    ] {
        let unshapeable = request(&shape, &[good(), good(), message("x", bad), good()]).unwrap_err();
        assert_eq!(unshapeable.position, 2, "{unshapeable}");
        assert!(unshapeable.why.contains(words) && !unshapeable.why.contains("s3cr3t"), "{unshapeable}");
    }
}

#[test]
fn of_messages_that_are_too_much_together_the_longest_is_named() {
    let long = "x".repeat(3 * 1024 * 1024 / 2);
    let echo =
        of_body("{% for each in messages | list %}{{ each.body }}{{ each.body }}{{ each.body }}{% endfor %}");
    let messages = [message("a", "x"), message("b", &long), message("c", "y"), message("d", &long[1..])];
    let unshapeable = request(&echo, &messages).unwrap_err();
    assert_eq!(unshapeable.position, 1, "{unshapeable}");
    assert!(unshapeable.why.contains("makes more than 8388608 bytes"), "{unshapeable}");
    assert!(request(&echo, &messages[..3]).is_ok());
}

#[test]
fn thousands_of_messages_beside_a_long_one_are_within_the_bounds() {
    let mut messages: Vec<Message> =
        (0..5_000).map(|n| message(&n.to_string(), &format!("{{\"n\":{n}}}"))).collect();
    messages.push(message("long", &format!("{{\"n\":1,\"text\":\"{}\"}}", "x".repeat(256 * 1024))));
    let made = request(&of_body(LIST), &messages).unwrap();
    let all: Vec<serde_json::Value> = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(all.len(), 5_001);
}

#[test]
fn the_size_of_a_message_is_what_the_templates_make_of_it() {
    let doubled = of_body("[{% for each in messages | list %}{{ each.body }}{{ each.body }}{% endfor %}]");
    assert_eq!(doubled.size_of(&message("a", "four")), 10);
    assert_eq!(of_body(LIST).size_of(&message("a", "no json")), 7, "it leaves when the request is made");
}
