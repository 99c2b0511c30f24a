//! Writes the output of commands to standard output and standard error, escaped for a terminal.
//!
//! Every output of a command goes through here or has only fixed texts (`tests/repo` lists those files). Line
//! feeds are layout: code that puts a text from outside into several lines escapes it by [`escape::line`]
//! first.

use std::fmt::Display;
use std::io::Write as _;

use crate::escape;
use crate::ports::QueueError;
use crate::telemetry::{Chain, output};

/// Prints an error for people on standard error.
pub(super) fn complain(message: &dyn Display) {
    output::complain(format!("queuepost: {}", escape::lines(&message.to_string())));
}

/// Prints a failed call to a queue and its fix on standard error.
pub(super) fn complain_of(error: &QueueError) {
    let (what, fix) = (Chain(error).to_string(), error.advice.fix.as_str());
    complain(&format!("{}\n  fix: {}", escape::line(&what), escape::line(fix)));
}

/// Passes lines of another process on to standard error.
pub(super) fn pass_on(said: &str) {
    eprint!("{}", escape::lines(said));
}

/// Prints lines, of text or each of JSON, at once. A closed reader is an error, and no panic.
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

/// Prints a page whose parts are escaped, but for what no terminal may get. A closed reader is an error, and no panic.
pub(super) fn print_page(page: &str) -> std::io::Result<()> {
    write_out(page)
}

/// Prints a page in the place of the one before.
pub(super) fn redraw(page: &str) -> std::io::Result<()> {
    // Each line is overwritten, and then what is below: a cleared screen would flicker.
    let mut text = "\u{1b}[H".to_owned();
    for line in page.lines() {
        text.push_str(line);
        text.push_str("\u{1b}[K\n");
    }
    text.push_str("\u{1b}[J");
    write_out(&text)
}

fn write_out(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a document of JSON with its layout.
pub(super) fn print_document(json: &str) {
    println!("{}", escape::lines(json));
}

/// Prints a request: its head, escaped, and its body, escaped for a terminal only.
pub(super) fn print_request(head: &str, body: &[u8], on_terminal: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(escape::lines(head).as_bytes())?;
    if on_terminal {
        out.write_all(escape::lines(&String::from_utf8_lossy(body)).as_bytes())?;
        out.write_all(b"\n")?;
    } else {
        out.write_all(body)?;
    }
    out.flush()
}

/// Prints text of several lines at once. A closed reader is an error, and no panic.
pub(super) fn print_text(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(escape::lines(text).as_bytes())?;
    out.flush()
}

/// Prints a text of this program as it is. A closed reader is an error, and no panic.
pub(super) fn print_ours(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints text with colours, whose parts are escaped already.
pub(super) fn print_styled(text: &str) {
    print!("{text}");
}

/// Writes words at the beginning of the line on standard error, over what stands there, and ends no line.
pub(super) fn begin_line(words: &str) {
    let mut out = std::io::stderr();
    write!(out, "\r{}", escape::line(words)).ok();
    out.flush().ok();
}
