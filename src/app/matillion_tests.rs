//! Messages of Matillion's own SQS listener, and the calls they become.

use super::{Rendered, render};
use crate::config::{self, Overrides};
use crate::message::{Message, MessageId, ReceiptHandle};

fn request(body: &str) -> Result<Rendered, String> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/matillion/queuepost.yaml");
    let overrides = Overrides { config: Some(example.to_owned()), ..Overrides::default() };
    let env = |name: &str| (name == "MATILLION_PASSWORD").then(|| "s3cr3t".to_owned());
    let plan = config::load(&overrides, &env, false).unwrap();
    let message = Message::new(MessageId::new("4a1b"), ReceiptHandle::new("AQEB"), body.to_owned());
    render(&plan, None, &[message]).map_err(|error| error.to_string())
}

const WHOLE: &str = r#"{"group":"Sales EMEA","project":"Nightly/1","version":"default","environment":"prod & co","job":"Load","variables":{"day":"2026-01-31","q\"":"é"},"gridVariables":{"tables":[["orders","1"],["refunds","2"]],"none":[]}}"#;

#[test]
fn a_documented_message_becomes_the_documented_call() {
    let made = request(&WHOLE.replace("Nightly/1", "Nightly")).unwrap();
    let path = "/rest/v1/group/name/Sales%20EMEA/project/name/Nightly/version/name/default/job/name/Load/run";
    assert_eq!((made.url.path(), made.url.query()), (path, Some("environmentName=prod%20%26%20co")));
    let expected = r#"{"scalarVariables":{"day":"2026-01-31","q\"":"é"},"gridVariables":{"tables":[["orders","1"],["refunds","2"]],"none":[]}}"#;
    assert_eq!(made.body, expected);
    assert!(made.headers.contains(&("content-type".to_owned(), "application/json".to_owned())));
}

#[test]
fn variables_may_be_missing_or_null() {
    for more in ["", r#","variables":null,"gridVariables":null"#, r#","variables":{},"gridVariables":{}"#] {
        let body =
            format!(r#"{{"group":"g","project":"p","version":"v","environment":"e","job":"j"{more}}}"#);
        assert_eq!(request(&body).unwrap().body, r#"{"scalarVariables":{},"gridVariables":{}}"#);
    }
}

#[test]
fn a_missing_or_mistyped_field_is_named() {
    let without =
        |field: &str| WHOLE.replace(&format!("\"{field}\":"), "\"other\":").replace("Nightly/1", "Nightly");
    for field in ["group", "project", "version", "environment", "job"] {
        let why = request(&without(field)).map(|_| ()).expect_err(field);
        assert!(why.contains(&format!("`json.{field}` is missing")), "{why}");
    }
    let swap = |from: &str, to: &str| WHOLE.replace("Nightly/1", "Nightly").replace(from, to);
    for (from, to, why) in [
        ("\"Load\"", "7", "`json.job` is a number, and a text is needed"),
        ("\"prod & co\"", "null", "`json.environment` is null, and a text is needed"),
        ("\"2026-01-31\"", "31", "`variable` is a number, and a text is needed"),
        (
            "{\"day\":\"2026-01-31\",\"q\\\"\":\"é\"}",
            "[]",
            "`json.variables` is a list, and an object is needed",
        ),
        ("[\"orders\",\"1\"]", "\"orders\"", "`gridVariable_row` is a text, and a list is needed"),
        (
            "[[\"orders\",\"1\"],[\"refunds\",\"2\"]]",
            "{}",
            "`gridVariable` is an object, and a list is needed",
        ),
        ("\"Load\"", "\"\"", "`json.job` is empty"),
        ("\"Load\"", "\"..\"", "`.` or `..` segment"),
        ("Nightly", "Nightly/1", "`json.project` has a slash"),
    ] {
        let refused = request(&swap(from, to)).map(|_| ()).expect_err(why);
        assert!(refused.contains(why), "{refused}");
    }
    assert!(request("no json").map(|_| ()).unwrap_err().contains("the body is no JSON"));
}
