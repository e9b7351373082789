//! The reverse proxy: what comes in below `/api` goes to the API.

mod headers;

use std::time::Duration;

use app_service::http::Peer;
use app_service::metrics::{IntCounter, MetricsError};
use app_service::{BoxError, Metrics, Problem};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::uri::PathAndQuery;
use axum::response::Response;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_http::timeout::TimeoutBody;

use crate::api_url::ApiUrl;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the API keeps an idle connection, so that it is never the API that closes one while
/// a request is on its way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The way to the API.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    client: Client<HttpConnector, Body>,
    api: ApiUrl,
    timeout: Duration,
    failures: IntCounter,
}

impl Proxy {
    pub(crate) fn new(
        api: ApiUrl,
        timeout: Duration,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let failures = metrics.counter(
            "proxy_failures_total",
            "Requests that the API did not answer, or not in time.",
        )?;
        Ok(Self {
            client,
            api,
            timeout,
            failures,
        })
    }

    /// Whether the API says that it is ready.
    pub(crate) async fn check(&self) -> Result<(), BoxError> {
        let uri = self.api.with_path(PathAndQuery::from_static("/readyz"))?;
        let answer = self.client.get(uri).await;
        let status = answer.map_err(|_| "the API does not answer")?.status();
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(format!("the API answers {status}").into())
        }
    }

    async fn send(&self, request: Request) -> Result<Response, Problem> {
        let answer = tokio::time::timeout(self.timeout, self.client.request(request)).await;
        let (status, detail) = match answer {
            Ok(Ok(response)) => {
                let (mut head, body) = response.into_parts();
                headers::remove_hop_by_hop(&mut head.headers);
                let body = TimeoutBody::new(self.timeout, body);
                return Ok(Response::from_parts(head, Body::new(body)));
            }
            Ok(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the API does not answer");
                (StatusCode::BAD_GATEWAY, "the API does not answer")
            }
            Err(_) => {
                tracing::warn!("the API does not answer in time");
                let detail = "the API does not answer in time";
                (StatusCode::GATEWAY_TIMEOUT, detail)
            }
        };
        self.failures.inc();
        Err(Problem::new(status, detail))
    }
}

/// Sends the request on to the API, and its answer back. Bodies are passed on as they come.
pub(crate) async fn forward(
    State(proxy): State<Proxy>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let peer = head.extensions.get::<Peer>().copied();
    headers::remove_hop_by_hop(&mut head.headers);
    headers::add_forwarded(&mut head.headers, peer);

    let mut request = Request::new(Body::new(TimeoutBody::new(proxy.timeout, body)));
    *request.method_mut() = head.method;
    *request.headers_mut() = head.headers;
    *request.uri_mut() = proxy
        .api
        .with_path(path)
        .map_err(|error| Problem::internal(&error))?;
    proxy.send(request).await
}
