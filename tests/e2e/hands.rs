//! The commands a person runs beside the main job: asking the process how it is, putting messages on a queue
//! and taking them off again.

use std::time::Duration;

use super::process::{Ended, Queuepost};
use super::servers::{HttpEndpoint, QueueServer};

async fn ran(args: &[&str], env: &[(&str, &str)]) -> Ended {
    Queuepost::start(args, env).ended().await
}

/// An address nobody listens on.
fn nobody() -> String {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bound.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_healthcheck_asks_the_running_process() {
    let queues = QueueServer::start().await;
    let endpoint = HttpEndpoint::start(200, Duration::ZERO).await;
    let mut bridge = Queuepost::run(&queues.url("later"), &endpoint.url, &[]).await;
    bridge.until_line("faulted").await;
    let address = bridge.admin_address().to_owned();
    let port = address.rsplit(':').next().unwrap();
    let any = format!("0.0.0.0:{port}");

    let alive = ran(&["healthcheck", "--admin-address", &address], &[]).await;
    assert_eq!((alive.code, alive.output.as_str()), (Some(0), ""));
    let alive = ran(&["healthcheck"], &[("QUEUEPOST_ADMIN_LISTEN", &any)]).await;
    assert_eq!((alive.code, alive.output.as_str()), (Some(0), ""));
    let unready = ran(&["healthcheck", "--ready", "--admin-address", &address], &[]).await;
    assert_eq!(unready.code, Some(1), "{}", unready.output);
    assert!(unready.output.contains("[-]listener/later failed"), "{}", unready.output);
    assert!(unready.output.contains("answered 503"), "{}", unready.output);

    queues.queue("later", 10);
    queues.send("later", "x");
    queues.until_empty("later").await;
    let ready = ran(&["healthcheck", "--ready", "--admin-address", &address], &[]).await;
    assert_eq!((ready.code, ready.output.as_str()), (Some(0), ""));
    assert_eq!(bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_healthcheck_of_nothing_fails_and_says_why() {
    let gone = ran(&["healthcheck", "--admin-address", &nobody()], &[]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.output.contains("refused"), "{}", gone.output);

    // A socket that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let silence = ran(&["healthcheck"], &[("QUEUEPOST_ADMIN_LISTEN", &address)]).await;
    assert_eq!(silence.code, Some(1));
    assert!(silence.output.contains("no answer within 2 s"), "{}", silence.output);

    let wrong = ran(&["healthcheck", "--admin-address", "nonsense"], &[]).await;
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.output.contains("--admin-address"), "{}", wrong.output);
}
