//! Result queues in the file: how they are called, and every problem at once.

use crate::config::{Overrides, Plan, explain, load};

struct File(std::path::PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn overrides(name: &str, text: &str) -> (File, Overrides) {
    let path = std::env::temp_dir().join(format!("queuepost-results-{}-{name}.yaml", std::process::id()));
    std::fs::write(&path, text).expect("a file");
    let overrides = Overrides { config: Some(path.display().to_string()), ..Overrides::default() };
    (File(path), overrides)
}

fn planned(name: &str, listener: &str) -> Result<Plan, Vec<String>> {
    let (file, overrides) = overrides(name, &format!("listeners:\n- {listener}"));
    let here = format!("{}:", file.0.display());
    load(&overrides, &|_| None, false).map_err(|errors| {
        errors.problems().iter().map(|problem| problem.to_string().replace(&here, "")).collect()
    })
}

fn queues(name: &str, listener: &str) -> Vec<(&'static str, String, Option<String>)> {
    let plan = planned(name, listener).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let all = plan.listeners[0].results.all();
    all.map(|(key, plan)| (key, plan.queue.queue.to_string(), plan.queue.region.clone())).collect()
}

#[test]
fn a_name_is_a_queue_beside_the_listeners_own_and_a_url_or_an_arn_stands_for_itself() {
    let both = "url: https://h/p, results: {success: {queue: done}, failure: {queue: failed}}";
    let none = |key, queue: &str| (key, queue.to_owned(), None);
    let (success, failure) = ("results.success", "results.failure");
    let server = "http://localhost:9324/000000000000";
    assert_eq!(
        queues("url", &format!("{{queue: '{server}/orders', {both}}}")),
        [none(success, &format!("{server}/done")), none(failure, &format!("{server}/failed"))]
    );
    let arn = "arn:aws:sqs:eu-west-1:123456789012";
    assert_eq!(
        queues("arn", &format!("{{queue: '{arn}:orders', {both}}}")),
        [none(success, &format!("{arn}:done")), none(failure, &format!("{arn}:failed"))]
    );
    let region = Some("eu-west-1".to_owned());
    let one = format!(
        "url: https://h/p, region: eu-west-1, results: {{success: {{queue: done}}, failure: {{queue: '{arn}:x'}}}}"
    );
    assert_eq!(
        queues("name", &format!("{{queue: orders, {one}}}")),
        [(success, "done".to_owned(), region), none(failure, &format!("{arn}:x"))]
    );
}

#[test]
fn every_problem_of_results_is_told_at_once_with_place_rule_and_fix() {
    let listener = "queue: orders\n  url: https://h/p\n  results:\n    success: {queue: orders, compress: maybe, every_try: true}\n    \
                    failure:\n      format: matillion\n      template: '{{ result.stat }}'\n      deduplication_id: ''\n";
    assert_eq!(
        planned("all", listener).expect_err("refused"),
        [
            "5:22: listeners[0].results.success.queue: orders is the listener's own queue: each result would be posted in its turn; name another queue",
            "5:40: listeners[0].results.success.compress: maybe is none of: true, false",
            "5:47: listeners[0].results.success.every_try is not a key of the configuration; known here: queue, compress, format, template, group_id, deduplication_id",
            "7:7: listeners[0].results.failure.queue is required: the URL, ARN or name of the queue for results",
            "7:15: listeners[0].results.failure.format: matillion has no effect beside `template`; keep one of them",
            "8:17: listeners[0].results.failure.template at 1:4 of the template: the property of `result` `stat` does not exist; did you mean `state`?",
            "9:25: listeners[0].results.failure.deduplication_id: \"\" is empty; write a text or a template, or remove it",
        ]
    );
    let empty = planned("empty", "{queue: orders, url: https://h/p, results: {}}").expect_err("refused");
    assert!(empty[0].contains("results has no queue; write `success: {queue: NAME}`"), "{empty:?}");
}

#[test]
fn the_own_queue_is_recognised_however_it_is_written() {
    let own = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
    for spelled in ["orders", own, "arn:aws:sqs:eu-west-1:123456789012:orders"] {
        let problems = planned(
            "own",
            &format!("{{queue: '{own}', url: https://h/p, results: {{failure: {{queue: '{spelled}'}}}}}}"),
        );
        assert!(problems.expect_err(spelled)[0].contains("is the listener's own queue"), "{spelled}");
    }
    queues(
        "shared",
        "{queue: orders, url: https://h/p, results: {success: {queue: r}, failure: {queue: r}}}",
    );
}

#[test]
fn a_fifo_result_queue_is_refused_for_matillion_and_elsewhere_alone_may_have_deduplication_ids() {
    let matillion = |results: &str| {
        planned("fifo", &format!("{{queue: q, preset: matillion, url: https://h, results: {{{results}}}}}"))
    };
    let refused =
        matillion("success: {queue: done.fifo}, failure: {queue: failed.fifo}").expect_err("refused");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].ends_with(
        "is a FIFO queue, and Matillion allows no FIFO result queues; name a standard queue, or write `format: json`"
    ));
    assert!(matillion("success: {queue: done.fifo, format: json}").is_ok());
    assert!(matillion("success: {queue: done.fifo, template: x, group_id: g, deduplication_id: d}").is_ok());
    let refused = matillion("success: {queue: done, group_id: g, deduplication_id: d}").expect_err("refused");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("has no effect: the result queue is no FIFO queue"), "{refused:?}");
}

#[test]
fn results_of_matillion_have_its_format_unless_another_is_written() {
    let text = "listeners:\n- queue: q\n  preset: matillion\n  url: https://h\n  results: {success: {queue: done}, failure: {queue: bad, format: json, every_try: true}}\n";
    let (_file, overrides) = overrides("preset", text);
    let rows = explain(&overrides, &|_| None, false).unwrap_or_else(|errors| panic!("{errors}"));
    let row = |key: &str| {
        let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}: {rows:?}"));
        (row.value.clone().unwrap_or_default(), row.from.clone())
    };
    assert_eq!(row("results.success.format"), ("matillion".to_owned(), "preset matillion".to_owned()));
    assert_eq!(row("results.success.compress"), ("false".to_owned(), "default".to_owned()));
    assert_eq!(row("results.failure.format").0, "json");
    assert_eq!(row("results.failure.every_try").0, "true");
    assert!(rows.iter().all(|row| row.key != "results.success.every_try"));
    let plan = load(&overrides, &|_| None, false).expect("valid");
    let results = &plan.listeners[0].results;
    assert!(
        format!("{:?}", results.success).contains("Matillion")
            && !format!("{:?}", results.failure).contains("Matillion")
    );
    assert!(results.failure.as_ref().is_some_and(|failure| failure.every_try));
}
