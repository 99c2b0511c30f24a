//! The HTTP front: turns a request into a broker call, and the result into an answer.
//!
//! Every request is a POST, to any path; the operation is in `X-Amz-Target`. Signatures are not checked.
//! Queue URLs start with the host that the client used, so they work from the client's machine. Injected
//! faults are carried out here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::faults::{Decision, Verdict};
use super::shared::{SharedBroker, SharedFaults};
use super::wire::{self, Call};
use super::{BrokerError, Operation, long_poll};
use crate::serve::{Bodies, BodyError, Cut, Refusal};

/// Longest request body: a batch of 1 MiB whose every byte is escaped as six characters of JSON, with room to spare.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// Memory for all long bodies of running requests.
const BODIES_BYTES: usize = 256 * 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TARGET_PREFIX: &str = "AmazonSQS.";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TOO_LONG: &str = "The request is longer than 8 MiB. Send less at once.";
const BROKEN: &str = "The request broke off.";
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// What every request needs.
#[derive(Debug)]
pub(super) struct Front {
    broker: SharedBroker,
    faults: SharedFaults,
    local_addr: SocketAddr,
    bodies: Bodies,
    /// Cancelled when the server should stop.
    closing: CancellationToken,
    requests: AtomicU64,
}

async fn answer(
    State(front): State<Arc<Front>>,
    Extension(cut): Extension<Cut>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match front.bodies.read(body).await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return front.respond(Err(BrokerError::ServiceUnavailable)),
        Err(BodyError::TooLong) => return refused(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG),
        Err(BodyError::Broken) => return refused(StatusCode::BAD_REQUEST, BROKEN),
    };
    let result = match operation(&method, &headers) {
        Ok(operation) => front.perform(operation, &headers, &body, &cut).await,
        Err(error) => Err(error),
    };
    front.respond(result)
}

impl Front {
    pub(super) fn new(
        broker: SharedBroker,
        faults: SharedFaults,
        local_addr: SocketAddr,
        closing: CancellationToken,
    ) -> Self {
        let bodies = Bodies::new(MAX_REQUEST_BYTES, BODIES_BYTES);
        Self { broker, faults, local_addr, bodies, closing, requests: AtomicU64::new(0) }
    }

    /// The one route: any path.
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(self)
    }

    /// Performs an operation, unless a fault prevents it. After a reset connection nobody gets the result.
    async fn perform(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: &[u8],
        cut: &Cut,
    ) -> Result<Vec<u8>, BrokerError> {
        let decision = self.faults.decide(operation);
        if decision.wait_millis > 0 {
            let slow = tokio::time::sleep(Duration::from_millis(decision.wait_millis));
            tokio::select! {
                () = slow => {}
                () = self.closing.cancelled() => {}
            }
        }
        match &decision.verdict {
            Verdict::Perform => self.effect(operation, headers, body, &decision).await,
            Verdict::Refuse(error) => Err(error.clone()),
            Verdict::Reset => {
                cut.now();
                Err(BrokerError::ServiceUnavailable)
            }
            Verdict::LoseAnswer => {
                let result = self.effect(operation, headers, body, &decision).await;
                cut.now();
                result
            }
        }
    }

    async fn effect(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: &[u8],
        decision: &Decision,
    ) -> Result<Vec<u8>, BrokerError> {
        if operation == Operation::ReceiveMessage {
            let request = wire::receive::Request::parse(body)?;
            let messages = long_poll::receive(&self.broker, &request, decision, &self.closing).await?;
            return request.answer(messages);
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin =
            host.map_or_else(|| format!("http://{}", self.local_addr), |host| format!("http://{host}"));
        self.broker.with(|broker, now| {
            wire::answer(operation, &mut Call { broker, now, origin: &origin, decision }, body)
        })
    }

    fn respond(&self, result: Result<Vec<u8>, BrokerError>) -> Response {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (status, query_error, body) = match result {
            Ok(body) => (StatusCode::OK, None, body),
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let fault = if error.sender_fault() { "Sender" } else { "Receiver" };
                let body = serde_json::json!({ "__type": error.type_name(), "message": error.to_string() });
                (status, Some(format!("{};{fault}", error.code())), body.to_string().into_bytes())
            }
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        let texts = [
            (REQUEST_ID, Some(format!("00000000-0000-4000-8000-{number:012x}"))),
            (QUERY_ERROR, query_error),
        ];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// A request that this server cannot serve, refused so that an SDK shows the reason.
pub(super) fn refuse(refusal: Refusal) -> Response {
    refused(refusal.status, refusal.reason)
}

fn refused(status: StatusCode, reason: &str) -> Response {
    let body = serde_json::json!({ "__type": "com.queuepost#RefusedRequest", "message": reason });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn operation(method: &Method, headers: &HeaderMap) -> Result<Operation, BrokerError> {
    if method != Method::POST {
        return Err(wire::unsupported(method.as_str()));
    }
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok()).ok_or_else(|| {
        BrokerError::UnsupportedOperation("The embedded queue speaks the AWS JSON protocol only.".to_owned())
    })?;
    let name = target.strip_prefix(TARGET_PREFIX).unwrap_or(target);
    Operation::from_name(name).ok_or_else(|| wire::unsupported(name))
}
