//! `SECURITY.md`: each line of the threat model ends with a test, and each of these tests exists.
//!
//! A test is written as `cargo test` prints it, or as pytest does. Tests are looked for in the sources, because this
//! binary does not know the unit tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "SECURITY.md";
/// The fewest lines: fewer mean that the lines are no longer found.
const LINES_MIN: usize = 60;

/// Files with this ending below a folder.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|it| it == ending) {
            found.push(path);
        }
    }
}

/// The module of a file, without what only says that it has tests.
fn module(path: &Path) -> Vec<String> {
    let parts = path.with_extension("");
    let parts = parts.iter().skip(1).map(|part| part.to_str().unwrap());
    let parts = parts.map(|part| part.strip_suffix("_tests").unwrap_or(part));
    parts.filter(|part| !["mod", "tests"].contains(part)).map(str::to_owned).collect()
}

/// The functions of a Rust source that have the attribute `test`.
fn tests_of(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = name {
            if is_test {
                found.push(name.split(['(', '<']).next().unwrap());
            }
            is_test = false;
        }
    }
    found
}

/// Every test by the name the page would give it, without `tests` in its path.
fn there() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut sources = Vec::new();
    files(Path::new("src"), "rs", &mut sources);
    files(Path::new("tests"), "rs", &mut sources);
    for path in sources {
        let (text, module) = (fs::read_to_string(&path).unwrap(), module(&path).join("::"));
        all.extend(tests_of(&text).into_iter().map(|name| format!("{module}::{name}")));
    }
    let mut sources = Vec::new();
    files(Path::new("tests/deploy"), "py", &mut sources);
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("def test_")?.split('(').next());
        all.extend(names.map(|name| format!("{}::test_{name}", path.display())));
    }
    all
}

/// The lines of the threat model: what is shown, and the test behind it.
fn lines(page: &str) -> Vec<(&str, Option<&str>)> {
    let (_, model) = page.split_once("\n## Threat model\n").expect("the threat model");
    let lines = model.lines().filter_map(|line| line.strip_prefix("* "));
    lines.map(|line| (line, line.strip_suffix('`').and_then(|line| Some(line.rsplit_once('`')?.1)))).collect()
}

#[test]
fn each_line_of_the_threat_model_ends_with_a_test_that_exists() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (lines, there) = (lines(&page), there());
    assert!(lines.len() >= LINES_MIN, "only {} lines", lines.len());
    let mut wrong = Vec::new();
    for (line, test) in lines {
        let Some(test) = test else {
            wrong.push(format!("no test at the end: {line}"));
            continue;
        };
        let name: Vec<&str> = test.split("::").filter(|part| *part != "tests").collect();
        if !there.contains(&name.join("::")) {
            wrong.push(format!("no such test: {test}"));
        }
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}

#[test]
fn a_line_without_a_test_and_a_test_that_is_gone_are_found() {
    let page = "# Security\n\n## Threat model\n\n* Nothing shows it.\n* This does. `a::tests::b`\n";
    let [(_, none), (line, some)] = lines(page)[..] else { panic!("two lines") };
    assert_eq!((none, some), (None, Some("a::tests::b")), "{line}");
    let there = there();
    assert!(there.contains("repo::security_md::a_line_without_a_test_and_a_test_that_is_gone_are_found"));
    assert!(there.contains("endpoint::stack::a_redirect_is_an_answer_and_is_not_followed"));
    assert!(!there.contains("repo::security_md::lines"));
    assert!(there.iter().any(|name| name.starts_with("tests/deploy/test_image.py::test_")));
}
