//! Why a request got no answer it asked for: a status, the words, and the fix, as JSON.

use std::time::Duration;

use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::document;
use crate::telemetry::labels::AdminWrite;

/// A request that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) fix: String,
    /// How long to wait before the next request.
    pub(super) wait: Option<Duration>,
    /// What is wrong, one by one, where that can be said.
    pub(super) problems: Vec<Value>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status, error: error.into(), fix: fix.into(), wait: None, problems: Vec::new() }
    }

    /// Requests come too fast.
    pub(super) fn too_many(wait: Duration, what: &str) -> Self {
        let seconds = wait.as_secs() + 1;
        let fix = format!("wait {seconds} s, and ask less often");
        Self { wait: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, what, fix) }
    }

    /// How it is counted.
    pub(super) fn result(&self) -> AdminWrite {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AdminWrite::Denied,
            StatusCode::TOO_MANY_REQUESTS => AdminWrite::Limited,
            _ => AdminWrite::Refused,
        }
    }

    /// Adds the headers that go with the status.
    pub(super) fn with_headers(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"queuepost\""));
        }
        if let Some(wait) = self.wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = if self.problems.is_empty() {
            json!({ "error": self.error, "fix": self.fix })
        } else {
            json!({ "error": self.error, "fix": self.fix, "problems": self.problems })
        };
        self.with_headers((self.status, document::json(&body)).into_response())
    }
}

/// The answer to a path that nobody serves.
pub(super) async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such path here", "GET / lists the paths")
}

/// The answer to a path that the address for metrics does not serve.
pub(super) async fn no_such_probe() -> Problem {
    let fix = "ask the address of admin.listen: this one has /metrics, /livez and /readyz alone";
    Problem::new(StatusCode::NOT_FOUND, "there is no such path here", fix)
}

/// The answer to another method than a path takes; whoever routes adds the header `Allow`.
pub(super) async fn no_such_method() -> Problem {
    let fix = format!("use a method of the header {ALLOW}: GET reads; POST, PUT and DELETE change");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method", fix)
}
