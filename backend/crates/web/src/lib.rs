//! The production server of the UI: static files, and a reverse proxy to the API.
//!
//! The browser talks to one origin only, so the API needs no CORS, and the API is not reachable from
//! outside.

mod api_url;
mod assets;
mod build_info;
mod nginx;
mod proxy;
mod security;

use std::path::PathBuf;
use std::time::Duration;

use app_service::{App, BoxError, BoxFuture, ConfigError, Environment, Metrics, Service, Variable};
use axum::Router;
use axum::middleware::map_response;
use axum::routing::any;

pub use api_url::{ApiUrl, InvalidApiUrl};
use assets::Assets;
pub use nginx::Nginx;
use proxy::Proxy;

const WEB_ROOT: Variable = Variable {
    name: "WEB_ROOT",
    default: "./dist",
    expected: "a folder",
    about: "the built UI",
};

const API_URL: Variable = Variable {
    name: "API_URL",
    default: "http://127.0.0.1:8080",
    expected: "an http URL without a path, such as http://127.0.0.1:8080",
    about: "where the API is",
};

/// How long the API may take to start an answer, and to go on with it.
const API_TIMEOUT: Duration = Duration::from_secs(30);

/// The service.
#[derive(Debug)]
pub enum Web {}

/// What the service is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with the built UI.
    pub root: PathBuf,
    /// Where the API is.
    pub api: ApiUrl,
    /// How long the API may take to start an answer, and to go on with it.
    pub api_timeout: Duration,
    /// The nginx that takes the connections, where there is one.
    pub nginx: Option<Nginx>,
}

impl Service for Web {
    const NAME: &'static str = "web";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str =
        "The production server of the UI: static files, and a reverse proxy to the API.";
    const ADDRESS: Variable = Variable {
        name: "WEB_ADDR",
        default: "127.0.0.1:8082",
        expected: "an address and a port, such as 127.0.0.1:8082",
        about: "where to listen",
    };
    const VARIABLES: &'static [Variable] = &[WEB_ROOT, API_URL, nginx::COMMAND, nginx::TEMPLATE];

    type Config = Config;

    fn configure(environment: &Environment) -> Result<Config, ConfigError> {
        Ok(Config {
            root: environment.read(&WEB_ROOT)?,
            api: environment.read(&API_URL)?,
            api_timeout: API_TIMEOUT,
            nginx: Nginx::configure(environment)?,
        })
    }

    fn version_details(environment: &Environment) -> Option<String> {
        let root: PathBuf = environment.read(&WEB_ROOT).ok()?;
        build_info::of_folder(&root).map(|id| format!("ui (build {id})"))
    }

    fn start(config: Config, metrics: Metrics) -> BoxFuture<Result<App, BoxError>> {
        Box::pin(async move {
            let Config {
                root,
                api,
                api_timeout,
                nginx,
            } = config;
            let assets = Assets::new(&root);
            assets.warn_if_empty().await;
            let proxy = Proxy::new(api.clone(), api_timeout, &metrics)?;
            let routes = Router::new()
                .route("/api", any(proxy::forward))
                .route("/api/", any(proxy::forward))
                .route("/api/{*path}", any(proxy::forward))
                .with_state(proxy.clone())
                .fallback_service(assets::routes(assets))
                .layer(map_response(security::add_headers));
            let served = root.clone();
            let app = App::new(routes)
                .ready(move || {
                    let proxy = proxy.clone();
                    async move { proxy.check().await }
                })
                .details(move || build_info::details(served.clone()));
            Ok(match nginx {
                Some(nginx) => app.front(move |front| nginx.run(root, api, front)),
                None => app,
            })
        })
    }
}
