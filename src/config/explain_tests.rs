//! That every key is explained, with a default that applies, and that no secret is.

use std::fmt::Write as _;

use super::*;
use crate::config::{ConfigErrors, Overrides, explain, load};

const LISTENER: &str = "listeners:\n- queue: orders\n  url: https://h.example/run\n";

struct Written(std::path::PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("queuepost-explain-{}-{name}.yaml", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn overrides(&self) -> Overrides {
        Overrides { config: Some(self.0.display().to_string()), ..Overrides::default() }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn env(name: &str) -> Option<String> {
    (name == "TOKEN_HEADER").then(|| "Authorization: Bearer s3cr3t".to_owned())
}

fn explained(name: &str, text: &str) -> Vec<Explained> {
    explain(&Written::new(name, text).overrides(), &env, false).unwrap_or_else(|errors| panic!("{errors}"))
}

fn row<'a>(rows: &'a [Explained], key: &str) -> (&'a str, &'a str) {
    let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}: {rows:?}"));
    (row.value.as_deref().unwrap_or_default(), &row.from)
}

#[test]
fn each_value_is_shown_with_the_place_where_it_was_written() {
    let file = Written::new("places", &format!("{LISTENER}  workers: 3\n"));
    let overrides = Overrides { timeout: Some("9s".to_owned()), ..file.overrides() };
    let env = |name: &str| (name == "QUEUEPOST_SUCCESS").then(|| "200-204".to_owned());
    let rows = explain(&overrides, &env, false).unwrap_or_else(|errors| panic!("{errors}"));
    let path = file.0.display();
    assert_eq!(row(&rows, "workers"), ("3", format!("{path}:4:12").as_str()));
    assert_eq!(row(&rows, "timeout"), ("9s", "--timeout"));
    assert_eq!(row(&rows, "success"), ("200-204", "QUEUEPOST_SUCCESS"));
    assert_eq!(row(&rows, "throttle_delay"), ("5m", "default"));
    assert_eq!(row(&rows, "name"), ("orders", "default"));
    assert_eq!(row(&rows, "endpoint.sessions"), ("3", "default"));
    assert_eq!(row(&rows, "shutdown.deadline"), ("25s", "default"));
    assert_eq!(row(&rows, "batch.size"), ("1", "default"));
    assert_eq!(row(&rows, "batch.window"), ("0s", "default"));
}

#[test]
fn a_preset_is_shown_as_what_it_expands_to() {
    let rows = explained("preset", "listeners:\n- {queue: q, algorithm: demo/Hello, timeout: 30s}\n");
    assert_eq!(row(&rows, "preset").0, "algorithmia");
    assert_eq!(row(&rows, "url"), ("https://api.algorithmia.com/…", "preset algorithmia"));
    assert_eq!(row(&rows, "endpoint.sessions"), ("80", "preset algorithmia"));
    assert!(row(&rows, "timeout").1.contains(".yaml:2:"), "{rows:?}");
    let rows =
        explained("lambda", "listeners:\n- {queue: q, url: 'https://h', preset: lambda, batch: {size: 5}}\n");
    assert_eq!(row(&rows, "lambda.partial_failures"), ("true", "preset lambda"));
    assert_eq!(row(&rows, "batch.window"), ("0s", "preset lambda"));
    assert_eq!(row(&rows, "batch.size").0, "5");
}

#[test]
fn every_key_of_a_listener_and_of_an_endpoint_is_explained() {
    // A key that does not exist is answered with all that do.
    let known = |text: &str| -> Vec<String> {
        let file = Written::new("known", text);
        let errors: ConfigErrors = load(&file.overrides(), &env, false).expect_err("an unknown key");
        let fix = errors.problems().iter().find_map(|problem| problem.fix.clone()).expect("a fix");
        fix.split_once("known here: ").expect(&fix).1.split(", ").map(str::to_owned).collect()
    };
    let file = format!(
        "{LISTENER}- {{queue: b, endpoint: api, path: /b}}\nendpoints:\n  api:\n    url: https://h2.example\n"
    );
    let groups = "path: /b, cloudevents: {mode: binary}, claim_check: {buckets: payloads}, headers: {X-A: a}, results: {success: {queue: done}}, \
                  template: {path: /c, query: {q: '1'}}";
    let whole = format!(
        "{}    auth: {{header_env: TOKEN_HEADER}}\n    tls: {{ca_file: /etc/hosts}}\n    headers: {{X-B: b}}\n    \
         sign: {{hmac: {{format: github, secret: {{env: TOKEN_HEADER}}}}}}\n",
        file.replace("path: /b", groups).replacen("url:", "lambda: {partial_failures: true}\n  url:", 1)
    );
    let rows = explained("all", &whole);
    let names = |of_endpoint: bool| -> Vec<&str> {
        let keys = rows.iter().filter(|row| row.listener.is_some()).map(|row| row.key.as_str());
        keys.filter_map(|key| match key.strip_prefix("endpoint.") {
            Some(key) if of_endpoint => Some(key),
            None if !of_endpoint => Some(key),
            Some(_) | None => None,
        })
        .collect()
    };
    for (text, of_endpoint) in
        [(format!("{LISTENER}  zzzzzzzzzz: 1\n"), false), (format!("{file}    zzzzzzzzzz: 1\n"), true)]
    {
        let names = names(of_endpoint);
        for key in known(&text).iter().filter(|key| *key != "on_response") {
            let explains = |name: &&str| name.split('.').next() == Some(key.as_str());
            assert!(names.iter().any(explains), "`{key}` is not in config/keys.rs: {names:?}");
        }
    }
}

#[test]
fn the_defaults_that_are_shown_are_those_that_apply() {
    let mut listener = String::new();
    let mut endpoint = String::new();
    let (mut rest, mut admin) = (String::new(), "admin:\n".to_owned());
    for (key, text) in DEFAULTS {
        match key.split_once('.') {
            Some(("endpoint", key)) => writeln!(endpoint, "    {key}: {text}"),
            Some(("admin", key)) => writeln!(admin, "  {key}: '{text}'"),
            Some((group, key)) => writeln!(rest, "{group}: {{{key}: '{text}'}}"),
            None => writeln!(listener, "  {key}: {text}"),
        }
        .unwrap();
    }
    rest.push_str(&admin);
    let file = |listener: &str, endpoint: &str, rest: &str| {
        format!(
            "listeners:\n- queue: q\n  endpoint: api\n  path: /run\n{listener}\
             endpoints:\n  api:\n    url: https://h.example\n{endpoint}{rest}"
        )
    };
    let plan = |name: &str, text: &str| {
        let plan = load(&Written::new(name, text).overrides(), &env, false);
        format!("{:?}", plan.unwrap_or_else(|errors| panic!("{text}\n{errors}")))
    };
    assert_eq!(plan("written", &file(&listener, &endpoint, &rest)), plan("bare", &file("", "", "")));
}

#[test]
fn no_secret_is_explained() {
    let text = "listeners:\n- queue: orders\n  role_arn: arn:aws:iam::123456789012:role/x\n  external_id: s3cr3t\n  \
                endpoint: api\n  path: /run?key=s3cr3t\nendpoints:\n  api:\n    url: https://h.example/s3cr3t\n    \
                auth: {header_env: TOKEN_HEADER}\n";
    let rows = explained("secrets", text);
    assert!(!format!("{rows:?}").contains("s3cr3t"), "{rows:?}");
    assert_eq!(row(&rows, "external_id").0, "REDACTED");
    assert_eq!(row(&rows, "endpoint.auth.header_env").0, "TOKEN_HEADER");
    assert_eq!(row(&rows, "endpoint.url").0, "https://h.example/…");
}
