//! The documents a person reads: links lead somewhere, the index has every page, commands are ones the program takes.
//!
//! Each code block names its language. A shell block is marked `sh`, and `e2e::documents` runs it, unless a comment above it has one of
//! `REASONS`. All of them are parsed by `bash -n`. Each `queuepost` command in them is given to the program with `--help` behind it, so
//! that a wrong subcommand, option or value is refused, and nothing else happens. Configurations are loaded; JSON and other YAML is parsed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use queuepost::config::{Overrides, load};
use serde_json::Value;

use super::configuration::written;
use super::pages_below;

/// Most lines of the README.
const README_LINES_MAX: usize = 150;

/// The sections of the README, in their order.
const README_SECTIONS: &[&str] = &[
    "60 seconds without an AWS account",
    "Install",
    "Production in five lines",
    "What is guaranteed",
    "Beside others",
    "Figures",
    "Documentation",
];

/// Why a shell block is not run by `e2e::documents`.
const REASONS: &[&str] = &[
    "builds the program",
    "installs packages",
    "needs AWS",
    "needs Docker",
    "needs a cluster",
    "needs the AWS command line",
    // `tests/deploy/test_cloudformation_docs.py`, with an SQS server that has CloudFormation.
    "tests/deploy runs it",
    // `e2e::dev` runs the demonstration.
    "takes a minute",
];

/// How YAML begins that is not a configuration: manifests, patches, and values of the chart.
const OF_OTHERS: &[&str] = &[
    "apiVersion:",
    "- op:",
    "namePrefix:",
    "scrape_configs:",
    "endpoints:\n  orders: { url: \"https://orders.internal\", sessions: 40 }\nreplicaCount",
];

/// What a code block may be: `text` and `http` are shown and not read.
const LANGUAGES: &[&str] = &["console", "http", "json", "python", "sh", "sql", "text", "yaml"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The documents of the project, but for parts that are put into others.
pub fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    for folder in ["docs", "examples", "deploy", "dashboards", "terraform"] {
        pages_below(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} pages", found.len());
    found
}

/// A code block of a page.
pub struct Block<'a> {
    language: &'a str,
    text: &'a str,
    /// The reason of the comment above it.
    pub not_run: Option<&'a str>,
}

/// The code blocks of a page.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, fenced)) = rest.split_once("```") {
        let (language, body) = fenced.split_once('\n').unwrap();
        let (block, after) = body.split_once("```").unwrap();
        let above = before.strip_suffix("\n").unwrap_or(before);
        let comment = above.rsplit('\n').next().and_then(|line| line.strip_prefix("<!-- not run: "));
        let not_run = comment.map(|reason| reason.strip_suffix(" -->").unwrap());
        found.push(Block { language: language.trim(), text: block, not_run });
        rest = after;
    }
    found
}

/// The shell blocks of a page.
pub fn shell_blocks(text: &str) -> Vec<Block<'_>> {
    blocks(text).into_iter().filter(|block| block.language == "sh").collect()
}

/// The lines of a page outside its blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push(line);
        }
    }
    lines
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    // Of a link in a heading only its words count.
    let words: String = heading.split("](").enumerate().fold(String::new(), |words, (at, part)| {
        words + if at == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) }
    });
    words
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut found = BTreeSet::new();
    for line in prose(&text) {
        if let Some(heading) = line.strip_prefix('#') {
            let plain = anchor(heading.trim_start_matches('#'));
            let repeated = (1..).map(|number| format!("{plain}-{number}"));
            let free = std::iter::once(plain.clone()).chain(repeated).find(|name| !found.contains(name));
            found.insert(free.unwrap());
        }
        found.extend(line.split("<a id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    found
}

/// The targets of a page's links and pictures.
fn links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let prose = prose(&text).join("\n");
    let targets = prose.split("](").skip(1).map(|rest| rest.split([')', ' ']).next().unwrap().to_owned());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for link in links(&page) {
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_page = target.extension().is_some_and(|extension| extension == "md");
            if !target.exists() {
                wrong.push(format!("{}: no file {link}", name(&page)));
            } else if is_page && !heading.is_empty() && !anchors(&target).contains(heading) {
                wrong.push(format!("{}: no heading {link}", name(&page)));
            }
        }
    }
    assert!(seen > 300, "only {seen} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_is_short_and_its_sections_are_in_the_order_a_newcomer_asks() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines");
    let found: Vec<&str> = prose(&text).into_iter().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(found, README_SECTIONS);
}

#[test]
fn the_index_of_the_documents_has_each_page_once() {
    let index = root().join("docs/README.md");
    let listed: Vec<String> = links(&index);
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let page = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|extension| extension == "md") && page != "README.md" {
            let times = listed.iter().filter(|link| **link == page).count();
            assert_eq!(times, 1, "docs/README.md lists {page} {times} times");
        }
    }
}

/// Whether a problem is only that this machine has no such file, or no such variable.
fn is_of_this_machine(rule: &str) -> bool {
    rule.starts_with("names a variable that is not set")
        || rule.starts_with("names a file that cannot be read: there is no such file")
        || rule.starts_with("cannot be read: No such file")
        || rule == "cannot be read: it is not there"
}

#[test]
fn every_configuration_of_examples_and_documents_is_loaded() {
    let mut wrong = Vec::new();
    let all = written();
    let is_loaded =
        |block: &str| all.iter().any(|(_, yaml)| block.lines().all(|line| yaml.contains(line.trim())));
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let is_of_others = |text: &str| OF_OTHERS.iter().any(|begin| text.trim_start().starts_with(begin));
        let yaml = blocks(&text).into_iter().filter(|block| block.language == "yaml");
        let lost = yaml.filter(|block| !is_of_others(block.text) && !is_loaded(block.text));
        wrong.extend(lost.map(|block| format!("{}: no configuration\n{}", name(&page), block.text)));
    }
    for (page, yaml) in all.clone() {
        let env = |name: &str| (name == "QUEUEPOST_CONFIG_TEXT").then(|| yaml.clone());
        if let Err(errors) = load(&Overrides::default(), &env, false) {
            let problems = errors.problems().iter().filter(|problem| !is_of_this_machine(&problem.rule));
            wrong.extend(problems.map(|problem| format!("{page}: {problem}\n{yaml}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_code_block_names_its_language_and_only_shell_blocks_have_a_reason_of_the_list() {
    let mut wrong = Vec::new();
    let mut marked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text) {
            marked += usize::from(block.not_run.is_some());
            let is_known = block.not_run.is_none_or(|why| block.language == "sh" && REASONS.contains(&why));
            if !LANGUAGES.contains(&block.language) || !is_known {
                wrong.push(format!(
                    "{}: {:?} {:?}\n{}",
                    name(&page),
                    block.language,
                    block.not_run,
                    block.text
                ));
            }
        }
        let marks = text.lines().filter(|line| line.starts_with("<!-- not run:")).count();
        let above = blocks(&text).iter().filter(|block| block.not_run.is_some()).count();
        if marks != above {
            wrong.push(format!("{}: {marks} marks, {above} above a block", name(&page)));
        }
    }
    assert!(marked > 20, "only {marked} marked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_block_of_json_or_yaml_can_be_parsed() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text) {
            let parsed = match block.language {
                // Several documents may follow each other.
                "json" => serde_json::Deserializer::from_str(block.text)
                    .into_iter::<Value>()
                    .try_for_each(|value| value.map(drop))
                    .map_err(|error| error.to_string()),
                "yaml" => block.text.split("\n---\n").try_for_each(|document| {
                    serde_saphyr::from_str::<Value>(document).map(drop).map_err(|error| error.to_string())
                }),
                _ => continue,
            };
            seen += 1;
            if let Err(error) = parsed {
                wrong.push(format!("{}: {error}\n{}", name(&page), block.text));
            }
        }
    }
    assert!(seen > 45, "only {seen} blocks");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn bash(arguments: &[&str]) -> Output {
    Command::new("bash").args(arguments).output().unwrap()
}

/// Each command of a block that begins with `queuepost`, its lines joined, without its variables and redirections.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("target/debug/"));
    let ours = lines.filter(|line| line.starts_with("queuepost "));
    ours.map(|line| {
        let words = line.split(" | ").next().unwrap().split(" # ").next().unwrap();
        words.split(" < ").next().unwrap().split(" > ").next().unwrap().trim_end_matches(" &").to_owned()
    })
    .filter(|command| !command.contains('…'))
    .collect()
}

#[test]
fn every_command_of_a_document_is_one_that_the_program_takes() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for Block { text: block, .. } in shell_blocks(&text) {
            let parsed = bash(&["-n", "-c", block]);
            if !parsed.status.success() {
                wrong.push(format!("{}: {}", name(&page), String::from_utf8_lossy(&parsed.stderr)));
            }
            for command in commands(block) {
                seen += 1;
                let script = format!(
                    "queuepost() {{ {:?} \"$@\" --help; }}\n\
                     queues=http://127.0.0.1:9324/000000000000 QUEUE=orders ROLE=arn:aws:iam::123456789012:role/orders\n{command}",
                    env!("CARGO_BIN_EXE_queuepost"),
                );
                let tried = bash(&["-c", &script]);
                if !tried.status.success() {
                    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
                    wrong.push(format!("{}: {command}\n{said}", name(&page)));
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_s_lines_are_joined_and_what_the_shell_does_with_it_is_left_out() {
    let block = "# x\ntarget/debug/queuepost send --queue q \\\n  'a' > ids\nqueuepost run &\ncurl x\nqueuepost run --url …";
    assert_eq!(commands(block), ["queuepost send --queue q    'a'", "queuepost run"]);
}

#[test]
fn a_block_has_its_language_its_text_and_the_reason_above_it() {
    let text = "a\n\n```yaml\nb: 1\n```\n\n<!-- not run: needs AWS -->\n```sh\nc\n```\n```sh\nd\n```\n";
    let found: Vec<_> =
        blocks(text).into_iter().map(|block| (block.language, block.text, block.not_run)).collect();
    let expected = [("yaml", "b: 1\n", None), ("sh", "c\n", Some("needs AWS")), ("sh", "d\n", None)];
    assert_eq!(found, expected);
}
