//! The background worker: keeps the items' overdue marks true.

mod counts;
mod interval;
mod sweeper;

use app_core::{DatabaseUrl, Store};
use app_service::http::problem;
use app_service::{App, BoxError, BoxFuture, ConfigError, Environment, Metrics, Service, Variable};
use axum::Router;

use counts::Counts;
pub use interval::Interval;
use sweeper::Sweeper;

const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    default: "sqlite://data/app.db",
    expected: "the URL of an SQLite file, such as sqlite://data/app.db",
    about: "where the items are kept; the file and its folder are created when missing",
};

const INTERVAL: Variable = Variable {
    name: "WORKER_INTERVAL_MS",
    default: "1000",
    expected: "a number of milliseconds from 10 to 3600000",
    about: "how often the marks are checked",
};

/// The service.
#[derive(Debug)]
pub enum Worker {}

/// What the service is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the items are kept.
    pub database: DatabaseUrl,
    /// How often the marks are checked.
    pub interval: Interval,
}

impl Service for Worker {
    const NAME: &'static str = "worker";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "The background worker: keeps the items' overdue marks true.";
    const ADDRESS: Variable = Variable {
        name: "WORKER_ADDR",
        default: "127.0.0.1:8081",
        expected: "an address and a port, such as 127.0.0.1:8081",
        about: "where to listen for probes and scrapes",
    };
    const VARIABLES: &'static [Variable] = &[DATABASE_URL, INTERVAL];

    type Config = Config;

    fn configure(environment: &Environment) -> Result<Config, ConfigError> {
        Ok(Config {
            database: environment.read(&DATABASE_URL)?,
            interval: environment.read(&INTERVAL)?,
        })
    }

    fn start(config: Config, metrics: Metrics) -> BoxFuture<Result<App, BoxError>> {
        Box::pin(async move {
            let counts = Counts::new(&metrics)?;
            let store = Store::open(&config.database).await?;
            let to_close = store.clone();
            let sweeper = Sweeper::new(store.clone(), counts);
            Ok(App::new(Router::new().fallback(problem::no_such_route))
                .ready(move || {
                    let store = store.clone();
                    async move { Ok(store.check().await?) }
                })
                .background(move |stop| sweeper.run(config.interval, stop))
                .cleanup(async move { to_close.close().await }))
        })
    }
}
