//! What commands write to standard output and standard error, with nothing in it that steers a terminal.
//!
//! Everything a command says goes through here or is made of words of its own (`tests/repo` has the list of files).
//! Line feeds are layout: whoever puts a text from outside into several lines escapes it by [`escape::line`] first.

use std::fmt::Display;
use std::io::Write as _;

use crate::escape;
use crate::ports::QueueError;
use crate::telemetry::{Chain, output};

/// Tells a person on standard error what went wrong.
pub(super) fn complain(message: &dyn Display) {
    output::complain(format!("queuepost: {}", escape::lines(&message.to_string())));
}

/// Tells a person that a call to a queue failed, and what to do about it.
pub(super) fn complain_of(error: &QueueError) {
    let (what, fix) = (Chain(error).to_string(), error.advice.fix.as_str());
    complain(&format!("{}\n  fix: {}", escape::line(&what), escape::line(fix)));
}

/// Passes on to standard error what another process said in lines.
pub(super) fn pass_on(said: &str) {
    eprint!("{}", escape::lines(said));
}

/// Prints lines at once, of text or each of JSON; a reader that went away is an error, and no panic.
pub(super) fn print_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> std::io::Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&escape::line(line));
        text.push('\n');
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a document of JSON with its layout.
pub(super) fn print_document(json: &str) {
    println!("{}", escape::lines(json));
}

/// Prints text with colours, whose parts are escaped already.
pub(super) fn print_styled(text: &str) {
    print!("{text}");
}
