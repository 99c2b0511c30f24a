//! What the fuzzer feeds to this area: whatever a server answers to a call, read by the SDK and by us.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

use super::client::Connection;
use crate::escape;
use crate::message::{Message, ReceiptHandle};
use crate::ports::{BatchResult, Queue as _, QueueError, Receive, VisibilityChange};
use crate::sqs::{QueueRef, Settings, SqsQueue};

const ADDRESS: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
/// The longest id and receipt handle that this process remembers.
const ID_MAX: usize = 256;
const HANDLE_MAX: usize = 4 * 1024;
/// Code, text and request id of a failure, each of which is shortened.
const ERROR_MAX: usize = 2_000;

/// The first byte chooses call and status. Then come the error code and, after the byte 0x1E, the body.
///
/// Every message can be settled, every entry of a batch has its result, every failure is one line.
pub(crate) fn answers(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let mut parts = rest.splitn(2, |byte| *byte == 0x1e);
    let code = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default();
    let status = [200, 400, 403, 500].into_iter().cycle().nth(usize::from(choice >> 4)).unwrap_or(200);
    let answer = Answer { status, code: String::from_utf8_lossy(code).into_owned(), body: body.to_vec() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let _one_at_a_time = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    let Some(queue) = queue() else { return };
    let handles = ["a", "b", "c"].map(ReceiptHandle::new);
    runtime.block_on(async {
        match choice & 3 {
            0 | 1 => {
                let receive = Receive {
                    max: 10,
                    wait: Duration::ZERO,
                    visibility: Duration::from_secs(90),
                    attempt: None,
                };
                received(queue.receive(receive).await);
            }
            2 => {
                let change =
                    |receipt: &ReceiptHandle| VisibilityChange { receipt: receipt.clone(), seconds: 9 };
                let changes = handles.each_ref().map(change);
                settled(queue.delete(&handles).await, handles.len());
                settled(queue.change_visibility(&changes).await, changes.len());
            }
            _ => failed(queue.inspect().await.err()),
        }
    });
}

fn received(answer: Result<Vec<Message>, QueueError>) {
    match answer {
        Ok(messages) => messages.iter().for_each(can_be_settled),
        Err(error) => failed(Some(error)),
    }
}

fn can_be_settled(message: &Message) {
    assert!(!message.id.as_str().is_empty() && !message.receipt.expose().is_empty());
    assert!(message.id.as_str().len() <= ID_MAX && message.receipt.expose().len() <= HANDLE_MAX);
    assert!(message.receive_count.get() >= 1);
    assert!(message.attributes.is_sorted_by(|one, next| one.name < next.name), "each once, by name");
}

fn settled(answer: BatchResult, entries: usize) {
    match answer {
        Ok(results) => {
            assert_eq!(results.len(), entries);
            for error in results.into_iter().filter_map(Result::err) {
                assert!(error.code.len() <= ERROR_MAX, "{error:?}");
            }
        }
        Err(error) => failed(Some(error)),
    }
}

fn failed(error: Option<QueueError>) {
    let Some(error) = error else { return };
    let text = error.source.to_string();
    assert!(text.len() <= ERROR_MAX, "{} bytes", text.len());
    assert!(!escape::line(&text).chars().any(escape::is_unsafe) && !text.contains('\n'), "{text:?}");
}

/// A queue whose server says [`ANSWER`].
fn queue() -> Option<SqsQueue> {
    let queue = QueueRef::Url(ADDRESS.parse().ok()?);
    let settings = Settings { queue: queue.clone(), region: None, profile: None, role: None, address: None };
    let connection = Connection::made(&settings, CLIENT.clone(), Instant::now());
    Some(SqsQueue::new(queue, Arc::new(connection)))
}

/// One input at a time: they share the server.
static TURN: Mutex<()> = Mutex::new(());
static ANSWER: Mutex<Answer> = Mutex::new(Answer { status: 200, code: String::new(), body: Vec::new() });
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Server)))
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "fuzz"))
        .build();
    Client::from_conf(config)
});

#[derive(Debug)]
struct Answer {
    status: u16,
    code: String,
    body: Vec<u8>,
}

/// Answers every call with [`ANSWER`].
#[derive(Debug)]
struct Server;

impl HttpConnector for Server {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(status) = StatusCode::try_from(answer.status) else { unreachable!("a status of HTTP") };
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body.clone()));
        if !answer.code.is_empty() {
            // What is no header value is left out.
            for name in ["x-amzn-query-error", "x-amzn-requestid"] {
                drop(response.headers_mut().try_insert(name, answer.code.clone()));
            }
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}
