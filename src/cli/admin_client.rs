//! One request to the admin port of a process, over a plain connection, bounded in time and size.
//!
//! For every command that asks a process on this machine. It does not read the configuration file, because a
//! check runs every few seconds. The variable that tells `run` the port tells the commands too.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{self, ConfigErrors};

/// Where the process is.
#[derive(Debug, Args)]
pub(super) struct Process {
    /// Admin port of the process, as `run` was told; 0.0.0.0 and [::] are asked at loopback [default: 127.0.0.1:9464] [env: QUEUEPOST_ADMIN_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    admin_address: Option<String>,
}

impl Process {
    /// The address to ask.
    pub(super) fn address(&self) -> Result<SocketAddr, ConfigErrors> {
        config::admin_address(self.admin_address.as_deref(), &config::process_env)
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    /// The token that allows changes.
    pub(super) token: Option<&'a str>,
    /// JSON, or nothing.
    pub(super) body: &'a str,
}

impl<'a> Request<'a> {
    /// Reads a path.
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, token: None, body: "" }
    }
}

/// How long an answer may take, and how long it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) bytes: u64,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody can be reached there.
    #[error("{0}")]
    Unreachable(std::io::Error),
    /// The connection broke.
    #[error("{0}")]
    Broken(std::io::Error),
    /// Something else answers there.
    #[error("the answer is none of HTTP; is this queuepost's admin port?")]
    NoHttp,
    /// It is longer than is read.
    #[error("the answer is longer than {} MiB", .0 / 1_048_576)]
    TooLong(u64),
    /// It did not come in time.
    #[error("no answer within {} s", .0.as_secs())]
    TooLate(Duration),
}

/// Asks once.
pub(super) async fn ask(
    address: SocketAddr,
    request: Request<'_>,
    bounds: Bounds,
) -> Result<Answer, AskError> {
    timeout(bounds.time, exchange(address, request, bounds.bytes))
        .await
        .unwrap_or(Err(AskError::TooLate(bounds.time)))
}

async fn exchange(address: SocketAddr, request: Request<'_>, most: u64) -> Result<Answer, AskError> {
    let reached = TcpStream::connect(reachable(address).as_slice()).await;
    let mut stream = reached.map_err(AskError::Unreachable)?;
    // A server that refuses a request may answer before it has read all of it.
    let sent = stream.write_all(head_and_body(address, request).as_bytes()).await;
    let mut answer = Vec::new();
    let read = (&mut stream).take(most + 1).read_to_end(&mut answer).await;
    if u64::try_from(answer.len()).is_ok_and(|length| length > most) {
        return Err(AskError::TooLong(most));
    }
    let parsed = parse(&String::from_utf8_lossy(&answer));
    if parsed.is_none() {
        sent.and(read.map(drop)).map_err(AskError::Broken)?;
    }
    parsed.ok_or(AskError::NoHttp)
}

fn head_and_body(address: SocketAddr, Request { method, path, token, body }: Request<'_>) -> String {
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let of_body = match body.len() {
        0 if method == "GET" => String::new(),
        0 => "content-length: 0\r\n".to_owned(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{token}{of_body}\r\n{body}")
}

/// A text as one part of a path (RFC 3986, section 2.3).
pub(super) fn path_part(text: &str) -> String {
    let mut part = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            part.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            write!(part, "%{byte:02X}").ok();
        }
    }
    part
}

/// The addresses of a process that listens on `address`, in the order to try.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let hosts = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        // Containers without IPv6 treat [::] as all of IPv4, and have no ::1.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
        ip => vec![ip],
    };
    hosts.into_iter().map(|host| SocketAddr::new(host, address.port())).collect()
}

/// Status and body of an answer that ends with its connection..
fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim_end();
    let status = status.lines().next()?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_is_asked_at_loopback() {
        let asked = |text: &str| -> Vec<String> {
            reachable(text.parse().unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(asked("0.0.0.0:9464"), ["127.0.0.1:9464"]);
        assert_eq!(asked("[::]:9464"), ["[::1]:9464", "127.0.0.1:9464"]);
        assert_eq!(asked("127.0.0.2:1"), ["127.0.0.2:1"]);
        assert_eq!(asked("192.0.2.1:1"), ["192.0.2.1:1"]);
    }

    #[test]
    fn status_and_body_are_told_apart() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n[-]x\nfailed\n").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "[-]x\nfailed\n".to_owned() });
        assert_eq!(parse("HTTP/1.0 200\r\n\r\n").map(|answer| answer.status), Some(200));
    }

    #[test]
    fn what_is_no_http_is_no_answer() {
        for text in
            ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 ok\r\n\r\n", "HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn no_name_leaves_its_part_of_the_path_or_the_head() {
        assert_eq!(path_part("orders-2_~"), "orders-2_~");
        assert_eq!(path_part("../a b\r\n?#%\u{e4}"), "%2E%2E%2Fa%20b%0D%0A%3F%23%25%C3%A4");
    }
}
