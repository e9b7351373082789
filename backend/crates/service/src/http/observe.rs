//! What happens around each request: its id, its log line, its metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::operations;
use super::problem::Problem;
use super::request_id::{RequestId, X_REQUEST_ID};
use crate::metrics::Metrics;

/// What a response is counted as when no route matched: an extension of the response.
#[derive(Clone, Copy, Debug)]
pub struct RouteLabel(pub &'static str);

const UNMATCHED: &str = "unmatched";

/// Names, times, logs and counts one request.
pub(crate) async fn observe(
    State(metrics): State<Metrics>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    request
        .headers_mut()
        .insert(&X_REQUEST_ID, id.as_header().clone());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>().cloned();

    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span).await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = name_problem(&problem, &id, &response);
    }
    response
        .headers_mut()
        .insert(&X_REQUEST_ID, id.as_header().clone());

    let duration = started.elapsed();
    let status = response.status();
    let label = response.extensions().get::<RouteLabel>().copied();
    let route = match (&matched, label) {
        (Some(matched), _) => matched.as_str(),
        (None, Some(RouteLabel(label))) => label,
        (None, None) => UNMATCHED,
    };
    metrics.observe_request(method_label(&method), route, status.as_str(), duration);

    // One macro a level, because a level is part of the place in the code.
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                request_id = %id,
                %method,
                path,
                route,
                status = status.as_u16(),
                duration_ms = duration.as_secs_f64() * 1000.0,
                "request",
            )
        };
    }
    if status.is_server_error() {
        log!(warn);
    } else if operations::PATHS.contains(&route) {
        // Probes and scrapes come every few seconds and would bury the rest.
        log!(debug);
    } else {
        log!(info);
    }
    response
}

/// The problem's document with the request id in it, and the headers that were added on the way.
fn name_problem(problem: &Problem, id: &RequestId, response: &Response) -> Response {
    let mut named = problem.render(Some(id));
    for (name, value) in response.headers() {
        if *name != header::CONTENT_LENGTH {
            named.headers_mut().insert(name, value.clone());
        }
    }
    *named.extensions_mut() = response.extensions().clone();
    named
}

/// The method, if it is one of the usual: a client could invent others without end.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
