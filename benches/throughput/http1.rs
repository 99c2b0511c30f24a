//! As much HTTP/1.1 as the servers of this benchmark need: whole messages with a Content-Length, one by one.
//!
//! It is cheap on purpose, so that the servers take little CPU time from the measured program. It has no
//! chunked bodies and no limits: every peer is part of this benchmark.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest headers; more is an error.
const HEAD_MAX: usize = 64 * 1024;
/// Buffer size of each read.
const READ: usize = 16 * 1024;

/// The messages of one connection.
pub(crate) struct Messages<R> {
    reader: R,
    buffer: BytesMut,
}

/// A request or an answer.
pub(crate) struct Message {
    /// All bytes of the message.
    pub(crate) bytes: Bytes,
    /// Where the body begins.
    body_at: usize,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::with_capacity(READ) }
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some((body_at, length)) = whole(&self.buffer)? {
                return Ok(Some(Message { bytes: self.buffer.split_to(length).freeze(), body_at }));
            }
            self.buffer.reserve(READ);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(bad("cut off")) };
            }
        }
    }
}

impl Message {
    /// The first line.
    pub(crate) fn start(&self) -> &[u8] {
        self.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default()
    }

    /// All before the body.
    pub(crate) fn head(&self) -> &[u8] {
        self.bytes.get(..self.body_at).unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.bytes.get(self.body_at..).unwrap_or_default()
    }
}

/// Where the body of the first message begins and ends, if all of it is there.
fn whole(buffer: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if buffer.len() > HEAD_MAX { Err(bad("no end of the headers")) } else { Ok(None) };
    };
    let body_at = end + 4;
    let head = buffer.get(..body_at).unwrap_or_default();
    if header(head, "transfer-encoding").is_some() {
        return Err(bad("a body without a length"));
    }
    let length = match header(head, "content-length") {
        Some(text) => number(text).ok_or_else(|| bad("no length"))?,
        None => 0,
    };
    Ok((buffer.len() >= body_at + length).then_some((body_at, body_at + length)))
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// A decimal number.
pub(crate) fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("HTTP/1.1: {what}"))
}
