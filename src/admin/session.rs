//! What a page or a script may do here, before it tries: `/api/v1/session`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::document;
use super::guard::Standing;
use super::problem::Problem;
use super::{About, View};
use crate::telemetry::metrics::Metrics;

/// Whether changes are off, need the token, or are allowed to whoever sent the request; and which process this is.
pub(super) async fn session(State(view): State<Arc<View>>, headers: HeaderMap) -> Result<Response, Problem> {
    let standing = view.guard.standing(&headers).await?;
    let About { started, host, listeners_dir, .. } = &view.about;
    let listeners_dir = listeners_dir.borrow().clone();
    let is_writable = listeners_dir.is_some() && standing != Standing::Off;
    Ok(document::json(&json!({
        "changes": standing.label(),
        "writable_listeners": is_writable,
        "listeners_dir": listeners_dir.as_ref().map(|path| path.display().to_string()),
        "process": {
            "version": env!("CARGO_PKG_VERSION"),
            "revision": Metrics::revision(),
            "started": humantime::format_rfc3339_seconds(*started).to_string(),
            "host": host,
        },
        "note": standing.note(),
    })))
}
