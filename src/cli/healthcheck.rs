//! `queuepost healthcheck`: asks the process on this machine for its health, for container images without
//! `curl`.
//!
//! It requests `/livez` or `/readyz` from the admin port and reports the result as its exit code. It does not
//! read the configuration file, because a check runs every few seconds. The variable that tells `run` the
//! port tells this command too. One request over a plain connection, bounded in time and size.
#![expect(clippy::doc_markdown, reason = "the comments on options are help texts for a terminal")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli::{BAD_CONFIGURATION, FAILED, OK, complain, terminal};
use crate::config;

/// Time for the whole check; the default of Kubernetes is 1 s, of Docker 30 s.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer that is read: several hundred listeners, one line each.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

const EXAMPLES: &str = "\
Examples:
  queuepost healthcheck
  queuepost healthcheck --ready --admin-address 127.0.0.1:9464

In a Dockerfile:
  HEALTHCHECK CMD [\"queuepost\", \"healthcheck\"]

Exit codes: 0 well, 1 not well or no answer within 2 s (standard error says
why), 2 usage, 78 bad address.";

/// Options of `healthcheck`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Admin port of the process, as `run` was told; 0.0.0.0 and [::] are asked at loopback [default: 127.0.0.1:9464] [env: QUEUEPOST_ADMIN_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    admin_address: Option<String>,
    /// Ask whether it does its work (/readyz) instead of whether it lives (/livez)
    #[arg(long)]
    ready: bool,
}

/// Asks once; returns the exit code.
pub(super) async fn run(options: &Options) -> u8 {
    let address = match config::admin_address(options.admin_address.as_deref(), &config::process_env) {
        Ok(address) => address,
        Err(errors) => {
            complain(&errors);
            return BAD_CONFIGURATION;
        }
    };
    let path = if options.ready { "/readyz" } else { "/livez" };
    let asked = tokio::time::timeout(TIMEOUT, ask(address, path)).await;
    let why = match asked {
        Ok(Ok(Answer { status: 200, .. })) => return OK,
        Ok(Ok(Answer { status, body })) => {
            // The lines of the answer name the failure.
            terminal::pass_on(&body);
            format!("http://{address}{path} answered {status}")
        }
        Ok(Err(error)) => format!("http://{address}{path}: {error}"),
        Err(_) => format!("http://{address}{path}: no answer within {} s", TIMEOUT.as_secs()),
    };
    complain(&why);
    FAILED
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: String,
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(reachable(address).as_slice()).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| std::io::Error::other("the answer is none of HTTP; is this queuepost's admin port?"))
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

/// Status and body of an answer that ends with its connection.
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
}
