//! A fleet of real processes, counted by a real DNS server whose zone changes under them, at one endpoint that counts.
//!
//! Each process listens at an address of its own of the loopback, and the zone lists these. `.ci/limiters` installs the
//! server, dnsmasq.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::process::{PATIENCE, Queuepost, until};
use super::servers::{HttpEndpoint, QueueServer};
use crate::contract::server::{free_port, skipped};

/// POSTs at once for all processes.
const SESSIONS: usize = 10;
const NAME: &str = "fleet.queuepost.test";

/// dnsmasq with one zone, ended by its process id when dropped.
struct Zone {
    hosts: PathBuf,
    port: u16,
    server: Child,
}

impl Zone {
    /// Serves a zone that lists nobody; `None` where the server is not installed.
    fn start(folder: &Path) -> Option<Self> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/limiters");
        if !tools.join("pins/proxies").exists() {
            assert!(std::env::var_os("CI").is_none(), "dnsmasq is missing in CI");
            skipped(
                "a fleet by DNS: dnsmasq is not installed (.ci/limiters installs it into target/limiters)",
            );
            return None;
        }
        let (hosts, port) = (folder.join("hosts"), free_port());
        fs::write(&hosts, "").unwrap();
        let server = Command::new(tools.join("bin/dnsmasq"))
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args(["--listen-address=127.0.0.1", "--local-ttl=1", "--pid-file", "--local=/queuepost.test/"])
            .args([&format!("--port={port}"), &format!("--addn-hosts={}", hosts.display())])
            .arg(format!("--user={}", std::env::var("USER").unwrap_or_else(|_| "root".to_owned())))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self { hosts, port, server })
    }

    /// Lists these addresses and no others.
    fn lists(&self, addresses: &[String]) {
        let lines: Vec<String> = addresses.iter().map(|address| format!("{address} {NAME}")).collect();
        fs::write(&self.hosts, lines.join("\n") + "\n").unwrap();
        // It may not have its handler yet, and would end: only one that runs is told.
        let pid = self.server.id().expect("it runs").to_string();
        let told = std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(told.success());
    }

    /// Waits until it answers.
    async fn answers(&self) {
        let answers = || async { tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok() };
        for _ in 0..PATIENCE.as_millis() / 50 {
            if answers().await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("dnsmasq does not answer");
    }
}

/// One process of the fleet, at its address.
struct Member {
    process: Queuepost,
    address: String,
}

impl Member {
    async fn start(number: usize, config: &Path) -> Self {
        let address = address(number);
        let listen = format!("{address}:0");
        let args = ["run", "--config", config.to_str().unwrap(), "--admin-listen", &listen];
        let mut process = Queuepost::start(&args, &[]);
        process.find_admin().await;
        Self { process, address }
    }

    /// What it sees of the fleet, and the POSTs that it may have running.
    async fn view(&self) -> (u64, u64) {
        let (_, status) = self.process.admin("/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let members = status["fleet"]["members"].as_u64().unwrap();
        (members, status["endpoints"][0]["sessions"]["limit"].as_u64().unwrap())
    }
}

fn address(number: usize) -> String {
    format!("127.0.0.{}", 20 + number)
}

/// Waits until all see so many, and share the sessions like this, most first.
async fn until_shared(fleet: &[Member], members: u64, shares: &[u64]) {
    let mut views = Vec::new();
    for _ in 0..PATIENCE.as_millis() / 200 {
        views.clear();
        for member in fleet {
            views.push(member.view().await);
        }
        let mut limits: Vec<u64> = views.iter().map(|(_, limit)| *limit).collect();
        limits.sort_unstable_by(|one, other| other.cmp(one));
        if views.iter().all(|(seen, _)| *seen == members) && limits == shares {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("not {members} members with {shares:?}: {views:?}\n{}", fleet[0].process.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_processes_that_come_die_and_go_keep_to_one_cap_while_the_zone_changes_under_them() {
    let folder = std::env::temp_dir().join(format!("queuepost-{}-fleet", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let Some(zone) = Zone::start(&folder) else { return };
    let (queues, endpoint) =
        (QueueServer::start().await, HttpEndpoint::start(200, Duration::from_millis(250)).await);
    let queue = queues.queue("orders", 20);
    let config = folder.join("queuepost.yaml");
    let text = format!(
        "fleet: {{dns: {NAME}, server: '127.0.0.1:{}'}}\nlog: {{format: json}}\n\
         endpoints: {{api: {{url: '{}', sessions: {SESSIONS}}}}}\n\
         listeners: [{{queue: '{queue}', endpoint: api, path: /, workers: {SESSIONS}, receive_wait: 1s}}]\n",
        zone.port, endpoint.url
    );
    fs::write(&config, text).unwrap();
    zone.answers().await;
    for number in 0..600 {
        queues.send("orders", &format!("m-{number}"));
    }
    let mut fleet = Vec::new();
    for number in 1..=3 {
        fleet.push(Member::start(number, &config).await);
    }
    zone.lists(&(1..=3).map(address).collect::<Vec<_>>());
    until_shared(&fleet, 3, &[4, 3, 3]).await;
    for number in 4..=5 {
        fleet.push(Member::start(number, &config).await);
    }
    zone.lists(&(1..=5).map(address).collect::<Vec<_>>());
    until_shared(&fleet, 5, &[2, 2, 2, 2, 2]).await;
    // One dies without a word; the platform takes it from the zone.
    let dead = fleet.remove(0);
    dead.process.signal("KILL");
    drop(dead);
    zone.lists(&fleet.iter().map(|member| member.address.clone()).collect::<Vec<_>>());
    until_shared(&fleet, 4, &[3, 3, 2, 2]).await;
    // One goes, and is listed until it has ended.
    let mut goes = fleet.remove(0);
    goes.process.signal("TERM");
    assert_eq!(goes.process.ended().await.code, Some(0));
    zone.lists(&fleet.iter().map(|member| member.address.clone()).collect::<Vec<_>>());
    until_shared(&fleet, 3, &[4, 3, 3]).await;
    assert!((fleet[0].process.metric("fleet_share", "endpoint=\"api\"").await - 0.3).abs() <= 0.11);
    let all = until(|| (endpoint.seen.bodies().len() == 600).then_some(())).await;
    assert!(all.is_some(), "{} of 600 arrived", endpoint.seen.bodies().len());
    let most = endpoint.seen.most_running();
    let line = format!("five processes, {SESSIONS} sessions: at most {most} POSTs at once\n");
    // Past the test runner, which hides the output of passing tests.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(most <= SESSIONS, "{most} ran at once");
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows_keeps_a_process_standing_by_and_is_said_with_its_fix() {
    let folder = std::env::temp_dir().join(format!("queuepost-{}-fleet-nobody", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let Some(zone) = Zone::start(&folder) else { return };
    zone.answers().await;
    let (queues, endpoint) = (QueueServer::start().await, HttpEndpoint::start(200, Duration::ZERO).await);
    let queue = queues.queue("orders", 20);
    queues.send("orders", "waits");
    let config = folder.join("queuepost.yaml");
    let text = format!(
        "fleet: {{dns: nobody.queuepost.test, server: '127.0.0.1:{}'}}\nlog: {{format: json}}\n\
         listeners: [{{queue: '{queue}', url: '{}', receive_wait: 1s}}]\n",
        zone.port, endpoint.url
    );
    fs::write(&config, text).unwrap();
    let member = Member::start(9, &config).await;
    let line = member.process.until_line("the fleet cannot be counted").await;
    assert!(line.contains("there are no A or AAAA records") && line.contains("check fleet.dns"), "{line}");
    let is_ready = async || member.process.admin("/readyz").await.0 == 200;
    for _ in 0..PATIENCE.as_millis() / 100 {
        if is_ready().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(is_ready().await, "it can take over at any time");
    let (_, status) = member.process.admin("/api/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["listeners"][0]["not_receiving"], "standing_by", "{status}");
    assert_eq!((member.process.metric("fleet_share", "").await, endpoint.seen.count()), (0.0, 0));
    fs::remove_dir_all(&folder).unwrap();
}
