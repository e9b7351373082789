//! What a service is, seen from here.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::environment::{ConfigError, Environment, Variable};
use crate::front::{Front, RunFront};
use crate::metrics::Metrics;

/// Any error that nobody reacts to except by reporting it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What is going to be done.
///
/// Between crates a box, and no `async fn`: rustc compiles the body of an `async fn` in each crate that
/// awaits it, again and again with all that it uses of hyper and tokio, and what is in a box once.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(crate) type Probe = Arc<dyn Fn() -> BoxFuture<Result<(), BoxError>> + Send + Sync>;
pub(crate) type Details = Arc<dyn Fn() -> BoxFuture<Map<String, Value>> + Send + Sync>;
type Background = Box<dyn FnOnce(CancellationToken) -> BoxFuture<()> + Send>;

/// A program of this workspace.
pub trait Service: 'static {
    /// Its name, which is also the binary's.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// The variable with the address to listen on.
    const ADDRESS: Variable;
    /// The other variables that it reads, for the help text.
    const VARIABLES: &'static [Variable];

    /// What it is configured with.
    type Config: Send + 'static;

    /// Reads the configuration. No effects: a wrong value is found before anything has started.
    fn configure(environment: &Environment) -> Result<Self::Config, ConfigError>;

    /// What `--version` says beside name, version and build id: a line of its own.
    #[must_use]
    fn version_details(_environment: &Environment) -> Option<String> {
        None
    }

    /// Opens what the service needs and says how it answers.
    fn start(config: Self::Config, metrics: Metrics) -> BoxFuture<Result<App, BoxError>>;
}

/// A service that is ready to be run.
pub struct App {
    pub(crate) routes: Router,
    pub(crate) ready: Probe,
    pub(crate) details: Details,
    pub(crate) background: Option<Background>,
    pub(crate) front: Option<RunFront>,
    pub(crate) cleanup: BoxFuture<()>,
}

impl App {
    /// A service that answers these routes, depends on nothing and does nothing on its own.
    #[must_use]
    pub fn new(routes: Router) -> Self {
        Self {
            routes,
            ready: Arc::new(|| Box::pin(async { Ok(()) })),
            details: Arc::new(|| Box::pin(async { Map::new() })),
            background: None,
            front: None,
            cleanup: Box::pin(async {}),
        }
    }

    /// What tells whether everything is usable that the service depends on.
    #[must_use]
    pub fn ready<F, R>(mut self, probe: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.ready = Arc::new(move || Box::pin(probe()));
        self
    }

    /// What `/version` says beside name, version and build id.
    #[must_use]
    pub fn details<F, R>(mut self, details: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Map<String, Value>> + Send + 'static,
    {
        self.details = Arc::new(move || Box::pin(details()));
        self
    }

    /// Work that goes on while the service runs. It has to return soon after the token is cancelled,
    /// and not before.
    #[must_use]
    pub fn background<F, R>(mut self, work: F) -> Self
    where
        F: FnOnce(CancellationToken) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.background = Some(Box::new(move |stop| Box::pin(work(stop))));
        self
    }

    /// Another program, which takes the connections in this one's place and hands on what it does not
    /// answer itself. What runs it has to return when the program has ended: soon after the token
    /// `stop` is cancelled, and not before.
    #[must_use]
    pub fn front<F, R>(mut self, run: F) -> Self
    where
        F: FnOnce(Front) -> R + Send + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.front = Some(Box::new(move |front| Box::pin(run(front))));
        self
    }

    /// What is left to do once the last request is answered and the background work has ended.
    #[must_use]
    pub fn cleanup(mut self, cleanup: impl Future<Output = ()> + Send + 'static) -> Self {
        self.cleanup = Box::pin(cleanup);
        self
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
