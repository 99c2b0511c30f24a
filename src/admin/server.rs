//! The routes of the admin port.
//!
//! On loopback the port answers to IP addresses and `localhost` only. Elsewhere it answers to any host name.
//! In a cluster others choose the names for probes, Services and Prometheus, and network rules decide who may
//! connect.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::document::json;
use super::health::{self, Demand, Verdict};
use super::problem::{no_such_method, no_such_path, no_such_probe};
use super::routes::{Name, Routes};
use super::{RunningListener, View};
use super::{change, console, event_listeners, openapi, session, status, store_routes, stream};
use crate::escape;
use crate::serve::{self, Hosts, Limits, Refusal};
use crate::telemetry::metrics::{CONTENT_TYPE as METRICS_TYPE, Metrics};

/// The answer to a request for a foreign host name on loopback.
const FOREIGN_HOST: &str = "The admin port listens on loopback and does not answer to the name in the Host header, so that no \
    web page reaches it by pointing its own name here. Use an IP address or localhost.";

/// The admin port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for metrics and health; set {key} or --{flag} to a free address",
    flag = .key.replace(['.', '_'], "-")
)]
pub struct AdminError {
    /// By which the address is configured.
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// The admin port, bound.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    hosts: Hosts,
}

impl Admin {
    /// Binds the port, so that a port conflict is known before anything starts.
    ///
    /// `key` is the one that the address is configured by.
    pub async fn bind(key: &'static str, address: SocketAddr) -> Result<Self, AdminError> {
        let listener =
            TcpListener::bind(address).await.map_err(|source| AdminError { key, address, source })?;
        Ok(Self { listener, hosts: Hosts::by_address(address, FOREIGN_HOST) })
    }

    /// The bound address; differs from the configured one when the port was 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves every route until `stop`.
    pub async fn serve(self, view: Arc<View>, stop: CancellationToken) {
        tokio::select! {
            () = self.serve_routes(all().into_router().fallback(no_such_path), Arc::clone(&view), stop) => {}
            () = view.live.history.follow(&view.running) => {}
        }
    }

    /// Serves metrics and probes alone, until `stop`.
    pub async fn serve_metrics(self, view: Arc<View>, stop: CancellationToken) {
        let routes = probes(Routes::default()).into_router().fallback(no_such_probe);
        self.serve_routes(routes, view, stop).await;
    }

    async fn serve_routes(self, routes: Router<Arc<View>>, view: Arc<View>, stop: CancellationToken) {
        let answers = routes.method_not_allowed_fallback(no_such_method).with_state(view);
        let settings =
            serve::Settings { limits: Limits::default(), hosts: self.hosts, refusal: Refusal::plain };
        serve::serve(self.listener, answers, settings, stop).await;
    }
}

/// What others scrape and probe.
fn probes(routes: Routes) -> Routes {
    routes.get("/metrics", metrics).get("/livez", livez).get("/healthz", livez).get("/readyz", readyz)
}

/// Every route of the port.
pub(super) fn all() -> Routes {
    let routes = probes(Routes::default())
        .get("/version", version)
        .get("/api/v1/status", status_document)
        .get("/api/v1/events", stream::events)
        .get("/api/v1/session", session::session)
        .get("/api/v1/listeners", listeners)
        .get("/api/v1/listeners/{name}", listener)
        .get("/api/v1/listeners/{name}/failures", failures)
        .get("/api/v1/listeners/{name}/history", history)
        .get("/api/v1/listeners/{name}/redrive", redrive)
        .get("/api/v1/log-level", log_level)
        .get("/api/v1/openapi.json", openapi);
    event_listeners::routes(console::routes(store_routes::routes(change::routes(routes))))
}

async fn metrics(State(view): State<Arc<View>>) -> Response {
    view.running.set_gauges();
    if view.drain.is_draining() {
        view.metrics.set_draining();
    }
    ([(CONTENT_TYPE, METRICS_TYPE)], view.metrics.render()).into_response()
}

async fn livez(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Response {
    answer("livez", &health::live(&view.running.healths()), query.as_deref())
}

async fn readyz(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Response {
    let all = query.as_deref().is_some_and(|query| query.split('&').any(|key| key == "listeners=all"));
    let demand = if all { Demand::All } else { Demand::Any };
    let verdict = health::ready(&view.running.healths(), view.drain.is_draining(), demand);
    answer("readyz", &verdict, query.as_deref())
}

/// The checks are printed on request, and always when one of them failed.
fn answer(probe: &str, verdict: &Verdict, query: Option<&str>) -> Response {
    let asked = |key: &str| key == "verbose" || key.starts_with("verbose=");
    let verbose = query.is_some_and(|query| query.split('&').any(asked));
    // The answer has texts of queues and endpoints, and people read it in a terminal.
    let checks = escape::lines(&verdict.checks);
    match (verdict.good, verbose) {
        (true, false) => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        (true, true) => (StatusCode::OK, format!("{checks}{probe} check passed\n")).into_response(),
        (false, _) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{checks}{probe} check failed\n")).into_response()
        }
    }
}

async fn version() -> Response {
    let body = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": Metrics::revision(),
    });
    json(&body)
}

async fn status_document(State(view): State<Arc<View>>, RawQuery(query): RawQuery) -> Response {
    let without = query.as_deref().is_some_and(|query| query.split('&').any(|key| key == "failures=0"));
    json(&status::document(&view, !without))
}

/// All listeners by name, with their states.
async fn listeners(State(view): State<Arc<View>>) -> Response {
    json(&status::listeners(&view))
}

/// One listener of the status, for whoever asks often: without its failures one by one.
async fn listener(State(view): State<Arc<View>>, Name(name): Name) -> Response {
    of_listener(&view, &name, |running| status::listener(&running.status(), false))
}

/// The last failures of one listener, one by one.
async fn failures(State(view): State<Arc<View>>, Name(name): Name) -> Response {
    of_listener(&view, &name, |running| status::recent_failures(&running.status()))
}

/// What one listener counted in the last quarter of an hour.
async fn history(State(view): State<Arc<View>>, Name(name): Name) -> Response {
    of_listener(&view, &name, |running| view.live.history.document(&running.name))
}

/// How the latest redrive of one listener stands.
async fn redrive(State(view): State<Arc<View>>, Name(name): Name) -> Response {
    // One of a listener that is gone or drained is still told of.
    let runs = view.running.listener(&name).is_some();
    match view.operator.as_ref().map(|operator| operator.redrive(&name)) {
        Some(state) if runs || state.get("state").is_some_and(|state| state != "none") => json(&state),
        Some(_) | None => change::no_such_listener(&view, &name).into_response(),
    }
}

/// The filter of the log.
async fn log_level(State(view): State<Arc<View>>) -> Response {
    json(&change::log_document(&view))
}

/// The document of all routes.
async fn openapi() -> Response {
    json(&openapi::document())
}

/// A document of one listener, or that there is none of this name.
fn of_listener(view: &View, name: &str, document: impl FnOnce(&RunningListener) -> Value) -> Response {
    match view.running.listener(name) {
        Some(running) => json(&document(&running)),
        None => change::no_such_listener(view, name).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(all: impl Iterator<Item = String>) -> Vec<String> {
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }

    #[test]
    fn every_route_is_described_once_and_nothing_else_is() {
        let routes = all();
        let known: Vec<_> = sorted(routes.known().iter().map(|(method, path)| format!("{method} {path}")));
        let document = openapi::document();
        let paths = document["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        });
        assert_eq!(known, sorted(described));
    }

    async fn text(answer: Response) -> String {
        let bytes = axum::body::to_bytes(answer.into_body(), 1024).await.expect("a body");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn what_the_admin_port_shows_steers_no_terminal_and_is_the_same_json() {
        let said = "no \u{202e}route\u{9b}31m";
        let checks = format!("[-]listener/orders failed: {said}\n");
        let shown = text(answer("readyz", &Verdict { good: false, checks }, None)).await;
        let expected = "[-]listener/orders failed: no \\u202eroute\\u009b31m\nreadyz check failed\n";
        assert_eq!(shown, expected);
        let document = serde_json::json!({ "why": said });
        let shown = text(json(&document)).await;
        assert!(!shown.chars().any(|c| c != '\n' && escape::is_unsafe(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
    }
}
