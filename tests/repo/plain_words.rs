//! Comments are short sentences, and texts use the field's words: the rules for everything that people read.

use std::fs;
use std::path::{Path, PathBuf};

use super::sources;

/// Longest sentence of a comment in `src/`. Colons and semicolons end a sentence too.
const SENTENCE_WORDS_MAX: usize = 20;

/// Areas of `src/` whose comments are still to be rewritten.
const NOT_YET: &[&str] = &[];

/// Private idiom, and the field's word for it. A final `*` stands for any ending.
const IDIOM: &[(&str, &str)] = &[
    ("in the house", "in flight"),
    ("into the house", "received"),
    ("the books", "the ledger"),
    ("knock*", "connectivity check"),
    ("keeper*", "lease extender"),
    ("overtak*", "another probe beside it"),
    ("give back", "release"),
    ("gives back", "releases"),
    ("gives them back", "releases them"),
    ("given back", "released"),
    ("taken in", "received"),
    ("turned away", "refused"),
    ("careful receive*", "receive of one message"),
    ("hear out", "wait for the answer"),
    ("hears out", "waits for the answer"),
    ("last chance*", "final receive"),
    ("lends its handle", "shares its receipt handle"),
    ("narrator*", "event log"),
];

/// The comments of a file: each paragraph and each list item with the line it starts at. Code examples are left out.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut open, mut example) = (false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let comment =
            line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']).trim());
        let Some(comment) = comment else {
            (open, example) = (false, false);
            continue;
        };
        if comment.starts_with("```") {
            (open, example) = (false, !example);
        } else if comment.is_empty() || example {
            open = false;
        } else if open && !comment.starts_with("- ") {
            let paragraph = &mut found.last_mut().unwrap().1;
            paragraph.push(' ');
            paragraph.push_str(comment);
        } else {
            found.push((number, comment.to_owned()));
            open = true;
        }
    }
    found
}

/// The sentences of a paragraph.
fn sentences(paragraph: &str) -> Vec<Vec<&str>> {
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let ends = |word: &&str| word.ends_with(['.', ':', ';', '!', '?']);
    words.split_inclusive(ends).map(<[&str]>::to_vec).collect()
}

/// Where `phrase` stands in `text`, both in lower case: as whole words, or with any ending after a `*`.
fn has(text: &str, phrase: &str) -> bool {
    let (words, any_ending) = phrase.strip_suffix('*').map_or((phrase, false), |stem| (stem, true));
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + words.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric)
            && (any_ending || !after.is_some_and(char::is_alphanumeric))
    })
}

/// Every document of the project's folder and of `docs/`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    super::pages_below(&root.join("docs"), &mut found);
    assert!(found.len() > 10, "only {found:?}");
    found
}

#[test]
fn no_sentence_of_a_comment_is_longer_than_twenty_words() {
    let mut long = Vec::new();
    for source in sources().iter().filter(|source| !NOT_YET.contains(&source.area.as_str())) {
        for (line, paragraph) in paragraphs(&source.text) {
            for sentence in sentences(&paragraph).iter().filter(|words| words.len() > SENTENCE_WORDS_MAX) {
                let (path, count) = (source.path.display(), sentence.len());
                long.push(format!("src/{path}:{line}: {count} words: {}", sentence.join(" ")));
            }
        }
    }
    assert!(long.is_empty(), "longer than {SENTENCE_WORDS_MAX} words:\n{}", long.join("\n"));
}

#[test]
fn sources_and_documents_use_the_words_of_the_field() {
    let mut texts: Vec<(String, String)> = Vec::new();
    for source in sources().into_iter().filter(|source| !NOT_YET.contains(&source.area.as_str())) {
        // Without the marks of comments, so that a phrase is found across the end of a line.
        let lines = source.text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!']));
        texts.push((format!("src/{}", source.path.display()), lines.collect::<Vec<_>>().join(" ")));
    }
    for path in documents() {
        texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    let mut found = Vec::new();
    for (name, text) in texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for (phrase, word) in IDIOM.iter().filter(|(phrase, _)| has(&text, phrase)) {
            found.push(format!("{name}: “{phrase}”; the field's word: {word}"));
        }
    }
    assert!(found.is_empty(), "private idiom:\n{}", found.join("\n"));
}
