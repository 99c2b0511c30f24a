//! The endpoint: answers 200 to everything, at once or after a delay, and counts the messages by number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Result;
use crate::http1::{Message, Messages, number};
use crate::options::NullEndpoint;
use crate::protocol::{Arrivals, Count, Orders, say};
use crate::queue_server::BODY_START;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The requests so far.
struct Seen {
    /// How often each message arrived, by its number.
    times: Vec<u32>,
    arrivals: Arrivals,
}

/// Serves until its input ends.
pub(crate) async fn serve(options: &NullEndpoint) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut orders = Orders::listening(listener.local_addr()?)?;
    let arrivals = Arrivals { requests: 0, distinct: 0, wrong: 0 };
    let seen = Arc::new(Mutex::new(Seen { times: Vec::new(), arrivals }));
    let pause = Duration::from_millis(options.millis);
    let length = usize::try_from(options.body)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.next() => match order? {
                Some(Count) => say(&lock(&seen).arrivals)?,
                None => return Ok(()),
            },
            accepted = listener.accept() => {
                connections.spawn(answer(accepted?.0, Arc::clone(&seen), pause, length));
            }
            // The measured program may close its connections at any time.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
    pause: Duration,
    length: usize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut requests = Messages::new(reader);
    while let Some(request) = requests.next().await? {
        lock(&seen).note(&request, length);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        writer.write_all(ANSWER).await?;
    }
    Ok(())
}

impl Seen {
    fn note(&mut self, request: &Message, length: usize) {
        self.arrivals.requests += 1;
        let post = request.start().starts_with(b"POST ");
        let body = Some(request.body()).filter(|body| post && body.len() == length && body.ends_with(b"\"}"));
        let Some(message) = body.and_then(message_number) else {
            self.arrivals.wrong += 1;
            return;
        };
        if self.times.len() <= message {
            self.times.resize(message + 1, 0);
        }
        if let Some(times) = self.times.get_mut(message) {
            *times += 1;
            self.arrivals.distinct += u64::from(*times == 1);
        }
    }
}

/// The number that the queue server wrote into the body.
fn message_number(body: &[u8]) -> Option<usize> {
    let digits = body.strip_prefix(BODY_START.as_bytes())?;
    number(digits.split(|byte| *byte == b',').next()?)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
