//! The HTTP API over the items.

mod counts;
mod input;
mod items;

use app_core::{DatabaseUrl, Store};
use app_service::http::problem;
use app_service::{App, BoxError, BoxFuture, ConfigError, Environment, Metrics, Service, Variable};
use axum::Router;
use axum::extract::DefaultBodyLimit;

use counts::Counts;

/// The largest body of a request, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    default: "sqlite://data/app.db",
    expected: "the URL of an SQLite file, such as sqlite://data/app.db",
    about: "where the items are kept; the file and its folder are created when missing",
};

/// The service.
#[derive(Debug)]
pub enum Api {}

/// What the service is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the items are kept.
    pub database: DatabaseUrl,
}

impl Service for Api {
    const NAME: &'static str = "api";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "The HTTP API over the items.";
    const ADDRESS: Variable = Variable {
        name: "API_ADDR",
        default: "127.0.0.1:8080",
        expected: "an address and a port, such as 127.0.0.1:8080",
        about: "where to listen",
    };
    const VARIABLES: &'static [Variable] = &[DATABASE_URL];

    type Config = Config;

    fn configure(environment: &Environment) -> Result<Config, ConfigError> {
        Ok(Config {
            database: environment.read(&DATABASE_URL)?,
        })
    }

    fn start(config: Config, metrics: Metrics) -> BoxFuture<Result<App, BoxError>> {
        Box::pin(async move {
            let counts = Counts::new(&metrics)?;
            let store = Store::open(&config.database).await?;
            let routes = Router::new()
                .nest("/api/items", items::routes(store.clone(), counts))
                .fallback(problem::no_such_route)
                .layer(DefaultBodyLimit::max(BODY_LIMIT));
            let to_close = store.clone();
            Ok(App::new(routes)
                .ready(move || {
                    let store = store.clone();
                    async move { Ok(store.check().await?) }
                })
                .cleanup(async move { to_close.close().await }))
        })
    }
}
