//! Every link of a document leads to a file of the project, and to a heading in it where it names one.
//!
//! Headings are named as GitHub names them. Addresses of others are not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every document of the project, but for what tools put there and what pages are made of.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["target", "node_modules", "benches"].contains(&name) && !name.starts_with('.') {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The name of a heading, by which links find it.
fn anchor(heading: &str) -> String {
    // The words of a link count, and not its address.
    let words: String =
        heading.split("](").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
    let words = if heading.contains("](") { words } else { heading.to_owned() };
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    words
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// The names of all headings; the second of two equal ones ends with `-1`.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for heading in prose(text)
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')))
    {
        let name = anchor(heading);
        let times = seen.entry(name.clone()).or_default();
        all.insert(if *times == 0 { name } else { format!("{name}-{times}") });
        *times += 1;
    }
    all
}

/// The addresses of a document's links that lead to files.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // What is between backquotes is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for rest in line.split("](").skip(1) {
            let address = rest.split(')').next().unwrap().split(' ').next().unwrap();
            if !address.contains("://") && !address.starts_with("mailto:") {
                found.push(address.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    documents(root, &mut pages);
    let (mut broken, mut seen) = (Vec::new(), 0);
    for page in &pages {
        for link in links(&fs::read_to_string(page).unwrap()) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = target.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(heading)));
            if !is_there {
                broken.push(format!("{}: {link}", page.strip_prefix(root).unwrap().display()));
            }
            seen += 1;
        }
    }
    assert!(seen > 300, "only {seen} links found");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn headings_are_named_as_links_name_them() {
    assert_eq!(anchor("What it costs: CPU, memory & calls"), "what-it-costs-cpu-memory--calls");
    assert_eq!(anchor("`queuepost check`"), "queuepost-check");
    assert_eq!(anchor("The [gate](gate.md) opens"), "the-gate-opens");
    let twice = anchors("# One\n```\n# no heading\n```\n## Two\n## Two\n");
    assert_eq!(twice, BTreeSet::from(["one".to_owned(), "two".to_owned(), "two-1".to_owned()]));
    assert_eq!(links("see [a](b.md#c), [d](https://e) and `[f](g)`"), ["b.md#c"]);
}
