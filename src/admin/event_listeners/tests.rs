//! Tests of what the original's clients send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::store::WrongKey;
use super::form::{Page, page, read};
use super::*;

fn keys_of(body: &Value) -> Keys {
    let mut keys = Keys::new();
    read(body.to_string().as_bytes(), "demo", None).unwrap().write_into(&mut keys);
    keys
}

#[test]
fn the_fields_of_the_original_become_keys_of_the_file() {
    let body = json!({
        "id": null, "sourceType": "AmazonSQS", "sourceURI": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "algoName": "Hello", "algoOwner": "demo", "algoVersion": "0.1.3", "algoTimeoutSeconds": 60,
        "listenerOwner": "demo", "credentials": "arn:aws:iam::123456789012:role/consumer",
    });
    let keys = json!({
        "queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "algorithm": "demo/Hello/0.1.3",
        "timeout": "75s", "role_arn": "arn:aws:iam::123456789012:role/consumer",
    });
    assert_eq!(Value::Object(keys_of(&body)), keys);
    let least = json!({ "sourceURI": "orders", "algoName": "Hello", "algoOwner": "demo", "algoVersion": "" });
    assert_eq!(Value::Object(keys_of(&least)), json!({ "queue": "orders", "algorithm": "demo/Hello" }));
    let text = json!({ "sourceURI": "q", "algoName": "H", "algoOwner": "d", "algoTimeoutSeconds": "3000" });
    assert_eq!(keys_of(&text)["timeout"], "3015s");
}

#[test]
fn a_change_replaces_what_the_original_knows_and_leaves_other_keys() {
    let written = json!({
        "queue": "old", "algorithm": "a/b", "timeout": "75s", "role_arn": "arn:x", "external_id": "secret-1",
        "endpoint": "own", "workers": 3, "listener_owner": "demo",
    });
    let mut keys = written.as_object().unwrap().clone();
    let body = json!({ "sourceURI": "new", "algoName": "Hello", "algoOwner": "demo" });
    read(body.to_string().as_bytes(), "demo", Some("orders")).unwrap().write_into(&mut keys);
    let expected = json!({
        "queue": "new", "algorithm": "demo/Hello", "endpoint": "own", "workers": 3, "listener_owner": "demo",
    });
    assert_eq!(Value::Object(keys), expected, "the external id goes with its role");
}

#[test]
fn the_link_to_the_next_page_names_no_scheme_and_no_host_and_is_escaped() {
    let link = next_link("a b/../ü&limit=1#", 2, "orders-2");
    assert_eq!(link, "/v1/users/a%20b%2F..%2F%C3%BC%26limit%3D1%23/event-listeners?limit=2&marker=orders-2");
}

#[test]
fn all_that_is_wrong_with_the_fields_is_said_at_once() {
    let body = json!({
        "id": "other", "sourceType": "Kafka", "sourceURI": "q".repeat(256), "algoName": "a/b", "algoOwner": 7,
        "algoTimeoutSeconds": 3001, "listenerOwner": "somebody", "url": "http://127.0.0.1/", "credentials": null,
    });
    let problem = read(body.to_string().as_bytes(), "demo", Some("orders")).unwrap_err();
    assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    let mut fields: Vec<&str> = problem.problems.iter().map(|one| one["key"].as_str().unwrap()).collect();
    fields.sort_unstable();
    let expected = [
        "algoName",
        "algoOwner",
        "algoTimeoutSeconds",
        "id",
        "listenerOwner",
        "sourceType",
        "sourceURI",
        "url",
    ];
    assert_eq!(fields, expected);
    assert!(
        problem.error.contains("sourceURI: this text is too long (255 characters at most)"),
        "{}",
        problem.error
    );
    let none = read(b"{}", "demo", None).unwrap_err();
    assert_eq!(none.problems.len(), 3, "{none:?}");
    assert!(read("{\"sourceURI\":\"é\"".as_bytes(), "demo", None).unwrap_err().error.contains("line 1"));
    let longest = json!({ "sourceURI": "é".repeat(255), "algoName": "H", "algoOwner": "d" });
    assert!(read(longest.to_string().as_bytes(), "demo", None).is_ok(), "characters are counted, not bytes");
}

#[test]
fn a_page_has_a_limit_and_begins_behind_a_marker() {
    assert_eq!(page(""), Ok(Page { limit: 2_000, marker: None }));
    assert_eq!(page("limit=2&marker=a%2Db&other"), Ok(Page { limit: 2, marker: Some("a-b".to_owned()) }));
    for wrong in ["limit=0", "limit=2001", "limit=x", "limit=-1", "limit="] {
        assert_eq!(page(wrong).unwrap_err().status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[test]
fn a_key_is_shown_in_each_form_of_the_originals_clients() {
    let shown = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        to_bearer(&mut headers);
        headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for form in ["Simple key", "simple key", "key", "Bearer key"] {
        assert_eq!(shown(&[form]), ["Bearer key"], "{form}");
    }
    assert_eq!(shown(&["Basic a2V5"]), ["Basic a2V5"]);
    assert_eq!(shown(&["Simple a", "Simple b"]), ["Simple a", "Simple b"], "the guard refuses two");
    assert!(shown(&[]).is_empty());
}

#[tokio::test]
async fn a_failure_is_said_where_the_documentation_and_where_the_libraries_look() {
    let not = NotStored::NotValid(vec![WrongKey {
        key: "role_arn".to_owned(),
        words: "x is no role ARN".to_owned(),
        fix: Some("write one".to_owned()),
    }]);
    let answer = failure(&not_kept(not));
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let message = "credentials: x is no role ARN (write one); nothing was changed";
    let problem = json!({ "key": "credentials", "words": "x is no role ARN", "fix": "write one" });
    assert_eq!(
        body,
        json!({ "error": { "code": 2015, "message": message }, "code": 2015, "message": message, "problems": [problem] })
    );
    let no_endpoint =
        NotStored::NotValid(vec![WrongKey { key: "endpoint".to_owned(), words: String::new(), fix: None }]);
    assert_eq!(not_kept(no_endpoint).status, StatusCode::CONFLICT);
    let denied = failure(&Problem::new(StatusCode::UNAUTHORIZED, "no", "fix"));
    assert!(denied.headers().contains_key("www-authenticate"));
}

/// Any value of JSON, and often one with fields of an event listener.
fn any_body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    let any = leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let field = prop::sample::select(vec![
        "id",
        "sourceType",
        "sourceURI",
        "algoName",
        "algoOwner",
        "algoVersion",
        "algoTimeoutSeconds",
        "listenerOwner",
        "credentials",
        "other",
    ]);
    // Most of these are taken: what a listener needs is there, and a few fields have any value.
    let listener = prop::collection::btree_map(field, any.clone(), 0..3).prop_map(|fields| {
        let mut body = json!({ "sourceURI": "orders", "algoOwner": "demo", "algoName": "Hello" });
        for (field, value) in fields {
            body[field] = value;
        }
        body
    });
    prop_oneof![any, listener]
}

proptest! {
    #[test]
    fn no_body_panics_and_one_that_is_taken_writes_nothing_but_its_four_keys(body in any_body()) {
        if let Ok(form) = read(body.to_string().as_bytes(), "demo", None) {
            let mut keys = Keys::new();
            form.write_into(&mut keys);
            for (key, value) in &keys {
                prop_assert!(["queue", "algorithm", "timeout", "role_arn"].contains(&key.as_str()), "{key}");
                prop_assert!(value.is_string());
            }
        }
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200), query in ".{0,60}") {
        drop(read(&body, "demo", Some("orders")));
        drop(page(&query));
    }
}
