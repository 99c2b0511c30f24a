//! A proxy before the embedded queue: it checks one access key, and can answer in SQS's place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::servers::QueueServer;

/// An answer in SQS's place: status and body.
pub type CannedAnswer = (u16, String);

/// The embedded queue behind the proxy.
pub struct SqsProxy {
    /// The URL of a queue through the proxy.
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

struct Shared {
    queues: String,
    /// `None` accepts every key.
    key: Mutex<Option<&'static str>>,
    canned: Mutex<Option<CannedAnswer>>,
    refused: AtomicUsize,
}

impl SqsProxy {
    pub async fn start(queues: &QueueServer, queue: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/000000000000/{queue}", listener.local_addr().unwrap());
        let queues = format!("http://{}/", queues.address);
        let (key, canned, refused) = (Mutex::default(), Mutex::default(), AtomicUsize::new(0));
        let shared = Arc::new(Shared { queues, key, canned, refused });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _server: tasks }
    }

    /// Accepts only this access key; any other has expired.
    pub fn accept_only_key(&self, key: &'static str) {
        *self.shared.key.lock().unwrap() = Some(key);
    }

    /// The answer to every call; `None` forwards calls.
    pub fn answer_with(&self, canned: Option<CannedAnswer>) {
        *self.shared.canned.lock().unwrap() = canned;
    }

    /// Number of calls that were not forwarded.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

/// An error answer of SQS with its code.
pub fn refusal(status: u16, code: &str, message: &str) -> CannedAnswer {
    (status, format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#))
}

impl Shared {
    fn refusal(&self, headers: &HeaderMap) -> Option<CannedAnswer> {
        let canned = self.canned.lock().unwrap().clone();
        let key = self.key.lock().unwrap().map(|key| format!("Credential={key}/"));
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let expired =
            || refusal(400, "ExpiredToken", "The security token included in the request is expired");
        canned.or_else(|| key.filter(|key| !signed.contains(key)).map(|_| expired()))
    }
}

async fn pass(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some((status, canned)) = shared.refusal(&headers) {
        shared.refused.fetch_add(1, Ordering::SeqCst);
        let status = StatusCode::from_u16(status).unwrap();
        return (status, [("content-type", "application/x-amz-json-1.0")], canned).into_response();
    }
    let mut request = reqwest::Client::new().post(&shared.queues).body(body);
    for name in ["x-amz-target", "content-type"] {
        request = request.header(name, headers[name].as_bytes());
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (status, [("content-type", kind)], answer.bytes().await.unwrap()).into_response()
}
