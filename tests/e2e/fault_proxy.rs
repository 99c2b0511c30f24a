//! An HTTP/1.1 proxy that injects faults into some exchanges and records them all.
//!
//! It reads a whole request, draws a fault from its seed, and then forwards the request or not. So for every
//! exchange a test knows whether the request reached the server. It also knows whether the answer left for
//! the client. With both it distinguishes necessary duplicates from avoidable ones. Faults stop when they are
//! switched off.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::process::until;

/// Longest pause of a delay.
const DELAY_MAX_MILLIS: u64 = 300;
/// A slow transfer has so many pieces, with a pause after each.
const PIECES: usize = 8;
const PIECE_PAUSE: Duration = Duration::from_millis(20);
/// The answer in place of the server's.
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// The fault of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    None,
    /// The request waits first.
    Delay,
    /// Request and answer are forwarded in pieces.
    Slow,
    /// The connection is reset, and the request not forwarded.
    Reset,
    /// The request is not forwarded, and the answer is a 503.
    Unavailable,
    /// The connection is reset instead of the answer.
    LostAnswer,
    /// Half of the answer is forwarded, and then the connection ends.
    CutAnswer,
}

impl Fault {
    /// Whether the server does its work and the client cannot know it.
    pub fn loses_answer(self) -> bool {
        matches!(self, Self::LostAnswer | Self::CutAnswer)
    }

    fn forwards(self) -> bool {
        !matches!(self, Self::Reset | Self::Unavailable)
    }
}

/// Faults with their frequency, per thousand exchanges.
pub type Rates = &'static [(Fault, u64)];

/// A request and its result.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When the request had arrived.
    pub asked: Instant,
    /// Its head: first line and fields.
    pub head: String,
    pub body: Vec<u8>,
    pub fault: Fault,
    /// The server's answer: time, status and body.
    pub answer: Option<(Instant, u16, Vec<u8>)>,
    /// Whether the whole answer was sent to the client.
    pub passed_on: bool,
}

impl Exchange {
    /// Whether the request reached the server.
    pub fn forwarded(&self) -> bool {
        self.fault.forwards()
    }

    pub fn succeeded(&self) -> bool {
        self.answer.as_ref().is_some_and(|(_, status, _)| *status == 200)
    }
}

/// A running proxy.
pub struct Proxy {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    _connections: JoinSet<()>,
}

struct Inner {
    server: SocketAddr,
    seed: u64,
    rates: Rates,
    harmless: AtomicBool,
    /// Number of running exchanges.
    running: AtomicUsize,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Proxy {
    pub async fn start(server: SocketAddr, seed: u64, rates: Rates) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (harmless, running, exchanges) = <(AtomicBool, AtomicUsize, _)>::default();
        let inner = Arc::new(Inner { server, seed, rates, harmless, running, exchanges });
        let mut accepting = JoinSet::new();
        let shared = Arc::clone(&inner);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                number += 1;
                let inner = Arc::clone(&shared);
                // However a connection ends, its exchanges are recorded.
                connections.spawn(async move { inner.connection(client, number).await.ok() });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, inner, _connections: accepting }
    }

    /// From now on there are no faults.
    pub fn be_harmless(&self) {
        self.inner.harmless.store(true, Ordering::SeqCst);
    }

    /// Waits for running exchanges: the server may still answer a client that was killed.
    pub async fn until_quiet(&self) {
        let quiet = || (self.inner.running.load(Ordering::SeqCst) == 0).then_some(());
        assert!(until(quiet).await.is_some(), "an exchange does not end");
    }

    /// All exchanges so far, in the order in which they began.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut all = self.inner.exchanges.lock().unwrap().clone();
        all.sort_by_key(|exchange| exchange.asked);
        all
    }

    pub fn count(&self) -> usize {
        self.inner.exchanges.lock().unwrap().len()
    }

    /// How often each fault was injected.
    pub fn faults(&self) -> BTreeMap<Fault, usize> {
        let mut faults = BTreeMap::new();
        for exchange in self.inner.exchanges.lock().unwrap().iter() {
            *faults.entry(exchange.fault).or_default() += 1;
        }
        faults.remove(&Fault::None);
        faults
    }
}

impl Inner {
    async fn connection(&self, mut client: TcpStream, number: u64) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_add(number << 32));
        let mut server = None;
        let mut unread = Vec::new();
        while let Some(request) = Message::read(&mut client, &mut unread).await? {
            self.running.fetch_add(1, Ordering::SeqCst);
            let fault = self.draw(&mut random);
            let mut exchange = Exchange {
                asked: Instant::now(),
                head: request.head(),
                body: request.body(),
                fault,
                answer: None,
                passed_on: false,
            };
            let goes_on =
                pass(&request, fault, &mut random, &mut client, &mut server, self.server, &mut exchange)
                    .await;
            self.exchanges.lock().unwrap().push(exchange);
            self.running.fetch_sub(1, Ordering::SeqCst);
            if !goes_on? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn draw(&self, random: &mut fastrand::Rng) -> Fault {
        let mut drawn = random.u64(..1_000);
        if self.harmless.load(Ordering::SeqCst) {
            return Fault::None;
        }
        for (fault, rate) in self.rates {
            match drawn.checked_sub(*rate) {
                None => return *fault,
                Some(rest) => drawn = rest,
            }
        }
        Fault::None
    }
}

/// Forwards an exchange, or not; returns whether the connection continues.
async fn pass(
    request: &Message,
    fault: Fault,
    random: &mut fastrand::Rng,
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    address: SocketAddr,
    exchange: &mut Exchange,
) -> io::Result<bool> {
    match fault {
        Fault::Reset => {
            client.set_zero_linger()?;
            return Ok(false);
        }
        Fault::Unavailable => {
            client.write_all(UNAVAILABLE).await?;
            return Ok(true);
        }
        Fault::Delay => tokio::time::sleep(Duration::from_millis(random.u64(..DELAY_MAX_MILLIS))).await,
        Fault::None | Fault::Slow | Fault::LostAnswer | Fault::CutAnswer => {}
    }
    let backend = if let Some(server) = server {
        server
    } else {
        let connected = TcpStream::connect(address).await?;
        connected.set_nodelay(true)?;
        server.insert(connected)
    };
    write(backend, &request.bytes, fault).await?;
    let answer = Message::read(backend, &mut Vec::new()).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    exchange.answer = Some((Instant::now(), answer.status(), answer.body()));
    if answer.ends_connection() {
        *server = None;
    }
    match fault {
        Fault::LostAnswer => {
            client.set_zero_linger()?;
            Ok(false)
        }
        Fault::CutAnswer => {
            // Perhaps only the head, which announces a body, or not even the whole head.
            client.write_all(&answer.bytes[..answer.bytes.len() / 2]).await?;
            client.shutdown().await?;
            Ok(false)
        }
        Fault::None | Fault::Delay | Fault::Slow | Fault::Reset | Fault::Unavailable => {
            write(client, &answer.bytes, fault).await?;
            exchange.passed_on = true;
            Ok(!answer.ends_connection())
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8], fault: Fault) -> io::Result<()> {
    if fault != Fault::Slow {
        return stream.write_all(bytes).await;
    }
    for piece in bytes.chunks(bytes.len().div_ceil(PIECES)) {
        stream.write_all(piece).await?;
        tokio::time::sleep(PIECE_PAUSE).await;
    }
    Ok(())
}

/// A request or an answer.
struct Message {
    bytes: Vec<u8>,
    head_length: usize,
    chunked: bool,
}

impl Message {
    /// The next message; `None` at the end of the connection. Later bytes stay in `unread`.
    async fn read(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some((head_length, length, chunked)) = Self::whole(unread) {
                let rest = unread.split_off(length);
                let bytes = std::mem::replace(unread, rest);
                return Ok(Some(Self { bytes, head_length, chunked }));
            }
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return if unread.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            unread.extend_from_slice(&buffer[..count]);
        }
    }

    /// Lengths of head and whole message, when all of it has arrived.
    fn whole(bytes: &[u8]) -> Option<(usize, usize, bool)> {
        let head_length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_length]).to_lowercase();
        let body = &bytes[head_length..];
        if head.contains("\r\ntransfer-encoding: chunked") {
            let end = if body.starts_with(b"0\r\n\r\n") {
                5
            } else {
                body.windows(7).position(|window| window == b"\r\n0\r\n\r\n")? + 7
            };
            return Some((head_length, head_length + end, true));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = head_length + length.map_or(0, |length| length.parse::<usize>().unwrap());
        (bytes.len() >= length).then_some((head_length, length, false))
    }

    fn head(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..self.head_length]).into_owned()
    }

    fn body(&self) -> Vec<u8> {
        let mut body = &self.bytes[self.head_length..];
        if !self.chunked {
            return body.to_vec();
        }
        let mut whole = Vec::new();
        while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
            whole.extend_from_slice(&body[end + 2..end + 2 + length]);
            body = &body[end + 2 + length + 2..];
        }
        whole
    }

    fn status(&self) -> u16 {
        self.head().split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn ends_connection(&self) -> bool {
        self.head().to_lowercase().contains("\r\nconnection: close")
    }
}
