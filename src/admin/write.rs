//! One change through the admin port, from the guard to the log.
//!
//! The guard decides, then the body is read, then the change is made. It is counted and logged with who asked and what,
//! also when it was denied or refused. That happens too when whoever asked has hung up. Nothing is changed any more once
//! the process drains.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::View;
use super::document;
use super::guard::Takes;
use super::problem::Problem;
use crate::serve::{Cut, Peer};
use crate::telemetry::labels::AdminWrite;

/// How long an answer may take: a drain waits for POSTs, and a test for one.
const ANSWER_MAX: Duration = Duration::from_secs(30 * 60);
/// Longest name that is logged; that of a listener has 63 characters at most.
pub(super) const NAME_MAX: usize = 64;

/// What is asked for.
pub(super) struct Write {
    /// The word for it in logs and metrics.
    pub(super) action: &'static str,
    /// Of which listener, if it is of one.
    pub(super) listener: String,
    pub(super) takes: Takes,
}

/// What was done: the answer, and what was before and is now, for the log.
pub(super) struct Done {
    pub(super) status: StatusCode,
    pub(super) answer: Value,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Done {
    /// It was done, and the answer says all of it.
    pub(super) fn with(answer: Value) -> Self {
        Self { status: StatusCode::OK, answer, before: None, after: None }
    }

    /// It was done; what was before and is now goes into the log.
    pub(super) fn changed(answer: Value, before: String, after: String) -> Self {
        Self { before: Some(before), after: Some(after), ..Self::with(answer) }
    }
}

/// Who asked, and how long the answer may take.
pub(super) type Client = (Extension<Peer>, Extension<Cut>);

/// Makes one change, and answers. `read` takes the body, `make` what was read.
pub(super) async fn answer<A, F>(
    view: Arc<View>,
    write: Write,
    client: Client,
    request: Request,
    read: impl FnOnce(&[u8]) -> Result<A, Problem>,
    make: impl FnOnce(Arc<View>, String, A) -> F,
) -> Response
where
    F: Future<Output = Result<Done, Problem>> + Send + 'static,
{
    match made(view, write, client, request, read, make).await {
        Ok(Done { status, answer, .. }) => (status, document::json(&answer)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Makes one change; whoever asked has another form of answers.
pub(super) async fn made<A, F>(
    view: Arc<View>,
    write: Write,
    client: Client,
    request: Request,
    read: impl FnOnce(&[u8]) -> Result<A, Problem>,
    make: impl FnOnce(Arc<View>, String, A) -> F,
) -> Result<Done, Problem>
where
    F: Future<Output = Result<Done, Problem>> + Send + 'static,
{
    let Write { action, listener, takes } = write;
    let (Extension(peer), Extension(cut)) = client;
    let admitted = admitted(&view, takes, &cut, request, read).await;
    let shown = listener.chars().take(NAME_MAX).collect();
    let report = Report { view: Arc::clone(&view), action, listener: shown, peer: peer.to_string() };
    let asked = match admitted {
        Ok(asked) => asked,
        Err(problem) => return report.of(Err(problem)),
    };
    let making = make(Arc::clone(&view), listener, asked);
    to_its_end(report, making).await
}

/// Makes a change, also when whoever asked has gone, and tells what came of it.
pub(super) async fn to_its_end(
    report: Report,
    making: impl Future<Output = Result<Done, Problem>> + Send + 'static,
) -> Result<Done, Problem> {
    let tasks = report.view.tasks.clone();
    match tasks.spawn(async move { report.of(making.await) }).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "a change ended by a panic");
            let error = "an error of queuepost itself ended this";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error, "look at its log, and report it"))
        }
    }
}

/// Who tells of one change, in metrics and log.
pub(super) struct Report {
    pub(super) view: Arc<View>,
    pub(super) action: &'static str,
    pub(super) listener: String,
    pub(super) peer: String,
}

impl Report {
    /// Tells what came of it.
    fn of(self, done: Result<Done, Problem>) -> Result<Done, Problem> {
        let Self { view, action, listener, peer } = self;
        let result = done.as_ref().map_or_else(Problem::result, |_| AdminWrite::Done);
        view.metrics.admin_write(action, result);
        match &done {
            Ok(Done { before, after, .. }) => {
                tracing::info!(peer, action, listener, before, after, "changed through the admin port");
            }
            Err(problem) => {
                // Whoever reads a configuration logs all that is wrong with it, once.
                let (status, error) = (problem.status.as_u16(), problem.error.lines().next());
                match result {
                    AdminWrite::Denied => {
                        tracing::warn!(peer, action, listener, status, error, "a change was denied");
                    }
                    // Nobody can fill the log with them: the right token is limited, and everybody else denied.
                    AdminWrite::Refused | AdminWrite::Done => {
                        tracing::info!(peer, action, listener, status, error, "a change was not made");
                    }
                    AdminWrite::Limited => {}
                }
            }
        }
        done
    }
}

/// What is asked for, of whoever may ask now.
async fn admitted<A>(
    view: &View,
    takes: Takes,
    cut: &Cut,
    request: Request,
    read: impl FnOnce(&[u8]) -> Result<A, Problem>,
) -> Result<A, Problem> {
    let (head, body) = request.into_parts();
    view.guard.admit(&head.headers).await?;
    let asked = read(&view.guard.body(takes, &head.headers, body).await?)?;
    if view.drain.is_draining() {
        let fix = "wait for its end, and start it again";
        return Err(Problem::new(StatusCode::CONFLICT, "the process is draining and ends soon", fix));
    }
    cut.allow(ANSWER_MAX);
    Ok(asked)
}
