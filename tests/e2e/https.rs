//! Endpoints over TLS: trusted ones get messages, and `check` names the error of untrusted ones.

use std::path::Path;
use std::time::Duration;

use axum::http::Version;
use tokio::time::timeout;
use tokio_rustls::rustls::version;

use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};
use super::tls::{Authority, Identity, Tls, files};

/// The host in the endpoints' addresses.
const HOST: &str = "127.0.0.1";

/// A configuration of one listener whose endpoint has these TLS files.
fn configuration(name: &str, queue: &str, endpoint: &HttpEndpoint, tls: &[(&str, &str)]) -> String {
    let origin = endpoint.url.strip_suffix("/work").unwrap();
    let tls: Vec<String> = tls.iter().map(|(key, file)| format!("{key}: {file}")).collect();
    let text = format!(
        "admin: {{listen: '127.0.0.1:0'}}\nlog: {{format: json}}\n\
         endpoints:\n  api:\n    url: {origin}\n    tls: {{{}}}\n\
         listeners:\n  - {{queue: '{queue}', endpoint: api, path: /work, timeout: 10s, receive_wait: 1s}}\n",
        tls.join(", ")
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("https-{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Exit code and the line of `check` about the endpoint, with its fix; no message may have been posted.
async fn checked(
    name: &str,
    endpoint: &HttpEndpoint,
    tls: &[(&str, &str)],
    env: &[(&str, &str)],
) -> (bool, String) {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let config = configuration(name, &queue, endpoint, tls);
    let ended = Queuepost::start(&["check", "--config", &config], env).ended().await;
    assert_eq!(endpoint.seen.count(), 0, "nothing is posted");
    let about =
        ended.output.split_once(&format!("https://{HOST}")).unwrap_or_else(|| panic!("{}", ended.output)).1;
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.output);
    (ended.code == Some(0), about.to_owned())
}

/// The output of `check` when it trusts `trusted` and the endpoint presents `identity`.
async fn refused(name: &str, trusted: &Authority, identity: &Identity) -> String {
    let endpoint = Tls::with(identity).start().await;
    let ca = trusted.file(name);
    let (green, text) = checked(name, &endpoint, &[("ca_file", &ca)], &[]).await;
    assert!(!green, "{text}");
    text
}

fn has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[tokio::test]
async fn check_is_content_with_an_endpoint_of_the_authority_in_ca_file() {
    let authority = Authority::new("ours");
    let identity = authority.issue(HOST);
    let ca = authority.file("content");
    for version in [&version::TLS12, &version::TLS13] {
        let endpoint = Tls { version, ..Tls::with(&identity) }.start().await;
        let (green, text) = checked("content", &endpoint, &[("ca_file", &ca)], &[]).await;
        assert!(green, "{text}");
        has(&text, &["connects, TLS verifies"]);
    }
}

#[tokio::test]
async fn check_says_that_the_authority_is_not_trusted() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let identity = other.issue(HOST);
    let text = refused("untrusted", &ours, &identity).await;
    has(&text, &["UnknownIssuer", "fix: name the authority's certificate in tls.ca_file"]);

    // Without ca_file the system's authorities are trusted.
    let endpoint = Tls::with(&identity).start().await;
    let system = ours.file("system");
    let (green, text) = checked("system", &endpoint, &[], &[("SSL_CERT_FILE", &system)]).await;
    assert!(!green, "{text}");
    has(&text, &["UnknownIssuer", "fix: name the authority's certificate in tls.ca_file"]);
}

#[tokio::test]
async fn check_says_that_the_certificate_is_for_another_host() {
    let authority = Authority::new("ours");
    let text = refused("name", &authority, &authority.issue("elsewhere.example")).await;
    has(&text, &["elsewhere.example", "fix: use the name of the certificate in the listener's url"]);
}

#[tokio::test]
async fn check_says_that_the_certificate_has_expired() {
    let authority = Authority::new("ours");
    let text = refused("expired", &authority, &authority.issue_expired(HOST)).await;
    has(&text, &["expired", "fix: renew the endpoint's certificate"]);
}

#[tokio::test]
async fn check_tells_a_client_certificate_that_is_accepted_from_one_that_is_missing_or_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (identity, ca) = (ours.issue(HOST), ours.file("client-ca"));
    let (good_cert, good_key) = files(&ours.issue("bridge.example"), "client-good");
    let (strange_cert, strange_key) = files(&other.issue("bridge.example"), "client-strange");
    let (expired_cert, expired_key) = files(&ours.issue_expired("bridge.example"), "client-expired");
    let with = |cert, key| vec![("ca_file", ca.as_str()), ("cert_file", cert), ("key_file", key)];
    for version in [&version::TLS12, &version::TLS13] {
        let endpoint = Tls { clients: Some(&ours), version, ..Tls::with(&identity) }.start().await;
        let (green, text) = checked("client-good", &endpoint, &with(&good_cert, &good_key), &[]).await;
        assert!(green, "{version:?}: {text}");
        for (tls, alert) in [
            (vec![("ca_file", ca.as_str())], "CertificateRequired"),
            (with(&strange_cert, &strange_key), "UnknownCA"),
            (with(&expired_cert, &expired_key), "CertificateExpired"),
        ] {
            let (green, text) = checked("client-refused", &endpoint, &tls, &[]).await;
            assert!(!green, "{version:?}, {alert}: {text}");
            has(&text, &[alert, "fix: set tls.cert_file and tls.key_file of the endpoint"]);
        }
    }
}

#[tokio::test]
async fn a_client_certificate_that_is_missed_after_the_handshake_costs_no_receive() {
    let authority = Authority::new("ours");
    let (identity, ca) = (authority.issue(HOST), authority.file("missed"));
    for (name, protocols) in [("missed-1", ["http/1.1"].as_slice()), ("missed-2", &["h2"])] {
        let queues = QueueServer::start().await;
        let queue = queues.queue("orders", 2);
        queues.send("orders", "x");
        let version = &version::TLS13;
        let endpoint =
            Tls { clients: Some(&authority), version, protocols, ..Tls::with(&identity) }.start().await;
        let config = configuration(name, &queue, &endpoint, &[("ca_file", &ca)]);
        let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
        bridge.find_admin().await;
        let line = bridge.until_line(r#""outcome":"unsent""#).await;
        has(&line, &[r#""reason":"tls_client_certificate""#, r#""receive_count":1"#, "held: "]);
        // The message is held, and posted again and again.
        let posted_thrice = async {
            while bridge.metric("deliveries_total", r#"outcome="unsent""#).await < 3.0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let posted_thrice = timeout(PATIENCE, posted_thrice).await;
        posted_thrice.unwrap_or_else(|_| panic!("posted less than thrice:\n{}", bridge.output()));
        assert!(bridge.metric("deliveries_total", r#"outcome="broken""#).await < 0.5, "{}", bridge.output());
        assert_eq!(queues.receive_counts("orders"), [1], "{name}");
        let ended = bridge.stop().await;
        assert_eq!((ended.code, endpoint.seen.count()), (Some(0), 0), "{}", ended.output);
    }
}

#[tokio::test]
async fn messages_are_delivered_over_tls_with_the_version_of_http_both_sides_speak() {
    let authority = Authority::new("ours");
    let (identity, ca) = (authority.issue(HOST), authority.file("delivered"));
    let (cert, key) = files(&authority.issue("bridge.example"), "delivered");
    for (protocols, expected) in
        [(["h2", "http/1.1"].as_slice(), Version::HTTP_2), (&["http/1.1"], Version::HTTP_11)]
    {
        let queues = QueueServer::start().await;
        let queue = queues.queue("orders", 10);
        queues.send("orders", "x");
        let endpoint = Tls { clients: Some(&authority), protocols, ..Tls::with(&identity) }.start().await;
        let tls = [("ca_file", ca.as_str()), ("cert_file", &cert), ("key_file", &key)];
        let config = configuration("delivered", &queue, &endpoint, &tls);
        let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
        queues.until_empty("orders").await;
        assert_eq!(endpoint.seen.bodies(), [("x".to_owned(), 1)].into());
        assert_eq!(*endpoint.seen.versions.lock().unwrap(), [expected]);
        let ended = bridge.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    }
}

#[tokio::test]
async fn an_endpoint_nobody_trusts_gets_nothing_and_the_message_is_kept() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (identity, ca) = (other.issue(HOST), ours.file("kept"));
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    queues.send("orders", "x");
    let endpoint = Tls::with(&identity).start().await;
    let config = configuration("kept", &queue, &endpoint, &[("ca_file", &ca)]);
    let mut bridge = Queuepost::start(&["run", "--config", &config], &[]);
    bridge.until_line(r#""outcome":"unsent""#).await;
    bridge.until_line("UnknownIssuer").await;
    let ended = bridge.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(endpoint.seen.count(), 0);
    let (visible, in_flight, dead) = queues.census("orders");
    assert_eq!((visible + in_flight, dead), (1, 0));
}
