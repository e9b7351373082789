//! What surrounds the routes of a service.

pub mod observe;
pub mod problem;
pub mod request_id;

mod operations;

use std::net::SocketAddr;

use axum::Router;
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use operations::Operations;
use problem::Problem;

use crate::metrics::Metrics;

/// Who sent the request: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The routes of a service with everything around them.
pub(crate) fn surround(routes: Router, operations: Operations, metrics: Metrics) -> Router {
    routes
        .merge(operations.routes())
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| {
            // The panic itself was logged by the panic hook.
            Problem::internal_server_error().into_response()
        }))
        .layer(axum::middleware::from_fn_with_state(
            metrics,
            observe::observe,
        ))
}
