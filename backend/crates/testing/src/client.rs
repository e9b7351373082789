//! A small HTTP client, which follows nothing and hides nothing.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request with a body that is sent whole.
pub type FullRequest = Request<Full<Bytes>>;

/// An answer that was received whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// The body as a problem document; checks what all of them have in common.
    #[must_use]
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{member} in {problem}");
        }
        problem
    }
}

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Sends a request and receives the whole answer.
    pub async fn send(&mut self, mut request: FullRequest) -> hyper::Result<Response> {
        let host = self.address.to_string();
        let host = host.parse().expect("an address is a valid header");
        request.headers_mut().entry(HOST).or_insert(host);
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }
}

/// The start of a request.
#[must_use]
pub fn request(method: &str, path: &str) -> Builder {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    Request::builder().method(method).uri(path)
}

/// A request with a JSON body.
#[must_use]
pub fn json_request(method: &str, path: &str, body: &Value) -> FullRequest {
    request(method, path)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .expect("a request")
}

/// Sends one request on a connection of its own.
pub async fn send(address: SocketAddr, request: FullRequest) -> Response {
    let mut connection = Connection::open(address).await.expect("a connection");
    connection.send(request).await.expect("an answer")
}

/// GETs a path on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Response {
    let request = request("GET", path).body(Full::default());
    send(address, request.expect("a request")).await
}
