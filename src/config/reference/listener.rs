//! The keys of a listener.

use std::time::Duration;

use crate::config::check::{LATENCY_BUDGET_MAX, RECEIVE_WAIT, WORKERS_MAX};
use crate::config::gathering::{SIZE_MAX, WINDOW_MAX};
use crate::config::reference::{HEADERS, Key, Kind, SECOND, Shape};
use crate::config::rules::{TIMEOUT_MAX, TIMEOUT_MIN};
use crate::config::stay::{RETENTION_MAX, VISIBILITY_MIN};
use crate::config::value::TWELVE_HOURS;
use crate::policy::visibility::CEILING;

const fn duration(min: Duration, max: Duration) -> Shape {
    Shape::One(Kind::Duration(min, max))
}

const fn text(form: &'static str) -> Shape {
    Shape::One(Kind::Text(form))
}

const fn word(words: &'static [&'static str]) -> Shape {
    Shape::One(Kind::Word(words))
}

/// The keys of an entry of `listeners`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "preset",
        word(&["raw", "algorithmia", "sqsd", "cloudevents", "lambda", "matillion"]),
        "Defaults of other keys for a kind of endpoint. What is written wins.",
    )
    .default("raw")
    .flag("--preset"),
    Key::new("name", text("1 to 63 lower-case letters, digits and `-`"), "The label in metrics and logs.").otherwise("made of the queue's name"),
    Key::new("queue", text("URL, ARN or name"), "The SQS queue to consume. It is needed here or as a flag or variable.").flag("--queue"),
    Key::new(
        "url",
        Shape::One(Kind::Address("https://HOST/PATH")),
        "Where messages are posted; with `algorithm` the address of its server. Write this, or `endpoint` and `path`. Listeners \
         whose origin and credentials are equal share one endpoint and its caps.",
    )
    .flag("--url"),
    Key::new("endpoint", text("name"), "The entry of `endpoints` that messages are posted to. It needs `path`."),
    Key::new("path", text("path that starts with `/`"), "Path and query below the endpoint's `url`."),
    Key::new(
        "algorithm",
        text("OWNER/NAME, or OWNER/NAME/VERSION"),
        "The algorithm to call. Its key: `--algorithm-key-file`, or the key itself in `QUEUEPOST_ALGORITHM_KEY`.",
    )
    .flag("--algorithm"),
    Key::new("listener_owner", text("1 to 255 letters, digits, `_`, `-` and `.`"), "With `algorithm`: the user whose event listener it is.")
        .page("event-listeners.md"),
    Key::new("output", word(&["void"]), "With `algorithm`: its server answers before the algorithm has run."),
    Key::new("role_arn", text("ARN of a role"), "A role to assume before SQS is called.").flag("--role-arn"),
    Key::new("external_id", text("2 to 1,224 characters"), "The external id that the role demands. It needs `role_arn`.")
        .flag("--external-id"),
    Key::new("region", text("region"), "The region of the queue.").otherwise("that of the queue's URL or ARN, else the SDK's").flag("--region"),
    Key::new("profile", text("name"), "A profile of the AWS configuration files.").flag("--profile"),
    Key::new("workers", Shape::One(Kind::Whole(1, WORKERS_MAX)), "Most POSTs at once.").default("16").flag("--workers"),
    Key::new("paused", Shape::One(Kind::Truth), "Start paused: receive nothing until somebody resumes the listener.")
        .default("false")
        .page("control.md"),
    Key::new("batch", Shape::Map(BATCH), "How many messages a POST carries. Not every shape of request has room for several.")
        .page("batches.md"),
    Key::new(
        "timeout",
        duration(TIMEOUT_MIN, TIMEOUT_MAX),
        "How long one POST may take, from connecting to the end of the answer; with `algorithm` 50m15s at most.",
    )
    .default("60s")
    .flag("--timeout"),
    Key::new(
        "success",
        Shape::OneOrMore(Kind::Statuses),
        "Statuses that delete the message: codes, ranges and classes. 429 and 5xx are refused.",
    )
    .default("200")
    .flag("--success"),
    Key::new(
        "error_in_body",
        word(&["success", "permanent"]),
        "What a success whose JSON has an `error` member means. With `permanent` the message is at fault.",
    )
    .default("success"),
    Key::new(
        "on_response",
        Shape::List(ON_RESPONSE),
        "What becomes of messages by status, before the table of docs/delivery.md. The first row with the status decides.",
    )
    .page("delivery.md"),
    Key::new("throttle_delay", duration(SECOND, TWELVE_HOURS), "How long a 429 hides the message. A longer Retry-After wins.")
        .default("5m")
        .flag("--throttle-delay"),
    Key::new(
        "retry_delay",
        duration(SECOND, TWELVE_HOURS),
        "One delay for every deferred message. What the configuration is at fault for keeps its 30s.",
    )
    .otherwise("10s, doubled with each receive up to 15m"),
    Key::new(
        "receive_wait",
        duration(Duration::ZERO, RECEIVE_WAIT),
        "The long poll of an idle listener, in whole seconds. It is shorter if `shutdown.deadline` is below 24s.",
    )
    .default("20s")
    .flag("--receive-wait"),
    Key::new(
        "latency_budget",
        duration(Duration::ZERO, LATENCY_BUDGET_MAX),
        "How much longer a message may wait so that SQS is called less often, and its bill is lower. `0s`: not at all.",
    )
    .default("0s")
    .flag("--latency-budget")
    .page("tuning.md#calls-to-sqs"),
    Key::new(
        "visibility_timeout",
        duration(VISIBILITY_MIN, CEILING),
        "How long a receive, and each extension while the POST runs, hides a message. In whole seconds.",
    )
    .otherwise("`timeout` + 30s, 120s for timeouts above 2m"),
    Key::new("retention", duration(SECOND, RETENTION_MAX), "The age since its first receive at which a message is deleted without a POST.")
        .otherwise("none is"),
    Key::new(
        "unwrap",
        Shape::OneOrMore(Kind::Word(&["none", "sns", "eventbridge", "s3"])),
        "Envelopes that are taken off messages, the outermost first.",
    )
    .default("none")
    .page("unwrap.md"),
    Key::new(
        "non_work",
        word(&["forward", "delete"]),
        "What becomes of `s3:TestEvent` and of SNS's confirmations of subscriptions. `delete` posts none of them.",
    )
    .default("forward")
    .page("unwrap.md"),
    Key::new("claim_check", Shape::Map(CLAIM_CHECK), "Fetch bodies that the SQS extended client put into S3.").page("claim-check.md"),
    Key::new("message_headers", word(&["queuepost", "sqsd", "none"]), "How a message's properties become headers.").default("queuepost"),
    Key::new("headers", HEADERS, "Headers of every request, by name: a text, or where a secret is. They replace the endpoint's.")
        .page("credentials.md#headers"),
    Key::new("user_agent", text("value of a header"), "The `User-Agent` of every request.").otherwise("`queuepost/VERSION`"),
    Key::new(
        "content_type",
        text("`auto`, `algorithmia` or a media type"),
        "The `Content-Type`. `auto` is `application/json` for JSON, else `text/plain`. `algorithmia` says `application/text` of \
         text, and decodes bodies with the attribute `content-encoding: base64`.",
    )
    .default("auto"),
    Key::new(
        "record_answers",
        Shape::One(Kind::Truth),
        "`false`: no part of an answer is shown in the log, the status or dead-letter copies.",
    )
    .default("true")
    .page("status.md"),
    Key::new("template", Shape::Map(TEMPLATE), "Templates that make the request of the message.").page("templates.md"),
    Key::new("cloudevents", Shape::Map(CLOUDEVENTS), "Send each message as an event of CloudEvents.").page("cloudevents.md"),
    Key::new("lambda", Shape::Map(LAMBDA), "Send messages as the event of AWS Lambda.").page("lambda.md"),
    Key::new("results", Shape::Map(RESULTS), "Queues that get what became of messages. At least one of the two.").page("results.md"),
];

const BATCH: &[Key] = &[
    Key::new(
        "size",
        Shape::One(Kind::Whole(1, SIZE_MAX)),
        "Most messages of one POST. More than 10 need a `window` of 1s; a FIFO queue has 10 at most.",
    )
    .default("1"),
    Key::new(
        "window",
        duration(Duration::ZERO, WINDOW_MAX),
        "How long messages are gathered for one POST; none on a FIFO queue.",
    )
    .default("0s"),
];

const ON_RESPONSE: &[Key] = &[
    Key::new("status", Shape::OneOrMore(Kind::Statuses), "The statuses of this row.").required(),
    Key::new(
        "action",
        word(&["delete", "park", "defer", "dead_letter"]),
        "`park` hides as a 429 does, `defer` as other failures do. `dead_letter` sends the message to the dead-letter queue with \
         the reason, and deletes it.",
    )
    .required(),
    Key::new("delay", duration(SECOND, TWELVE_HOURS), "With `park` and `defer`: how long the message is hidden.")
        .otherwise("that of the action"),
];

const CLAIM_CHECK: &[Key] = &[
    Key::new(
        "buckets",
        Shape::OneOrMore(Kind::Text("name of a bucket")),
        "The buckets that messages may name.",
    )
    .required(),
    Key::new("max_size", Shape::One(Kind::Size("1KiB to 2GiB")), "Longest body that is fetched.")
        .default("64MiB"),
    Key::new(
        "delete_after_success",
        Shape::One(Kind::Truth),
        "Delete the object once its message is deleted.",
    )
    .default("false"),
    Key::new("endpoint_url", Shape::One(Kind::Address("https://HOST")), "A server other than Amazon's.")
        .otherwise("that of the SDK"),
];

const TEMPLATE: &[Key] = &[
    Key::new("path", Shape::One(Kind::Template), "Makes the path, below the address."),
    Key::new("query", Shape::Texts(Kind::Template), "Makes the values of the query, by name."),
    Key::new("headers", Shape::Texts(Kind::Template), "Makes the values of headers, by name."),
    Key::new("body", Shape::One(Kind::Template), "Makes the body."),
];

const CLOUDEVENTS: &[Key] = &[
    Key::new("mode", word(&["binary", "structured", "batched"]), "How an event is put into a request.")
        .default("binary"),
    Key::new("source", text("URI reference"), "The events' `source`.").otherwise("the queue's ARN"),
    Key::new("type", text("text"), "The events' `type`.").default("com.amazon.sqs.message"),
    Key::new("subject", text("text"), "The events' `subject`."),
];

const LAMBDA: &[Key] = &[
    Key::new(
        "partial_failures",
        Shape::One(Kind::Truth),
        "Read `batchItemFailures` in the answer: which messages failed.",
    )
    .default("true"),
    Key::new("source_arn", text("ARN of a queue"), "The `eventSourceARN` of records.")
        .otherwise("that of the queue, as far as it is known"),
];

const RESULTS: &[Key] = &[
    Key::new("success", Shape::Map(SUCCESS), "Results of messages that the endpoint took."),
    Key::new("failure", Shape::Map(FAILURE), "Results of messages that failed for good."),
];

const QUEUE: Key = Key::new(
    "queue",
    text("URL, ARN or name"),
    "The queue of these results. A bare name is a queue beside the listener's own.",
)
.required();
const COMPRESS: Key =
    Key::new("compress", Shape::One(Kind::Truth), "gzip the result, in base64.").default("false");
const FORMAT: Key =
    Key::new("format", word(&["json", "matillion"]), "What a result says. Not beside `template`.")
        .default("json");
const RESULT: Key =
    Key::new("template", Shape::One(Kind::Template), "Makes the result, in place of a `format`.");
const GROUP: Key = Key::new("group_id", Shape::One(Kind::Template), "The message group of the result.")
    .otherwise("on a FIFO queue that of the message");
const DEDUPLICATION: Key = Key::new(
    "deduplication_id",
    Shape::One(Kind::Template),
    "The deduplication id of the result; FIFO queues only.",
)
.otherwise("made of the message's id");

const SUCCESS: &[Key] = &[QUEUE, COMPRESS, FORMAT, RESULT, GROUP, DEDUPLICATION];
const FAILURE: &[Key] = &[
    QUEUE,
    COMPRESS,
    FORMAT,
    RESULT,
    GROUP,
    DEDUPLICATION,
    Key::new(
        "every_try",
        Shape::One(Kind::Truth),
        "Send a result of every failed try, and not only of the last.",
    )
    .default("false"),
];
