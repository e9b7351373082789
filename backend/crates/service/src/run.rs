//! From `main` to the exit code.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::app::{App, BoxError, BoxFuture, Service};
use crate::cli::{self, Action};
use crate::environment::{ConfigError, Environment, LOG_LEVEL};
use crate::http::{self, Operations};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::signals::Signals;
use crate::{front, healthcheck, logging, server};

const FAILED: u8 = 1;
const MISUSED: u8 = 2;

/// How long background work and cleanup may take, each, once the requests have been answered. With
/// the time for the requests this stays below five seconds.
const WIND_DOWN: Duration = Duration::from_millis(300);

/// The whole of a service's `main`.
///
/// The build id is an argument, and not read here, so that a new one changes nothing but the file
/// with `main` in it, and recompiles no library.
#[must_use]
pub fn main<S: Service>(build_id: Option<&'static str>) -> ExitCode {
    let identity = Identity::new(S::NAME, S::VERSION, build_id);
    let environment = Environment::of_process();
    let action = match cli::parse(std::env::args_os().skip(1)) {
        Ok(action) => action,
        Err(error) => return fail(&identity, &error, MISUSED),
    };
    let outcome = match action {
        Action::Version => {
            println!("{identity}");
            if let Some(details) = S::version_details(&environment) {
                println!("{details}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Help => {
            print!("{}", cli::help::<S>());
            Ok(ExitCode::SUCCESS)
        }
        Action::Healthcheck => environment.read(&S::ADDRESS).map(check_health),
        Action::Serve => Settings::<S>::read(&environment).map(|settings| settings.serve(identity)),
    };
    outcome.unwrap_or_else(|error| fail(&identity, &error, MISUSED))
}

fn fail(identity: &Identity, error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("{}: {error}", identity.service);
    ExitCode::from(code)
}

fn check_health(address: SocketAddr) -> ExitCode {
    match healthcheck::check(address) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("{line}");
            ExitCode::from(FAILED)
        }
    }
}

/// Everything that the environment says.
struct Settings<S: Service> {
    address: SocketAddr,
    log_level: LevelFilter,
    config: S::Config,
}

impl<S: Service> Settings<S> {
    fn read(environment: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            address: environment.read(&S::ADDRESS)?,
            log_level: environment.read(&LOG_LEVEL)?,
            config: S::configure(environment)?,
        })
    }

    fn serve(self, identity: Identity) -> ExitCode {
        let config = self.config;
        let start: Start = Box::new(move |metrics| S::start(config, metrics));
        serve(identity, self.address, self.log_level, start)
    }
}

/// [`Service::start`], of whichever service: the rest is then compiled once, and not for each.
type Start = Box<dyn FnOnce(Metrics) -> BoxFuture<Result<App, BoxError>> + Send>;

fn serve(
    identity: Identity,
    address: SocketAddr,
    log_level: LevelFilter,
    start: Start,
) -> ExitCode {
    logging::start(log_level);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(BoxError::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(serve_until_signal(identity, address, start));
            // What still runs has had its time.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = logging::chain(&*error), "failed");
            ExitCode::from(FAILED)
        }
    }
}

async fn serve_until_signal(
    identity: Identity,
    address: SocketAddr,
    start: Start,
) -> Result<(), BoxError> {
    let mut signals = Signals::install()?;
    // The socket first: whoever connects while the rest starts waits, and is not refused.
    let listener = server::listen(address)?;
    let metrics = Metrics::new(&identity)?;
    let app = start(metrics.clone()).await?;

    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let signal = signals.wait().await;
        tracing::info!(signal, "stopping");
        stopping.cancel();
    });
    serve_app(app, identity, metrics, listener, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Runs a service until `stop` is cancelled and what it was doing then is done.
pub fn serve_app(
    app: App,
    identity: Identity,
    metrics: Metrics,
    listener: TcpListener,
    stop: CancellationToken,
) -> BoxFuture<Result<(), BoxError>> {
    Box::pin(async move {
        let operations = Operations::new(&app, identity, metrics.clone());
        let router = http::surround(app.routes, operations, metrics);
        let Identity {
            service,
            version,
            build_id,
        } = identity;
        let addr = listener.local_addr()?;
        tracing::info!(%addr, service, version, build_id, "listening");

        let background = app
            .background
            .map(|work| watch(work(stop.clone()), stop.clone()));
        let mut outcome = match app.front {
            None => {
                server::serve(listener, router, stop).await;
                Ok(())
            }
            Some(run) => front::serve(run, listener, router, stop).await,
        };

        if let Some(task) = background {
            match tokio::time::timeout(WIND_DOWN, task).await {
                Ok(Ok(ended)) => outcome = outcome.and(ended),
                Ok(Err(error)) => outcome = Err(error.into()),
                Err(_) => tracing::warn!("time is up, background work is cut off"),
            }
        }
        if tokio::time::timeout(WIND_DOWN, app.cleanup).await.is_err() {
            tracing::warn!("time is up, cleanup is cut off");
        }
        outcome
    })
}

/// Background work in a task of its own. When it ends before it should, the service stops: half a
/// service that looks alive is worse than one that is started again.
fn watch(
    work: impl Future<Output = ()> + Send + 'static,
    stop: CancellationToken,
) -> JoinHandle<Result<(), BoxError>> {
    let work = tokio::spawn(work);
    tokio::spawn(async move {
        let ended = work.await;
        let is_early = !stop.is_cancelled();
        stop.cancel();
        ended?;
        if is_early {
            return Err("the background work ended on its own".into());
        }
        Ok(())
    })
}
