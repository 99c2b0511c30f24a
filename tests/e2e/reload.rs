//! A configuration that changes while the process runs: by signal, by file, by a swapped link; valid or not.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};

/// A process with a configuration file of its own.
struct Reloading {
    bridge: Queuepost,
    file: PathBuf,
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reload-{name}"));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A configuration with these listeners and more.
fn text(listeners: &[(&str, &str, &str)], more: &str) -> String {
    let listener = |(queue, url, keys): &(&str, &str, &str)| {
        format!("- queue: {queue}\n  url: {url}\n  receive_wait: 1s\n{keys}")
    };
    let listeners: String = listeners.iter().map(listener).collect();
    format!("admin: {{listen: '127.0.0.1:0'}}\nlog: {{format: json}}\nlisteners:\n{listeners}{more}")
}

impl Reloading {
    async fn start(name: &str, config: &str, env: &[(&str, &str)]) -> Self {
        let file = folder(name).join("queuepost.yaml");
        fs::write(&file, config).unwrap();
        let mut bridge = Queuepost::start(&["run", "--config", file.to_str().unwrap()], env);
        bridge.find_admin().await;
        Self { bridge, file }
    }

    /// Writes the file whole and reads it again by signal.
    fn reload(&self, config: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, config).unwrap();
        fs::rename(&new, &self.file).unwrap();
        self.bridge.signal("HUP");
    }

    fn lines(&self, text: &str) -> usize {
        self.bridge.output().lines().filter(|line| line.contains(text)).count()
    }

    async fn until_lines(&self, text: &str, count: usize) {
        let found = until(|| (self.lines(text) >= count).then_some(())).await;
        assert!(found.is_some(), "no {count} lines with {text:?} in:\n{}", self.bridge.output());
    }

    /// A metric without labels.
    async fn metric(&self, name: &str) -> f64 {
        let (_, metrics) = self.bridge.admin("/metrics").await;
        let start = format!("queuepost_{name} ");
        let line =
            metrics.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{metrics}"));
        line[start.len()..].parse().unwrap()
    }

    /// The names of the listeners that are shown.
    async fn listeners(&self) -> Vec<String> {
        let (_, status) = self.bridge.admin("/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let name = |listener: &serde_json::Value| listener["name"].as_str().unwrap().to_owned();
        status["listeners"].as_array().unwrap().iter().map(name).collect()
    }

    async fn until_listeners(&self, names: &[&str]) {
        for _ in 0..600 {
            if self.listeners().await == names {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?} are shown:\n{}", self.listeners().await, self.bridge.output());
    }
}

#[tokio::test]
async fn sighup_adds_adjusts_and_removes_listeners_and_the_others_go_on() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let [a, b, c] = ["a", "b", "c"].map(|name| queues.queue(name, 10));
    let url = endpoint.url.as_str();
    let first = text(&[(&a, url, ""), (&b, url, "  workers: 3\n")], "");
    let mut it = Reloading::start("sighup", &first, &[]).await;
    queues.send("a", "to a");
    queues.until_empty("a").await;
    it.reload(
        &text(&[(&b, url, "  workers: 5\n"), (&c, url, "")], "log: {format: json, level: debug}\n").replacen(
            "log: {format: json}\n",
            "",
            1,
        ),
    );
    let line = it.bridge.until_line("the configuration was reloaded").await;
    for count in [r#""kept":0"#, r#""adjusted":1"#, r#""added":1"#, r#""removed":1"#, r#""replaced":0"#] {
        assert!(line.contains(count), "{count} is not in {line}");
    }
    queues.send("c", "to c");
    queues.until_empty("c").await;
    it.until_listeners(&["b", "c"]).await;
    assert!((it.bridge.metric("workers_limit", "listener=\"b\"").await - 5.0).abs() < 0.5);
    let (_, metrics) = it.bridge.admin("/metrics").await;
    assert!(!metrics.contains("listener=\"a\""), "series of what is gone end:\n{metrics}");
    queues.send("a", "nobody listens");
    it.bridge.until_line(r#""level":"DEBUG""#).await;
    assert_eq!(queues.census("a").0, 1);
    // Back again its counters go on.
    it.reload(&first);
    queues.until_empty("a").await;
    assert!((it.bridge.metric("messages_deleted_total", "listener=\"a\"").await - 2.0).abs() < 0.5);
    assert_eq!(it.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_said_once_with_its_place() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 10);
    let good = text(&[(&queue, &endpoint.url, "")], "");
    let mut it = Reloading::start("bad", &good, &[]).await;
    assert!((it.metric("config_last_reload_successful").await - 1.0).abs() < 0.1);
    let began = it.metric("config_last_reload_success_timestamp_seconds").await;
    let bad = text(&[(&queue, &endpoint.url, "  workers: many\n")], "");
    it.reload(&bad);
    let line = it.bridge.until_line("not reloaded: ").await;
    let place = format!("{}:7:12: listeners[0].workers", it.file.display());
    assert!(line.contains(&place), "{line}");
    for _ in 0..20 {
        it.bridge.signal("HUP");
        queues.send("orders", "still runs");
        queues.until_empty("orders").await;
    }
    assert!(it.metric("config_last_reload_successful").await < 0.1);
    assert!((it.metric("config_last_reload_success_timestamp_seconds").await - began).abs() < 0.001);
    assert_eq!(it.lines("not reloaded: "), 1, "{}", it.bridge.output());
    // Another mistake is news.
    it.reload(&bad.replace("many", "lots"));
    it.until_lines("not reloaded: ", 2).await;
    it.reload(&good);
    it.bridge.until_line("the configuration is valid again").await;
    assert!((it.metric("config_last_reload_successful").await - 1.0).abs() < 0.1);
    assert!(it.metric("config_last_reload_success_timestamp_seconds").await > began);
    assert_eq!(it.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_changed_file_and_a_swapped_link_are_followed_without_a_signal() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let [a, b] = ["a", "b"].map(|name| queues.queue(name, 10));
    let one = text(&[(&a, &endpoint.url, "")], "");
    let two = text(&[(&a, &endpoint.url, ""), (&b, &endpoint.url, "")], "");
    // As the kubelet lays out the volume of a ConfigMap.
    let folder = folder("swapped");
    for (version, text) in [("..1", &one), ("..2", &two)] {
        fs::create_dir_all(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("queuepost.yaml"), text).unwrap();
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    link("..1");
    let file = folder.join("queuepost.yaml");
    std::os::unix::fs::symlink("..data/queuepost.yaml", &file).unwrap();
    let mut bridge = Queuepost::start(&["run", "--config", file.to_str().unwrap()], &[]);
    bridge.find_admin().await;
    let mut it = Reloading { bridge, file };
    assert_eq!(it.listeners().await, ["a"]);
    link("..2");
    it.until_listeners(&["a", "b"]).await;
    // In place, in pieces: the half is no configuration, and the whole is one in the end.
    let real = folder.join("..2/queuepost.yaml");
    fs::write(&real, &one[..one.len() / 2]).unwrap();
    fs::write(&real, &one).unwrap();
    it.until_listeners(&["a"]).await;
    assert_eq!(it.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn other_credentials_are_sent_with_the_next_post_and_the_listener_goes_on() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 10);
    let origin = endpoint.url.strip_suffix("/work").unwrap();
    let config = |secret: &str| {
        format!(
            "admin: {{listen: '127.0.0.1:0'}}\nlog: {{format: json}}\nlisteners:\n\
             - {{queue: '{queue}', endpoint: api, path: /work, receive_wait: 1s}}\n\
             endpoints: {{api: {{url: '{origin}', auth: {{bearer: {{env: {secret}}}}}}}}}\n"
        )
    };
    let env = [("SECRET_ONE", "planted-one"), ("SECRET_TWO", "planted-two")];
    let mut it = Reloading::start("secret", &config("SECRET_ONE"), &env).await;
    for (secret, sent) in [("SECRET_ONE", "Bearer planted-one"), ("SECRET_TWO", "Bearer planted-two")] {
        if secret == "SECRET_TWO" {
            it.reload(&config(secret));
            let line = it.bridge.until_line("the configuration was reloaded").await;
            assert!(line.contains(r#""adjusted":1"#), "{line}");
        }
        queues.send("orders", secret);
        queues.until_empty("orders").await;
        let requests = endpoint.seen.requests.lock().unwrap().clone();
        assert_eq!(requests.last().unwrap().0["authorization"], sent);
    }
    let output = it.bridge.stop().await.output;
    assert!(!output.contains("planted"), "{output}");
}

#[tokio::test]
async fn a_hundred_reloads_under_load_lose_nothing_and_leave_no_descriptor_behind() {
    let (queues, endpoint) =
        (QueueServer::start().await, HttpEndpoint::start(200, Duration::from_millis(20)).await);
    let [a, b] = ["a", "b"].map(|name| queues.queue(name, 1_000));
    let config = |timeout: &str, workers: usize| {
        let keys = format!("  workers: {workers}\n  timeout: {timeout}\n");
        text(&[(&a, &endpoint.url, &keys), (&b, &endpoint.url, "  workers: 2\n")], "")
    };
    let mut it = Reloading::start("hundred", &config("10s", 4), &[]).await;
    let descriptors = |it: &Reloading| fs::read_dir(format!("/proc/{}/fd", it.bridge.pid())).unwrap().count();
    let mut before = 0;
    for round in 1..=100 {
        for number in 0..4 {
            queues.send("a", &format!("a-{round}-{number}"));
            queues.send("b", &format!("b-{round}-{number}"));
        }
        it.reload(&config(if round % 2 == 0 { "10s" } else { "11s" }, 4 + round % 3));
        // Also many signals at once: they are one reload.
        it.bridge.signal("HUP");
        it.bridge.signal("HUP");
        it.until_lines("the configuration was reloaded", round).await;
        if round == 10 {
            before = descriptors(&it);
        }
    }
    for queue in ["a", "b"] {
        queues.until_empty(queue).await;
    }
    let bodies = endpoint.seen.bodies();
    assert_eq!((bodies.len(), endpoint.seen.count()), (800, 800), "each once");
    assert!(endpoint.seen.most_running() <= 8);
    let few = || (descriptors(&it) <= before + 6).then_some(());
    assert!(until(few).await.is_some(), "{} descriptors, {before} after ten reloads", descriptors(&it));
    assert_eq!(it.listeners().await.len(), 2);
    assert_eq!(it.bridge.stop().await.code, Some(0));
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_sighup_ends_a_process_without_a_file() {
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 10);
    let good = text(&[(&queue, &endpoint.url, "")], "");
    let mut it = Reloading::start("restart", &good, &[]).await;
    it.reload(&good.replace("127.0.0.1:0", "127.0.0.1:1"));
    let line = it.bridge.until_line("needs a restart").await;
    assert!(line.contains("admin.listen"), "{line}");
    assert_eq!(it.bridge.admin("/livez").await.0, 200, "where it was");
    it.bridge.stop().await;

    let mut plain = Queuepost::run(&queue, &endpoint.url, &[]).await;
    queues.send("orders", "x");
    queues.until_empty("orders").await;
    plain.signal("HUP");
    assert_eq!(plain.ended().await.code, Some(0), "its terminal is gone");
}
