//! The variables of both families, with their units, and what wins over them.

use std::time::Duration;

use crate::config::{Overrides, Plan, load};
use crate::endpoint::auth::Auth;

const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";

fn planned(overrides: &Overrides, variables: &[(&str, &str)]) -> Result<Plan, String> {
    let env = |name: &str| {
        variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    };
    load(overrides, &env, false).map_err(|errors| errors.to_string())
}

fn statuses(plan: &Plan) -> Vec<u16> {
    use crate::exchange::Verdicts;
    use crate::policy::outcome::{Answer, Outcome};
    let exchange = &plan.listeners[0].listener.exchange;
    let verdict = |status| exchange.verdicts(&Answer { status, ..Answer::default() }, &[]);
    (200..300).filter(|status| verdict(*status) == Verdicts::All(Outcome::Success)).collect()
}

#[test]
fn the_variables_of_simple_sqsd_are_read_in_its_units() {
    let variables = [
        ("SQSD_QUEUE_REGION", "eu-west-1"),
        ("SQSD_QUEUE_URL", QUEUE),
        ("SQSD_HTTP_URL", "http://127.0.0.1:8080/worker"),
        ("SQSD_HTTP_TIMEOUT", "90"),
        ("SQSD_QUEUE_WAIT_TIME", "10"),
        ("SQSD_QUEUE_MAX_MSGS", "10"),
        ("SQSD_HTTP_SSL_VERIFY", "false"),
        ("SQSD_HTTP_AUTHORIZATION_HEADER", "Bearer s3cr3t"),
        ("SQSD_HTTP_AUTHORIZATION_HEADER_NAME", "X-Key"),
    ];
    let plan = planned(&Overrides::default(), &variables).unwrap();
    let only = &plan.listeners[0];
    assert_eq!(only.target.url.as_str(), "http://127.0.0.1:8080/worker");
    assert_eq!(only.listener.timeout, Duration::from_secs(90));
    assert_eq!(only.listener.receiving.wait, Duration::from_secs(10));
    assert_eq!((only.listener.workers, only.queue.region.as_deref()), (25, Some("eu-west-1")));
    assert_eq!(statuses(&plan), (200..=226).collect::<Vec<u16>>());
    let [note] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    let auth = plan.endpoints[0].client.auth.as_ref().expect("credentials");
    let Auth::ApiKey { header, prefix, key } = auth else { panic!("{auth:?}") };
    assert_eq!((header.as_str(), prefix.as_str(), &*key.known()), ("x-key", "", "Bearer s3cr3t"));
    assert!(!note.contains("s3cr3t"), "{note}");
    for said in [
        "SQSD_QUEUE_URL as queue, ",
        "SQSD_HTTP_TIMEOUT as timeout in seconds",
        "success 200-226 as programs with SQSD_HTTP_URL have it",
        "without effect: SQSD_QUEUE_MAX_MSGS (receives are sized by free workers)",
        "SQSD_HTTP_SSL_VERIFY (certificates are always verified",
    ] {
        assert!(note.contains(said), "{said}: {note}");
    }
}

#[test]
fn the_variables_of_the_node_family_are_read_in_its_units() {
    let variables = [
        ("SQSD_QUEUE_URL", QUEUE),
        ("SQSD_WORKER_HTTP_URL", "http://127.0.0.1:8080/"),
        ("SQSD_WORKER_TIMEOUT", "60000"),
        ("SQSD_WAIT_TIME_SECONDS", "20"),
        ("SQSD_WORKER_CONCURRENCY", "7"),
        ("SQSD_RUN_DAEMONIZED", "1"),
    ];
    let plan = planned(&Overrides::default(), &variables).unwrap();
    let only = &plan.listeners[0].listener;
    assert_eq!((only.timeout, only.workers), (Duration::from_secs(60), 7));
    assert_eq!(statuses(&plan), (200..=299).collect::<Vec<u16>>());
    assert!(plan.notes[0].contains("SQSD_WORKER_TIMEOUT as timeout in milliseconds"), "{:?}", plan.notes);
}

#[test]
fn own_names_win_and_a_queue_and_an_address_of_our_own_leave_the_others_unread() {
    let variables = [
        ("SQSD_QUEUE_URL", QUEUE),
        ("SQSD_HTTP_URL", "http://a.example/"),
        ("QUEUEPOST_URL", "http://b.example/"),
        ("QUEUEPOST_PRESET", "raw"),
    ];
    let plan = planned(&Overrides::default(), &variables).unwrap();
    assert_eq!(plan.listeners[0].target.url.as_str(), "http://b.example/");
    assert!(
        plan.notes[0].contains("without effect: SQSD_HTTP_URL (there is another url)"),
        "{:?}",
        plan.notes
    );
    assert_eq!(statuses(&plan), [200]);
    let overrides = Overrides {
        queue: Some(QUEUE.to_owned()),
        url: Some("http://c.example/".to_owned()),
        ..Overrides::default()
    };
    let plan = planned(&overrides, &[("SQSD_HTTP_TIMEOUT", "5"), ("SQSD_QUEUE_URL", "other")]).unwrap();
    assert_eq!((plan.listeners[0].listener.timeout, plan.notes), (Duration::from_secs(60), Vec::new()));
}

#[test]
fn a_value_that_is_refused_is_named_by_its_variable() {
    let variables =
        [("SQSD_QUEUE_URL", QUEUE), ("SQSD_HTTP_URL", "http://a.example/"), ("SQSD_HTTP_TIMEOUT", "soon")];
    let text = planned(&Overrides::default(), &variables).unwrap_err();
    assert!(text.starts_with("SQSD_HTTP_TIMEOUT: soons is not a duration"), "{text}");
}

#[test]
fn header_and_key_of_simple_sqsds_signature_make_the_same_signature() {
    let address = [("SQSD_QUEUE_URL", QUEUE), ("SQSD_HTTP_URL", "http://127.0.0.1:8080/")];
    let signature = [("SQSD_HTTP_HMAC_HEADER", "X-Hmac"), ("SQSD_HMAC_SECRET_KEY", "s3cr3t")];
    let plan = planned(&Overrides::default(), &[&address[..], &signature].concat()).unwrap();
    let sign = format!("{:?}", plan.endpoints[0].client.sign);
    assert!(sign.contains("SimpleSqsd") && sign.contains("x-hmac") && !sign.contains("s3cr3t"), "{sign}");
    assert!(plan.notes[0].contains("SQSD_HMAC_SECRET_KEY as a signature"), "{:?}", plan.notes);
    let plan = planned(&Overrides::default(), &[&address[..], &signature[..1]].concat()).unwrap();
    assert!(plan.endpoints[0].client.sign.is_none(), "without a key it does not sign either");
}
