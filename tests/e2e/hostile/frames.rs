//! Hand-written HTTP/2 (RFC 9113), as little as the misbehaviour needs.
//!
//! The server accepts the client's settings and answers no ping. When a request has arrived in full, it acts
//! as configured, on the stream of that request.

use std::io;
use std::sync::atomic::AtomicU64;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::server::{read_out, repeat, write};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types (section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// The setting for the flow-control window of a stream.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The initial window, before it is set or raised.
const WINDOW: i64 = 65_535;
/// A frame of an endless body: the longest allowed is 16,384.
const GULP: i64 = 16_000;
/// Flags.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes (section 7).
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// How the server acts on a connection.
#[derive(Debug, Clone, Default)]
pub struct Http2 {
    /// Frames before any request.
    pub first: Vec<Frame>,
    /// Frames after a request.
    pub says: Vec<Frame>,
    /// Frames repeated without end; otherwise the server stays silent or closes, as configured.
    pub repeats: Vec<Frame>,
    pub closes: bool,
    /// Then sends a body while the client's window allows it.
    pub body_without_end: bool,
    /// Acts on the head of a request and reads no body.
    pub hasty: bool,
}

/// A frame, on the stream of the request.
#[derive(Debug, Clone, Copy)]
pub enum Frame {
    /// The head of an answer; whether the stream ends with it.
    Answer([u8; 3], bool),
    /// Headers of this many bytes that do not end.
    OpenHeaders(usize),
    /// A continuation of those headers.
    MoreHeaders(usize),
    /// An answer whose headers have this many bytes.
    WideAnswer(usize),
    /// A part of the body, with this size.
    Body(usize),
    Reset(u32),
    /// Whether the server has processed the request.
    GoAway {
        seen: bool,
        code: u32,
    },
    Ping,
    Settings,
    /// A stream opened by the server, which no client of ours accepts.
    Push,
}

impl Frame {
    fn encode(self, stream: u32) -> Vec<u8> {
        match self {
            Self::Answer(status, whole) => {
                let flags = END_HEADERS | if whole { END_STREAM } else { 0 };
                frame(HEADERS, flags, stream, &head(status))
            }
            Self::OpenHeaders(length) => frame(HEADERS, 0, stream, &[head(*b"200"), filler(length)].concat()),
            Self::MoreHeaders(length) => frame(CONTINUATION, 0, stream, &filler(length)),
            Self::WideAnswer(length) => {
                let block = [head(*b"200"), filler(length)].concat();
                frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
            }
            Self::Body(length) => frame(DATA, 0, stream, &vec![b' '; length]),
            Self::Reset(code) => frame(RST_STREAM, 0, stream, &code.to_be_bytes()),
            Self::GoAway { seen, code } => {
                let last: u32 = if seen { stream } else { 0 };
                frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
            }
            Self::Ping => frame(PING, 0, 0, &[7; 8]),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::Push => {
                let promised: u32 = 2;
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    stream,
                    &[&promised.to_be_bytes()[..], &head(*b"200")].concat(),
                )
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A status in HPACK: a literal, not indexed, with the name of the static table's entry 8 (RFC 7541, section 6.2.2).
fn head(status: [u8; 3]) -> Vec<u8> {
    [&[0x08, 3][..], &status].concat()
}

/// Headers of about this many bytes, each a literal of 100 that is not indexed.
fn filler(length: usize) -> Vec<u8> {
    const HEADER: usize = 100;
    const NAME: &[u8; 8] = b"x-filler";
    let value = [b'x'; HEADER - 2 - 1 - NAME.len()];
    [&[0, 8][..], NAME, &[value.len() as u8], &value].concat().repeat(length / HEADER)
}

fn encode(frames: &[Frame], stream: u32) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.encode(stream)).collect()
}

/// Serves a connection to its end.
pub async fn speak<S>(http: &Http2, stream: &mut S, written: &AtomicU64) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    assert_eq!(preface, PREFACE);
    write(stream, &frame(SETTINGS, 0, 0, &[]), written).await?;
    write(stream, &encode(&http.first, 0), written).await?;
    // The window for answers: that of each stream, and that of the connection.
    let (mut on_stream, mut on_connection) = (WINDOW, WINDOW);
    let mut answering = None;
    loop {
        if let Some(id) = answering {
            while on_stream.min(on_connection) >= GULP {
                write(stream, &Frame::Body(GULP as usize).encode(id), written).await?;
                on_stream -= GULP;
                on_connection -= GULP;
            }
        }
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [l1, l2, l3, kind, flags, id @ ..] = header;
        let id = u32::from_be_bytes(id);
        let mut payload = vec![0; u32::from_be_bytes([0, l1, l2, l3]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == SETTINGS && flags & ACK == 0 {
            let set = |setting: &[u8]| setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes();
            let window = payload.chunks(6).find(|setting| set(setting));
            on_stream += window.map_or(0, |setting| number(&setting[2..]) - WINDOW);
            write(stream, &frame(SETTINGS, ACK, 0, &[]), written).await?;
        }
        if kind == WINDOW_UPDATE {
            *(if id == 0 { &mut on_connection } else { &mut on_stream }) += number(&payload);
        }
        let is_whole = (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0;
        let is_enough = is_whole || (http.hasty && kind == HEADERS);
        if !is_enough {
            continue;
        }
        write(stream, &encode(&http.says, id), written).await?;
        if !http.repeats.is_empty() {
            repeat(stream, &encode(&http.repeats, id), written).await?;
        }
        if http.body_without_end && answering.is_none() {
            answering = Some(id);
        }
        if http.closes {
            stream.shutdown().await?;
            read_out(stream).await;
            return Ok(());
        }
    }
}

fn number(bytes: &[u8]) -> i64 {
    i64::from(u32::from_be_bytes(bytes.try_into().unwrap()))
}
