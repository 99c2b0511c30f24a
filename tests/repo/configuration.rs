//! The documents made of the table of keys: `docs/queuepost.schema.json` and `docs/configuration.md`. What the schema takes and
//! refuses, and that `examples/complete.yaml` has every key.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use queuepost::config::{Key, Kind, Shape, presets, reference, schema, variables};
use serde_json::Value;

use super::generated;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    jsonschema::draft202012::meta::validate(&schema)
        .unwrap_or_else(|error| panic!("not of draft 2020-12: {error}"));
    jsonschema::draft202012::new(&schema).unwrap()
}

fn read(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"))
}

/// What is wrong with `yaml` for the schema.
fn wrong(validator: &Validator, yaml: &str) -> Vec<String> {
    validator.iter_errors(&read(yaml)).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_schema_is_the_one_that_the_program_prints_and_holds_to_its_metaschema() {
    validator();
    generated::matches("docs/queuepost.schema.json", &schema());
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The configurations of the examples, and the blocks of documents that are one or a part of one.
pub(super) fn written() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files(&root().join("examples"), "yaml", &mut paths);
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    let mut all: Vec<_> = paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect();
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut pages);
    files(&root().join("examples"), "md", &mut pages);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let tops: Vec<&str> = block
                .lines()
                .filter(|line| !line.starts_with([' ', '#', '-']) && line.contains(':'))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            if !tops.is_empty() && tops.iter().all(|top| reference().iter().any(|key| key.name == *top)) {
                let rest = if tops.contains(&"listeners") {
                    ""
                } else {
                    "\nlisteners: [{queue: q, url: 'https://h'}]\n"
                };
                all.push((name(&page), format!("{block}{rest}")));
            } else if tops.contains(&"queue") {
                // A file of `listeners_dir`; its endpoint is in the main file.
                let listener = block.trim_end().replace('\n', "\n    ");
                let endpoints = "endpoints: {shop: {url: 'https://h'}}";
                all.push((name(&page), format!("listeners:\n  - {listener}\n{endpoints}\n")));
            }
        }
    }
    all
}

#[test]
fn every_configuration_of_examples_and_documents_fits_the_schema() {
    let validator = validator();
    let all = written();
    assert!(all.len() > 25, "only {} found", all.len());
    for (name, yaml) in all {
        let wrong = wrong(&validator, &yaml);
        assert!(wrong.is_empty(), "{name}:\n{yaml}\n{}", wrong.join("\n"));
    }
}

const LISTENER: &str = "listeners:\n- queue: orders\n  url: https://h.example/\n";

#[test]
fn what_the_schema_cannot_judge_it_lets_pass() {
    let validator = validator();
    for yaml in [
        "listeners: [{}]",
        "listeners: [{queue: '${QUEUE}', url: '${URL}', workers: '${WORKERS}', timeout: '${T:-30s}', preset: '${P}'}]",
        "listeners: [{queue: 7, url: HTTPS://H, workers: '16', success: '200, 2xx'}]",
        "listeners: [{queue: q, url: 'https://h', headers: {X-A: 1, X-B: true, X-C: {env: V}}, external_id: 0123}]",
        "listeners: [{queue: q, url: 'https://h', timeout: 1h 30m, success: [200, 2xx, 201-204]}]",
        "listeners: [{queue: q, endpoint: e, path: /}]\nendpoints: {e: {url: 'https://h', adaptive: 'false', rate_limit: {per_second: 0.5}}}",
    ] {
        let wrong = wrong(&validator, yaml);
        assert!(wrong.is_empty(), "{yaml}\n{}", wrong.join("\n"));
    }
}

#[test]
fn what_is_wrong_is_refused_by_the_schema() {
    let validator = validator();
    let of_endpoint = |keys: &str| format!("{LISTENER}endpoints:\n  api: {{url: 'https://h', {keys}}}\n");
    let of_listener = |keys: &str| format!("{LISTENER}  {keys}\n");
    let mut bad = vec![
        "listeners: []".to_owned(),
        "listeners: {queue: q}".to_owned(),
        format!("{LISTENER}endpoints: {{api: {{}}}}\n"),
        format!("{LISTENER}listener: 1\n"),
        format!("{LISTENER}log: {{format: xml}}\n"),
        format!("{LISTENER}shutdown: {{deadline: 30}}\n"),
        format!("{LISTENER}admin: 9464\n"),
    ];
    bad.extend(
        [
            "concurrency: 3",
            "workers: 0",
            "workers: 10001",
            "workers: 1.5",
            "workers: many",
            "timeout: 30",
            "timeout: soon",
            "url2: x",
            "preset: sqs",
            "success: 99",
            "success: []",
            "success: all",
            "unwrap: sms",
            "unwrap: [sns, sms]",
            "on_response: [{status: 200}]",
            "on_response: [{status: 200, action: drop}]",
            "batch: 10",
            "batch: {size: 0}",
            "claim_check: {max_size: 1MiB}",
            "claim_check: {buckets: a, max_size: 64MB}",
            "results: {success: {}}",
            "results: {success: {queue: q, every_try: true}}",
            "template: {body: [a]}",
            "headers: {X: {files: a}}",
            "headers: {X: {file: a, env: b}}",
            "headers: [a]",
            "cloudevents: {mode: fast}",
            "lambda: {partial_failures: 2}",
        ]
        .map(of_listener),
    );
    bad.extend(
        [
            "sessions: -1",
            "auth: {}",
            "auth: {header_env: A, header_file: b}",
            "auth: {bearer: text}",
            "auth: {basic: {username: a}}",
            "auth: {sigv4: {}}",
            "sign: {hmac: {format: gitlab, secret: {env: A}}}",
            "tls: {ca: a}",
            "adaptive: maybe",
            "rate_limit: {per_second: 0}",
            "rate_limit: 5",
            "retry_after_scope: host",
            "workers: 3",
        ]
        .map(of_endpoint),
    );
    for yaml in bad {
        assert!(!wrong(&validator, &yaml).is_empty(), "it is taken:\n{yaml}");
    }
}

/// Calls `visit` with every key and its path: `listeners[].workers`, `endpoints.NAME.url`.
fn keys(keys: &'static [Key], above: &str, visit: &mut dyn FnMut(&str, &'static Key)) {
    for key in keys {
        let path = if above.is_empty() { key.name.to_owned() } else { format!("{above}.{}", key.name) };
        visit(&path, key);
        let below = match key.shape {
            Shape::Named(_) | Shape::TextsOrMaps(_) => format!("{path}.NAME"),
            Shape::List(_) => format!("{path}[]"),
            Shape::Map(_) | Shape::OneOf(_) | Shape::One(_) | Shape::OneOrMore(_) | Shape::Texts(_) => path,
        };
        self::keys(key.below(), &below, visit);
    }
}

/// The paths in a document, as above.
fn paths(value: &Value, keys: &[Key], above: &str, found: &mut BTreeSet<String>) {
    let Some(map) = value.as_object() else { return };
    for (name, value) in map {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        found.insert(path.clone());
        let Some(key) = keys.iter().find(|key| key.name == name) else { continue };
        match key.shape {
            Shape::Named(below) | Shape::TextsOrMaps(below) => {
                value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|value| paths(value, below, &format!("{path}.NAME"), found));
            }
            Shape::List(below) => {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|value| paths(value, below, &format!("{path}[]"), found));
            }
            Shape::Map(below) | Shape::OneOf(below) => paths(value, below, &path, found),
            Shape::One(_) | Shape::OneOrMore(_) | Shape::Texts(_) => {}
        }
    }
}

#[test]
fn the_complete_example_has_every_key() {
    let text = fs::read_to_string(root().join("examples/complete.yaml")).unwrap();
    let mut found = BTreeSet::new();
    paths(&read(&text), reference(), "", &mut found);
    let mut missing = Vec::new();
    keys(reference(), "", &mut |path, _| {
        // A secret has a file or a variable.
        let beside = path.strip_suffix(".file").map(|above| format!("{above}.env"));
        let beside = beside.or_else(|| path.strip_suffix(".env").map(|above| format!("{above}.file")));
        // A fleet is counted in one way.
        let beside = beside.or_else(|| (path == "fleet.replicas").then(|| "fleet.dns".to_owned()));
        if !found.contains(path) && !beside.is_some_and(|beside| found.contains(&beside)) {
            missing.push(path.to_owned());
        }
    });
    assert!(missing.is_empty(), "not in examples/complete.yaml: {missing:#?}");
}

#[test]
fn the_page_of_the_configuration_is_made_of_the_keys() {
    generated::matches("docs/configuration.md", &page());
}

const HEAD: &str = "\
<!-- Made of src/config/reference by `QUEUEPOST_BLESS=1 cargo test --test it repo`. -->

# Configuration

Every key of the configuration file. [examples/complete.yaml](../examples/complete.yaml) has all of them in one file, with comments.
The file is named by `--config FILE` or `QUEUEPOST_CONFIG`. Options win over environment variables, these over the file, the file over
presets, presets over defaults. Options and variables replace keys of a file with one listener; without a file they describe one.

`queuepost check --config FILE --explain` shows every key of every listener with its value and where that came from.

* `${NAME}` in a text is replaced by an environment variable, `${NAME:-text}` by `text` where that is unset or empty; `$${` is a
  literal `${`. Templates are left as they are.
* A duration has a unit: `500ms`, `30s`, `5m`, `1h30m`.
* A key without a value counts as not written.
* Relative paths start at the directory of the file.

## In an editor

[queuepost.schema.json](queuepost.schema.json) is the JSON Schema of the file, which `queuepost schema` prints too. Editors with a YAML
language server (VS Code with the YAML extension, Neovim, Helix, Emacs, JetBrains in their own way) complete keys, explain them and mark
mistakes if the first line of the file names it, by a path from there or an address:

```yaml
# yaml-language-server: $schema=queuepost.schema.json
listeners:
  - queue: orders
    url: https://orders.example/events
```

The schema knows keys, words and ranges. Which keys go together, and whether files and variables are there, `queuepost check` knows.
";

/// The page.
fn page() -> String {
    let mut text = HEAD.to_owned();
    let sections = [
        ("Listeners", "listeners", "`listeners` is a list; each entry has these keys."),
        ("Endpoints", "endpoints", "`endpoints` has maps under names of your choice; each has these keys."),
    ];
    for (title, name, words) in sections {
        let key = reference().iter().find(|key| key.name == name).unwrap();
        write!(text, "\n## {title}\n\n{} {words}\n\n", key.doc).unwrap();
        table(key.below(), name, &mut text);
    }
    text.push_str("\n## The process\n\n");
    let rest: Vec<&Key> =
        reference().iter().filter(|key| !["listeners", "endpoints"].contains(&key.name)).collect();
    heading(&mut text);
    for key in rest {
        rows(std::slice::from_ref(key), "", "", &mut text);
    }
    text.push_str("\n## Presets\n\nA preset writes texts into keys that nobody wrote. `check --explain` shows them.\n\n| preset | key | text |\n|---|---|---|\n");
    for (name, defaults) in presets() {
        for (key, value) in defaults {
            writeln!(text, "| `{name}` | `{key}` | {} |", shown(value)).unwrap();
        }
    }
    text.push_str("\n## Environment variables and options\n\n| option | variable |\n|---|---|\n");
    for (flag, variable) in variables() {
        writeln!(text, "| `{flag}` | `{variable}` |").unwrap();
    }
    text.push_str(
        "| – | `QUEUEPOST_ALGORITHM_KEY`: the key of an algorithm itself |\n| `--require-healthy` | – |\n",
    );
    text.push_str(
        "\nA variable `QUEUEPOST_…` that is none of these, and that the file does not name, is warned of at the start and by `check`. \
         Variables that Kubernetes makes of Services are not: `QUEUEPOST_SERVICE_HOST`, `QUEUEPOST_PORT` and their kind.\n",
    );
    text
}

fn heading(text: &mut String) {
    text.push_str("| key | takes | default | |\n|---|---|---|---|\n");
}

fn table(keys: &'static [Key], section: &str, text: &mut String) {
    heading(text);
    rows(keys, "", section, text);
}

/// Rows of keys and of all below them.
fn rows(keys: &[Key], above: &str, section: &str, text: &mut String) {
    for key in keys {
        let path = if above.is_empty() { key.name.to_owned() } else { format!("{above}.{}", key.name) };
        let default = match (key.default, key.otherwise) {
            (Some(default), _) => format!("`{default}`"),
            (None, Some(words)) => words.to_owned(),
            (None, None) if key.is_required => "required".to_owned(),
            (None, None) => "–".to_owned(),
        };
        writeln!(
            text,
            "| `{path}` | {} | {} | {} |",
            takes(key),
            default + &of_presets(section, &path),
            about(key)
        )
        .unwrap();
        let below = match key.shape {
            Shape::TextsOrMaps(_) => format!("{path}.NAME"),
            Shape::List(_) => format!("{path}[]"),
            _ => path,
        };
        rows(key.below(), &below, section, text);
    }
}

fn takes(key: &Key) -> String {
    match key.shape {
        Shape::One(Kind::Word(words)) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::One(kind) => kind.words(),
        Shape::OneOrMore(kind) => format!("{}; one or a list", kind.words()),
        Shape::Texts(kind) => format!("{} by name", kind.words()),
        Shape::TextsOrMaps(_) => "texts or secrets by name".to_owned(),
        Shape::Map(_) => "map".to_owned(),
        Shape::OneOf(_) => "map with one of".to_owned(),
        Shape::Named(_) => "maps by name".to_owned(),
        Shape::List(_) => "list of maps".to_owned(),
    }
}

/// What presets make of a key, beside its default.
fn of_presets(section: &str, path: &str) -> String {
    let key = if section == "endpoints" { format!("endpoint.{path}") } else { path.to_owned() };
    let all = presets();
    let texts = all.iter().flat_map(|(name, defaults)| {
        defaults
            .iter()
            .filter(|(other, _)| *other == key)
            .map(move |(_, value)| format!("; {name}: {}", shown(value)))
    });
    if section.is_empty() { String::new() } else { texts.collect() }
}

/// A preset's text; templates are too long for a table.
fn shown(value: &str) -> String {
    if value.contains("{{") { "a template".to_owned() } else { format!("`{value}`") }
}

fn about(key: &Key) -> String {
    let mut about = key.doc.to_owned();
    if let Some(flag) = key.flag {
        let (_, variable) = variables().into_iter().find(|(other, _)| *other == flag).unwrap();
        write!(about, " `{flag}`, `{variable}`.").unwrap();
    }
    if let Some(page) = key.page {
        write!(about, " [More]({page}).").unwrap();
    }
    about.replace('|', "\\|")
}

#[test]
fn every_page_that_a_key_names_is_there() {
    keys(reference(), "", &mut |path, key| {
        if let Some(page) = key.page {
            let file = page.split('#').next().unwrap();
            assert!(root().join("docs").join(file).exists(), "{path}: {page}");
        }
    });
}
