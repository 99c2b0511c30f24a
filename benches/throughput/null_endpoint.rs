//! The endpoint: answers 200 to everything, at once or after a delay, and counts the messages by number.
//!
//! A request is one message, or the event that AWS Lambda makes of several. The event is searched rather than parsed, which
//! takes less CPU time from the measured program.

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

/// How the event of AWS Lambda begins.
const EVENT: &[u8] = b"{\"Records\":[";
/// What is before the text of a body in a record.
const RECORD_BODY: &[u8] = b"\"body\":\"";
/// [`BODY_START`] in that text.
const ESCAPED_START: &[u8] = b"{\\\"n\\\":";
/// Backslashes in that text: one for each quotation mark of a body.
const ESCAPES: usize = 6;

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
    let arrivals = Arrivals { requests: 0, messages: 0, distinct: 0, wrong: 0 };
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
        let body = request.body();
        if !request.start().starts_with(b"POST ") {
            self.note_message(None);
        } else if let Some(mut rest) = body.strip_prefix(EVENT) {
            while let Some(at) = find(rest, RECORD_BODY) {
                let text = rest.get(at + RECORD_BODY.len()..).unwrap_or_default();
                let (text, after) = text.split_at_checked(length + ESCAPES).unwrap_or((text, &[]));
                let is_whole = after.starts_with(b"\"") && text.ends_with(b"\\\"}");
                self.note_message(message_number(text, ESCAPED_START).filter(|_| is_whole));
                rest = after;
            }
        } else {
            let is_whole = body.len() == length && body.ends_with(b"\"}");
            self.note_message(message_number(body, BODY_START.as_bytes()).filter(|_| is_whole));
        }
    }

    fn note_message(&mut self, number: Option<usize>) {
        self.arrivals.messages += 1;
        let Some(message) = number else {
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

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The number that the queue server wrote into the body, after its `start`.
fn message_number(body: &[u8], start: &[u8]) -> Option<usize> {
    let digits = body.strip_prefix(start)?;
    number(digits.split(|byte| *byte == b',').next()?)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
