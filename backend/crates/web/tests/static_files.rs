//! The static files, over real connections.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs::{File, create_dir_all, write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use app_testing::{Full, Response, Server, request, send};
use tempfile::TempDir;
use web::Web;

struct Fixture {
    server: Server,
    folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("dist");
    create_dir_all(root.join("assets")).unwrap();
    for (name, text) in [
        ("index.html", "<title>app</title>"),
        ("favicon.svg", "<svg/>"),
        ("build.json", r#"{"build_id": "ui-1"}"#),
        ("assets/app-k3v9x2m1.js", "plain"),
        ("assets/app-k3v9x2m1.js.br", "as br"),
        ("assets/app-k3v9x2m1.js.gz", "as gzip"),
        ("assets/app-k3v9x2m1.js.zst", "as zstd"),
        (".env", "secret"),
        ("../outside.txt", "secret"),
    ] {
        write(root.join(name), text).unwrap();
        reset_time(&root.join(name));
    }
    let root = root.to_str().unwrap();
    let server = Server::start::<Web>(&[("WEB_ROOT", root)]).await;
    Fixture { server, folder }
}

/// As a reproducible build does it.
fn reset_time(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
}

impl Fixture {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", path, headers).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.server.address, request.body(Full::default()).unwrap()).await
    }
}

const HTML: &[(&str, &str)] = &[("accept", "text/html,*/*")];

#[tokio::test]
async fn pages_lead_to_the_index() {
    let it = fixture().await;
    for path in ["/", "/index.html", "/items/42", "/items", "/?query"] {
        let response = it.get(path, HTML).await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.text(), "<title>app</title>");
        assert!(response.header("content-type").starts_with("text/html"));
        assert_eq!(response.header("cache-control"), "no-cache");
    }
    for (path, headers) in [
        ("/items/42", &[][..]),
        ("/missing.png", HTML),
        ("/assets/missing-k3v9x2m1.js", HTML),
    ] {
        let response = it.get(path, headers).await;
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.header("cache-control"), "no-store");
        let _ = response.problem();
    }
}

#[tokio::test]
async fn the_best_encoding_is_sent() {
    let it = fixture().await;
    for (accepted, encoding, body) in [
        ("gzip, br, zstd", "zstd", "as zstd"),
        ("gzip, br", "br", "as br"),
        ("gzip", "gzip", "as gzip"),
        ("zstd;q=0, br;q=0.5, gzip", "gzip", "as gzip"),
        ("identity", "", "plain"),
    ] {
        let headers = [("accept-encoding", accepted)];
        let response = it.get("/assets/app-k3v9x2m1.js", &headers).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            (response.header("content-encoding"), response.text()),
            (encoding, body)
        );
        assert_eq!(response.header("content-type"), "text/javascript");
        assert_eq!(response.header("vary"), "accept-encoding");
        assert_eq!(
            response.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
    }
}

#[tokio::test]
async fn a_page_that_changed_is_never_not_modified() {
    let it = fixture().await;
    let first = it.get("/", HTML).await;
    let tag = first.header("etag");
    let known = [
        ("if-none-match", tag),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ];
    let again = it.get("/", &known).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    assert_eq!(again.header("cache-control"), "no-cache");

    // The same length, the same time: only the content tells.
    let index = it.folder.path().join("dist/index.html");
    write(&index, "<title>new</title>").unwrap();
    reset_time(&index);
    let changed = it.get("/", &known).await;
    assert_eq!(
        (changed.status, changed.text()),
        (200, "<title>new</title>")
    );
}

#[tokio::test]
async fn an_asset_is_revalidated_too() {
    let it = fixture().await;
    let first = it.get("/assets/app-k3v9x2m1.js", &[]).await;
    let known = [("if-none-match", first.header("etag"))];
    assert_eq!(it.get("/assets/app-k3v9x2m1.js", &known).await.status, 304);
}

#[tokio::test]
async fn large_files_are_sent_in_parts() {
    let it = fixture().await;
    let size = 2 * 1024 * 1024;
    write(it.folder.path().join("dist/film.mp4"), vec![b'x'; size]).unwrap();
    let whole = it.get("/film.mp4", &[]).await;
    assert_eq!((whole.status, whole.body.len()), (200, size));
    let part = it.get("/film.mp4", &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, part.body.len()), (206, 10));
}

#[tokio::test]
async fn what_is_not_the_clients_business_is_not_there() {
    let it = fixture().await;
    for path in [
        "/.env",
        "/%2eenv",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
    ] {
        let response = it.get(path, HTML).await;
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.text().contains("secret"));
    }
    let long = format!("/{}", "x".repeat(5000));
    assert_eq!(it.get(&long, &[]).await.status, 404);
    assert_eq!(it.get("/assets", &[]).await.status, 404);
}

#[tokio::test]
async fn files_can_only_be_read() {
    let it = fixture().await;
    let response = it.send("POST", "/index.html", &[]).await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, "GET,HEAD")
    );
    let _ = response.problem();
    let response = it.send("HEAD", "/index.html", &[]).await;
    assert_eq!(
        (response.status, response.header("content-length")),
        (200, "18")
    );
    assert!(response.body.is_empty());
}

#[tokio::test]
async fn the_browser_is_told_what_not_to_do() {
    let it = fixture().await;
    for path in ["/", "/missing.png"] {
        let response = it.get(path, &[]).await;
        let policy = response.header("content-security-policy");
        assert!(policy.contains("default-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        for name in [
            "referrer-policy",
            "permissions-policy",
            "cross-origin-opener-policy",
        ] {
            assert!(!response.header(name).is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn the_version_names_both_builds() {
    let it = fixture().await;
    let version = it.get("/version", &[]).await.json();
    assert_eq!(version["build_id"], "test");
    assert_eq!(version["ui_build_id"], "ui-1");
    std::fs::remove_file(it.folder.path().join("dist/build.json")).unwrap();
    let version = it.get("/version", &[]).await.json();
    assert!(version.as_object().unwrap().contains_key("ui_build_id"));
    assert!(version["ui_build_id"].is_null());
}
