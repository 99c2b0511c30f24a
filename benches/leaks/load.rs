//! The load: a queue that is never empty, and an endpoint with various answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use queuepost::localqueue::{Broker, SendMessage, Server, SharedBroker, wall_clock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Result;

/// Name of the one queue.
pub(crate) const QUEUE: &str = "leaks";
/// The fill level of the queue, and how often it is filled.
const BACKLOG: u64 = 500;
const FILL_EVERY: Duration = Duration::from_millis(50);
/// How long a success of the endpoint takes.
const WORK: Duration = Duration::from_millis(10);
/// Per hundred requests: those throttled, failed, left without an answer and refused; the others succeed.
const THROTTLED: u64 = 4;
const FAILED: u64 = 4;
const HANGING: u64 = 1;
const OVERLOADED: u64 = 1;

/// Queue and endpoint, running while this value exists.
pub(crate) struct Load {
    pub(crate) queue: SocketAddr,
    pub(crate) endpoint: SocketAddr,
    pub(crate) answers: Arc<Answers>,
    _tasks: JoinSet<()>,
}

/// How many answers of each kind the endpoint gave.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    seed: u64,
    asked: AtomicU64,
    pub(crate) ok: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) hanging: AtomicU64,
    pub(crate) overloaded: AtomicU64,
}

impl Load {
    pub(crate) async fn start(seed: u64) -> Result<Self> {
        let mut broker = Broker::new(seed);
        broker.create_queue(wall_clock()(), QUEUE, &[].into())?;
        let server = Server::bind(([127, 0, 0, 1], 0).into(), broker, wall_clock()).await?;
        let (queue, broker) = (server.local_addr(), server.broker());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = listener.local_addr()?;
        let answers = Arc::new(Answers { seed, ..Answers::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&answers));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            server.serve(std::future::pending()).await;
        });
        tasks.spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        tasks.spawn(fill(broker));
        Ok(Self { queue, endpoint, answers, _tasks: tasks })
    }
}

/// Keeps the queue filled.
async fn fill(broker: SharedBroker) {
    loop {
        broker.with(|broker, now| {
            let attributes = broker.attributes(now, QUEUE).unwrap_or_default();
            let visible = attributes.get("ApproximateNumberOfMessages").and_then(|text| text.parse().ok());
            for _ in visible.unwrap_or_default()..BACKLOG {
                let message = SendMessage { body: r#"{"n":1}"#.to_owned(), ..SendMessage::default() };
                // A queue that refuses messages shows as one that runs empty.
                broker.send(now, QUEUE, message).ok();
            }
        });
        tokio::time::sleep(FILL_EVERY).await;
    }
}

async fn answer(State(answers): State<Arc<Answers>>) -> Response {
    let number = answers.asked.fetch_add(1, Ordering::Relaxed);
    let mood = fastrand::Rng::with_seed(answers.seed ^ number).u64(..100);
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    if mood < THROTTLED {
        count(&answers.throttled);
        StatusCode::TOO_MANY_REQUESTS.into_response()
    } else if mood < THROTTLED + FAILED {
        count(&answers.failed);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    } else if mood < THROTTLED + FAILED + HANGING {
        count(&answers.hanging);
        std::future::pending().await
    } else if mood < THROTTLED + FAILED + HANGING + OVERLOADED {
        count(&answers.overloaded);
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    } else {
        count(&answers.ok);
        tokio::time::sleep(WORK).await;
        StatusCode::OK.into_response()
    }
}
