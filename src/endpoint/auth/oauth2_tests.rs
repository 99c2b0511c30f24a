//! Tokens against a token server on loopback; their lives and the pauses after failures in paused time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::secret::one_line;

const HOUR: Duration = Duration::from_secs(3600);

fn settings(token_url: &str) -> OAuth2 {
    OAuth2 {
        token_url: token_url.parse().unwrap(),
        client_id: "orders:eu".to_owned(),
        client_secret: Secret::fixed("sword fish%", one_line).unwrap(),
        scope: Some("jobs.write jobs.read".to_owned()),
        audience: Some("https://api.example/".to_owned()),
        client_auth: ClientAuth::Basic,
    }
}

fn tokens(settings: OAuth2) -> Tokens {
    Tokens::new(settings, reqwest::Client::builder().no_proxy().build().unwrap())
}

/// Headers and body of a question.
type Question = (HashMap<String, String>, String);

/// A token server that answers every question alike, and what it was asked.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Question>>,
    _connections: JoinSet<()>,
}

impl Server {
    async fn start(status: u16, answer: String) -> Self {
        let (asked, last): (Arc<AtomicUsize>, Arc<Mutex<Question>>) = Default::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token?tenant=hidden", listener.local_addr().unwrap());
        let (counted, seen) = (Arc::clone(&asked), Arc::clone(&last));
        let length = answer.len();
        let answer =
            format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *seen.lock().unwrap() = question(&mut stream).await;
                counted.fetch_add(1, Ordering::SeqCst);
                // The client may have read enough.
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        Self { url, asked, last, _connections: connections }
    }

    async fn granting(expires_in: u64) -> Self {
        let answer = format!(
            r#"{{"access_token":"t0k3n","token_type":"Bearer","expires_in":{expires_in},"refresh_token":"x"}}"#
        );
        Self::start(200, answer).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn question(stream: &mut TcpStream) -> Question {
    let (mut read, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the client closed early");
        read += std::str::from_utf8(&buffer[..count]).unwrap();
        let Some((head, body)) = read.split_once("\r\n\r\n") else { continue };
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let headers: HashMap<_, _> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if body.len() == headers["content-length"].parse::<usize>().unwrap() {
            return (headers, body.to_owned());
        }
    }
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_question_and_its_token() {
    let server = Server::granting(3600).await;
    let tokens = Arc::new(tokens(settings(&server.url)));
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let tokens = Arc::clone(&tokens);
        requests.spawn(async move { tokens.token().await.unwrap().number });
    }
    assert_eq!(requests.join_all().await, [1; 20]);
    assert_eq!(&*tokens.token().await.unwrap().text, "t0k3n");
    assert_eq!((server.asked(), tokens.secrets()), (1, vec!["t0k3n".to_owned()]));
}

#[tokio::test]
async fn the_question_is_that_of_the_standard_with_the_secret_in_its_header_or_body() {
    let server = Server::granting(3600).await;
    tokens(settings(&server.url)).token().await.unwrap();
    let (headers, body) = server.last.lock().unwrap().clone();
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    // RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined.
    let pair = BASE64_STANDARD.encode("orders%3Aeu:sword%20fish%25");
    assert_eq!(headers["authorization"], format!("Basic {pair}"));
    let audience = "audience=https%3A%2F%2Fapi.example%2F";
    let form = format!("{audience}&grant_type=client_credentials&scope=jobs.write+jobs.read");
    assert_eq!(body, form);
    tokens(OAuth2 { client_auth: ClientAuth::Body, ..settings(&server.url) }).token().await.unwrap();
    let (headers, body) = server.last.lock().unwrap().clone();
    assert!(!headers.contains_key("authorization"));
    let client = "client_id=orders%3Aeu&client_secret=sword+fish%25";
    assert_eq!(body, format!("{audience}&{client}&grant_type=client_credentials&scope=jobs.write+jobs.read"));
}

#[tokio::test]
async fn a_token_server_that_refuses_or_fails_is_named_and_not_asked_again_at_once() {
    let code = r#"{"error":"invalid_client","error_description":"s3cr3t"}"#.to_owned();
    for (status, answer, step) in [
        (401, code, Step::TokenClient),
        (503, "s3cr3t".to_owned(), Step::TokenServer),
        (200, "s3cr3t".to_owned(), Step::TokenAnswer),
        (200, "x".repeat(ANSWER_MAX + 1), Step::TokenAnswer),
    ] {
        let server = Server::start(status, answer).await;
        let tokens = tokens(settings(&server.url));
        let unsent = tokens.token().await.err().expect("no token");
        assert_eq!(unsent.step, step, "{}", unsent.text);
        assert!(unsent.text.starts_with("token server http://127.0.0.1:"), "{}", unsent.text);
        let printed = format!("{} {tokens:?}", unsent.text);
        assert!(!printed.contains("s3cr3t") && !printed.contains("sword") && !printed.contains("hidden"));
        assert_eq!(tokens.token().await.err(), Some(unsent));
        assert_eq!(server.asked(), 1, "a second question is too soon");
    }
}

#[tokio::test]
async fn a_token_server_that_is_not_there_is_named_and_why() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tokens = tokens(settings(&format!("http://{address}/token?tenant=hidden")));
    let Unsent { step, text } = tokens.token().await.err().expect("no token");
    assert_eq!(step, Step::TokenServer);
    assert!(text.starts_with(&format!("token server http://{address} gave no answer: ")), "{text}");
    assert!(text.to_lowercase().contains("refused") && !text.contains("hidden"), "{text}");
}

fn grant(tokens: &Tokens, life: Option<Duration>) -> u64 {
    let granted = Granted { text: "t0k3n".to_owned(), life };
    tokens.held().take(granted, Instant::now()).number
}

fn now(tokens: &Tokens) -> &'static str {
    match tokens.present() {
        Present::Fresh(_) => "fresh",
        Present::Ending(_) => "ending",
        Present::Nothing => "nothing",
        Present::Failed(_) => "failed",
    }
}

async fn after(tokens: &Tokens, wait: Duration) -> &'static str {
    tokio::time::advance(wait).await;
    now(tokens)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_ahead_of_its_end_and_never_used_behind_it() {
    let second = Duration::from_secs(1);
    let tokens = tokens(settings("http://127.0.0.1:1/"));
    assert_eq!(now(&tokens), "nothing");
    grant(&tokens, Some(HOUR));
    assert_eq!(after(&tokens, second * 2879).await, "fresh");
    assert_eq!(after(&tokens, second).await, "ending");
    assert_eq!(after(&tokens, HOUR / 5).await, "nothing");
    grant(&tokens, Some(100 * second));
    assert_eq!(after(&tokens, 69 * second).await, "fresh");
    assert_eq!(after(&tokens, second).await, "ending", "at least half a minute ahead");
    grant(&tokens, Some(20 * second));
    assert_eq!(after(&tokens, 9 * second).await, "fresh", "not at once, however short its life");
    assert_eq!(after(&tokens, second).await, "ending");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_used_until_its_end() {
    // Nothing listens on port 1 of loopback; the question is not asked in this test.
    let tokens = tokens(settings("http://127.0.0.1:1/"));
    grant(&tokens, Some(HOUR));
    assert_eq!(after(&tokens, HOUR * 9 / 10).await, "ending");
    tokens.held().fail(Unsent { step: Step::TokenServer, text: "down".to_owned() });
    assert_eq!(now(&tokens), "fresh", "not asked again at once");
    assert_eq!(after(&tokens, PAUSE_MIN).await, "ending");
    tokens.held().fail(Unsent { step: Step::TokenServer, text: "down".to_owned() });
    tokio::time::advance(HOUR / 10).await;
    tokens.held().fail(Unsent { step: Step::TokenServer, text: "down".to_owned() });
    assert_eq!(now(&tokens), "failed");
}

#[tokio::test(start_paused = true)]
async fn pauses_after_failures_double_up_to_ten_seconds_and_end_with_a_token() {
    let tokens = tokens(settings("http://127.0.0.1:1/"));
    let fail = || {
        tokens.held().fail(Unsent { step: Step::TokenServer, text: "down".to_owned() });
        let held = tokens.held();
        let failure = held.failure.as_ref().unwrap();
        assert!(failure.until <= Instant::now() + failure.pause);
        assert!(failure.until >= Instant::now() + failure.pause / 2);
        failure.pause.as_millis()
    };
    assert_eq!([fail(), fail(), fail(), fail(), fail(), fail()], [500, 1_000, 2_000, 4_000, 8_000, 10_000]);
    assert_eq!(fail(), 10_000);
    assert_eq!(now(&tokens), "failed");
    assert_eq!(after(&tokens, PAUSE_MAX).await, "nothing", "the next request asks");
    grant(&tokens, None);
    assert_eq!(fail(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_an_end_is_used_until_the_endpoint_refuses_it() {
    let tokens = tokens(settings("http://127.0.0.1:1/"));
    let first = grant(&tokens, None);
    assert_eq!(after(&tokens, HOUR * 1000).await, "fresh");
    tokens.answered(first, true);
    tokens.answered(first + 1, false);
    assert_eq!(now(&tokens), "fresh", "the refusal of another token");
    tokens.answered(first, false);
    assert_eq!(now(&tokens), "nothing");
    let second = grant(&tokens, None);
    tokens.answered(first, false);
    tokens.answered(second, false);
    assert_eq!(now(&tokens), "fresh", "a new token that is refused is not what is wrong");
    tokio::time::advance(DOUBTED_AFTER).await;
    tokens.answered(second, false);
    assert_eq!(now(&tokens), "nothing", "and once a minute it is tried with another");
}
