//! The stack against real loopback sockets: the attempt that each kind of endpoint produces.
//!
//! Servers are threads that write raw bytes, so that each test controls every byte. Each ends by itself when
//! its connection ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::endpoint::auth::{Auth, ClientAuth, OAuth2, header_line};
use crate::endpoint::{Settings, Tls};
use crate::exchange::{ANSWER_KEPT, Resource};
use crate::policy::outcome::{Answer, Body, Unsent};
use crate::policy::quota::Quota;
use crate::policy::retry_after::RetryAfter;
use crate::secret::{Secret, one_line};

const PATIENT: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(150);

/// Accepts one connection and runs `script` on it.
fn serve<T: Send + 'static>(
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, std::thread::spawn(move || script(listener.accept().unwrap().0)))
}

/// Reads one request; returns head and body.
fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the client closed early");
        read.extend_from_slice(&buffer[..count]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length")
            .parse()
            .unwrap();
        if read.len() == end + 4 + length {
            return (head, read[end + 4..].to_vec());
        }
    }
}

/// Answers one request with `answer`.
fn answer(answer: &'static str) -> (SocketAddr, JoinHandle<(String, Vec<u8>)>) {
    serve(move |mut stream| {
        let request = request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

/// Waits for a server without blocking the runtime, which has connections to close.
async fn ended<T: Send + 'static>(server: JoinHandle<T>) -> T {
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap()
}

/// Reads until the client closes.
fn hang(mut stream: TcpStream) {
    drop(std::io::copy(&mut stream, &mut std::io::sink()));
}

fn settings(auth: Option<Auth>) -> Settings {
    Settings {
        name: "models".to_owned(),
        connect_timeout: PATIENT,
        pool_idle_timeout: Duration::from_secs(4),
        pool_size: 4,
        auth,
        sign: None,
        tls: Tls::default(),
    }
}

fn endpoint(url: &str, timeout: Duration) -> HttpEndpoint {
    let client = HttpClient::new(&settings(None)).unwrap();
    HttpEndpoint::new(
        &client,
        Target {
            url: Url::parse(url).unwrap(),
            timeout,
            headers: FixedHeaders::default(),
            answer_kept: ANSWER_KEPT,
            records_answers: true,
        },
    )
}

fn at(address: SocketAddr, timeout: Duration) -> HttpEndpoint {
    endpoint(&format!("http://{address}/run?token=swordfish"), timeout)
}

fn body(body: &'static [u8]) -> Request {
    Request::new(HeaderMap::new(), Bytes::from_static(body))
}

async fn answered(text: &'static str) -> Answer {
    let (address, server) = answer(text);
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    ended(server).await;
    let Attempt::Answered(answer) = attempt else { panic!("{attempt:?}") };
    answer
}

#[tokio::test]
async fn a_refused_connection_is_unsent_and_its_text_has_no_query_string() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    let Attempt::Unsent(Unsent { text, .. }) = attempt else { panic!("{attempt:?}") };
    assert!(text.to_lowercase().contains("refused"), "{text}");
    assert!(!text.contains("swordfish") && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unsent() {
    let attempt = endpoint("http://nowhere.invalid/", PATIENT).post(body(b"{}")).await;
    assert!(matches!(attempt, Attempt::Unsent(_)), "{attempt:?}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_or_never_ends_is_unsent() {
    let client = HttpClient::new(&Settings { connect_timeout: SHORT, ..settings(None) }).unwrap();
    for script in [hang, |mut stream: TcpStream| stream.write_all(b"HTTP/1.1 400 No\r\n\r\n").unwrap()] {
        let (address, server) = serve(script);
        let url = Url::parse(&format!("https://{address}/")).unwrap();
        let attempt = HttpEndpoint::new(
            &client,
            Target {
                url,
                timeout: PATIENT,
                headers: FixedHeaders::default(),
                answer_kept: ANSWER_KEPT,
                records_answers: true,
            },
        )
        .post(body(b"{}"))
        .await;
        assert!(matches!(attempt, Attempt::Unsent(_)), "{attempt:?}");
        ended(server).await;
    }
}

#[tokio::test]
async fn a_connection_closed_after_the_request_is_broken() {
    let (address, server) = serve(|mut stream| drop(request(&mut stream)));
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    assert!(matches!(attempt, Attempt::Broken(_)), "{attempt:?}");
    ended(server).await;
}

#[tokio::test]
async fn an_answer_cut_short_is_broken() {
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort");
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    assert!(matches!(attempt, Attempt::Broken(_)), "{attempt:?}");
    ended(server).await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_broken() {
    let (address, server) = answer("220 mail.example ESMTP\r\n\r\n");
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    assert!(matches!(attempt, Attempt::Broken(_)), "{attempt:?}");
    ended(server).await;
}

#[tokio::test]
async fn an_endpoint_that_never_answers_times_out() {
    let (address, server) = serve(hang);
    assert_eq!(at(address, SHORT).post(body(b"{}")).await, Attempt::TimedOut);
    ended(server).await;
}

#[tokio::test]
async fn the_time_out_covers_the_end_of_the_answer() {
    let (address, server) = serve(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").unwrap();
        hang(stream);
    });
    assert_eq!(at(address, SHORT).post(body(b"{}")).await, Attempt::TimedOut);
    ended(server).await;
}

#[tokio::test]
async fn an_answer_without_end_times_out_before_its_time() {
    let (address, server) = serve(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let spaces = vec![b' '; 64 * 1024];
        while stream.write_all(&spaces).is_ok() {}
    });
    assert_eq!(at(address, PATIENT).post(body(b"{}")).await, Attempt::Endless);
    ended(server).await;
}

#[tokio::test]
async fn a_mebibyte_arrives_byte_for_byte_with_its_headers() {
    let sent: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let mut headers = HeaderMap::new();
    headers.insert("x-queuepost-message-id", HeaderValue::from_static("4a1b"));
    let post = Request::new(headers, Bytes::from(sent.clone()));
    let attempt = at(address, PATIENT).post(post).await;
    assert_eq!(attempt, Attempt::Answered(Answer { status: 200, ..Answer::default() }));
    let (head, received) = ended(server).await;
    assert!(received == sent, "{} bytes, not those sent", received.len());
    assert!(head.starts_with("POST /run?token=swordfish HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-queuepost-message-id: 4a1b"), "{head}");
}

#[tokio::test]
async fn a_request_may_choose_path_and_query_and_nothing_else_of_its_address() {
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let resource = Resource::new("/jobs/a%20b", Some("next=http://evil.example/")).ok();
    let post = Request { resource, ..body(b"{}") };
    let attempt = at(address, PATIENT).post(post).await;
    assert_eq!(attempt, Attempt::Answered(Answer { status: 200, ..Answer::default() }));
    let (head, _) = ended(server).await;
    assert!(head.starts_with("POST /jobs/a%20b?next=http://evil.example/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}")), "{head}");
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_was_read() {
    let (address, server) = serve(|mut stream| {
        for _ in 0..2 {
            request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
        }
    });
    let endpoint = at(address, PATIENT);
    for _ in 0..2 {
        let attempt = endpoint.post(body(b"{}")).await;
        let body = Body { kept: Bytes::from_static(b"done"), is_whole: true };
        assert_eq!(attempt, Attempt::Answered(Answer { status: 200, body, ..Answer::default() }));
    }
    ended(server).await;
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = elsewhere.local_addr().unwrap();
    let (address, server) = serve(move |mut stream| {
        request(&mut stream);
        write!(
            stream,
            "HTTP/1.1 307 Moved\r\nlocation: http://{location}/work?token=x\r\ncontent-length: 0\r\n\r\n"
        )
        .unwrap();
    });
    let attempt = at(address, PATIENT).post(body(b"{}")).await;
    let Attempt::Answered(Answer { status: 307, redirects_to, .. }) = attempt else { panic!("{attempt:?}") };
    assert_eq!(redirects_to, Some(format!("http://{location}")), "the origin, and no path");
    ended(server).await;
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "the redirect was followed");
}

#[tokio::test]
async fn a_429_brings_its_retry_after_in_both_forms() {
    let answer = answered("HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.retry_after, Some(RetryAfter::Delay(Duration::from_secs(7))));
    let answer = answered(
        "HTTP/1.1 429 Slow\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(answer.retry_after, RetryAfter::parse("Wed, 21 Oct 2026 07:28:00 GMT"));
    assert!(matches!(answer.retry_after, Some(RetryAfter::At(_))));
}

#[tokio::test]
async fn an_answer_brings_what_its_rate_limit_headers_say_whatever_its_status() {
    let quota = |remaining, seconds| Some(Quota { remaining, resets_in: Duration::from_secs(seconds) });
    let answer = answered(
        "HTTP/1.1 200 OK\r\nRateLimit-Policy: \"default\";q=100;w=60\r\nRateLimit: \"default\";r=50;t=30\r\n\
         content-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(answer.quota, quota(50, 30));
    let answer = answered(
        "HTTP/1.1 429 Slow\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1700000007\r\n\
         date: Tue, 14 Nov 2023 22:13:20 GMT\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(answer.quota, quota(0, 7));
    let answer = answered(
        "HTTP/1.1 200 OK\r\nRateLimit: \"ÿ\r\nx-ratelimit-remaining: -1\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(answer.await.quota, None, "unreadable");
}

#[tokio::test]
async fn the_beginning_of_a_body_is_kept_and_said_to_be_one() {
    let answer = answered("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"error\":\"bad\"}").await;
    assert_eq!((&answer.body.kept[..], answer.body.is_whole), (&b"{\"error\":\"bad\"}"[..], true));
    assert!(answer.beginning.is_some(), "a failure that a success hides is shown to people");
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{}", "x".repeat(99_999));
    let answer = answered(long.leak()).await;
    assert_eq!((answer.body.kept.len(), answer.body.is_whole), (64 * 1024, false));
    assert!(answer.beginning.is_none());
}

#[tokio::test]
async fn the_auth_header_is_sent_and_never_printed() {
    let (address, server) = answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let auth = Auth::Line(Secret::fixed("X-Key: swordfish", header_line).unwrap());
    let client = HttpClient::new(&settings(Some(auth))).unwrap();
    let url = Url::parse(&format!("http://{address}/?token=swordfish")).unwrap();
    let endpoint = HttpEndpoint::new(
        &client,
        Target {
            url,
            timeout: PATIENT,
            headers: FixedHeaders::default(),
            answer_kept: ANSWER_KEPT,
            records_answers: true,
        },
    );
    let printed = format!("{endpoint:?} {client:?}");
    assert!(!printed.contains("swordfish"), "{printed}");
    endpoint.post(body(b"{}")).await;
    assert!(ended(server).await.0.contains("\r\nx-key: swordfish"));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_to_the_endpoint_and_the_token_server_is_named() {
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let token_server = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let oauth2 = OAuth2 {
        token_url: format!("http://{token_server}/token").parse().unwrap(),
        client_id: "orders".to_owned(),
        client_secret: Secret::fixed("swordfish", one_line).unwrap(),
        scope: None,
        audience: None,
        client_auth: ClientAuth::Basic,
    };
    let client = HttpClient::new(&settings(Some(Auth::OAuth2(Box::new(oauth2))))).unwrap();
    let url = format!("http://{}/", endpoint.local_addr().unwrap()).parse().unwrap();
    let target = Target {
        url,
        timeout: PATIENT,
        headers: FixedHeaders::default(),
        answer_kept: ANSWER_KEPT,
        records_answers: true,
    };
    let attempt = HttpEndpoint::new(&client, target).post(body(b"{}")).await;
    let Attempt::Unsent(Unsent { step: Step::TokenServer, text }) = attempt else { panic!("{attempt:?}") };
    assert!(text.contains(&token_server.to_string()) && !text.contains("swordfish"), "{text}");
    endpoint.set_nonblocking(true).unwrap();
    assert!(endpoint.accept().is_err(), "the endpoint was connected to");
}

#[tokio::test]
async fn of_an_answer_that_is_not_recorded_nobody_is_told_and_its_body_is_still_there_for_the_exchange() {
    for (records_answers, beginning) in [(true, Some("no such customer")), (false, None)] {
        let (address, server) = answer("HTTP/1.1 500 No\r\ncontent-length: 16\r\n\r\nno such customer");
        let client = HttpClient::new(&settings(None)).unwrap();
        let url = Url::parse(&format!("http://{address}/")).unwrap();
        let headers = FixedHeaders::default();
        let target = Target { url, timeout: PATIENT, headers, answer_kept: ANSWER_KEPT, records_answers };
        let attempt = HttpEndpoint::new(&client, target).post(body(b"{}")).await;
        ended(server).await;
        let Attempt::Answered(answer) = attempt else { panic!("{attempt:?}") };
        assert_eq!((answer.beginning.as_deref(), &*answer.body.kept), (beginning, &b"no such customer"[..]));
    }
}
