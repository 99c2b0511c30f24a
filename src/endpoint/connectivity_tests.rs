//! Connectivity checks of real sockets: what passes, what fails and why, and that no byte of HTTP is sent.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::endpoint::Tls;

async fn at(url: &str) -> Result<(), ConnectivityError> {
    let settings = Settings {
        name: "endpoint".to_owned(),
        connect_timeout: Duration::from_millis(500),
        pool_idle_timeout: Duration::from_secs(1),
        pool_size: 1,
        auth: None,
        sign: None,
        tls: Tls::default(),
    };
    check_connectivity(&settings, &Url::parse(url).unwrap()).await
}

fn unreached(result: Result<(), ConnectivityError>) -> (Step, String) {
    match result {
        Err(ConnectivityError::Unreached { step, text }) => (step, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_is_opened_and_closed_with_nothing_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/work?token=secret", listener.local_addr().unwrap());
    let accepted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap();
        sent
    };
    let (reached, sent) = tokio::join!(at(&url), accepted);
    reached.unwrap();
    assert_eq!(sent, b"");
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/work?token=secret", listener.local_addr().unwrap());
    drop(listener);
    let (step, text) = unreached(at(&url).await);
    assert_eq!(step, Step::Refused, "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_name_without_address_is_not_resolved() {
    let (step, text) = unreached(at("http://no-such-host.invalid/").await);
    assert_eq!(step, Step::Resolve, "{text}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_fails_the_handshake() {
    use tokio::io::AsyncWriteExt;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.ok();
        heard
    };
    let (result, heard) = tokio::join!(at(&url), plain);
    let (step, text) = unreached(result);
    assert_eq!(step, Step::Tls, "{text}");
    // A handshake record (22), no HTTP in clear text.
    assert_eq!(heard.first(), Some(&22));
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_out_of_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let (step, text) = unreached(at(&url).await);
    assert_eq!(step, Step::TimedOut, "{text}");
}
