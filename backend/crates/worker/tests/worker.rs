//! The worker, on real files and over real connections.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use app_core::{Draft, Item, PatchDraft, Store};
use app_testing::{Server, get, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use worker::Worker;

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

fn database(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("data/app.db").display())
}

async fn create(store: &Store, draft: Value) -> Item {
    let draft: Draft = serde_json::from_value(draft).unwrap();
    store.create(draft.check().unwrap()).await.unwrap()
}

async fn is_overdue(store: &Store, item: &Item) -> bool {
    store.get(item.id).await.unwrap().unwrap().overdue
}

#[tokio::test]
async fn marks_come_and_go() {
    let folder = TempDir::new().unwrap();
    let url = database(&folder);
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    let late = create(&store, json!({"title": "late", "due_on": "2001-01-01"})).await;
    let early = create(&store, json!({"title": "early", "due_on": "9999-12-31"})).await;

    let environment = [("DATABASE_URL", url.as_str()), ("WORKER_INTERVAL_MS", "20")];
    let server = Server::start::<Worker>(&environment).await;
    server
        .wait_for("/metrics", "items_marked_overdue_total 1\n")
        .await;
    assert!(is_overdue(&store, &late).await);
    assert!(!is_overdue(&store, &early).await);

    let patch: PatchDraft = serde_json::from_value(json!({"done": true})).unwrap();
    store.update(late.id, patch.check().unwrap()).await.unwrap();
    server
        .wait_for("/metrics", "items_unmarked_overdue_total 1\n")
        .await;
    assert!(!is_overdue(&store, &late).await);

    let metrics = get(server.address, "/metrics").await;
    assert!(metrics.text().contains("items_marked_overdue_total 1\n"));
    assert!(metrics.text().contains("worker_tick_failures_total 0\n"));
    server.stop().await;
}

#[tokio::test]
async fn operators_learn_what_they_need() {
    let folder = TempDir::new().unwrap();
    let server = Server::start::<Worker>(&[("DATABASE_URL", &database(&folder))]).await;
    assert_eq!(get(server.address, "/healthz").await.status, 200);
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    let version = json!({"service": "worker", "version": "0.1.0", "build_id": "test"});
    assert_eq!(get(server.address, "/version").await.json(), version);
    let nothing = get(server.address, "/api/items").await;
    assert_eq!(nothing.status, 404);
    let _ = nothing.problem();
}

#[tokio::test]
async fn the_binary_names_itself_and_what_is_wrong() {
    let output = run(WORKER, &["--version"], &[]).await;
    assert!(output.stdout.starts_with(b"worker 0.1.0 (build "));
    let output = run(WORKER, &[], &[("WORKER_INTERVAL_MS", "1s")]).await;
    let expected = "worker: WORKER_INTERVAL_MS is \"1s\"; \
                    expected a number of milliseconds from 10 to 3600000\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[tokio::test]
async fn the_binary_works_until_it_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let url = database(&folder);
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("WORKER_ADDR", "127.0.0.1:0"),
        ("WORKER_INTERVAL_MS", "10"),
    ];
    let worker = app_testing::Process::start(WORKER, &environment).await;
    let address = worker.address.to_string();
    let output = run(WORKER, &["--healthcheck"], &[("WORKER_ADDR", &address)]).await;
    assert_eq!(output.status.code(), Some(0));
    worker.terminate().await;
    let (code, log) = worker.end().await;
    assert_eq!(code, Some(0));
    assert!(
        log.iter().any(|line| line["message"] == "stopped"),
        "{log:?}"
    );
    // SQLite has tidied up: the log is gone once the last connection is closed.
    assert!(!folder.path().join("data/app.db-wal").exists());
}
