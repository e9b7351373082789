//! The real binary of a service.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running binary. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
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
        let mut stdout = BufReader::new(stdout).lines();
        let address = loop {
            let line = next_line(&mut stdout).await;
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
            stdout,
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
        let mut log = Vec::new();
        while let Some(line) = next_line(&mut self.stdout).await {
            log.push(line);
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("an end in time").expect("a status");
        (status.code(), log)
    }
}

/// The next line of the log, which has to be JSON.
async fn next_line(stdout: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = tokio::time::timeout(PATIENCE, stdout.next_line()).await;
    let line = line.expect("a line in time").expect("text")?;
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}
