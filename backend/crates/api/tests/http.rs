//! The API, over real connections.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

use api::Api;
use app_testing::client::json_request;
use app_testing::{Full, Response, Server, request, send};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Fixture {
    server: Server,
    _folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}", folder.path().join("app.db").display());
    Fixture {
        server: Server::start::<Api>(&[("DATABASE_URL", &url)]).await,
        _folder: folder,
    }
}

impl Fixture {
    async fn get(&self, path: &str) -> Response {
        app_testing::get(self.server.address, path).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Response {
        send(self.server.address, json_request(method, path, &body)).await
    }

    async fn send_text(&self, content_type: &str, body: String) -> Response {
        let request = request("POST", "/api/items").header("content-type", content_type);
        send(self.server.address, request.body(body.into()).unwrap()).await
    }

    async fn create(&self, body: Value) -> Value {
        let response = self.send("POST", "/api/items", body).await;
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()
    }
}

fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| error["field"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_item_lives() {
    let it = fixture().await;
    let body = json!({"title": " water the plants ", "due_on": "2030-01-31"});
    let created = it.send("POST", "/api/items", body).await;
    assert_eq!(created.status, 201);
    let path = created.header("location").to_owned();
    let item = created.json();
    assert_eq!(path, format!("/api/items/{}", item["id"].as_str().unwrap()));
    assert_eq!(item["title"], "water the plants");
    assert_eq!(item["notes"], "");
    assert_eq!(item["due_on"], "2030-01-31");
    assert_eq!(
        (&item["done"], &item["overdue"]),
        (&json!(false), &json!(false))
    );
    assert!(item["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(it.get(&path).await.json(), item);

    let changed = it
        .send("PATCH", &path, json!({"done": true, "due_on": null}))
        .await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["done"], true);
    assert_eq!(changed.json()["due_on"], Value::Null);
    assert_eq!(changed.json()["title"], "water the plants");

    let deleted = it.send("DELETE", &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    for method in ["GET", "PATCH", "DELETE"] {
        let response = it.send(method, &path, json!({})).await;
        assert_eq!(response.status, 404);
        let _ = response.problem();
    }
}

#[tokio::test]
async fn the_list_is_walked_by_cursor() {
    let it = fixture().await;
    for number in 0..5 {
        it.create(json!({"title": number.to_string(), "done": number == 0}))
            .await;
    }
    let first = it.get("/api/items?limit=3").await.json();
    assert_eq!(first["total"], 5);
    assert_eq!(first["items"][0]["title"], "4");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = it
        .get(&format!("/api/items?limit=3&cursor={cursor}"))
        .await
        .json();
    assert_eq!(second["items"].as_array().unwrap().len(), 2);
    assert_eq!(second["next_cursor"], Value::Null);

    let open = it.get("/api/items?done=false").await.json();
    assert_eq!(
        (&open["total"], &open["next_cursor"]),
        (&json!(4), &Value::Null)
    );
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let it = fixture().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
        ("done=1", "done"),
    ] {
        let response = it.get(&format!("/api/items?{query}")).await;
        assert_eq!(response.status, 400, "{query}");
        assert_eq!(fields(&response.problem()), [field], "{query}");
    }
    let response = it.get("/api/items?limit=1&limit=2").await;
    assert_eq!(response.status, 400);
    let _ = response.problem();
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let it = fixture().await;
    for (body, expected) in [
        (json!({}), &["title"][..]),
        (
            json!({"title": "  ", "due_on": "soon"}),
            &["title", "due_on"],
        ),
        (
            json!({"title": "a".repeat(201), "notes": "n".repeat(2001)}),
            &["title", "notes"],
        ),
        (
            json!({"title": "nul\u{0}", "notes": "\u{0}"}),
            &["title", "notes"],
        ),
        (json!({"title": 5}), &["title"]),
        (json!({"title": "a", "done": "yes"}), &["done"]),
        (json!({"title": "a", "overdue": true}), &["overdue"]),
        (json!(["a"]), &["body"]),
        (json!(null), &["body"]),
    ] {
        let response = it.send("POST", "/api/items", body.clone()).await;
        assert_eq!(response.status, 422, "{body}");
        assert_eq!(fields(&response.problem()), expected, "{body}");
    }
    let item = it.create(json!({"title": "a"})).await;
    let path = format!("/api/items/{}", item["id"].as_str().unwrap());
    let response = it.send("PATCH", &path, json!({"title": null})).await;
    assert_eq!(response.status, 422);
    assert_eq!(fields(&response.problem()), ["title"]);
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let it = fixture().await;
    let json = "application/json";
    let large = json!({"title": "a", "notes": "n".repeat(70_000)}).to_string();
    for (response, status) in [
        (it.send_text(json, "{\"title\":".to_owned()).await, 400),
        (it.send_text(json, String::new()).await, 400),
        (it.send_text(json, large).await, 413),
        (
            it.send_text("text/plain", "{\"title\": \"a\"}".to_owned())
                .await,
            415,
        ),
        (it.get("/nowhere").await, 404),
        (it.get("/api/items/").await, 404),
        (it.get("/api/items/not-an-id").await, 404),
        (it.get("/api/items/%ff").await, 404),
        (it.send("PUT", "/api/items", Value::Null).await, 405),
        (it.send("POST", "/healthz", Value::Null).await, 405),
    ] {
        assert_eq!(response.status, status, "{}", response.text());
        let _ = response.problem();
    }
    let response = it.send("PUT", "/api/items", Value::Null).await;
    assert!(
        response.header("allow").contains("POST"),
        "{:?}",
        response.headers
    );
}

#[tokio::test]
async fn operators_learn_what_they_need() {
    let it = fixture().await;
    assert_eq!(it.get("/healthz").await.status, 200);
    assert_eq!(it.get("/readyz").await.status, 200);
    let version = json!({"service": "api", "version": "0.1.0", "build_id": "test"});
    assert_eq!(it.get("/version").await.json(), version);

    let item = it.create(json!({"title": "a"})).await;
    let path = format!("/api/items/{}", item["id"].as_str().unwrap());
    it.get(&path).await;
    it.get("/nowhere").await;
    let response = it.get("/metrics").await;
    assert!(response.header("content-type").starts_with("text/plain"));
    for line in [
        "items_created_total 1",
        r#"http_requests_total{method="GET",route="/api/items/{id}",status="200"} 1"#,
        r#"http_requests_total{method="POST",route="/api/items",status="201"} 1"#,
        r#"http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/readyz",status="200"} 1"#,
    ] {
        assert!(
            response.text().lines().any(|found| found == line),
            "{line}\n{}",
            response.text()
        );
    }
    #[cfg(target_os = "linux")]
    assert!(response.text().contains("process_resident_memory_bytes "));
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let it = fixture().await;
    let with_id = |id: &str| {
        let request = request("GET", "/nowhere").header("x-request-id", id);
        send(it.server.address, request.body(Full::default()).unwrap())
    };
    let kept = with_id("abc-1").await;
    assert_eq!(kept.header("x-request-id"), "abc-1");
    assert_eq!(kept.problem()["request_id"], "abc-1");
    let replaced = with_id("not sane").await;
    assert_eq!(replaced.header("x-request-id").len(), 36);
}
