//! The console: a page for people, of static files that are part of the binary.
//!
//! The page is served as written and knows nothing but the API of this port. So it can do what a script with the same
//! token can, and no more. It loads nothing from elsewhere, and its policy lets nothing else run, not even a style in
//! the page. Text of queues and endpoints becomes text there, never HTML.
//!
//! Each file has a tag made of its content. Browsers ask whether it has changed, so an upgrade shows at once.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::Path;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::problem::no_such_path;
use super::routes::Routes;

/// What the page may load and do. Browsers hold it to that, whatever slips into it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// The page itself.
const PAGE: File = File { name: "index.html", kind: HTML, text: include_str!("index.html") };
/// The paths of the port, for terminals.
const PATHS: &str = include_str!("help.txt");

macro_rules! files {
    ($($kind:ident: $($name:literal)+;)+) => {
        /// What the page loads.
        const FILES: &[File] = &[$($(File { name: $name, kind: $kind, text: include_str!($name) },)+)+];
    };
}

files! {
    CSS: "base.css" "parts.css" "views.css";
    IMAGE: "icon.svg";
    SCRIPT: "main.js" "live.js" "api.js" "session.js" "list.js" "listener.js" "actions.js" "letters.js" "form.js" "configuration.js"
        "keylines.js" "results.js" "judge.js" "rates.js" "chart.js" "parts.js" "dialog.js" "dom.js" "say.js" "text.js" "keys.js"
        "theme.js";
}

/// A file of the console.
#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

impl File {
    /// Names the content. The hash is the same wherever this build runs.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    /// The file, or that the client has it.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = self.tag();
        let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        // A proxy may have weakened the tag, or a client may send several (RFC 9110, section 13.1.2).
        let has = known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
        let common = [(ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache"), (VARY, "Accept")];
        if has {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        (common, [(CONTENT_TYPE, self.kind)], SAFE, self.text).into_response()
    }
}

/// Sent with every file of the page.
const SAFE: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // No other site may show these files as its own.
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The page and its files, and the list of paths.
pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/", page).get("/help", help).get("/console/{file}", file)
}

/// The page for those who read HTML, the list of paths for all others.
async fn page(headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|value| value.to_ascii_lowercase().contains("text/html")) {
        return PAGE.answer(&headers);
    }
    ([(VARY, "Accept")], PATHS).into_response()
}

async fn help() -> &'static str {
    PATHS
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => file.answer(&headers),
        None => no_such_path().await.into_response(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
