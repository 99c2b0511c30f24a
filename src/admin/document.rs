//! A document of JSON as an answer, safe to read in a terminal.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::escape;

/// The document with its layout.
pub(super) fn json(document: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], format!("{}\n", escape::lines(&format!("{document:#}"))))
        .into_response()
}
