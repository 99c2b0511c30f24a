//! Feeds each target its corpus and variants of it. They are made by a fixed seed, so two runs do the same.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Variants of its corpus that a target is fed in a second or two: of one that makes little of an input, and of one that
/// serves connections or reads a whole configuration.
const MANY: usize = 20_000;
const FEW: usize = 1_500;
/// Longest variant.
const VARIANT_MAX: usize = 4 * 1024;
/// What all corpora take at most, in bytes.
const CORPORA_MAX: usize = 300 * 1024;
/// Pieces that the inputs of many targets are made of.
const PIECES: [&[u8]; 20] = [
    b"\x1e",
    b"\x1f",
    b"\r\n",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"-1",
    b"0",
    b"18446744073709551616",
    b"%0d%0a",
    b"\xff\xfe",
    "\u{202e}".as_bytes(),
];

/// Feeds an input, and says which one it was if something does not hold.
fn feed_one(feed: fn(&[u8]), from: &str, input: &[u8]) {
    let ended = std::panic::catch_unwind(|| feed(input));
    assert!(ended.is_ok(), "failed, see above, on {from}: \"{}\"", input.escape_ascii());
}

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpora().join(target)).expect(target);
    let mut files: Vec<_> = entries.map(|entry| entry.expect(target).path()).collect();
    files.sort();
    let named = |path: PathBuf| (path.display().to_string(), fs::read(&path).expect("a file"));
    files.into_iter().map(named).collect()
}

fn holds(name: &str, variants: usize) {
    let feed = target(name).expect(name);
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "{name} has no corpus");
    for (path, input) in &seeds {
        feed_one(feed, path, input);
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..variants {
        let (path, seed) = &seeds[random.usize(..seeds.len())];
        let other = &seeds[random.usize(..seeds.len())].1;
        let input = variant(&mut random, seed, other);
        feed_one(feed, path, &input);
    }
}

/// `seed` after some changes: bytes and pieces put in, taken out, repeated, and taken from another seed.
fn variant(random: &mut fastrand::Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..=input.len());
        let end = random.usize(at..=input.len().min(at + 32));
        match random.u8(..6) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.u8(..)),
            2 => drop(input.splice(at..end, PIECES[random.usize(..PIECES.len())].iter().copied())),
            3 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            4 => {
                let from = random.usize(..=other.len());
                let until = random.usize(from..=other.len().min(from + 64));
                drop(input.splice(at..end, other[from..until].iter().copied()));
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
    }
    input.truncate(VARIANT_MAX.max(seed.len()));
    input
}

#[test]
fn requests_to_the_admin_port_change_nothing_without_the_token() {
    holds("admin", FEW);
}

#[test]
fn answers_of_endpoints_are_bounded_and_only_a_success_deletes() {
    holds("answer", MANY);
}

#[test]
fn configurations_are_valid_or_refused_with_their_places() {
    holds("configuration", FEW);
}

#[test]
fn answers_of_token_servers_and_secrets_are_fit_for_headers_or_refused() {
    holds("credentials", MANY);
}

#[test]
fn requests_to_the_embedded_queue_are_answered() {
    holds("queue", FEW);
}

#[test]
fn answers_of_sqs_are_messages_that_can_be_settled_or_errors() {
    holds("receive", FEW);
}

#[test]
fn messages_become_requests_with_headers_that_can_be_read_back() {
    holds("request", FEW);
}

#[test]
fn templates_are_bounded_and_tell_nothing_of_the_message() {
    holds("template", MANY);
}

#[test]
fn envelopes_are_taken_off_as_another_reader_reads_them() {
    holds("unwrap", MANY);
}

#[test]
fn a_message_that_an_answer_names_as_failed_is_never_a_success() {
    holds("verdicts", MANY);
}

#[test]
fn each_target_has_a_corpus_and_all_together_are_small() {
    let entries = fs::read_dir(corpora()).expect("corpora").map(|entry| entry.expect("an entry").file_name());
    let mut folders: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    folders.sort();
    assert_eq!(folders, TARGETS.map(|target| target.name.to_owned()));
    let of_one = |name: &String| corpus(name).iter().map(|(_, input)| input.len()).sum::<usize>();
    let bytes: usize = folders.iter().map(of_one).sum();
    assert!(bytes <= CORPORA_MAX, "{bytes} bytes");
}
