//! `queuepost queues`: the queues of an account and region, with what is in them and where their failures go.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::queue_options::AwsOptions;
use crate::cli::{FAILED, OK, complain, complain_of, print_lines};
use crate::ports::{Queue as _, QueueError, QueueErrorKind, QueueFacts};
use crate::sqs::SqsQueue;

/// Queues that are asked at once.
const AT_ONCE: usize = 8;

const EXAMPLES: &str = "\
Examples:
  queuepost queues --region eu-west-1
  queuepost queues --region eu-west-1 --prefix orders
  queuepost queues --endpoint-url http://127.0.0.1:9324 --format json

Messages are counted as SQS counts them, approximately: ready to be received,
in flight, delayed. A queue that may not be asked is listed without its numbers.

Permissions: sqs:ListQueues, and sqs:GetQueueAttributes on each queue.

Exit codes: 0 also when there are none or some may not be asked, 1 failure, 2
usage, 78 bad configuration.";

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// One JSON object per line.
    Json,
}

/// Options of `queues`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    aws: AwsOptions,
    /// Server other than Amazon's; with its port [default: that of the SDK's variables]
    #[arg(long, value_name = "URL", help_heading = "Queue")]
    endpoint_url: Option<String>,
    /// Only queues whose name begins with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// text or json [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    format: Option<Format>,
}

/// A queue and what it says of itself.
struct Listed {
    url: String,
    /// No error where the queue could not be opened, which was said then.
    facts: Result<QueueFacts, Option<QueueError>>,
}

impl Listed {
    /// Why there are no numbers, unless they may just not be seen.
    fn is_failure(&self) -> bool {
        let is_denied = |error: &QueueError| error.kind == QueueErrorKind::Denied;
        self.facts.as_ref().is_err_and(|error| !error.as_ref().is_some_and(is_denied))
    }
}

/// Lists queues; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    // No queue is called by this name: it stands for the server, whose address a queue's URL begins with.
    let any = match &options.endpoint_url {
        Some(server) => format!("{}/000000000000/any", server.trim_end_matches('/')),
        None => "any".to_owned(),
    };
    let server = match options.aws.open(Some(&any)).await {
        Ok(server) => server,
        Err(code) => return code,
    };
    let urls = match server.queues(&options.prefix).await {
        Ok(urls) => urls,
        Err(error) => {
            complain_of(&error);
            return FAILED;
        }
    };
    let default = if std::io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let listed = ask_all(&server, options, urls).await;
    let lines = match options.format.unwrap_or(default) {
        Format::Text => table(&listed),
        Format::Json => listed.iter().map(|queue| object(queue).to_string()).collect(),
    };
    if listed.is_empty() {
        complain(&"there are no such queues in this account and region");
    }
    // One error stands for all; that which fails the command goes first.
    let failed = listed.iter().find(|queue| queue.is_failure());
    let errors = failed.into_iter().chain(&listed).filter_map(|queue| queue.facts.as_ref().err());
    if let Some(error) = errors.flatten().next() {
        complain_of(error);
    }
    match print_lines(lines.iter().map(String::as_str)) {
        Ok(()) if failed.is_some() => FAILED,
        Ok(()) => OK,
        Err(error) => {
            complain(&format!("cannot write to standard output: {error}"));
            FAILED
        }
    }
}

/// Asks each queue for its attributes, a few at once; in the order of their names.
async fn ask_all(server: &SqsQueue, options: &Options, urls: Vec<String>) -> Vec<Listed> {
    let mut asking = JoinSet::new();
    let mut listed = Vec::new();
    for url in urls {
        let Ok(queue) = options.aws.beside(&url, server) else {
            listed.push(Listed { url, facts: Err(None) });
            continue;
        };
        if asking.len() >= AT_ONCE {
            listed.extend(asking.join_next().await.and_then(Result::ok));
        }
        asking.spawn(async move { Listed { facts: queue.inspect().await.map_err(Some), url } });
    }
    while let Some(asked) = asking.join_next().await {
        listed.extend(asked.ok());
    }
    listed.sort_by(|one, other| one.url.cmp(&other.url));
    listed
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn object(queue: &Listed) -> Value {
    let Ok(facts) = &queue.facts else {
        return json!({ "name": name(&queue.url), "url": queue.url });
    };
    let redrive = facts.redrive.as_ref();
    json!({
        "name": name(&queue.url),
        "url": queue.url,
        "visible": facts.depth.visible,
        "not_visible": facts.depth.not_visible,
        "delayed": facts.depth.delayed,
        "max_receives": redrive.map(|redrive| redrive.max_receives),
        "dead_letter_queue": redrive.map(|redrive| redrive.dead_letter_name.as_str()),
    })
}

/// Columns as wide as they need to be; numbers to the right.
fn table(listed: &[Listed]) -> Vec<String> {
    let heading = ["queue", "visible", "in flight", "delayed", "dead-letter queue"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heading).chain(listed.iter().map(row)).collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let [first, second, third, fourth] = [width(0), width(1), width(2), width(3)];
    let line = |[queue, visible, flying, delayed, dead]: &[String; 5]| {
        let line =
            format!("{queue:first$}  {visible:>second$}  {flying:>third$}  {delayed:>fourth$}  {dead}");
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(queue: &Listed) -> [String; 5] {
    let name = name(&queue.url).to_owned();
    let Ok(facts) = &queue.facts else { return [name, "?".into(), "?".into(), "?".into(), "?".into()] };
    let dead = facts.redrive.as_ref().map_or_else(
        || "none".to_owned(),
        |redrive| format!("{} after {} receives", redrive.dead_letter_name, redrive.max_receives),
    );
    let depth = facts.depth;
    [name, depth.visible.to_string(), depth.not_visible.to_string(), depth.delayed.to_string(), dead]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::advice::queue::Named;
    use crate::ports::{Operation, QueueDepth, QueueReason, Redrive};

    #[test]
    fn only_a_queue_that_may_not_be_asked_is_no_failure_and_every_queue_is_listed() {
        let error = |reason| {
            let named = Named::default();
            Err(Some(QueueError::new(Operation::Attributes, "orders".into(), reason, &named, "no".into())))
        };
        let listed = |facts| Listed { url: "http://q/1/orders".to_owned(), facts };
        for (facts, is_failure) in [
            (Ok(QueueFacts::default()), false),
            (error(QueueReason::AccessDenied), false),
            (error(QueueReason::ConnectionRefused), true),
            (Err(None), true),
        ] {
            let (is_asked, queue) = (facts.is_ok(), listed(facts));
            assert_eq!(queue.is_failure(), is_failure, "{:?}", queue.facts);
            let cells = row(&queue);
            assert_eq!((cells[0].as_str(), cells[1] == "?"), ("orders", !is_asked));
        }
    }

    #[test]
    fn the_table_has_depths_and_dead_letter_queues_in_columns() {
        let redrive = Redrive {
            max_receives: 3,
            dead_letter_name: "orders-dlq".to_owned(),
            dead_letter_fifo: false,
            dead_letter_retention: None,
            dead_letter_depth: None,
            dead_letter_unread: None,
        };
        let facts = |visible, redrive| QueueFacts {
            depth: QueueDepth { visible, not_visible: 2, delayed: 0 },
            redrive,
            ..QueueFacts::default()
        };
        let listed = [
            Listed { url: "http://q/1/orders".to_owned(), facts: Ok(facts(1_234, Some(redrive))) },
            Listed { url: "http://q/1/orders-dlq".to_owned(), facts: Ok(facts(0, None)) },
        ];
        assert_eq!(
            table(&listed),
            [
                "queue       visible  in flight  delayed  dead-letter queue",
                "orders         1234          2        0  orders-dlq after 3 receives",
                "orders-dlq        0          2        0  none",
            ]
        );
        let shown = object(&listed[0]);
        assert_eq!((&shown["name"], &shown["dead_letter_queue"]), (&json!("orders"), &json!("orders-dlq")));
    }
}
