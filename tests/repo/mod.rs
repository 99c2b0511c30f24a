//! The rules of this project that no compiler checks.
//!
//! - this file: the direction of imports, third-party names, the length of files, reasons for dependencies.
//! - `circles`: no files import each other in a circle.
//! - `plain_words`: short sentences in comments, and no private idiom.
//! - `configuration`: schema, page and example of the configuration file.
//! - `openapi`: `docs/openapi.json`.
//! - `documents`: links, the index, the README's order, and what the code blocks say.
//! - `picture`: the picture of the README, drawn from its text.
//! - `security_md`: each line of the threat model names a test that exists.
//! - `site`: the site of the documents has every page.
//! - `supply`: where dependencies come from, and the oldest compiler.
//! - `errors_md`, `metrics_md`: generated documents equal the code; `generated` compares and rewrites them.

mod circles;
mod configuration;
pub mod documents;
mod errors_md;
mod flow_control_md;
mod generated;
mod metrics_md;
mod openapi;
mod picture;
mod plain_words;
mod reload_md;
mod security_md;
mod site;
mod supply;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, tests aside.
const LINES_MAX: usize = 400;

/// The other areas of this crate that each area may import.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("escape", &[]),
    ("secret", &[]),
    ("message", &[]),
    ("tuning", &[]),
    ("limit", &["tuning"]),
    ("fleet", &["limit", "ports"]),
    ("drain", &[]),
    ("serve", &[]),
    ("localqueue", &["serve"]),
    ("policy", &["message"]),
    ("exchange", &["message", "policy::outcome"]),
    // Telemetry observes the ports; the ports import nothing of it.
    ("ports", &["escape", "message", "policy", "exchange"]),
    ("telemetry", &["escape", "limit", "message", "ports", "policy"]),
    ("observe", &["limit", "message", "ports", "policy", "telemetry"]),
    (
        "pipeline",
        &[
            "drain",
            "escape",
            "limit",
            "message",
            "observe",
            "policy",
            "ports",
            "exchange",
            "telemetry",
            "tuning",
        ],
    ),
    ("sqs", &["escape", "ports", "policy", "message", "telemetry", "exchange::Pointer"]),
    // The time of a signature is the wall clock's.
    ("hands", &["escape", "message", "ports", "sqs"]),
    (
        "endpoint",
        &["escape", "limit::clock", "ports", "policy", "message", "secret", "telemetry", "exchange"],
    ),
    ("admin", &["escape", "fleet", "limit", "pipeline", "ports", "secret", "telemetry", "drain", "serve"]),
    (
        "config",
        &[
            "fleet",
            "escape",
            "sqs",
            "endpoint",
            "limit",
            "pipeline",
            "policy",
            "exchange",
            "secret",
            "telemetry",
            "tuning",
        ],
    ),
    (
        "app",
        &[
            "fleet",
            "config",
            "admin",
            "hands",
            "sqs",
            "endpoint",
            "pipeline",
            "policy",
            "ports",
            "secret",
            "telemetry",
            "drain",
            "limit",
            "message",
            // The request of a message that is rendered or tested, and whether that is a claim check.
            "exchange::Pointer",
            "exchange::Request",
            // How results are worded, and that a wording failed is logged.
            "exchange::results",
        ],
    ),
    // The age of a message that is sent again is the wall clock's.
    (
        "cli",
        &[
            "limit::clock",
            "escape",
            "app",
            "config",
            "hands",
            "localqueue",
            "message",
            "ports",
            "serve",
            "sqs",
            "telemetry",
        ],
    ),
    // The targets stand beside the code of their areas.
    ("fuzz", &["admin", "config", "endpoint", "exchange", "localqueue", "sqs"]),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// The areas in which each third-party name may appear.
const AT_HOME: &[(&str, &[&str])] = &[
    ("aws_config", &["sqs"]),
    ("aws_sdk_s3", &["sqs"]),
    ("aws_sdk_sqs", &["sqs"]),
    ("aws_sigv4", &["sqs"]),
    ("aws_smithy_http_client", &["sqs"]),
    ("aws_smithy_runtime_api", &["sqs"]),
    ("aws_smithy_types", &["sqs"]),
    ("http_body_util", &["sqs"]),
    ("reqwest", &["endpoint"]),
    ("tower", &["endpoint", "serve"]),
    ("hyper", &["endpoint", "serve"]),
    ("hyper_util", &["serve"]),
    ("h2", &["endpoint"]),
    ("rustls", &["endpoint"]),
    ("rustls_platform_verifier", &["endpoint"]),
    ("governor", &["limit"]),
    ("hickory_resolver", &["fleet"]),
    ("prometheus", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("axum", &["admin", "localqueue", "cli", "serve"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("serde_saphyr", &["config"]),
    ("hmac", &["endpoint"]),
    ("subtle", &["admin"]),
    ("httpdate", &["policy"]),
    ("sfv", &["policy"]),
    ("flate2", &["exchange"]),
    ("humantime", &["app", "exchange", "config", "cli", "admin"]),
    ("percent_encoding", &["exchange"]),
    ("minijinja", &["exchange"]),
    ("mimalloc", &["main"]),
    ("rustix", &["app"]),
];

/// Files that write to standard output or error. The first two escape all output; the others print fixed texts only.
const WRITES_TO_A_TERMINAL: &[&str] =
    &["cli/terminal.rs", "telemetry/output.rs", "cli/progress.rs", "cli/send_lines.rs", "main.rs"];

struct Source {
    path: PathBuf,
    area: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 40, "only {} files under src", found.len());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).unwrap();
            let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
            let area = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: relative.to_owned(), area, text });
        }
    }
}

/// Adds the documents of a folder and of those in it.
fn pages_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Whether a file holds tests only.
fn is_test(source: &Source) -> bool {
    source.path.to_str().unwrap().ends_with("tests.rs")
}

/// Code without its tests and its comments.
fn code(text: &str) -> String {
    let until_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = until_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths after each `crate::`, one per item of a group.
fn names_of_ours(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in code.split("crate::").skip(1) {
        let path: String = after
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '{' | ',' | ' ' | '\n'))
            .collect();
        if let Some(group) = path.strip_prefix('{') {
            names.extend(group.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        } else {
            let plain = path.split(['{', ',', ' ', '\n']).next().unwrap();
            names.push(plain.trim_end_matches(':').to_owned());
        }
    }
    names
}

#[test]
fn areas_name_only_what_lies_in_their_direction() {
    let may_name: BTreeMap<_, _> = MAY_NAME.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let allowed =
            may_name.get(source.area.as_str()).unwrap_or_else(|| panic!("no rule for {}", source.area));
        for name in names_of_ours(&code(&source.text)) {
            let own = name == source.area || name.starts_with(&format!("{}::", source.area));
            let fits = |rule: &str| name == *rule || name.starts_with(&format!("{rule}::"));
            if !own && !allowed.iter().any(|rule| fits(rule)) {
                wrong.push(format!("{}: {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the direction of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn third_party_names_stay_at_home() {
    let mut wrong = Vec::new();
    for source in sources() {
        let code = code(&source.text);
        for (name, homes) in AT_HOME {
            let named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"));
            // `queuepost::…` in doc tests and longer names that end alike do not count.
            let word = code.split(&format!("{name}::")).skip(1).count() > 0
                && code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
            if named && word && !homes.contains(&source.area.as_str()) {
                wrong.push(format!("{}: {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not at home:\n{}", wrong.join("\n"));
}

#[test]
fn only_one_file_writes_words_from_outside_to_a_terminal() {
    let writes = |source: &Source| {
        // Asking whether it is a terminal writes nothing.
        let code = code(&source.text)
            .replace("io::stdout().is_terminal()", "")
            .replace("io::stderr().is_terminal()", "");
        [
            "print!(",
            "println!(",
            "stdout().lock()",
            "stderr().lock()",
            "io::stderr()",
            "io::stdout()",
            "tokio::io::stdout",
            "write_all(stdout",
        ]
        .iter()
        .any(|words| code.contains(words))
    };
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| writes(source))
        .map(|source| source.path.display().to_string())
        .filter(|path| !WRITES_TO_A_TERMINAL.contains(&path.as_str()))
        .collect();
    assert!(found.is_empty(), "write to a terminal without its escapes:\n{}", found.join("\n"));
}

#[test]
fn no_source_file_outgrows_its_idea() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| !is_test(source))
        .map(|source| {
            let until_tests = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            (source, until_tests.lines().count())
        })
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "without an opening `//!`:\n{}", silent.join("\n"));
}

#[cfg(not(feature = "otlp"))]
#[test]
fn without_the_feature_otlp_nothing_of_opentelemetry_is_in_the_binary() {
    let binary = fs::read(env!("CARGO_BIN_EXE_queuepost")).unwrap();
    let has = |words: &[u8]| binary.windows(words.len()).any(|window| window == words);
    assert!(has(b"QUEUEPOST_QUEUE"), "the binary's own words cannot be found in it");
    assert!(!has(b"opentelemetry"));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = |name: &str| manifest.split(name).nth(1).unwrap().split("\n[").next().unwrap();
    let mut explained = false;
    for line in
        ["\n[dependencies]\n", "\n[dev-dependencies]\n"].into_iter().flat_map(|name| section(name).lines())
    {
        if line.starts_with('#') {
            explained = true;
        } else if line.contains('=') {
            let sibling = line.starts_with("aws-sdk-sqs")
                || line.starts_with("serde_json")
                || line.starts_with("tracing-subscriber");
            assert!(explained || sibling, "no reason before: {line}");
            explained = false;
        }
    }
}
