//! A script of another language: started, read line by line, and ended with the test.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::e2e::process::PATIENCE;

/// A running script whose first line of output is its address.
pub struct Script {
    pub url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Script {
    /// Starts `file` of this folder, with `env` as its whole environment.
    pub async fn start(program: &Path, file: &str, env: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/peers").join(file);
        let mut command = Command::new(program);
        command.arg(path).env_clear().envs(env.iter().copied()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = timeout(PATIENCE, lines.next_line()).await.expect("an address in time").unwrap();
        Self { url: url.expect("an address"), lines, _child: child }
    }

    /// The next line of output, which is JSON.
    pub async fn next(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time").unwrap();
        serde_json::from_str(&line.expect("a line before the end")).unwrap()
    }
}
