//! What presets fill, what they leave, and what they refuse.

use super::*;
use crate::config::check;
use crate::config::{ConfigErrors, Plan};

fn checked(source: &str) -> Result<Plan, ConfigErrors> {
    let mut report = Report::default();
    let Some(mut file) = File::parse(source, &"f.yaml".into(), &|_| None, &mut report) else {
        return Err(report.into_errors());
    };
    apply(&mut file, &mut report);
    let plan = check::plan(&file, &|_| None, false, false, &mut report);
    report.finish().map(|warnings| Plan { warnings, ..plan })
}

fn bad(source: &str) -> String {
    checked(source).map(|plan| format!("accepted: {plan:?}")).expect_err(source).to_string()
}

fn good(source: &str) -> Plan {
    checked(source).unwrap_or_else(|errors| panic!("{source}\n{errors}"))
}

fn listener(keys: &str) -> String {
    format!("listeners:\n- {{queue: q, {keys}}}\n")
}

#[test]
fn an_unknown_preset_is_refused_with_the_choices() {
    let text = bad(&listener("url: 'http://h', preset: rwa"));
    assert!(
        text.contains(
            "listeners[0].preset: rwa is none of: raw, algorithmia, sqsd, cloudevents, lambda, matillion"
        ),
        "{text}"
    );
    assert!(text.contains("did you mean `raw`?"), "{text}");
}

#[test]
fn a_key_that_a_preset_cannot_honour_is_refused_with_the_choices() {
    let text = bad(&listener("url: 'http://h', preset: raw, algorithm: a/b"));
    let rule = "listeners[0].algorithm: a/b is not possible with the preset `raw`; \
                remove it, or choose another preset: algorithmia";
    assert!(text.contains(rule), "{text}");
    let text = bad(&listener("url: 'http://h', preset: algorithmia"));
    let rule = "listeners[0].preset: algorithmia needs `algorithm`; write it, or choose another preset: raw, sqsd, cloudevents, lambda, matillion";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn a_preset_gives_way_to_every_key_that_is_written() {
    let plan = good(&listener("preset: algorithmia, algorithm: a/b"));
    assert_eq!(plan.listeners[0].target.url.as_str(), "https://api.algorithmia.com/v1/algo/a/b?timeout=420");
    assert_eq!(plan.endpoints[0].limits.sessions, 80);
    let plan = good(&listener("preset: algorithmia, algorithm: a/b, url: 'https://h', timeout: 20s"));
    assert_eq!(plan.listeners[0].target.url.as_str(), "https://h/v1/algo/a/b?timeout=5");
}

#[test]
fn a_preset_fills_the_endpoint_that_its_listener_names_and_gives_way_to_it() {
    let file = |endpoint: &str| {
        format!(
            "{}endpoints:\n  api: {{url: 'https://h'{endpoint}}}\n",
            listener("endpoint: api, algorithm: a/b")
        )
    };
    assert_eq!(good(&file("")).endpoints[0].limits.sessions, 80);
    let plan = good(&file(", sessions: 16"));
    assert_eq!((plan.endpoints[0].limits.sessions, plan.warnings), (16, Vec::new()));
}

#[test]
fn a_default_of_a_preset_is_no_reason_for_a_warning_about_what_was_written() {
    let plan = good(&listener("algorithm: a/b, workers: 1"));
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn the_preset_sqsd_is_the_daemon_with_the_defaults_of_its_options() {
    let plan = good(&listener("preset: sqsd"));
    let only = &plan.listeners[0];
    let seconds = |seconds| Some(std::time::Duration::from_secs(seconds));
    assert_eq!(only.target.url.as_str(), "http://localhost/");
    assert_eq!((only.listener.workers, Some(only.listener.timeout)), (50, seconds(299)));
    assert_eq!(
        (only.listener.receiving.visibility, only.listener.policy.retry_delay),
        (seconds(300), seconds(2))
    );
    assert_eq!(only.listener.policy.retention, None, "it deletes, so nobody gets it unasked");
    let plan = good(&listener("preset: sqsd, path: /worker, retention: 4days, retry_delay: 1m"));
    let only = &plan.listeners[0];
    assert_eq!(only.target.url.as_str(), "http://localhost/worker");
    assert_eq!(
        (only.listener.policy.retention, only.listener.policy.retry_delay),
        (seconds(345_600), seconds(60))
    );
    assert!(bad(&listener("preset: sqsd, algorithm: a/b")).contains("not possible with the preset `sqsd`"));
}

#[test]
fn every_text_of_every_preset_is_one_that_its_key_takes() {
    for preset in &PRESETS {
        let needs: String = preset.needs.iter().map(|_| ", algorithm: a/b").collect();
        let plan = good(&listener(&format!("preset: {}, url: 'http://h/'{needs}", preset.name)));
        assert_eq!(plan.warnings, Vec::<String>::new(), "{}", preset.name);
    }
}

#[test]
fn the_preset_cloudevents_writes_a_key_below_another_and_leaves_what_is_there() {
    let plan = good(&listener("preset: cloudevents, url: 'http://h/'"));
    assert!(format!("{plan:?}").contains("mode: Binary"), "{plan:?}");
    let plan =
        good(&listener("preset: cloudevents, url: 'http://h/', cloudevents: {mode: structured, source: /o}"));
    assert!(format!("{plan:?}").contains("mode: Structured"), "{plan:?}");
    let text = bad(&listener("preset: cloudevents, url: 'http://h/', content_type: text/plain"));
    let rule = "text/plain is not possible with the preset `cloudevents`; \
                remove it, or choose another preset: raw, algorithmia, sqsd";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn a_text_of_a_preset_that_does_not_go_with_a_written_key_is_a_problem_that_names_the_preset() {
    let text = bad(&listener("preset: sqsd, url: 'http://h/', cloudevents: {mode: binary}"));
    let rule = "preset sqsd: listeners[0].message_headers: sqsd has no effect beside `cloudevents`";
    assert!(text.contains(rule), "{text}");
}
