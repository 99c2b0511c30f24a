//! Which batches may be written, and with which words the others are refused.

use std::time::Duration;

use crate::config::check;
use crate::config::file::File;
use crate::config::presets::apply;
use crate::config::problem::{ConfigErrors, Report};
use crate::config::{ListenerPlan, Plan};

fn checked(queue: &str, keys: &str) -> Result<Plan, ConfigErrors> {
    let source = format!("listeners:\n- {{queue: '{queue}', {keys}}}\n");
    let mut report = Report::default();
    let mut file = File::parse(&source, &"f.yaml".into(), &|_| None, &mut report).expect(&source);
    apply(&mut file, &mut report);
    let plan = check::plan(&file, &|_| None, false, false, &mut report);
    report.finish().map(|warnings| Plan { warnings, ..plan })
}

fn good(queue: &str, keys: &str) -> ListenerPlan {
    let plan = checked(queue, keys).unwrap_or_else(|errors| panic!("{keys}\n{errors}"));
    assert_eq!(plan.warnings, Vec::<String>::new(), "{keys}");
    plan.listeners[0].clone()
}

fn size_and_window(queue: &str, keys: &str) -> (usize, Duration) {
    let listener = good(queue, keys).listener;
    (listener.exchange.messages_max(), listener.receiving.window)
}

const SECOND: Duration = Duration::from_secs(1);
const BODY: &str = "template: {body: '{% for each in messages | list %}{{ each.body }}{% endfor %}'}";

#[test]
fn a_post_carries_one_message_unless_batches_are_written() {
    assert_eq!(size_and_window("q", "url: 'http://h'"), (1, Duration::ZERO));
    assert_eq!(size_and_window("q", "url: 'http://h', batch: {size: 1}"), (1, Duration::ZERO));
    assert_eq!(
        size_and_window("q", "url: 'http://localhost', lambda: {partial_failures: true}"),
        (1, Duration::ZERO)
    );
}

#[test]
fn the_preset_lambda_is_an_event_source_mapping_with_its_defaults() {
    let url = "url: 'https://h', preset: lambda";
    assert_eq!(size_and_window("q", url), (10, Duration::ZERO));
    let full = format!("{url}, batch: {{size: 10000, window: 5m}}");
    assert_eq!(size_and_window("q", &full), (10_000, Duration::from_mins(5)));
    assert_eq!(good("q", &full).target.answer_kept, 2_000_000);
    assert_eq!(size_and_window("q", &format!("{url}, batch: {{window: 1s}}")), (10, SECOND));
    assert_eq!(size_and_window("q.fifo", url), (10, Duration::ZERO));
    assert_eq!(good("q", "url: 'http://h'").target.answer_kept, 65_536);
}

#[test]
fn batches_of_events_and_of_templates_are_possible_too() {
    let events = "url: 'http://h', cloudevents: {mode: batched}, batch: {size: 100, window: 2s}";
    assert_eq!(size_and_window("q", events), (100, 2 * SECOND));
    let templates = format!("url: 'http://h', batch: {{size: 5}}, {BODY}");
    assert_eq!(size_and_window("q", &templates), (5, Duration::ZERO));
}

#[test]
fn every_other_batch_is_refused_with_place_rule_and_fix() {
    const CHOICES: &str =
        "choose `preset: lambda`, `cloudevents: {mode: batched}`, or a `template.body` with `messages`";
    let events = "cloudevents: {mode: structured}";
    for (queue, keys, expected) in [
        (
            "q",
            "batch: {size: 2}",
            "listeners[0].batch.size: 2 is not possible: each request of this listener is one message",
        ),
        ("q", "batch: {size: 2}", CHOICES),
        ("q", "preset: sqsd, batch: {size: 2}", "batch.size: 2 is not possible"),
        ("q", "algorithm: a/b, batch: {size: 2}", "batch.size: 2 is not possible"),
        ("q", "preset: matillion, batch: {size: 2}", "batch.size: 2 is not possible"),
        ("q", "template: {path: /x}, batch: {size: 2}", "batch.size: 2 is not possible"),
        ("q", &format!("{events}, batch: {{size: 2}}"), "batch.size: 2 needs `cloudevents.mode` batched"),
        (
            "q",
            "cloudevents: {mode: batched}, template: {body: x}, batch: {size: 2}",
            "batch.size: 2 is not allowed with `template` and `cloudevents` together",
        ),
        ("q", "preset: lambda, batch: {size: 0}", "batch.size: 0 is out of range: 1 to 10,000"),
        ("q", "preset: lambda, batch: {size: 10001}", "batch.size: 10001 is out of range: 1 to 10,000"),
        ("q", "preset: lambda, batch: {window: 301s}", "batch.window: 301s is out of range: 0s to 5m"),
        ("q", "preset: lambda, batch: {size: 11}", "batch.size: 11 needs a `window` of 1s or more"),
        ("q", "preset: lambda, batch: {size: 11}", "write `window: 1s`, or a `size` of 10 or less"),
        (
            "q",
            "preset: lambda, batch: {size: 11, window: 999ms}",
            "batch.size: 11 needs a `window` of 1s or more",
        ),
        (
            "q.fifo",
            "preset: lambda, batch: {size: 11}",
            "batch.size: 11 is too much for a FIFO queue: 10 at most",
        ),
        (
            "q.fifo",
            "preset: lambda, batch: {window: 1s}",
            "batch.window: 1s is not possible with a FIFO queue",
        ),
        ("q", "batch: {window: 1s}", "batch.window: 1s has no effect without a `size` above 1"),
        (
            "q",
            "preset: lambda, claim_check: {buckets: payloads}",
            "batch.size: 10 is not allowed beside `claim_check`",
        ),
        (
            "q",
            &format!("message_headers: none, batch: {{size: 2}}, {BODY}"),
            "is not allowed beside `message_headers`",
        ),
        ("q", "preset: lambda, message_headers: none", "is not possible with the preset `lambda`"),
        ("q", "lambda: {}, content_type: text/plain", "has no effect beside `lambda`"),
        (
            "q",
            "lambda: {}, cloudevents: {mode: batched}",
            "listeners[0].lambda is not allowed beside `cloudevents`",
        ),
        ("q", "lambda: {}, template: {body: x}", "listeners[0].lambda is not allowed beside `template`"),
        ("q", "lambda: {source_arn: orders}", "lambda.source_arn: orders is no ARN of a queue"),
        ("q", "lambda: {partial_failures: yes}", "lambda.partial_failures: yes is none of: true, false"),
    ] {
        let keys = format!("url: 'https://h', {keys}");
        let text =
            checked(queue, &keys).map(|plan| format!("accepted: {plan:?}")).expect_err(&keys).to_string();
        assert!(text.contains(expected), "{keys}\n{text}");
    }
}

#[test]
fn receipt_handles_on_their_way_unencrypted_are_warned_of() {
    let warnings = |url: &str| checked("q", &format!("url: '{url}', preset: lambda")).expect(url).warnings;
    let told = warnings("http://functions.example/run");
    assert!(told.iter().any(|warning| warning.contains("receipt handles unencrypted")), "{told:?}");
    for near in ["https://functions.example/run", "http://localhost:9000/run", "http://10.1.2.3/run"] {
        assert_eq!(warnings(near), Vec::<String>::new(), "{near}");
    }
}

#[test]
fn the_source_of_an_event_is_the_queues_arn_with_stand_ins_for_what_nobody_wrote() {
    let source = |queue: &str, keys: &str| {
        let listener = good(queue, &format!("url: 'https://h', preset: lambda{keys}"));
        let text = format!("{:?}", listener.listener.exchange);
        let arn = text.split("source_arn: \"").nth(1).expect(&text);
        let region = text.split("region: \"").nth(1).expect(&text);
        let until_quote = |text: &str| text.split('"').next().unwrap_or_default().to_owned();
        (until_quote(arn), until_quote(region))
    };
    let of = |arn: &str, region: &str| (arn.to_owned(), region.to_owned());
    let frankfurt = "arn:aws:sqs:eu-central-1:123456789012:orders";
    for queue in ["https://sqs.eu-central-1.amazonaws.com/123456789012/orders", frankfurt] {
        assert_eq!(source(queue, ""), of(frankfurt, "eu-central-1"), "{queue}");
    }
    assert_eq!(
        source("orders", &format!(", lambda: {{source_arn: '{frankfurt}'}}")),
        of(frankfurt, "eu-central-1")
    );
    let local = "http://127.0.0.1:9324/111111111111/orders";
    assert_eq!(
        source(local, ", region: eu-west-1"),
        of("arn:aws:sqs:eu-west-1:111111111111:orders", "eu-west-1")
    );
    let nothing = of("arn:aws:sqs:us-east-1:000000000000:orders", "us-east-1");
    assert_eq!(source("orders", ""), nothing);
    assert_eq!(source("http://127.0.0.1:9324/queue/orders", ""), nothing);
}
