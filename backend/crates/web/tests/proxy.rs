//! The reverse proxy, in front of APIs of all manners.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use app_testing::{Full, Response, Server, request, run, send};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use web::{Config, Web};

const WEB: &str = env!("CARGO_BIN_EXE_web");

async fn web_in_front_of(api: SocketAddr) -> Server {
    let config = Config {
        root: TempDir::new().unwrap().path().to_owned(),
        api: format!("http://{api}").parse().unwrap(),
        api_timeout: Duration::from_millis(300),
        nginx: None,
    };
    Server::start_with::<Web>(config).await
}

/// An API that takes one request, with a body that ends with a full stop if there is one, gives this
/// answer, and tells what it was asked.
async fn api_that_answers(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        let mut buffer = [0; 1024];
        while !request.ends_with("\r\n\r\n") || is_waiting_for_body(&request) {
            let length = stream.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "{request}");
            request += str::from_utf8(buffer.get(..length).unwrap()).unwrap();
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    (address, task)
}

fn is_waiting_for_body(request: &str) -> bool {
    request.contains("transfer-encoding: chunked") && !request.ends_with("0\r\n\r\n")
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = request("GET", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(server.address, request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn requests_and_answers_pass_through() {
    let answer = "HTTP/1.1 418 I'm a teapot\r\nx-tea: green\r\nkeep-alive: timeout=5\r\n\
                  connection: keep-alive, x-hop\r\nx-hop: 1\r\ncontent-length: 3\r\n\r\ntea";
    let (api, asked) = api_that_answers(answer).await;
    let web = web_in_front_of(api).await;
    let headers = [
        ("host", "example.org"),
        ("x-request-id", "id-1"),
        ("te", "trailers"),
        ("connection", "keep-alive, x-secret"),
        ("x-secret", "1"),
    ];
    let response = get(&web, "/api/tea?milk=no", &headers).await;
    assert_eq!((response.status, response.text()), (418, "tea"));
    assert_eq!(response.header("x-tea"), "green");
    assert_eq!(response.header("x-request-id"), "id-1");
    assert_eq!(response.header("x-hop"), "");
    assert_eq!(response.header("keep-alive"), "");

    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("GET /api/tea?milk=no HTTP/1.1\r\n"),
        "{asked}"
    );
    for line in [
        &format!("host: {api}"),
        "x-request-id: id-1",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: example.org",
    ] {
        assert!(asked.contains(&format!("{line}\r\n")), "{line} in {asked}");
    }
    for name in ["te:", "x-secret:", "connection:"] {
        assert!(!asked.contains(&format!("\r\n{name}")), "{name} in {asked}");
    }
}

#[tokio::test]
async fn bodies_are_passed_on_as_they_come() {
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = web_in_front_of(api.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(web.address).await.unwrap();
    let head = "POST /api/echo HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"3\r\none\r\n").await.unwrap();

    // The API sees the first part, and the client its answer, before the second part is sent.
    let (mut upstream, _) = api.accept().await.unwrap();
    read_until(&mut upstream, "one\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    upstream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "half\r\n").await;
    client.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut upstream, "two\r\n0\r\n\r\n").await;
    upstream.write_all(b"4\r\nfull\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut client, "full\r\n0\r\n\r\n").await;
}

async fn read_until(stream: &mut TcpStream, end: &str) {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(end) {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer));
        let length = read
            .await
            .unwrap_or_else(|_| panic!("{end:?} after {text:?}"));
        let length = length.unwrap();
        assert_ne!(length, 0, "{end:?} after {text:?}");
        text += str::from_utf8(buffer.get(..length).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn an_api_that_is_not_there_is_a_problem() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let web = web_in_front_of(address).await;
    let response = get(&web, "/api/items", &[]).await;
    assert_eq!(response.status, 502);
    let _ = response.problem();
    assert_eq!(get(&web, "/healthz", &[]).await.status, 200);
    let ready = get(&web, "/readyz", &[]).await;
    assert_eq!(ready.status, 503);
    let _ = ready.problem();
    let metrics = get(&web, "/metrics", &[]).await;
    assert!(metrics.text().contains("proxy_failures_total 1\n"));
}

#[tokio::test]
async fn an_api_that_is_silent_is_a_problem() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = web_in_front_of(listener.local_addr().unwrap()).await;
    let response = get(&web, "/api/items", &[]).await;
    assert_eq!(response.status, 504);
    let _ = response.problem();
}

#[tokio::test]
async fn ready_means_that_the_api_is() {
    let (api, asked) = api_that_answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let web = web_in_front_of(api).await;
    assert_eq!(get(&web, "/readyz", &[]).await.status, 200);
    assert!(asked.await.unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_binary_names_itself_and_what_is_wrong() {
    let output = run(WEB, &["--version"], &[]).await;
    assert!(output.stdout.starts_with(b"web 0.1.0 (build "));
    let output = run(WEB, &[], &[("API_URL", "https://api")]).await;
    let expected = "web: API_URL is \"https://api\"; \
                    expected an http URL without a path, such as http://127.0.0.1:8080\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[tokio::test]
async fn an_answer_on_its_way_arrives_though_the_binary_stops() {
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", api.local_addr().unwrap());
    let environment = [("WEB_ADDR", "127.0.0.1:0"), ("API_URL", url.as_str())];
    let web = app_testing::Process::start(WEB, &environment).await;
    let request = request("GET", "/api/items").body(Full::default());
    let answer = tokio::spawn(send(web.address, request.unwrap()));
    let (mut upstream, _) = api.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    web.terminate().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";
    upstream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer.await.unwrap().text(), "late");
    assert_eq!(web.end().await.0, Some(0));
}
