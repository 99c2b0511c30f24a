//! Answers in the form of the original event-listener API.
//!
//! Its documentation shows an error as `{id, code, message}`; its client libraries read `error.message`. Both are there. The
//! codes are those of its documented list that come nearest.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::super::document;
use super::super::problem::Problem;
use super::super::store::{NotStored, WrongKey};
use super::super::write::Done;

/// The keys of a listener, each with the field by which it is written here.
const FIELDS: [(&str, &str); 6] = [
    ("name", "id"),
    ("queue", "sourceURI"),
    ("algorithm", "algoName"),
    ("timeout", "algoTimeoutSeconds"),
    ("listener_owner", "listenerOwner"),
    ("role_arn", "credentials"),
];

/// A document.
pub(super) fn json(status: StatusCode, document: &Value) -> Response {
    (status, document::json(document)).into_response()
}

/// The answer to a change.
pub(super) fn change(made: Result<Done, Problem>) -> Response {
    match made {
        Ok(Done { status: StatusCode::NO_CONTENT, .. }) => StatusCode::NO_CONTENT.into_response(),
        Ok(Done { status, answer, .. }) => json(status, &answer),
        Err(problem) => failure(&problem),
    }
}

/// The answer to a request that is not done.
pub(super) fn failure(problem: &Problem) -> Response {
    let code = code(problem.status);
    let message = format!("{}; {}", problem.error, problem.fix);
    let error = json!({ "code": code, "message": message });
    let mut body = Map::from_iter([
        ("error".to_owned(), error),
        ("code".to_owned(), json!(code)),
        ("message".to_owned(), json!(message)),
    ]);
    if !problem.problems.is_empty() {
        body.insert("problems".to_owned(), json!(problem.problems));
    }
    problem.with_headers(json(problem.status, &Value::Object(body)))
}

/// The nearest code of the original's list.
fn code(status: StatusCode) -> u16 {
    match status {
        StatusCode::UNAUTHORIZED => 2002,
        StatusCode::FORBIDDEN => 2001,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => 2015,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => 2013,
        StatusCode::NOT_FOUND => 5004,
        StatusCode::INTERNAL_SERVER_ERROR => 5001,
        _ => 6001,
    }
}

/// Nobody keeps listeners here.
pub(super) fn nobody() -> Problem {
    let error = "this process keeps no event listeners";
    Problem::new(StatusCode::CONFLICT, error, "start it with listeners_dir or --listeners-dir")
}

/// Why nothing was kept, in the words of these routes.
pub(super) fn not_kept(not: NotStored) -> Problem {
    match not {
        NotStored::NoSuchListener => {
            let fix = "GET /v1/users/USER/event-listeners lists those of the user";
            Problem::new(StatusCode::NOT_FOUND, "this user has no event listener of this id", fix)
        }
        NotStored::Conflict { why, fix } => Problem::new(StatusCode::CONFLICT, why, fix),
        NotStored::Failed { why, fix } => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why, fix),
        // Nobody but these routes has written it.
        NotStored::NotValid(wrong) if wrong.iter().any(|one| one.key == "endpoint") => {
            let error = "the configuration has no endpoint `algorithmia`, which calls the algorithms";
            let fix = "add it to the file: `endpoints: {algorithmia: {url: ADDRESS, auth: {api_key: …}}}`";
            Problem::new(StatusCode::CONFLICT, error, fix)
        }
        NotStored::NotValid(wrong) => invalid(wrong),
    }
}

/// What is wrong with the fields, one by one and as a sentence.
pub(super) fn invalid(wrong: Vec<WrongKey>) -> Problem {
    let wrong: Vec<WrongKey> =
        wrong.into_iter().map(|one| WrongKey { key: field(&one.key), ..one }).collect();
    let said = |one: &WrongKey| {
        let words =
            if one.key.is_empty() { one.words.clone() } else { format!("{}: {}", one.key, one.words) };
        one.fix.as_ref().map_or_else(|| words.clone(), |fix| format!("{words} ({fix})"))
    };
    let error = wrong.iter().map(said).collect::<Vec<_>>().join("; ");
    let problems = wrong.iter().map(|one| json!({ "key": one.key, "words": one.words, "fix": one.fix }));
    let fix = "nothing was changed";
    Problem { problems: problems.collect(), ..Problem::new(StatusCode::BAD_REQUEST, error, fix) }
}

/// The field of a key.
fn field(key: &str) -> String {
    FIELDS.iter().find(|(name, _)| *name == key).map_or(key, |(_, field)| field).to_owned()
}
