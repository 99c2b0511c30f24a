//! A server that sends exactly the configured bytes on every connection, whatever happened on earlier ones.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::frames::{self, Http2};

/// Bytes per write of an endless answer.
const GULP: usize = 32 * 1024;
/// Pause between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(50);
/// Receive buffer for a request that is read slowly: the least that the system allows.
const LITTLE_ROOM: u32 = 2_048;

/// How a connection proceeds.
#[derive(Debug, Clone)]
pub enum Server {
    /// Without TLS, from the first byte on.
    Plain(Http1),
    /// After a TLS handshake as configured.
    Tls(Arc<ServerConfig>, Http1),
    /// HTTP/2 after a TLS handshake; agreed by ALPN.
    Http2(Arc<ServerConfig>, Http2),
}

/// What the server does on an HTTP/1.1 connection, or before there is any HTTP.
#[derive(Debug, Clone)]
pub struct Http1 {
    pub reads: Reads,
    pub says: Vec<u8>,
    pub then: Then,
}

/// What the server waits for before it sends.
#[derive(Debug, Clone, Copy)]
pub enum Reads {
    /// A whole request.
    Request,
    /// The first bytes, whatever they are.
    Something,
    /// Reads a byte now and then, and never sends.
    Drops,
}

/// What the server does after its answer.
#[derive(Debug, Clone)]
pub enum Then {
    /// Closes TLS and TCP in order.
    Closes,
    /// Closes TCP without closing TLS.
    Vanishes,
    /// Resets TCP.
    Resets,
    /// Stays open and silent.
    Hangs,
    /// Sends this without end.
    Repeats(Vec<u8>),
    /// Sends this without end, a byte now and then.
    Drips(&'static [u8]),
    /// Writes this past TLS, as a machine on the path might.
    Tampers(&'static [u8]),
}

/// A running server.
pub struct Running {
    pub origin: String,
    /// Bytes it has written.
    pub written: Arc<AtomicU64>,
    _connections: JoinSet<()>,
}

impl Server {
    /// Listens on a port of its own.
    pub fn start(self) -> Running {
        let socket = TcpSocket::new_v4().unwrap();
        if matches!(self, Self::Plain(Http1 { reads: Reads::Drops, .. })) {
            socket.set_recv_buffer_size(LITTLE_ROOM).unwrap();
        }
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(128).unwrap();
        let scheme = if matches!(self, Self::Plain(_)) { "http" } else { "https" };
        let origin = format!("{scheme}://{}", listener.local_addr().unwrap());
        Running::new(origin, self, listener)
    }

    async fn speak(&self, stream: TcpStream, written: &AtomicU64) -> io::Result<()> {
        match self {
            Self::Plain(http) => {
                let mut stream = stream;
                if http.speak(&mut stream, written).await? {
                    stream.set_zero_linger()?;
                }
                Ok(())
            }
            Self::Tls(config, http) => {
                let mut stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
                let resets = http.speak(&mut stream, written).await?;
                let stream = stream.get_mut().0;
                if let Then::Tampers(bytes) = http.then {
                    stream.write_all(bytes).await?;
                    read_out(stream).await;
                }
                if resets {
                    stream.set_zero_linger()?;
                }
                Ok(())
            }
            Self::Http2(config, http) => {
                let mut stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
                frames::speak(http, &mut stream, written).await
            }
        }
    }
}

impl Running {
    fn new(origin: String, server: Server, listener: tokio::net::TcpListener) -> Self {
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (server, written) = (server.clone(), Arc::clone(&counter));
                // A client that disconnects early is what most rows are about.
                connections.spawn(async move { server.speak(stream, &written).await.ok() });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { origin, written, _connections: accepting }
    }
}

impl Http1 {
    /// Whether the connection is to be reset.
    async fn speak<S>(&self, stream: &mut S, written: &AtomicU64) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.reads {
            Reads::Request => read_request(stream).await?,
            Reads::Something => {
                if stream.read(&mut [0; 1024]).await? == 0 {
                    return Ok(false);
                }
            }
            Reads::Drops => loop {
                if stream.read(&mut [0]).await? == 0 {
                    return Ok(false);
                }
                tokio::time::sleep(DRIP).await;
            },
        }
        write(stream, &self.says, written).await?;
        match &self.then {
            Then::Closes => {
                stream.shutdown().await?;
                read_out(stream).await;
            }
            Then::Vanishes | Then::Tampers(_) => {}
            Then::Resets => return Ok(true),
            Then::Hangs => read_out(stream).await,
            Then::Repeats(bytes) => repeat(stream, bytes, written).await?,
            Then::Drips(bytes) => {
                for byte in bytes.iter().cycle() {
                    write(stream, &[*byte], written).await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
        }
        Ok(false)
    }
}

/// Writes and counts the bytes.
pub async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    written: &AtomicU64,
) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// Sends the same until nobody reads.
pub async fn repeat<S: AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    written: &AtomicU64,
) -> io::Result<()> {
    let gulp = bytes.repeat(GULP.div_ceil(bytes.len()));
    loop {
        write(stream, &gulp, written).await?;
    }
}

/// Reads until the other side closes.
pub async fn read_out<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut sink = vec![0; 16 * 1024];
    while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}

/// Reads a request with a length.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let (mut read, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&buffer[..count]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        assert!(
            !head.contains("accept-encoding"),
            "nothing is decompressed, so nothing compressed is asked for"
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if read.len() == end + 4 + length.parse::<usize>().unwrap() {
            return Ok(());
        }
    }
}
