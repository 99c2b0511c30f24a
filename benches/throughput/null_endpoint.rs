//! The endpoint: answers 200 to everything, at once or after a delay, and counts the messages by number.
//!
//! A request is one message, or the event that AWS Lambda makes of several. The event is searched rather than parsed, which
//! takes less CPU time from the measured program.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Result;
use crate::http1::{Messages, number};
use crate::options::NullEndpoint;
use crate::protocol::{Arrivals, Count, Orders, say};
use crate::queue_server::BODY_START;
use crate::tls::Inside;

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
    let endpoint = Arc::new(Endpoint {
        seen: Mutex::new(Seen { times: Vec::new(), arrivals }),
        pause: Duration::from_millis(options.millis),
        length: usize::try_from(options.body)?,
    });
    let tls = match &options.tls {
        Some(tls) => Some((tls.inside, tls.acceptor()?)),
        None => None,
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.next() => match order? {
                Some(Count) => say(&endpoint.seen().arrivals)?,
                None => return Ok(()),
            },
            accepted = listener.accept() => {
                connections.spawn(Arc::clone(&endpoint).serve(accepted?.0, tls.clone()));
            }
            // The measured program may close its connections at any time.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// What its connections share.
struct Endpoint {
    seen: Mutex<Seen>,
    pause: Duration,
    /// Bytes of a body.
    length: usize,
}

impl Endpoint {
    async fn serve(self: Arc<Self>, stream: TcpStream, tls: Option<(Inside, TlsAcceptor)>) -> Result<()> {
        stream.set_nodelay(true)?;
        match tls {
            None => {
                let (reader, writer) = stream.into_split();
                self.http1(reader, writer).await
            }
            Some((Inside::Http1, acceptor)) => {
                let (reader, writer) = tokio::io::split(acceptor.accept(stream).await?);
                self.http1(reader, writer).await
            }
            Some((Inside::Http2, acceptor)) => self.http2(acceptor.accept(stream).await?).await,
        }
    }

    async fn http1(&self, reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) -> Result<()> {
        let mut requests = Messages::new(reader);
        while let Some(request) = requests.next().await? {
            let is_post = request.start().starts_with(b"POST ");
            self.takes(is_post, request.body()).await;
            writer.write_all(ANSWER).await?;
            // TLS keeps it back otherwise.
            writer.flush().await?;
        }
        Ok(())
    }

    async fn http2(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let mut connection = h2::server::handshake(stream).await?;
        let mut requests = JoinSet::new();
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted?;
            let endpoint = Arc::clone(&self);
            requests.spawn(async move {
                let is_post = request.method() == http::Method::POST;
                let (mut body, mut whole) = (request.into_body(), Vec::new());
                while let Some(part) = body.data().await.transpose()? {
                    body.flow_control().release_capacity(part.len())?;
                    whole.extend_from_slice(&part);
                }
                endpoint.takes(is_post, &whole).await;
                respond.send_response(http::Response::new(()), true).map(drop)
            });
            while let Some(answered) = requests.try_join_next() {
                answered??;
            }
        }
        Ok(())
    }

    async fn takes(&self, is_post: bool, body: &[u8]) {
        self.seen().note(is_post, body, self.length);
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn note(&mut self, is_post: bool, body: &[u8], length: usize) {
        self.arrivals.requests += 1;
        if !is_post {
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
