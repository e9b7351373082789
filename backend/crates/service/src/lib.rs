//! What every service needs and no service is about.
//!
//! A service implements [`Service`] and its `main` calls [`main`]; flags, configuration errors, logs,
//! probes, metrics, request ids, problem documents and graceful shutdown then work alike everywhere.
//!
//! | module | what it does |
//! |---|---|
//! | [`app`] | what a service hands over: routes, readiness, background work |
//! | [`environment`] | reads configuration, and says what is wrong with it |
//! | [`front`] | another program that takes the connections |
//! | [`http`] | problem documents, request ids, peers, what surrounds each request |
//! | [`metrics`] | counters and histograms for Prometheus |
//! | [`server`] | accepts connections and ends them gracefully |

pub mod app;
pub mod environment;
pub mod front;
pub mod http;
pub mod metrics;
pub mod server;

mod cli;
mod healthcheck;
mod identity;
mod logging;
mod run;
mod signals;

pub use app::{App, BoxError, BoxFuture, Service};
pub use environment::{ConfigError, Environment, Variable};
pub use front::Front;
pub use http::problem::Problem;
pub use identity::Identity;
pub use metrics::Metrics;
pub use run::{main, serve_app};
