//! `queuepost check`: tries out a configuration without receiving or posting a message, but for `--post`.
//!
//! [`crate::app::check`] performs the checks. This file requests and prints them, as a table for people or as
//! JSON for machines, always on standard output. An invalid configuration is printed the same way.

use std::fmt::Write as _;
use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::app::check::{self, Checked, Status, What};
use crate::cli::explain;
use crate::cli::options::PlanOptions;
use crate::cli::{BAD_CONFIGURATION, FAILED, OK, USAGE, complain, render, terminal, test_post};
use crate::config::{self, ConfigErrors, Excerpt, Place, Problem, SHOWN_MAX};
use crate::escape;
use crate::telemetry::Chain;

const EXAMPLES: &str = "\
Examples:
  queuepost check --config queuepost.yaml
  queuepost check --config queuepost.yaml --offline
  queuepost check --queue orders --region eu-west-1 \\
    --url https://orders.example.com/events --format json
  queuepost receive --queue orders | head -n 1 | \\
    queuepost check --config queuepost.yaml --render -
  queuepost check --config queuepost.yaml --post '{\"id\":1}'

--post is a real POST: the endpoint does its work, as for a message. No queue is
asked, and no AWS credentials are needed for one. It exits with 0 if the message
would be deleted, else with 1. A body gets a new id each time; a line of
`receive` keeps its own, and so its Idempotency-Key. The POST counts in no rate
or session of a queuepost that runs.

Queues are asked for their attributes, endpoints get a connection that is
closed at once. Only --post notices credentials and paths the endpoint does not
accept, and a client certificate that it refuses once it has seen a request.

Exit codes: 0 it will run, 1 a queue or an endpoint will not do, 78 bad
configuration.";

/// Options of `check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Look at the configuration only: call neither queues nor endpoints
    #[arg(long, help_heading = "Check")]
    offline: bool,
    /// Show every key with its value and where that came from, and check no more than that
    #[arg(long, help_heading = "Check")]
    explain: bool,
    /// A table, or an array of {listener, check, status, detail, fix, problem}; with --explain {listener, key, value, from}; with --post an object
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, help_heading = "Check")]
    format: Format,
    /// Print the request that a message would become: a line of `receive`, or a body; calls nothing
    #[arg(long, value_name = "FILE|-", group = "message", help_heading = "Check")]
    render: Option<String>,
    /// POST a message for real, and say what would become of it: a line of `receive`, or a body; touches no queue
    #[arg(long, value_name = "FILE|-|JSON", group = "message", conflicts_with_all = ["explain", "offline"], help_heading = "Check")]
    post: Option<String>,
    /// Listener that --render or --post is for, if there are several
    #[arg(long, value_name = "NAME", requires = "message", help_heading = "Check")]
    listener: Option<String>,
    #[command(flatten)]
    plan: PlanOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Checks and prints the findings; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let on_terminal = std::io::stdout().is_terminal();
    if options.render.is_some() || options.post.is_some() {
        return with_message(options, on_terminal).await;
    }
    if options.explain
        && let Ok(rows) = config::explain(&options.plan.overrides(), &config::process_env, on_terminal)
    {
        explain::print(&rows, options.format == Format::Json);
        return OK;
    }
    let (checked, code) = check(options, on_terminal).await;
    match options.format {
        Format::Json => {
            terminal::print_document(&format!("{:#}", checked.iter().map(as_json).collect::<Value>()));
        }
        Format::Text => {
            let no_color = config::process_env("NO_COLOR").is_some_and(|value| !value.is_empty());
            terminal::print_styled(&table(&checked, on_terminal && !no_color));
        }
    }
    code
}

/// Shows the request of a message, or posts it; returns the exit code.
async fn with_message(options: &Options, on_terminal: bool) -> u8 {
    let plan = match config::load(&options.plan.overrides(), &config::process_env, on_terminal) {
        Ok(plan) => plan,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    let listener = options.listener.as_deref();
    match (&options.post, &options.render) {
        (Some(given), _) => test_post::run(&plan, listener, given, options.format == Format::Json).await,
        (None, Some(file)) => render::run(&plan, listener, file),
        (None, None) => USAGE,
    }
}

async fn check(options: &Options, terminal: bool) -> (Vec<Checked>, u8) {
    let plan = match config::load(&options.plan.overrides(), &config::process_env, terminal) {
        Ok(plan) => plan,
        Err(errors) => return (refused(&errors, options.format), BAD_CONFIGURATION),
    };
    let mut checked = match check::offline(&plan) {
        Ok(checked) => checked,
        Err(error) => return (vec![failed(Chain(&error).to_string(), None)], BAD_CONFIGURATION),
    };
    if !options.offline {
        checked.extend(check::online(&plan).await);
    }
    let bad = checked.iter().any(|checked| checked.status == Status::Failed);
    (checked, if bad { FAILED } else { OK })
}

/// The problems: all for machines, and as many as a person reads.
fn refused(errors: &ConfigErrors, format: Format) -> Vec<Checked> {
    let one = |problem: &Problem| {
        let fix = problem.fix.clone();
        let checked = failed(Problem { fix: None, ..problem.clone() }.to_string(), fix);
        Checked { problem: Some(problem.clone()), ..checked }
    };
    let rest = errors.left_out().filter(|_| format == Format::Text).map(|words| failed(words, None));
    let most = if rest.is_some() { SHOWN_MAX } else { errors.problems().len() };
    errors.problems().iter().take(most).map(one).chain(rest).collect()
}

fn failed(detail: String, fix: Option<String>) -> Checked {
    Checked { listener: None, what: What::Configuration, status: Status::Failed, detail, fix, problem: None }
}

fn as_json(checked: &Checked) -> Value {
    let status = match checked.status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "failed",
    };
    json!({
        "listener": checked.listener,
        "check": checked.what.label(),
        "status": status,
        "detail": checked.detail,
        "fix": checked.fix,
        "problem": checked.problem.as_ref().map(parts),
    })
}

/// A problem of the configuration as separate fields; every key is present, with or without a value.
fn parts(problem: &Problem) -> Value {
    let (file, line, column, given) = match &problem.place {
        Place::File { path, line: 0, .. } => (Some(path.to_string()), None, None, None),
        Place::File { path, line, column } => (Some(path.to_string()), Some(line), Some(column), None),
        Place::Flag(name) | Place::Variable(name) => (None, None, None, Some((*name).to_owned())),
        Place::Preset(_) => (None, None, None, Some(problem.place.to_string())),
        Place::CommandLine => (None, None, None, None),
    };
    json!({
        "file": file,
        "line": line,
        "column": column,
        "given_by": given,
        "key": problem.key,
        "value": problem.value,
        "rule": problem.rule,
        "fix": problem.fix,
        "source": problem.source.as_ref().map(|source| source.text.as_str()),
    })
}

/// One line per check, in columns; under each failed check the line of the file and the fix.
fn table(checked: &[Checked], colored: bool) -> String {
    let listener = |checked: &Checked| checked.listener.clone().unwrap_or_else(|| "-".to_owned());
    let names = checked.iter().map(|checked| listener(checked).chars().count()).max().unwrap_or_default();
    let checks = checked.iter().map(|checked| checked.what.label().len()).max().unwrap_or_default();
    let mut text = String::new();
    for each in checked {
        let (mark, color) = match each.status {
            Status::Ok => ('✔', 32),
            Status::Warning => ('!', 33),
            Status::Failed => ('✘', 31),
        };
        let mark = if colored { format!("\x1b[{color}m{mark}\x1b[0m") } else { mark.to_string() };
        let (name, what) = (listener(each), each.what.label());
        // Writing to a string cannot fail.
        writeln!(text, "{mark} {name:names$}  {what:checks$}  {}", escape::line(&each.detail)).ok();
        for line in each.problem.iter().filter_map(|problem| problem.source.as_ref()).flat_map(quoted) {
            writeln!(text, "  {:names$}  {:checks$}  {line}", "", "").ok();
        }
        if let Some(fix) = &each.fix {
            writeln!(text, "  {:names$}  {:checks$}  fix: {}", "", "", escape::line(fix)).ok();
        }
    }
    text
}

/// The lines of an excerpt without their common indentation.
fn quoted(source: &Excerpt) -> Vec<String> {
    let lines: Vec<String> = source.to_string().lines().map(str::to_owned).collect();
    let blank = |line: &String| line.len() - line.trim_start().len();
    let margin = lines.iter().map(blank).min().unwrap_or_default();
    lines.iter().map(|line| line.get(margin..).unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(listener: Option<&str>, what: What, status: Status, fix: Option<&str>) -> Checked {
        Checked {
            listener: listener.map(str::to_owned),
            what,
            status,
            detail: "as found".to_owned(),
            fix: fix.map(str::to_owned),
            problem: None,
        }
    }

    fn three() -> [Checked; 3] {
        [
            checked(None, What::Configuration, Status::Ok, None),
            checked(Some("orders"), What::Queue, Status::Failed, Some("create it")),
            checked(Some("orders"), What::Redrive, Status::Warning, None),
        ]
    }

    #[test]
    fn the_table_is_aligned_and_a_fix_stands_under_what_it_mends() {
        let expected = "\
✔ -       configuration  as found
✘ orders  queue          as found
                         fix: create it
! orders  redrive        as found
";
        assert_eq!(table(&three(), false), expected);
    }

    #[test]
    fn what_a_server_said_can_neither_steer_a_terminal_nor_forge_a_line() {
        let evil = "A\x1b]0;pwn\x07\u{9b}31m\u{202e}\x7f\n✔ -  forged";
        let mut refused = checked(Some("orders"), What::Queue, Status::Failed, Some(evil));
        refused.detail = evil.to_owned();
        let text = table(&[refused], false);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.chars().any(|c| c != '\n' && escape::is_unsafe(c)), "{text:?}");
    }

    #[test]
    fn colours_are_around_the_marks_alone() {
        let text = table(&three(), true);
        for mark in ["\x1b[32m✔\x1b[0m -", "\x1b[31m✘\x1b[0m orders", "\x1b[33m!\x1b[0m orders"] {
            assert!(text.contains(mark), "{text:?}");
        }
    }

    #[test]
    fn json_has_every_key_whether_there_is_a_value_or_not() {
        let [whole, queue, _] = three();
        let expected = json!({"listener": "orders", "check": "queue", "status": "failed", "detail": "as found", "fix": "create it", "problem": null});
        assert_eq!(as_json(&queue), expected);
        let whole = as_json(&whole);
        assert!(whole["listener"].is_null() && whole["fix"].is_null(), "{whole}");
    }

    fn refused_workers() -> Problem {
        Problem {
            place: Place::File { path: "queuepost.yaml".into(), line: 7, column: 14 },
            key: "listeners[0].workers".to_owned(),
            value: Some("0".to_owned()),
            rule: "is out of range".to_owned(),
            fix: None,
            source: Some(Excerpt { line: 7, text: "    workers: 0".to_owned(), caret: 13 }),
        }
    }

    #[test]
    fn a_problem_of_the_file_has_its_parts_in_json() {
        let parts = parts(&refused_workers());
        let expected = json!({
            "file": "queuepost.yaml", "line": 7, "column": 14, "given_by": null, "key": "listeners[0].workers",
            "value": "0", "rule": "is out of range", "fix": null, "source": "    workers: 0",
        });
        assert_eq!(parts, expected);
        let flag = Problem { place: Place::Flag("--workers"), source: None, ..refused_workers() };
        let flag = super::parts(&flag);
        assert_eq!((&flag["given_by"], &flag["line"]), (&json!("--workers"), &Value::Null), "{flag}");
    }

    #[test]
    fn a_problem_of_the_file_has_its_line_in_the_table() {
        let mut one = checked(None, What::Configuration, Status::Failed, Some("write 1"));
        one.problem = Some(refused_workers());
        let expected = "\
✘ -  configuration  as found
                    7 |     workers: 0
                      |              ^
                    fix: write 1
";
        assert_eq!(table(&[one], false), expected);
    }
}
