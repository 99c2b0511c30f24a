//! The measured programs: their command lines, and the workers of others.
//!
//! The workers of others are in `peers`, which has a script that installs what they need from the registries of Python and Node.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::Result;
use crate::child::command;
use crate::options::{Options, Program};
use crate::queue_server::queue_name;
use crate::table::Row;
use crate::tls::Tls;

/// The processor of the measured program with `--pin`.
const UNDER_TEST: u32 = 0;

/// Where the sources of the others' workers are.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/throughput/peers");

/// Installs what a worker of others needs; returns its versions, none for queuepost and the bare loop.
pub(crate) async fn install(program: Program) -> Result<Option<String>> {
    let what = match program {
        Program::Queuepost | Program::Bare | Program::Each => return Ok(None),
        Program::Boto3 => "python",
        Program::SqsConsumer | Program::SqsConsumerBatch => "node",
    };
    let mut install = Command::new(Path::new(PEERS).join("install"));
    install.arg(installed()).arg(what).kill_on_drop(true);
    let done = install.output().await?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{} could not be installed: {}", program.name(), said.trim()).into());
    }
    let versions = String::from_utf8(done.stdout)?;
    Ok(Some(format!("{}: {}", program.name(), versions.trim())))
}

/// The command line of the measured program.
pub(crate) fn under_test(
    options: &Options,
    row: &Row,
    tls: Option<&Tls>,
    (queue, endpoint): (SocketAddr, SocketAddr),
) -> Result<Command> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{endpoint}/messages");
    let queue_url =
        |number| format!("http://{queue}/000000000000/{}", queue_name(number, options.groups.is_some()));
    let workers = options.workers.to_string();
    let program = |path: &Path| command(path.as_os_str(), options.pin.then_some(UNDER_TEST));
    let mut command = match row.program {
        Program::Queuepost => {
            let mut command = program(&options.queuepost);
            command.args(["run", "--admin-listen", "127.0.0.1:0"]);
            command
        }
        Program::Bare | Program::Each => {
            let mut command = program(&std::env::current_exe()?);
            command.args(["bare", "--threads", options.bare_threads.name()]);
            command.args((row.program == Program::Each).then_some("--each"));
            if let Some(tls) = tls {
                command.arg("--certificate").arg(&tls.certificate);
            }
            command
        }
        Program::Boto3 => {
            let mut command = program(&installed().join("python/bin/python"));
            command.arg(Path::new(PEERS).join("boto3_threads.py"));
            command.args([&queue_url(0), &url, &workers]);
            return Ok(command);
        }
        Program::SqsConsumer | Program::SqsConsumerBatch => {
            let mut command = program(&installed().join("node/program"));
            command.arg(installed().join("node/sqs_consumer.mjs"));
            let how = if row.program == Program::SqsConsumer { "each" } else { "batch" };
            command.args([&queue_url(0), &url, &workers, how]);
            return Ok(command);
        }
    };
    let is_ours = row.program == Program::Queuepost;
    if !is_ours || (row.batch == 1 && row.listeners == 1 && tls.is_none()) {
        command.args(["--queue", &queue_url(0), "--url", &url, "--workers", &workers]);
    } else {
        let batch = match row.batch {
            1 => String::new(),
            size => format!(", preset: lambda, batch: {{size: {size}, window: 1s}}"),
        };
        let tls = tls.map(|tls| format!(", tls: {{ca_file: '{}'}}", tls.certificate.display()));
        let tls = tls.unwrap_or_default();
        let mut config = format!("endpoints: {{bench: {{url: '{scheme}://{endpoint}'{tls}}}}}\nlisteners:\n");
        for number in 0..row.listeners {
            let queue = queue_url(number);
            let target = "endpoint: bench, path: /messages";
            writeln!(config, "- {{queue: '{queue}', {target}, workers: {workers}{batch}}}")?;
        }
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("throughput.yaml");
        std::fs::write(&path, config)?;
        command.arg("--config").arg(path);
    }
    Ok(command)
}

fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("throughput-peers")
}
