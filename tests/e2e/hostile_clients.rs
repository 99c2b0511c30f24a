//! The three ports against hostile clients: HTTP/2 in clear text, endless heads, host names of other sites.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::dev::addresses;
use super::process::{PATIENCE, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

/// The bytes received until the connection ends.
async fn exchange(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "still open after {:?}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_admin_port_does_not_speak_http_2_to_who_knows_it_without_tls() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let mut bridge = Queuepost::run(&queue, "http://127.0.0.1:9/", &[]).await;
    // The preface, an empty SETTINGS frame, and GOAWAY, after which an HTTP/2 server closes the connection.
    let frames = "\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let answer = exchange(bridge.admin_address(), &format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{frames}")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn clients_that_send_one_byte_to_the_admin_port_stop_neither_deliveries_nor_probes() {
    let queues = QueueServer::start().await;
    let queue = queues.queue("orders", 10);
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let args = ["run", "--queue", &queue, "--url", &endpoint.url, "--receive-wait", "1s"];
    let more = ["--admin-listen", "127.0.0.1:0", "--log-format", "json"];
    let mut bridge = Queuepost::start_with_descriptors(160, &[&args[..], &more].concat());
    bridge.find_admin().await;
    bridge.until_line("listening").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(bridge.admin_address()).await.unwrap();
        stream.write_all(b"G").await.ok();
        silent.push(stream);
    }
    let probed = tokio::time::timeout(PATIENCE, bridge.admin("/livez")).await;
    assert_eq!(probed.map(|(status, _)| status).ok(), Some(200), "{}", bridge.output());
    for number in 0..20 {
        queues.send("orders", &number.to_string());
    }
    queues.until_empty("orders").await;
    assert!(!bridge.output().contains("Too many open files"), "{}", bridge.output());
    drop(silent);
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_ports_of_dev_answer_to_no_name_of_another_site() {
    let [queue, endpoint, admin] = addresses();
    let args = ["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint, "--admin-listen", &admin];
    let mut dev = Queuepost::start(&[&args[..], &["--allow-host", "queue"]].concat(), &[]);
    dev.until_line("listening").await;
    let list = "X-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let close = "Connection: close\r\n\r\n";
    for (address, method, path, rest) in [
        (&queue, "POST", "/", list),
        (&endpoint, "POST", "/answer/200", close),
        (&admin, "GET", "/livez", close),
    ] {
        let ask = |target: &str, host: &str| {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{rest}");
            async move { exchange(address, &request).await }
        };
        for foreign in ["attacker.example", "attacker.example:9324", "127.0.0.1.attacker.example"] {
            let answer = ask(path, foreign).await;
            assert!(answer.starts_with("HTTP/1.1 421 "), "{path} for {foreign}: {answer}");
            assert!(answer.contains("an IP address or localhost"), "{answer}");
        }
        let url = format!("http://{address}{path}");
        for (target, own) in [(path, address.as_str()), (path, "localhost"), (url.as_str(), address.as_str())]
        {
            let answer = ask(target, own).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{target} for {own}: {answer}");
        }
        let old = exchange(address, &format!("{method} {path} HTTP/1.0\r\n{rest}")).await;
        assert!(old.starts_with("HTTP/1.0 200 "), "{path}: {old}");
        let given = ask(path, "queue:9324").await;
        let status = if *address == admin { "HTTP/1.1 421 " } else { "HTTP/1.1 200 " };
        assert!(given.starts_with(status), "{path}: {given}");
    }
    dev.signal("INT");
    assert_eq!(dev.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_web_page_of_another_site_cannot_choose_what_the_sample_endpoint_answers() {
    let [queue, endpoint, admin] = addresses();
    let args = ["dev", "--queue-listen", &queue, "--endpoint-listen", &endpoint, "--admin-listen", &admin];
    let mut dev = Queuepost::start(&args, &[]);
    dev.until_line("listening").await;
    let choose = |line: &str| {
        let head =
            format!("POST /answer/200 HTTP/1.1\r\nHost: {endpoint}\r\n{line}\r\nConnection: close\r\n\r\n");
        let address = &endpoint;
        async move { exchange(address, &head).await }
    };
    for line in ["Origin: http://attacker.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let answer = choose(line).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{line}: {answer}");
    }
    let answer = choose(&format!("Origin: http://{endpoint}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    dev.signal("INT");
    assert_eq!(dev.ended().await.code, Some(0));
}
