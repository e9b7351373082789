//! The routes for those who operate the service: probes, version, metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::app::App;
use crate::identity::Identity;
use crate::metrics::{self, Metrics};

const HEALTHZ: &str = "/healthz";
const READYZ: &str = "/readyz";
const VERSION: &str = "/version";
const METRICS: &str = "/metrics";

/// The paths of these routes.
pub(crate) const PATHS: [&str; 4] = [HEALTHZ, READYZ, VERSION, METRICS];

/// How long a dependency may take to answer before it counts as unusable.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Operations {
    identity: Identity,
    metrics: Metrics,
    ready: crate::app::Probe,
    details: crate::app::Details,
}

impl Operations {
    pub(crate) fn new(app: &App, identity: Identity, metrics: Metrics) -> Self {
        Self {
            identity,
            metrics,
            ready: app.ready.clone(),
            details: app.details.clone(),
        }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route(HEALTHZ, get(healthz))
            .route(READYZ, get(readyz))
            .route(VERSION, get(version))
            .route(METRICS, get(metrics))
            .with_state(self)
    }
}

/// That this answers is all that it says.
async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn readyz(State(operations): State<Operations>) -> Result<Json<Value>, Problem> {
    let reason = match tokio::time::timeout(READY_TIMEOUT, (operations.ready)()).await {
        Ok(Ok(())) => return Ok(Json(json!({"status": "ready"}))),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {READY_TIMEOUT:?}"),
    };
    tracing::warn!(reason, "not ready");
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {reason}"),
    ))
}

async fn version(State(operations): State<Operations>) -> Json<Map<String, Value>> {
    let Identity {
        service,
        version,
        build_id,
    } = operations.identity;
    let mut answer = Map::new();
    for (key, value) in [
        ("service", service),
        ("version", version),
        ("build_id", build_id),
    ] {
        answer.insert(key.to_owned(), value.into());
    }
    answer.append(&mut (operations.details)().await);
    Json(answer)
}

async fn metrics(State(operations): State<Operations>) -> Response {
    match operations.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}
