//! `queuepost status`: what a running process does, read from its admin port.
//!
//! Once, or again every two seconds until Ctrl-C. A process that restarts meanwhile is waited for.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::admin_client::{self, Answer, Bounds, Process, Request};
use crate::cli::control::{Format, refusal, silence};
use crate::cli::{BAD_CONFIGURATION, FAILED, INTERRUPTED, OK, complain, status_page, terminal};
use crate::config;
use crate::escape;

/// Thousands of listeners, with a hundred failures each.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), bytes: 256 * 1024 * 1024 };
/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  queuepost status
  queuepost status --watch
  queuepost status --failures --listener orders
  kubectl exec deploy/queuepost -- queuepost status
  queuepost status --format json | jq '.listeners[] | {name, state, why}'

Exit codes: 0 shown, 1 no process there or no such listener, 2 usage, 78 bad
address, 130 a watch ended by Ctrl-C.";

/// Options of `status`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    process: Process,
    /// Show it again every two seconds, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// List the deliveries that failed lately, newest first.
    #[arg(long)]
    failures: bool,
    /// Only those of this listener.
    #[arg(long, value_name = "NAME", requires = "failures")]
    listener: Option<String>,
    /// text or json
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    format: Format,
}

/// Shows the status; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let address = match options.process.address() {
        Ok(address) => address,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    if options.watch {
        return tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => INTERRUPTED,
            code = watch(address, options) => code,
        };
    }
    match look(address, options).await {
        Ok(page) => terminal::print_page(&page).map_or(FAILED, |()| OK),
        Err(why) => {
            complain(&why);
            FAILED
        }
    }
}

/// Looks again and again, until nobody reads.
async fn watch(address: SocketAddr, options: &Options) -> u8 {
    let on_terminal = std::io::stdout().is_terminal() && options.format == Format::Text;
    loop {
        let page = look(address, options).await;
        let printed = match (page, on_terminal) {
            (Ok(page), true) => terminal::redraw(&page),
            (Err(why), true) => terminal::redraw(&format!(
                "{}\n\nIt is asked again every {} s.\n",
                escape::lines(&why),
                EVERY.as_secs()
            )),
            (Ok(page), false) => terminal::print_page(&page),
            (Err(why), false) => {
                complain(&why);
                Ok(())
            }
        };
        if printed.is_err() {
            return FAILED;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What is to be shown, or why there is nothing.
async fn look(address: SocketAddr, options: &Options) -> Result<String, String> {
    let answer = admin_client::ask(address, Request::get("/api/v1/status"), BOUNDS).await;
    let answer = answer.map_err(|error| silence(address, &error))?;
    let Answer { status: 200, body } = &answer else { return Err(refusal(address, &answer)) };
    let document: Value = serde_json::from_str(body)
        .map_err(|_| format!("http://{address}: the answer is no JSON; is this queuepost's admin port?"))?;
    if options.failures {
        return failures(&document, options);
    }
    match options.format {
        // A line for each look, so that a program can read a watch.
        Format::Json if options.watch => Ok(escape::lines(&format!("{document}\n")).into_owned()),
        Format::Json => Ok(escape::lines(&format!("{document:#}\n")).into_owned()),
        Format::Text => Ok(status_page::page(&document, &format!("http://{address}"), coloured())),
    }
}

fn failures(document: &Value, options: &Options) -> Result<String, String> {
    let only = options.listener.as_deref();
    let text = status_page::failures(document, only).ok_or_else(|| {
        format!(
            "there is no listener `{}`\n  fix: `queuepost status` lists the names",
            only.unwrap_or_default()
        )
    })?;
    if options.format == Format::Text {
        return Ok(text);
    }
    let listeners = document.pointer("/listeners").and_then(Value::as_array).into_iter().flatten();
    let chosen = listeners
        .filter(|of| only.is_none_or(|only| of.pointer("/name").and_then(Value::as_str) == Some(only)));
    let mut lines = String::new();
    for of in chosen {
        for failure in of.pointer("/recent_failures").and_then(Value::as_array).into_iter().flatten() {
            let mut failure = failure.clone();
            if let (Some(fields), Some(name)) = (failure.as_object_mut(), of.pointer("/name")) {
                fields.insert("listener".to_owned(), name.clone());
            }
            lines.push_str(&escape::line(&failure.to_string()));
            lines.push('\n');
        }
    }
    Ok(lines)
}

fn coloured() -> bool {
    let plain = config::process_env("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !plain
}
