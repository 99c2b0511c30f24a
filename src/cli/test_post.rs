//! `queuepost check --post`: posts a message to a listener's endpoint for real, and prints what would become of it.
//!
//! A message is a body, or a line of `queuepost receive`; several lines are one batch. No queue is called. This is a process of
//! its own: the POST counts in no rate or session of a bridge that runs.

use std::fmt::Write as _;

use crate::app::test_post::{TestError, TestPost, Tested, message, test_post};
use crate::cli::{BAD_CONFIGURATION, FAILED, OK, USAGE, complain, render, terminal};
use crate::config::Plan;
use crate::escape;
use crate::message::Message;
use crate::telemetry::Chain;

/// Posts the message `given`, a file or JSON itself, and prints what came of it; returns the exit code.
pub(super) async fn run(plan: &Plan, listener: Option<&str>, given: &str, is_json: bool) -> u8 {
    let messages = match messages(given) {
        Ok(messages) => messages,
        Err(why) => {
            complain(&format!("--post: {why}"));
            return USAGE;
        }
    };
    let tested = match test_post(plan, listener, &messages).await {
        Ok(tested) => tested,
        Err(TestError::Render(error)) => return render::refuse(&error),
        Err(TestError::Client(error)) => {
            complain(&Chain(&error));
            return BAD_CONFIGURATION;
        }
    };
    let text = if is_json { format!("{:#}\n", tested.as_json()) } else { told(&tested) };
    if let Err(error) = terminal::print_text(&text) {
        complain(&format!("cannot write to standard output: {error}"));
        return FAILED;
    }
    if tested.deletes() { OK } else { FAILED }
}

/// What begins like JSON is a body; everything else names a file.
fn messages(given: &str) -> Result<Vec<Message>, String> {
    if given.starts_with(['{', '[', '"']) {
        render::messages(given.as_bytes(), message)
    } else {
        render::messages_in(given, message)
    }
}

/// Request, answer and judgement for people.
fn told(tested: &TestPost) -> String {
    let mut text = render::head(&tested.request);
    let bytes = tested.request.body.len();
    let took = tested.took.as_millis();
    // Writing to a string cannot fail.
    writeln!(text, "({bytes} byte{} of body)\n", if bytes == 1 { "" } else { "s" }).ok();
    match (tested.status, &tested.error) {
        (Some(status), _) => writeln!(text, "{status} after {took} ms").ok(),
        (None, Some(error)) => writeln!(text, "no answer after {took} ms: {}", escape::line(error)).ok(),
        (None, None) => writeln!(text, "no complete answer within {took} ms").ok(),
    };
    if let Some(answer) = &tested.answer {
        writeln!(text, "{answer}").ok();
    }
    text.push('\n');
    let is_batch = tested.messages.len() > 1;
    for Tested { id, outcome, is_deleted, then, meaning, fix } in &tested.messages {
        let mark = if *is_deleted { '✔' } else { '✘' };
        let which = if is_batch { format!("{}  ", escape::line(id.as_str())) } else { String::new() };
        let status = tested.status.map_or_else(String::new, |status| format!("{status}: "));
        writeln!(text, "{mark} {which}{status}the message {then} ({outcome})").ok();
        if !is_deleted {
            writeln!(text, "  {}\n  fix: {}", escape::line(meaning), escape::line(fix)).ok();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_begins_like_json_is_the_body_and_the_rest_names_a_file() {
        let body = |given: &str| messages(given).map(|messages| messages[0].body.clone());
        for given in ["{\"a\":1}", "[1]", "\"text\""] {
            assert_eq!(body(given), Ok(Bytes::copy_from_slice(given.as_bytes())));
        }
        let error = body("no-such-file").unwrap_err();
        assert!(error.contains("cannot read no-such-file"), "{error}");
    }
}
