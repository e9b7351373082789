//! The real binary of a service.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running binary. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    log: UnboundedReceiver<Value>,
}

fn command(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    command
}

/// Runs a binary to its end, with these variables and nothing else in its environment.
pub async fn run(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let output = command(binary, arguments, environment).output();
    tokio::time::timeout(PATIENCE, output)
        .await
        .expect("an end in time")
        .expect("a binary that can be run")
}

impl Process {
    /// Starts a binary, with these variables and nothing else in its environment, and waits until it
    /// listens.
    pub async fn start(binary: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = command(binary, &[], environment)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a binary that can be run");
        let stdout = child.stdout.take().expect("a pipe");
        let mut log = read_log(stdout);
        let address = loop {
            let line = next_line(&mut log).await;
            let line = line.expect("a log line before the end");
            if line["message"] == "listening" {
                let address = line["addr"].as_str().expect("an address");
                break address.parse().expect("an address");
            }
            assert_ne!(line["level"], "ERROR", "{line}");
        };
        Self {
            address,
            child,
            log,
        }
    }

    /// Sends SIGTERM.
    #[cfg(unix)]
    pub async fn terminate(&self) {
        let id = self.child.id().expect("a process that still runs");
        let status = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status()
            .await;
        assert!(status.expect("the program kill").success());
    }

    /// Waits until it ends; returns the exit code and what it has logged since it listened.
    pub async fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut self.log).await {
            lines.push(line);
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("an end in time").expect("a status");
        (status.code(), lines)
    }
}

/// Reads the log as it is written: a pipe that nobody reads fills up, and then the binary waits. Each
/// line has to be JSON.
fn read_log(stdout: ChildStdout) -> UnboundedReceiver<Value> {
    let (sender, log) = unbounded_channel();
    let mut lines = BufReader::new(stdout).lines();
    tokio::spawn(async move {
        while let Some(line) = lines.next_line().await.expect("text") {
            let line =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    log
}

/// The next line of the log, or none when it has ended.
async fn next_line(log: &mut UnboundedReceiver<Value>) -> Option<Value> {
    let line = tokio::time::timeout(PATIENCE, log.recv()).await;
    line.expect("a log line, or the end of the log, in time")
}
