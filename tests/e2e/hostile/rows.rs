//! The table: what an endpoint does, and which outcome that must have.
//!
//! Three parts: HTTP/1.1 in clear text; TLS, which may fail before there is any HTTP; HTTP/2 over TLS. The
//! disposition follows from the outcome by the decision table.

use std::sync::Arc;

use queuepost::policy::outcome::Outcome;
use tokio_rustls::rustls::{ServerConfig, version};

use super::frames::{CANCEL, ENHANCE_YOUR_CALM, Frame, Http2, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM};
use super::server::{Http1, Reads, Server, Then};
use crate::e2e::tls::{Authority, Identity, Tls};

/// The host in the endpoints' addresses.
const HOST: &str = "127.0.0.1";

/// One endpoint.
pub struct Row {
    pub name: String,
    pub server: Server,
    pub outcome: Outcome,
    /// Size of the message's body.
    pub body: usize,
}

impl Row {
    fn new(name: &str, server: Server, outcome: Outcome) -> Self {
        Self { name: name.to_owned(), server, outcome, body: 16 }
    }
}

/// An endpoint that reads a request, sends this, and then acts.
pub fn says(text: impl AsRef<[u8]>, then: Then) -> Http1 {
    Http1 { reads: Reads::Request, says: text.as_ref().to_vec(), then }
}

/// A head with these `fields`, and the blank line.
fn head(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n")
}

/// The beginning of a success.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const UNENDING: &str = "HTTP/1.1 200 OK\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Endpoints without TLS.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn plain() -> Vec<Row> {
    let row = |name: &str, http: Http1, outcome| Row::new(name, Server::Plain(http), outcome);
    let whole = |name: &str, text: &str, outcome| row(name, says(text, Then::Closes), outcome);
    let mut rows = vec![
        // Rows without an answer.
        row("hangs", says("", Then::Hangs), Outcome::TimedOut),
        row("closes-after-request", says("", Then::Closes), Outcome::Broken),
        row("resets-after-request", says("", Then::Resets), Outcome::Broken),
        row("drips-its-head", says("HTTP/1.1 200 OK\r\nx-drip: ", Then::Drips(b".")), Outcome::TimedOut),
        row("drips-its-body", says(UNENDING, Then::Drips(b".")), Outcome::TimedOut),
        row("drips-its-chunks", says(CHUNKED, Then::Drips(b"1\r\n.\r\n")), Outcome::TimedOut),
        row(
            "stops-amid-answer",
            says(head("200 OK", "content-length: 9") + "half", Then::Hangs),
            Outcome::TimedOut,
        ),
        row(
            "resets-amid-answer",
            says(head("200 OK", "content-length: 9") + "half", Then::Resets),
            Outcome::Broken,
        ),
        // Bytes that are no HTTP, or too much of it.
        whole("greets-as-mail", "220 mail.example ESMTP\r\n\r\n", Outcome::Broken),
        whole("speaks-http2-unasked", "\0\0\0\x04\0\0\0\0\0", Outcome::Broken),
        whole("status-of-four-digits", "HTTP/1.1 2000 OK\r\n\r\n", Outcome::Broken),
        whole("cuts-its-head", "HTTP/1.1 200 OK\r\ncontent-le", Outcome::Broken),
        whole("zero-in-header", &head("200 OK", "x-zero: a\0b"), Outcome::Broken),
        row(
            "head-without-end",
            says("HTTP/1.1 200 OK\r\n", Then::Repeats(b"x-more: and more\r\n".to_vec())),
            Outcome::Broken,
        ),
        row(
            "header-without-end",
            says("HTTP/1.1 200 OK\r\nx-long: ", Then::Repeats(b"x".to_vec())),
            Outcome::Broken,
        ),
        row("status-line-without-end", says("HTTP/1.1 200 ", Then::Repeats(b"O".to_vec())), Outcome::Broken),
        row(
            "interim-answers-without-end",
            says("", Then::Repeats(head("103 Early Hints", "x: y").into())),
            Outcome::TimedOut,
        ),
        // Lengths that differ from the body's.
        whole("length-too-great", &(head("200 OK", "content-length: 9") + "half"), Outcome::Broken),
        whole(
            "length-too-small",
            &(head("200 OK", "content-length: 4") + "more than four"),
            Outcome::Success,
        ),
        whole("length-negative", &(head("200 OK", "content-length: -1") + "x"), Outcome::Broken),
        whole(
            "length-past-64-bits",
            &(head("200 OK", "content-length: 99999999999999999999") + "x"),
            Outcome::Broken,
        ),
        whole(
            "length-of-64-bits",
            &(head("200 OK", "content-length: 18446744073709551615") + "x"),
            Outcome::Broken,
        ),
        whole(
            "two-lengths",
            &(head("200 OK", "content-length: 1\r\ncontent-length: 2") + "ab"),
            Outcome::Broken,
        ),
        whole("chunk-too-great", &format!("{CHUNKED}fffffffffffffffff\r\nx"), Outcome::Broken),
        whole("chunk-of-no-length", &format!("{CHUNKED}x\r\nx"), Outcome::Broken),
        whole("no-last-chunk", &format!("{CHUNKED}4\r\nhalf\r\n"), Outcome::Broken),
        row(
            "chunk-extension-without-end",
            says(format!("{CHUNKED}1;"), Then::Repeats(b"x".to_vec())),
            Outcome::Broken,
        ),
        row(
            "trailers-without-end",
            says(format!("{CHUNKED}0\r\n"), Then::Repeats(b"x: y\r\n".to_vec())),
            Outcome::Broken,
        ),
        row("body-without-end", says(UNENDING, Then::Repeats(b" ".to_vec())), Outcome::TimedOut),
        row("chunks-without-end", says(CHUNKED, Then::Repeats(b"1\r\n \r\n".to_vec())), Outcome::TimedOut),
        whole("body-to-the-end", &format!("{UNENDING}done"), Outcome::Success),
        row("bomb", says(bomb(), Then::Closes), Outcome::Success),
        // Complete but unusual answers.
        whole(
            "answers-after-two-interim",
            &format!("{}{}{EMPTY}", head("100 Continue", "x: y"), head("103 Early Hints", "x: y")),
            Outcome::Success,
        ),
        whole(
            "switches-protocols",
            &head("101 Switching Protocols", "connection: upgrade\r\nupgrade: x"),
            Outcome::Failed,
        ),
        whole("no-content", &head("204 No Content", "x: y"), Outcome::UnlistedSuccess),
        whole("status-nobody-knows", &head("999 What", "content-length: 0"), Outcome::Failed),
        whole(
            "redirects-to-a-file",
            &head("302 Found", "content-length: 0\r\nlocation: file:///etc/passwd"),
            Outcome::Misdirected,
        ),
        whole(
            "redirects-to-itself",
            &head("308 Permanent", "content-length: 0\r\nlocation: /work"),
            Outcome::Misdirected,
        ),
        whole("redirects-to-nowhere", &head("307 Temporary", "content-length: 0"), Outcome::Misdirected),
        whole(
            "throttles-for-ages",
            &head("429 Slow", "content-length: 0\r\nretry-after: 99999999999999999999"),
            Outcome::Throttled,
        ),
        whole(
            "throttles-since-ever",
            &head("429 Slow", "content-length: 0\r\nretry-after: Thu, 01 Jan 1970 00:00:00 GMT"),
            Outcome::Throttled,
        ),
        whole(
            "unavailable-for-ages",
            &head(
                "503 Later",
                "content-length: 0
retry-after: 31000000",
            ),
            Outcome::Unavailable,
        ),
        // More than a year is taken for a mistake, not a wait.
        whole(
            "unavailable-for-a-century",
            &head(
                "503 Later",
                "content-length: 0
retry-after: 4000000000",
            ),
            Outcome::Overloaded,
        ),
    ];
    let http = Http1 { reads: Reads::Drops, says: Vec::new(), then: Then::Hangs };
    // More than the socket buffers of both sides hold.
    rows.push(Row { body: 1_000_000, ..row("reads-in-drops", http, Outcome::TimedOut) });
    rows
}

/// 4 MiB of claimed gzip data, which inflate to 600 MiB of zeros.
///
/// One block of fixed codes (RFC 1951, section 3.2.6): a zero, then again and again "258 bytes from one
/// back".
fn bomb() -> Vec<u8> {
    const LENGTH: usize = 4 * 1024 * 1024;
    // First bit first: last block, fixed codes; literal 0 is 00110000; length 285 is 11000101, distance 0 is 00000.
    let start = [true, true, false].into_iter().chain([0, 0, 1, 1, 0, 0, 0, 0].map(|bit| bit == 1));
    let matches = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0].map(|bit| bit == 1).into_iter().cycle();
    let bits: Vec<bool> = start.chain(matches).take(8 * LENGTH).collect();
    let deflated =
        bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let fields = format!("content-encoding: gzip\r\ncontent-length: {}", gzip.len() + LENGTH);
    head("200 OK", &fields).into_bytes().into_iter().chain(gzip).chain(deflated).collect()
}

/// The certificates that servers present and require.
pub struct Trust {
    pub ours: Authority,
    good: Identity,
}

impl Trust {
    pub fn new() -> Self {
        let ours = Authority::new("ours");
        let good = ours.issue(HOST);
        Self { ours, good }
    }

    /// A certificate that a client accepts, for HTTP/1.1.
    fn http1(&self) -> Arc<ServerConfig> {
        config(&Tls { protocols: &["http/1.1"], ..Tls::with(&self.good) })
    }

    pub fn http2(&self) -> Arc<ServerConfig> {
        config(&Tls { protocols: &["h2"], ..Tls::with(&self.good) })
    }
}

fn config(tls: &Tls<'_>) -> Arc<ServerConfig> {
    Arc::new(tls.config())
}

/// Endpoints whose TLS fails, or ends in a wrong way.
pub fn tls(trust: &Trust) -> Vec<Row> {
    let shows = |name: &str, identity: &Identity| {
        let config = config(&Tls::with(identity));
        Row::new(name, Server::Tls(config, says(EMPTY, Then::Closes)), Outcome::Unsent)
    };
    let wants = |name: &str, tls: &Tls<'_>| {
        Row::new(name, Server::Tls(config(tls), says(EMPTY, Then::Closes)), Outcome::Unsent)
    };
    // Instead of a handshake.
    let shakes = |name: &str, says: &[u8], then| {
        let http = Http1 { reads: Reads::Something, says: says.to_vec(), then };
        Row::new(name, Server::Plain(http), Outcome::Unsent)
    };
    let answers = |name: &str, http, outcome| Row::new(name, Server::Tls(trust.http1(), http), outcome);
    let good = || Tls::with(&trust.good);
    let clients = Some(&trust.ours);
    let half = head("200 OK", "content-length: 9") + "half";
    vec![
        shows("tls-of-a-stranger", &Authority::new("other").issue(HOST)),
        shows("tls-for-another-host", &trust.ours.issue("elsewhere.example")),
        shows("tls-expired", &trust.ours.issue_expired(HOST)),
        shows("tls-not-valid-yet", &trust.ours.issue_for_later(HOST)),
        wants("tls-wants-a-client-1-2", &Tls { clients, version: &version::TLS12, ..good() }),
        wants("tls-wants-a-client-1-3", &Tls { clients, ..good() }),
        wants("tls-no-common-protocol", &Tls { protocols: &["mqtt"], ..good() }),
        shakes("tls-speaks-http", b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", Then::Closes),
        shakes("tls-says-nothing", b"", Then::Hangs),
        shakes("tls-closes", b"", Then::Closes),
        shakes("tls-resets", b"", Then::Resets),
        // Alerts: level fatal; protocol_version, handshake_failure, unrecognized_name, internal_error.
        shakes("tls-version-too-old", &[0x15, 3, 1, 0, 2, 2, 70], Then::Closes),
        shakes("tls-no-common-cipher", &[0x15, 3, 3, 0, 2, 2, 40], Then::Closes),
        shakes("tls-knows-no-such-name", &[0x15, 3, 3, 0, 2, 2, 112], Then::Closes),
        shakes("tls-internal-error", &[0x15, 3, 3, 0, 2, 2, 80], Then::Closes),
        // A handshake message of 16 MiB less a byte, with 16 bytes in each record, and no other records.
        shakes(
            "tls-hello-without-end",
            &[0x16, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff],
            Then::Repeats([&[0x16, 3, 3, 0, 16][..], &[0; 16]].concat()),
        ),
        shakes("tls-warnings-without-end", b"", Then::Repeats(vec![0x15, 3, 3, 0, 2, 1, 90])),
        shakes("tls-drips", b"", Then::Drips(&[0x16, 3, 3, 0x40, 0])),
        answers(
            "tls-tampered-amid-answer",
            says(&half, Then::Tampers(b"\x17\x03\x03\x00\x20 this has no key of either side ")),
            Outcome::Broken,
        ),
        answers("tls-cut-off-amid-answer", says(&half, Then::Vanishes), Outcome::Broken),
        // Without a length only TLS marks the end of the answer.
        answers("tls-cut-off-at-no-end", says(format!("{UNENDING}done"), Then::Vanishes), Outcome::Broken),
        answers("tls-ended-at-no-end", says(format!("{UNENDING}done"), Then::Closes), Outcome::Success),
        answers("tls-cut-off-after-answer", says(EMPTY, Then::Vanishes), Outcome::Success),
    ]
}

/// Endpoints that speak HTTP/2.
pub fn http2(trust: &Trust) -> Vec<Row> {
    let row = |name: &str, http, outcome| Row::new(name, Server::Http2(trust.http2(), http), outcome);
    let does = |name: &str, says: &[Frame], outcome| {
        row(name, Http2 { says: says.to_vec(), ..Http2::default() }, outcome)
    };
    let closes = |name: &str, says: &[Frame], outcome| {
        row(name, Http2 { says: says.to_vec(), closes: true, ..Http2::default() }, outcome)
    };
    let floods = |name: &str, says: &[Frame], repeats: &[Frame], outcome| {
        row(name, Http2 { says: says.to_vec(), repeats: repeats.to_vec(), ..Http2::default() }, outcome)
    };
    let begun = Frame::Answer(*b"200", false);
    let whole = Frame::Answer(*b"200", true);
    let goes_away = |seen, code| Frame::GoAway { seen, code };
    vec![
        does("h2-hangs", &[], Outcome::TimedOut),
        does("h2-answers", &[whole], Outcome::Success),
        does("h2-resets", &[Frame::Reset(INTERNAL_ERROR)], Outcome::Broken),
        does("h2-cancels", &[Frame::Reset(CANCEL)], Outcome::Broken),
        // RFC 9113, section 8.7: the request was not processed.
        does("h2-refuses-the-stream", &[Frame::Reset(REFUSED_STREAM)], Outcome::Unsent),
        does(
            "h2-resets-amid-answer",
            &[begun, Frame::Body(4), Frame::Reset(INTERNAL_ERROR)],
            Outcome::Broken,
        ),
        // After a head the reset no longer means a refusal.
        does("h2-refuses-amid-answer", &[begun, Frame::Reset(REFUSED_STREAM)], Outcome::Broken),
        // RFC 9113, section 8.1: an answer may be complete before the request is. The rest of the request is
        // then refused.
        Row {
            body: 1_000_000,
            ..row(
                "h2-answers-early",
                Http2 { says: vec![whole, Frame::Reset(NO_ERROR)], hasty: true, ..Http2::default() },
                Outcome::Success,
            )
        },
        row(
            "h2-goes-away-before-the-request",
            Http2 { first: vec![goes_away(false, NO_ERROR)], closes: true, ..Http2::default() },
            Outcome::Unsent,
        ),
        closes("h2-goes-away-without-it", &[goes_away(false, NO_ERROR)], Outcome::Unsent),
        closes("h2-wants-calm-without-it", &[goes_away(false, ENHANCE_YOUR_CALM)], Outcome::Unsent),
        closes("h2-goes-away-with-it", &[goes_away(true, NO_ERROR)], Outcome::Broken),
        closes("h2-fails-with-it", &[goes_away(true, INTERNAL_ERROR)], Outcome::Broken),
        closes("h2-goes-away-and-answers", &[goes_away(true, NO_ERROR), whole], Outcome::Success),
        closes("h2-closes", &[], Outcome::Broken),
        closes("h2-closes-amid-answer", &[begun, Frame::Body(4)], Outcome::Broken),
        does("h2-pushes", &[Frame::Push], Outcome::Broken),
        does("h2-answer-wide", &[Frame::WideAnswer(8_000)], Outcome::Success),
        // Each header counts with its bytes and 32 more (RFC 9113, section 6.5.2), all together up to 16 KiB.
        does("h2-answer-too-wide", &[Frame::WideAnswer(16_000)], Outcome::Broken),
        floods("h2-interim-answers-without-end", &[], &[Frame::Answer(*b"103", false)], Outcome::TimedOut),
        floods(
            "h2-head-without-end",
            &[Frame::OpenHeaders(16_000)],
            &[Frame::MoreHeaders(16_000)],
            Outcome::Broken,
        ),
        row(
            "h2-body-without-end",
            Http2 { says: vec![begun], body_without_end: true, ..Http2::default() },
            Outcome::TimedOut,
        ),
        floods("h2-body-of-nothing", &[begun], &[Frame::Body(0)], Outcome::Broken),
        floods("h2-pings-without-end", &[], &[Frame::Ping], Outcome::TimedOut),
        floods("h2-settings-without-end", &[], &[Frame::Settings], Outcome::TimedOut),
        // The window for a request is 65,535 bytes until it is raised, which never happens here.
        Row { body: 1_000_000, ..does("h2-reads-nothing", &[], Outcome::TimedOut) },
    ]
}
