//! The wording of Matillion ETL's own SQS listener ("Manage SQS Configuration"), so that its consumers read on.
//!
//! Names of the job come from the message. `tasks` and `rowCount` come from the answer's JSON, and so does `type`
//! where it has one. An API that only queues the job does not know them yet: then there are none.

use serde::Serialize;
use serde_json::Value;

use super::packed::without_what_sqs_refuses;
use super::{ResultFacts, State, beginning, epoch_ms, text_of};

/// The type of a job that a queue started.
const QUEUED: &str = "QUEUE_ORCHESTRATION";
/// What Matillion writes before the name of the queue that started a job.
const ORIGIN: &str = "q_";
/// Longest name, in bytes.
const NAME_BYTES: usize = 1024;
/// Longest `message`, in bytes.
const MESSAGE_BYTES: usize = 4 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Task<'a> {
    r#type: &'a str,
    group_name: &'a str,
    project_name: &'a str,
    version_name: &'a str,
    environment_name: &'a str,
    state: &'static str,
    enqueued_time: Option<u64>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    message: &'a str,
    #[serde(rename = "originator ID")]
    originator: String,
    row_count: u64,
    tasks: &'a [Value],
}

/// The result of a job that the message `body` from `queue` started; `has_tasks`: there is room for them.
pub(super) fn text(facts: &ResultFacts<'_>, body: &[u8], queue: &str, has_tasks: bool) -> String {
    let job: Value = serde_json::from_slice(body).unwrap_or_default();
    let answer: Value = if facts.body.is_whole {
        serde_json::from_slice(&facts.body.kept).unwrap_or_default()
    } else {
        Value::Null
    };
    let name = |key: &str| beginning(job.get(key).and_then(Value::as_str).unwrap_or_default(), NAME_BYTES);
    let told = |key: &str| answer.get(key).and_then(Value::as_str);
    let failure = || match facts.state {
        State::Success => None,
        State::Failed => facts.error().or_else(|| text_of(facts.body)),
    };
    let message = told("message").or_else(|| told("msg")).or_else(failure).unwrap_or_default();
    let tasks = answer.get("tasks").and_then(Value::as_array).filter(|_| has_tasks);
    let task = Task {
        r#type: beginning(told("type").unwrap_or(QUEUED), NAME_BYTES),
        group_name: name("group"),
        project_name: name("project"),
        version_name: name("version"),
        environment_name: name("environment"),
        state: facts.state.label(),
        enqueued_time: facts.message.sent_at.and_then(epoch_ms),
        start_time: facts.started.and_then(epoch_ms),
        end_time: epoch_ms(facts.ended),
        message: beginning(message, MESSAGE_BYTES),
        originator: format!("{ORIGIN}{queue}"),
        row_count: answer.get("rowCount").and_then(Value::as_u64).unwrap_or_default(),
        tasks: tasks.map(Vec::as_slice).unwrap_or_default(),
    };
    // Texts, numbers and JSON that was parsed: nothing of them fails.
    without_what_sqs_refuses(serde_json::to_string(&task).unwrap_or_default())
}
