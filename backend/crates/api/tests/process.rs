//! The real binary.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use app_testing::{get, run};
use tempfile::TempDir;

const API: &str = env!("CARGO_BIN_EXE_api");

fn database(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("data/app.db").display())
}

#[tokio::test]
async fn version_names_the_build() {
    // The build id is part of the binary: the environment it runs in has no say.
    let output = run(API, &["--version"], &[("REBAKE_BUILD_ID_API", "not-this")]).await;
    let id = option_env!("REBAKE_BUILD_ID_API").filter(|id| !id.is_empty());
    let expected = format!("api 0.1.0 (build {})\n", id.unwrap_or("dev"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn help_names_every_variable() {
    let output = run(API, &["--help"], &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["API_ADDR", "DATABASE_URL", "LOG_LEVEL", "--healthcheck"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn misuse_is_explained() {
    for (arguments, environment, expected) in [
        (
            &["--port"][..],
            ("LOG_LEVEL", "info"),
            "api: unexpected argument \"--port\"; see --help\n",
        ),
        (
            &[],
            ("API_ADDR", "8080"),
            "api: API_ADDR is \"8080\"; expected an address and a port, such as 127.0.0.1:8080\n",
        ),
        (
            &["--healthcheck"],
            ("API_ADDR", "8080"),
            "api: API_ADDR is \"8080\"; expected an address and a port, such as 127.0.0.1:8080\n",
        ),
        (
            &[],
            ("LOG_LEVEL", "loud"),
            "api: LOG_LEVEL is \"loud\"; expected error, warn, info, debug, trace or off\n",
        ),
        (
            &[],
            ("DATABASE_URL", "postgres://db"),
            "api: DATABASE_URL is \"postgres://db\"; expected the URL of an SQLite file, \
             such as sqlite://data/app.db\n",
        ),
    ] {
        let output = run(API, arguments, &[environment]).await;
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_start_that_fails_is_explained() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "a file, not a folder").unwrap();
    let environment = [
        ("API_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", &database(&folder)),
    ];
    let output = run(API, &[], &environment).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cannot create the folder"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(unix)]
mod running {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use app_testing::client::json_request;
    use app_testing::{Connection, Full, Process, request};
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn start(folder: &TempDir) -> Process {
        let database = database(folder);
        let environment = [("API_ADDR", "127.0.0.1:0"), ("DATABASE_URL", &database)];
        Process::start(API, &environment).await
    }

    #[tokio::test]
    async fn healthcheck_asks_the_running_service() {
        let folder = TempDir::new().unwrap();
        let api = start(&folder).await;
        let address = format!("0.0.0.0:{}", api.address.port());
        let environment = [("API_ADDR", address.as_str())];
        let output = run(API, &["--healthcheck"], &environment).await;
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.starts_with(b"healthy: http://127.0.0.1:"));

        api.terminate().await;
        assert_eq!(api.end().await.0, Some(0));
        let output = run(API, &["--healthcheck"], &environment).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.starts_with(b"unhealthy: "));
    }

    #[tokio::test]
    async fn many_processes_may_start_on_one_new_file() {
        let folder = TempDir::new().unwrap();
        let all = tokio::join!(
            start(&folder),
            start(&folder),
            start(&folder),
            start(&folder)
        );
        for api in [&all.0, &all.1, &all.2, &all.3] {
            assert_eq!(get(api.address, "/readyz").await.status, 200);
        }
        let body = json!({"title": "shared"});
        app_testing::send(all.0.address, json_request("POST", "/api/items", &body)).await;
        assert_eq!(get(all.3.address, "/api/items").await.json()["total"], 1);
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered() {
        let folder = TempDir::new().unwrap();
        let api = start(&folder).await;
        let body = json!({"title": "in flight"}).to_string();
        let head = format!(
            "POST /api/items HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len(),
        );
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // A request of another client, so that the first one's head is surely read by now.
        get(api.address, "/healthz").await;
        api.terminate().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(TcpStream::connect(api.address).await.is_err());

        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(api.end().await.0, Some(0));
    }

    #[tokio::test]
    async fn a_client_that_does_nothing_does_not_hold_up_the_end() {
        let folder = TempDir::new().unwrap();
        let api = start(&folder).await;
        let _silent = TcpStream::connect(api.address).await.unwrap();
        let mut idle = Connection::open(api.address).await.unwrap();
        let health = request("GET", "/healthz").body(Full::default()).unwrap();
        assert_eq!(idle.send(health).await.unwrap().status, 200);
        let started = Instant::now();
        api.terminate().await;
        assert_eq!(api.end().await.0, Some(0));
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn a_client_that_never_ends_is_cut_off() {
        let folder = TempDir::new().unwrap();
        let api = start(&folder).await;
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let head = "POST /api/items HTTP/1.1\r\nhost: api\r\ncontent-type: application/json\r\n\
                    content-length: 9\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        get(api.address, "/healthz").await;
        let started = Instant::now();
        api.terminate().await;
        assert_eq!(api.end().await.0, Some(0));
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_request_is_lost() {
        let folder = TempDir::new().unwrap();
        let api = start(&folder).await;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..8)
            .map(|_| tokio::spawn(insist(api.address, is_stopping.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        is_stopping.store(true, Ordering::SeqCst);
        api.terminate().await;
        let mut created = 0;
        for client in clients {
            created += client.await.unwrap();
        }
        let (code, log) = api.end().await;
        assert_eq!(code, Some(0));
        assert!(
            log.iter().any(|line| line["message"] == "stopped"),
            "{log:?}"
        );
        assert!(created > 0);

        // Every answer was true: what was said to be created is there, and nothing else is.
        let again = start(&folder).await;
        assert_eq!(
            get(again.address, "/api/items").await.json()["total"],
            created
        );
    }

    /// Creates items on a kept connection, one after the other, until the server closes it by
    /// `connection: close`; any other end fails. Returns how many.
    async fn insist(address: std::net::SocketAddr, is_stopping: Arc<AtomicBool>) -> u64 {
        let mut connection = Connection::open(address).await.unwrap();
        let mut created = 0;
        loop {
            let create = json_request("POST", "/api/items", &json!({"title": "one more"}));
            let response = connection.send(create).await.unwrap();
            assert_eq!(response.status, 201);
            created += 1;
            if response.header("connection") == "close" {
                assert!(is_stopping.load(Ordering::SeqCst));
                return created;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
