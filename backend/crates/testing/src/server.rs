//! A service inside the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use app_service::{BoxError, Environment, Identity, Metrics, Service, serve_app};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A service that really listens, on a port of its own. Stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Server {
    /// Starts a service with these variables and nothing else in its environment.
    pub async fn start<S: Service>(environment: &[(&str, &str)]) -> Self {
        let environment: Environment = environment.iter().copied().collect();
        let config = S::configure(&environment).expect("a valid configuration");
        Self::start_with::<S>(config).await
    }

    /// Starts a service with this configuration.
    pub async fn start_with<S: Service>(config: S::Config) -> Self {
        let identity = Identity::new(S::NAME, S::VERSION, Some("test"));
        let metrics = Metrics::new(&identity).expect("metrics");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = S::start(config, metrics.clone()).await.expect("a start");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_app(app, identity, metrics, listener, stop.clone()));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Asks the service to stop and waits until it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task)
            .await
            .expect("no panic")
            .expect("a clean stop");
    }

    /// Polls a path until its body contains the text.
    pub async fn wait_for(&self, path: &str, text: &str) {
        for _ in 0..500 {
            if super::get(self.address, path).await.text().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} never contained {text:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
