//! What templates make of messages, and what they refuse.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;
use crate::exchange::Raw;
use crate::message::{Attribute, AttributeValue, MessageId, ReceiptHandle, ReceiveCount};

pub(in crate::exchange::template) fn message(body: impl Into<Bytes>) -> Message {
    let text = |name: &str, value: &str| Attribute {
        name: name.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(value.to_owned()),
    };
    let blob = AttributeValue::Binary(Bytes::from_static(&[0, 255]));
    Message {
        receive_count: ReceiveCount::new(2),
        sent_at: std::time::SystemTime::UNIX_EPOCH
            .checked_add(std::time::Duration::from_millis(1_700_000_000_123)),
        group_id: Some("tenant-1".to_owned()),
        attributes: vec![
            text("tenant", "acme"),
            Attribute { name: "blob".to_owned(), data_type: "Binary".to_owned(), value: blob },
        ],
        ..Message::new(MessageId::new("4a1b"), ReceiptHandle::new("AQEB"), body.into())
    }
}

/// `(key, source)` as in the configuration: `path`, `query.NAME`, `headers.NAME`, `body`.
pub(in crate::exchange::template) fn parts(templates: &[(&str, &str)]) -> Result<Parts, Vec<Flaw>> {
    let mut parts = Parts::default();
    for (key, source) in templates {
        match key.split_once('.') {
            None if *key == "path" => parts.path(source)?,
            None => parts.body(source)?,
            Some(("query", name)) => parts.query(name, source)?,
            Some((_, name)) => parts.header(&Parts::header_name(name).unwrap(), source)?,
        }
    }
    Ok(parts)
}

fn base(path: &str, query: Option<&str>) -> Base {
    Base { path: path.to_owned(), query: query.map(str::to_owned) }
}

pub(in crate::exchange::template) fn request(
    templates: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Request, String> {
    let parts = parts(templates).expect("valid templates");
    let raw = Raw::new("billing", "orders.fifo");
    let shape = Templated::new(raw, parts, base("/base", None), "billing", "orders.fifo").unwrap();
    shape.request(&message(body))
}

fn body_of(template: &str, message: &str) -> Result<String, String> {
    let request = request(&[("body", template)], message.to_owned())?;
    Ok(String::from_utf8(request.body.to_vec()).unwrap())
}

fn address_of(templates: &[(&str, &str)], message: &str) -> Result<String, String> {
    let resource = request(templates, message.to_owned())?.resource.expect("a path or a query");
    Ok(resource
        .query()
        .map_or_else(|| resource.path().to_owned(), |query| format!("{}?{query}", resource.path())))
}

fn flaws(key: &str, source: &str) -> Vec<(usize, usize, String)> {
    let flaws = parts(&[(key, source)]).map(|_| ()).expect_err(source);
    flaws.into_iter().map(|flaw| (flaw.line, flaw.column, flaw.rule)).collect()
}

#[test]
fn a_template_sees_body_attributes_properties_and_names_and_nothing_else() {
    for (template, expected) in [
        ("{{ body }}", r#"{"a": {"b": [1, "x"]}, "n": 1.5, "t": true}"#),
        ("{{ json.a.b[1] }} {{ json['n'] }} {{ json.t }}", "x 1.5 true"),
        ("{{ json.a | tojson }}", r#"{"b":[1,"x"]}"#),
        ("{{ attributes.tenant }} {{ attributes['blob'] }}", "acme AP8="),
        (
            "{{ message.id }} {{ message.receive_count }} {{ message.sent_at }}",
            "4a1b 2 2023-11-14T22:13:20.123Z",
        ),
        ("{{ message.group_id }} {{ queue }} {{ listener }}", "tenant-1 orders.fifo billing"),
        (
            "{% if message.sequence_number is defined %}x{% endif %}{{ message.deduplication_id | default('-') }}",
            "-",
        ),
        ("{% for k, v in json.a | items %}{{ k }}={{ v | length }};{% endfor %}", "b=2;"),
        (
            "{% for x in json.a.b | list %}{{ loop.index }}:{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1:1,2:x",
        ),
        ("{% for x in ['p', 'q'] | list %}{{ x }}{% endfor %}", "pq"),
        ("{{ json.a.b | join('-') }} {{ 'A-B' | lower | replace('-', '+') }}", "1-x a+b"),
        ("{{ {'x': json.n, 'y': [json.t]} | tojson }}", r#"{"x":1.5,"y":[true]}"#),
    ] {
        let message = r#"{"a": {"b": [1, "x"]}, "n": 1.5, "t": true}"#;
        assert_eq!(body_of(template, message).as_deref(), Ok(expected), "{template}");
    }
    for name in ["env", "HOME", "environ", "receipt", "range(3)", "namespace()", "debug()"] {
        assert!(parts(&[("body", &format!("{{{{ {name} }}}}"))]).is_err(), "{name}");
    }
    assert!(parts(&[("body", "{{ message.receipt_handle }}")]).is_err());
    assert!(body_of("{{ attributes.receipt_handle }}", "x").is_err());
}

#[test]
fn json_keeps_the_order_of_its_members() {
    assert_eq!(
        body_of("{{ json | tojson }}", r#"{"z":1,"a":{"y":2,"b":3}}"#).unwrap(),
        r#"{"z":1,"a":{"y":2,"b":3}}"#
    );
}

#[test]
fn what_is_missing_or_mistyped_is_named_with_its_place_and_not_with_its_value() {
    for (template, message, expected) in [
        ("a\n {{ json.group }}", "{}", "template.body at 2:5: `json.group` is missing"),
        ("{{ json.a.b.c }}", r#"{"a":{}}"#, "template.body at 1:4: `json.a.b.c` is missing"),
        ("{{ json.a | text }}", "{}", "template.body at 1:4: `json.a` is missing"),
        (
            "{{ json.a | text }}",
            r#"{"a":5}"#,
            "template.body at 1:4: `json.a` is a number, and a text is needed",
        ),
        (
            "{{ json.a | object | tojson }}",
            r#"{"a":[]}"#,
            "template.body at 1:4: `json.a` is a list, and an object is needed",
        ),
        (
            "{{ json.a | number }}",
            r#"{"a":"5"}"#,
            "template.body at 1:4: `json.a` is a text, and a number is needed",
        ),
        (
            "{% for x in json.a | list %}{% endfor %}",
            r#"{"a":{}}"#,
            "template.body at 1:13: `json.a` is an object, and a list is needed",
        ),
        (
            "{{ json.a }}",
            r#"{"a":null}"#,
            "template.body at 1:4: `json.a` is null: write `| default(…)` or `| tojson`",
        ),
        ("{{ json.a }}", r#"{"a":[1]}"#, "template.body at 1:4: `json.a` is a list: write `| tojson`"),
        (
            "{{ json.a }}",
            "plain",
            "template.body at 1:4: `json.a` is missing: the body is no JSON, or is nested deeper than 127 levels",
        ),
        ("{{ attributes.nope }}", "x", "template.body at 1:4: `attributes.nope` is missing"),
        ("{% if json.a %}x{% endif %}", "{}", "template.body at 1:7: `json.a` is missing"),
        (
            "{{ json.a - 1 }}",
            r#"{"a":"s3cr3t"}"#,
            "template.body at 1:4: `json.a - 1` cannot be worked out: invalid operation",
        ),
        (
            "{{ json.a | int }}",
            r#"{"a":"s3cr3t"}"#,
            "template.body at 1:4: `json.a` cannot be worked out: invalid operation",
        ),
    ] {
        assert_eq!(body_of(template, message), Err(expected.to_owned()), "{template}");
    }
}

#[test]
fn a_body_that_is_no_utf8_is_named_as_the_reason() {
    let request = request(&[("body", "{{ body }}")], Bytes::from_static(&[0xff, 0xfe]));
    assert_eq!(
        request.map(|_| ()),
        Err("template.body at 1:4: `body` is missing: the body is no UTF-8".to_owned())
    );
}

#[test]
fn numbers_are_exact_or_refused() {
    for number in ["18446744073709551615", "-9223372036854775808", "0.1", "1e10", "9007199254740993"] {
        let printed = body_of("{{ json.n }}", &format!(r#"{{"n":{number}}}"#)).unwrap();
        assert_eq!(
            printed.parse::<f64>().unwrap().to_bits(),
            number.parse::<f64>().unwrap().to_bits(),
            "{printed}"
        );
    }
    assert_eq!(body_of("{{ json.n }}", r#"{"n":9007199254740993}"#).as_deref(), Ok("9007199254740993"));
    let big = r#"{"n":18849496460467696128,"m":1}"#;
    assert_eq!(body_of("{{ json.m }}", big).as_deref(), Ok("1"), "what is not used does no harm");
    for template in ["{{ json.n }}", "{{ json.n | number }}", "{{ json | tojson }}", "{{ json.n | tojson }}"]
    {
        assert!(body_of(template, big).unwrap_err().contains("beyond 64 bits"), "{template}");
    }
}

#[test]
fn values_in_path_and_query_are_encoded_once() {
    let message = json!({"a": "Ü & co?#%", "empty": ""}).to_string();
    for (templates, expected) in [
        (&[("path", "/x/{{ json.a }}/y")][..], "/base/x/%C3%9C%20%26%20co%3F%23%25/y"),
        (&[("path", "/x/{{ json.a | urlencode }}")], "/base/x/%C3%9C%20%26%20co%3F%23%25"),
        (
            &[("query.q", "{{ json.a }}"), ("query.a b&c", "1/2{{ '/' }}")],
            "/base?q=%C3%9C%20%26%20co%3F%23%25&a%20b%26c=1/2%2F",
        ),
        (&[("query.q", "{{ json.empty }}"), ("query.r", "x")], "/base?r=x"),
        (&[("path", "\n/x/{{ message.id }}\n")], "/base/x/4a1b"),
    ] {
        assert_eq!(address_of(templates, &message).as_deref(), Ok(expected), "{templates:?}");
    }
}

#[test]
fn what_could_lead_elsewhere_is_refused_in_a_path() {
    for value in
        ["..", ".", "", "a/b", "a\\b", "a\r\nb", "\u{0}", "\u{85}", "//evil.example", "https://evil.example/"]
    {
        let message = json!({"a": value}).to_string();
        let refused = address_of(&[("path", "/x/{{ json.a }}")], &message).expect_err(value);
        assert!(value.len() < 3 || !refused.contains(value), "{refused}");
    }
    for value in ["%2e%2e", "%2f", "a@b:c", "?x=1", "#x"] {
        let message = json!({"a": value}).to_string();
        assert!(address_of(&[("path", "/x/{{ json.a }}")], &message).is_ok(), "{value}: encoded once more");
    }
    for path in [
        "/a/../b",
        "/a/%2e%2e/b",
        "/a%2fb",
        "/a%5Cb",
        "/a b",
        "//evil.example/",
        "/{{ '/' | urlencode }}",
        "/%zz",
    ] {
        assert!(address_of(&[("path", path)], "x").is_err() || path.starts_with("//"), "{path}");
    }
    assert_eq!(address_of(&[("path", "//evil.example/")], "x").as_deref(), Ok("/base//evil.example/"));
    assert!(parts(&[("path", "https://evil.example/")]).is_err());
    assert!(parts(&[("path", "{{ body }}")]).is_err());
}

#[test]
fn the_address_of_the_listener_stays_in_front() {
    for (path, query, templates, expected) in [
        ("/v1/", Some("key=1"), &[("path", "/x")][..], "/v1/x?key=1"),
        ("/", None, &[("path", "/x"), ("query.a", "1")], "/x?a=1"),
        ("/v1/orders", Some("key=1"), &[("query.a", "{{ body }}")], "/v1/orders?key=1&a=b"),
    ] {
        let shape = Raw::new("billing", "orders");
        let parts = parts(templates).unwrap();
        let with_parts = Templated::new(shape, parts, base(path, query), "billing", "orders").unwrap();
        let resource = with_parts.request(&message("b")).unwrap().resource.unwrap();
        let query = resource.query().map(|query| format!("?{query}")).unwrap_or_default();
        assert_eq!(format!("{}{query}", resource.path()), expected);
    }
    let shape = Raw::new("a", "q");
    assert!(Templated::new(shape, parts(&[("path", "/x")]).unwrap(), base("/a'b", None), "a", "q").is_err());
}

#[test]
fn a_header_replaces_that_of_the_shape_and_an_empty_one_leaves_it_out() {
    let templates = [
        ("headers.X-Tenant", " {{ attributes.tenant }} "),
        ("headers.Idempotency-Key", "{{ message.id }}-{{ message.receive_count }}"),
        ("headers.X-Queuepost-Queue", ""),
    ];
    let headers = request(&templates, "x").unwrap().headers;
    assert_eq!(headers["x-tenant"], "acme");
    assert_eq!(headers.get_all("idempotency-key").iter().collect::<Vec<_>>(), ["4a1b-2"]);
    assert_eq!(headers.get("x-queuepost-queue"), None);
    assert_eq!(headers["x-queuepost-listener"], "billing");
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}b", "ä", "\u{7f}"] {
        let refused = request(&[("headers.X-A", "{{ body }}")], value).expect_err(value);
        assert_eq!(
            refused,
            "template.headers.x-a makes a character that no header may have: write `| urlencode`"
        );
    }
    let encoded = request(&[("headers.X-A", "{{ body | urlencode }}")], "a\r\nä").unwrap();
    assert_eq!(encoded.headers["x-a"], "a%0D%0A%C3%A4");
}

#[test]
fn headers_of_the_connection_and_of_credentials_are_refused() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Authorization",
        "Proxy-Authorization",
        "proxy-x",
        "TE",
        "a b",
        "",
    ] {
        assert!(Parts::header_name(name).is_err(), "{name}");
    }
    for name in ["X-A", "Content-Type", "Idempotency-Key"] {
        assert!(Parts::header_name(name).is_ok(), "{name}");
    }
}

#[test]
fn the_content_type_follows_the_rendered_body_unless_a_template_sets_it() {
    let content_type = |templates: &[(&str, &str)], message: &'static str| {
        request(templates, message).unwrap().headers[CONTENT_TYPE].to_str().unwrap().to_owned()
    };
    assert_eq!(content_type(&[("body", "{\"a\": {{ body | tojson }}}")], "x"), JSON);
    assert_eq!(content_type(&[("body", "a={{ json.a }}")], "{\"a\":1}"), TEXT);
    assert_eq!(content_type(&[("headers.x-a", "1")], "{}"), JSON);
    let form = ("headers.Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(content_type(&[("body", "a={{ body | urlencode }}"), form], "x"), form.1);
}

#[test]
fn flaws_of_a_template_have_their_line_and_column() {
    for (source, line, column, rule) in [
        (
            "a\n{{ json. }}",
            2,
            10,
            "is no valid template: unexpected end of variable block, expected identifier or integer",
        ),
        ("{% if json.a %}", 1, 14, "is no valid template: unexpected end of input, expected end of block"),
        ("a {{ jsn.a }}", 1, 6, "the variable `jsn` does not exist"),
        ("{{ message.receive_cont }}", 1, 4, "the property of `message` `receive_cont` does not exist"),
        ("{{ body | tojsn }}", 1, 11, "the filter `tojsn` does not exist"),
        ("{{ body | safe }}", 1, 11, "the filter `safe` does not exist"),
        ("{% if body is strng %}{% endif %}", 1, 15, "the test `strng` does not exist"),
        ("{% for x in json %}{{ x }}{% endfor %}", 1, 13, "has a loop over something that may be no list"),
        ("\n{% set x = body %}", 2, 4, "has `{% set %}`, which does not exist here"),
        ("{{ 'a' * 9 }}", 1, 4, "has a `*`, which could repeat a text without end"),
        ("{{ x() }}", 1, 4, "has a call, and there are no functions"),
    ] {
        assert_eq!(flaws("body", source), [(line, column, rule.to_owned())], "{source}");
    }
    assert_eq!(flaws("path", "/a?x={{ body }}").len(), 1);
    assert_eq!(flaws("body", "{{ a }}{{ b | c }}").len(), 3, "all at once");
    assert_eq!(flaws("body", &"x".repeat(64 * 1024 + 1)).len(), 1);
}

const PIECES: [&str; 12] = [
    "/",
    "/a",
    "..",
    "{{ json.a }}",
    "{{ json.b | urlencode }}",
    "{{ body }}",
    "%2e",
    "%2F",
    ":8080",
    "@",
    "\\",
    "{% if json.a is string %}/x{% endif %}",
];

proptest! {
    #[test]
    fn no_template_and_no_message_changes_scheme_host_port_or_credentials_or_leaves_the_base_path(
        path in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..5),
        query in proptest::option::of(proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..3)),
        name in "[a-z&=#? ]{1,4}|\\PC{1,3}",
        a in "[/.\\\\%2eEfF:@?#a\\r\\n]{0,6}|\\PC{0,4}|https?://evil\\.example/?",
        b in "[/.%2eEfF5c]{0,6}|\\PC{0,4}",
    ) {
        let body = json!({"a": a, "b": b}).to_string();
        let path = format!("/p{}", path.concat());
        let query = query.map(|query| query.concat());
        let mut templates = vec![("path", path.as_str())];
        let key = format!("query.{name}");
        templates.extend(query.as_deref().map(|query| (key.as_str(), query)));
        let request = match parts(&templates) {
            Ok(_) => request(&templates, body),
            Err(_) => return Ok(()),
        };
        if let Ok(request) = request {
            let resource = request.resource.expect("a path");
            let mut url: Url = "https://user.example:8443/base?key=1".parse().unwrap();
            url.set_path(resource.path());
            url.set_query(resource.query());
            prop_assert_eq!(url.origin().ascii_serialization(), "https://user.example:8443");
            prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            prop_assert!(url.path().starts_with("/base/p"), "{}", url);
            prop_assert_eq!(url.path(), resource.path());
            let lower = url.path().to_ascii_lowercase();
            prop_assert!(!["%2f", "%5c", "%0", "%1"].iter().any(|refused| lower.contains(refused)), "{}", url);
            let decoded = |part: &str| percent_encoding::percent_decode_str(part).collect::<Vec<u8>>();
            prop_assert!(!url.path().split('/').any(|part| [&b"."[..], b".."].contains(&&*decoded(part))), "{}", url);
            // A server that decodes the path once, or normalizes it, comes to the same place.
            let joined = url.join(resource.path()).unwrap();
            prop_assert_eq!(joined.path(), resource.path());
        }
    }

    #[test]
    fn a_value_in_a_path_is_taken_or_refused_by_the_rule(a in "[/.\\\\%2eEfF:@?#a \\r\\n]{0,6}|\\PC{0,4}") {
        let body = json!({"a": a}).to_string();
        let taken = address_of(&[("path", "/x/{{ json.a }}/y")], &body);
        let dots = a == "." || a == "..";
        let refused = a.is_empty() || dots || a.contains(['/', '\\']) || a.contains(char::is_control);
        prop_assert_eq!(taken.is_err(), refused, "{:?}", taken);
        if let Ok(taken) = taken {
            let value = taken.strip_prefix("/base/x/").and_then(|rest| rest.strip_suffix("/y")).unwrap();
            prop_assert_eq!(percent_encoding::percent_decode_str(value).decode_utf8().unwrap(), a.as_str());
        }
    }

    #[test]
    fn a_header_is_one_header_whatever_the_message(value in "\\PC{0,8}|[a\\r\\n\\t: \\u{0}]{0,8}") {
        if let Ok(request) = request(&[("headers.X-A", "{{ body }}")], value.clone()) {
            let made = request.headers.get("x-a").map_or(&b""[..], |made| made.as_bytes());
            prop_assert_eq!(made, value.trim().as_bytes());
            let is_one_line = made.iter().all(|&byte| (b' '..=b'~').contains(&byte) || byte == b'\t');
            prop_assert!(is_one_line, "{:?}", made);
        }
    }
}
