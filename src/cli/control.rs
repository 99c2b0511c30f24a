//! `queuepost pause`, `resume`, `workers`, `drain` and `reload`: change what a running process does.
//!
//! Each asks the admin port once, with the token, and prints what is so now. The words of a refusal come from the process.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::admin_client::{self, Answer, AskError, Bounds, Process, Request, path_part};
use crate::cli::{BAD_CONFIGURATION, FAILED, OK, complain, terminal};
use crate::config;
use crate::escape;

/// A drain waits for POSTs that run; the process lets an answer take so long.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30 * 60), bytes: 4 * 1024 * 1024 };
/// Time for all else: it is told, not waited for.
const AT_ONCE: Duration = Duration::from_secs(10);

macro_rules! examples {
    ($example:literal, $more:literal) => {
        concat!(
            "Examples:\n  queuepost ",
            $example,
            " --token-file token\n  QUEUEPOST_ADMIN_TOKEN_FILE=token queuepost ",
            $example,
            "\n\n",
            $more,
            "\n\nThe process must allow it: admin.allow_changes: true and admin.token_file.\n",
            "Exit codes: 0 done, 1 refused or no process there, 2 usage, 78 bad address\nor token file."
        )
    };
}

pub(super) const PAUSE: &str = examples!(
    "pause orders",
    "What runs finishes; messages wait in the queue. `resume` ends it. It lasts\nuntil a restart, or until the file has another value for it. To keep it, write\n`paused: true` into the configuration."
);
pub(super) const RESUME: &str =
    examples!("resume orders", "It receives again at once. One that was drained is started again.");
pub(super) const DRAIN: &str = examples!(
    "drain orders",
    "It receives nothing more, finishes what runs and ends; the command waits for\nthat, and exits 1 if something had to be cut off. `resume` starts it again, and\nso does a restart."
);
pub(super) const WORKERS: &str = examples!(
    "workers orders 4",
    "POSTs beyond a lower number finish. It lasts until a restart, or until the file\nhas another value for it."
);
pub(super) const RELOAD: &str = examples!("reload", "A configuration that is not valid changes nothing.");

/// How the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// The process, and the token that lets one change it.
#[derive(Debug, Args)]
pub(super) struct Changing {
    #[command(flatten)]
    process: Process,
    /// File with the token of the process [env: QUEUEPOST_ADMIN_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    format: Format,
}

/// Options of `pause`, `resume` and `drain`.
#[derive(Debug, Args)]
pub(super) struct OfListener {
    /// Name of the listener, as `queuepost status` shows it
    listener: String,
    #[command(flatten)]
    changing: Changing,
}

/// Options of `workers`.
#[derive(Debug, Args)]
#[command(after_help = WORKERS)]
pub(super) struct Workers {
    /// Name of the listener, as `queuepost status` shows it
    listener: String,
    /// Most POSTs at once, 1 to 10,000
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
    #[command(flatten)]
    changing: Changing,
}

/// Options of `reload`.
#[derive(Debug, Args)]
#[command(after_help = RELOAD)]
pub(super) struct Reload {
    #[command(flatten)]
    changing: Changing,
}

/// Asks for `action` of one listener; returns the exit code.
pub(super) async fn of_listener(action: &'static str, options: &OfListener) -> u8 {
    let path = path_of(&options.listener, action);
    let time = if action == "pause" { AT_ONCE } else { BOUNDS.time };
    change(&options.changing, &path, "", time).await
}

/// Sets the workers of a listener; returns the exit code.
pub(super) async fn workers(options: &Workers) -> u8 {
    let body = json!({ "workers": options.count }).to_string();
    change(&options.changing, &path_of(&options.listener, "workers"), &body, AT_ONCE).await
}

/// Asks for a reload; returns the exit code.
pub(super) async fn reload(options: &Reload) -> u8 {
    change(&options.changing, "/api/v1/reload", "", BOUNDS.time).await
}

fn path_of(listener: &str, action: &str) -> String {
    format!("/api/v1/listeners/{}/{action}", path_part(listener))
}

async fn change(options: &Changing, path: &str, body: &str, time: Duration) -> u8 {
    let token = config::admin_token(options.token_file.as_deref(), &config::process_env);
    let (address, token) = match (options.process.address(), token) {
        (Ok(address), Ok(token)) => (address, token),
        (Err(errors), _) | (_, Err(errors)) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    let token = token.map(|token| token.known());
    let request = Request { method: "POST", path, token: token.as_deref(), body };
    match admin_client::ask(address, request, Bounds { time, ..BOUNDS }).await {
        Ok(Answer { status: 200, body }) => match (options.format, serde_json::from_str(&body)) {
            (Format::Text, Ok(answer)) => shown(&answer),
            (Format::Json, _) | (_, Err(_)) => terminal::print_page(&escape::lines(&body)),
        }
        .map_or(FAILED, |()| if is_cut_off(&body) { FAILED } else { OK }),
        Ok(answer) => {
            complain(&refusal(address, &answer));
            FAILED
        }
        Err(error) => {
            complain(&silence(address, &error));
            FAILED
        }
    }
}

/// Whether a drain has cut off what ran: `drain` fails then, as a process does that ends so.
fn is_cut_off(body: &str) -> bool {
    serde_json::from_str(body).is_ok_and(|answer: Value| answer.get("state") == Some(&json!("cut_off")))
}

/// What is so now, in words.
fn shown(answer: &Value) -> std::io::Result<()> {
    let text = in_words(answer).or_else(|| state_in_words(answer)).or_else(|| reload_in_words(answer));
    let text = text.unwrap_or_else(|| format!("{answer:#}\n"));
    terminal::print_page(&escape::lines(&text))
}

/// What has changed of a listener; `None` if the answer is of another kind.
fn in_words(answer: &Value) -> Option<String> {
    let truth = |at: &str| answer.pointer(at)?.as_bool();
    let count = |at: &str| answer.pointer(at)?.as_u64();
    let name = answer.pointer("/listener")?.as_str()?;
    let (paused, was_paused) = (truth("/paused")?, truth("/before/paused")?);
    let (workers, had) = (count("/workers")?, count("/before/workers")?);
    let mut text = String::new();
    if paused != was_paused {
        text = if paused {
            format!("{name} is paused: it receives nothing, and what runs finishes\n")
        } else {
            format!("{name} receives again\n")
        };
    }
    if workers != had {
        text = format!("{text}{name} has {workers} workers, and had {had}\n");
    }
    if let Some(sessions) =
        count("/endpoint_sessions").filter(|sessions| workers != had && *sessions < workers)
    {
        text = format!("{text}  its endpoint takes {sessions} POSTs at once: its `sessions` hold\n");
    }
    if text.is_empty() {
        let state = if paused { "paused" } else { "not paused" };
        text = format!("{name} is as it was: {state}, {workers} workers\n");
    }
    if let Some(lasts) = answer.pointer("/lasts").and_then(Value::as_str) {
        text = format!("{text}  this lasts {lasts}\n");
    }
    Some(text)
}

/// Where a listener is that was drained or started; `None` if the answer is of another kind.
fn state_in_words(answer: &Value) -> Option<String> {
    let name = answer.get("listener")?.as_str()?;
    Some(match answer.get("state")?.as_str()? {
        "drained" => format!("{name} has ended; `resume` starts it again\n"),
        "cut_off" => format!(
            "{name} has ended, and POSTs that ran were cut off at the deadline: their messages come again\n"
        ),
        "running" => format!("{name} runs\n"),
        state => format!("{name} {state}\n"),
    })
}

/// What became of each listener by a reload; `None` if the answer is of another kind.
fn reload_in_words(answer: &Value) -> Option<String> {
    let listeners = answer.get("listeners")?.as_object()?;
    let of_word = |word: &str| {
        let names = listeners.iter().filter(|(_, became)| became.as_str() == Some(word));
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        match names.len() {
            0 => None,
            count if word == "kept" => Some(format!("{word} {count}")),
            count => Some(format!("{word} {count} ({})", names.join(", "))),
        }
    };
    let parts: Vec<String> = ["kept", "adjusted", "replaced", "drained", "added", "removed"]
        .into_iter()
        .filter_map(of_word)
        .collect();
    let waiting: Vec<&str> =
        answer.get("needs_restart")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let mut text = format!("the configuration was reloaded: {}", parts.join(", "));
    if !waiting.is_empty() {
        text = format!("{text}; needs a restart: {}", waiting.join(", "));
    }
    Some(format!("{text}\n"))
}

/// What a process said that does not do what it was asked.
pub(super) fn refusal(address: SocketAddr, Answer { status, body }: &Answer) -> String {
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    // A configuration may have many mistakes, each with lines of its own.
    let words = |key: &str| Some(escape::lines(said.get(key)?.as_str()?).trim_end().replace('\n', "\n  "));
    match (words("error"), words("fix")) {
        (Some(error), Some(fix)) => format!("{error}\n  fix: {fix}"),
        _ => format!(
            "http://{address} answered {status}\n  fix: name the admin port of a queuepost of this version by --admin-address"
        ),
    }
}

/// What to do about a process that does not answer.
pub(super) fn silence(address: SocketAddr, error: &AskError) -> String {
    match error {
        AskError::Unreachable(error) => format!(
            "no process answers at http://{address}: {error}\n  fix: start one by `queuepost run`, or name its admin port \
             by --admin-address or QUEUEPOST_ADMIN_LISTEN"
        ),
        AskError::TooLate(_) => format!(
            "http://{address}: {error}\n  fix: see by `queuepost status` whether it is done; ask again if not"
        ),
        AskError::Broken(_) | AskError::NoHttp | AskError::TooLong(_) => format!("http://{address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(paused: [bool; 2], workers: [u64; 2]) -> String {
        let [was, is] = paused;
        let [had, has] = workers;
        let before = json!({ "paused": was, "workers": had });
        in_words(&json!({ "listener": "a", "paused": is, "workers": has, "before": before })).unwrap()
    }

    #[test]
    fn what_has_changed_is_said_and_nothing_else() {
        assert_eq!(
            words([false, true], [4, 4]),
            "a is paused: it receives nothing, and what runs finishes\n"
        );
        assert_eq!(words([true, false], [4, 4]), "a receives again\n");
        assert_eq!(words([false, false], [4, 8]), "a has 8 workers, and had 4\n");
        assert_eq!(words([true, true], [4, 4]), "a is as it was: paused, 4 workers\n");
        assert_eq!(in_words(&json!({ "kept": 3 })), None);
    }

    #[test]
    fn a_drain_a_start_and_a_reload_are_told_in_one_sentence() {
        let state = |state| state_in_words(&json!({ "listener": "a", "state": state })).unwrap();
        assert_eq!(state("drained"), "a has ended; `resume` starts it again\n");
        assert!(state("cut_off").contains("cut off") && is_cut_off(r#"{"state": "cut_off"}"#));
        assert!(!is_cut_off(r#"{"state": "drained"}"#));
        assert_eq!(state("running"), "a runs\n");
        assert_eq!(state("starts when it has ended"), "a starts when it has ended\n");
        let listeners = json!({
            "a": "kept", "orders": "adjusted", "b": "kept", "refunds": "replaced", "returns": "replaced",
        });
        let reload = |waiting: &[&str]| {
            reload_in_words(&json!({ "listeners": listeners, "needs_restart": waiting })).unwrap()
        };
        let done =
            "the configuration was reloaded: kept 2, adjusted 1 (orders), replaced 2 (refunds, returns)";
        assert_eq!(reload(&[]), format!("{done}\n"));
        assert_eq!(reload(&["log.format"]), format!("{done}; needs a restart: log.format\n"));
        assert_eq!(reload_in_words(&json!({ "listener": "a", "state": "drained" })), None);
    }

    #[test]
    fn what_a_stranger_answers_is_no_words_of_ours() {
        let answer = |body: &str| Answer { status: 404, body: body.to_owned() };
        let said = refusal("127.0.0.1:1".parse().unwrap(), &answer("<html>"));
        assert!(said.contains("answered 404") && said.contains("--admin-address"), "{said}");
        let said =
            refusal("127.0.0.1:1".parse().unwrap(), &answer(r#"{"error": "a\u001b[2Jb", "fix": "c"}"#));
        assert_eq!(said, "a\\u001b[2Jb\n  fix: c");
        let said =
            refusal("127.0.0.1:1".parse().unwrap(), &answer(r#"{"error": "a\nb\n  c\r\n", "fix": "d"}"#));
        assert_eq!(said, "a\n  b\n    c\\u000d\n  fix: d");
    }
}
