//! Accepts connections, and ends them without losing a request.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::http::Peer;

/// How long a client may take to send the head of a request, and may keep a connection idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that the system has taken in already are served even though the service stops; this
/// long without a new one means that there are no more.
const BACKLOG_QUIET: Duration = Duration::from_millis(5);
/// Where they never end, because a shared socket goes on taking them in, the rest is left to the
/// program that comes next.
const BACKLOG_MAX: Duration = Duration::from_millis(100);
/// How long an idle client has to notice nothing: a request that it sends in this time is answered,
/// with `connection: close`. Closing at once would lose the request that is on the wire.
const LINGER: Duration = Duration::from_millis(100);
/// How long requests in flight may take to end.
const DRAIN: Duration = Duration::from_secs(4);
/// How long to wait after the system had no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes over the socket that the parent process has opened, if there is one; opens one if not.
///
/// A socket of the parent's stays open while this program is replaced, so nobody is refused.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let inherited = ListenFd::from_env().take_tcp_listener(0)?;
    let listener = match inherited {
        Some(listener) => listener,
        None => bind(address)?,
    };
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves until `stop` is cancelled, and then until no request is in flight, or time is up.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => spawn(stream, peer, &router, &connections, &stop),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let backlog = async {
        while let Ok(Ok((stream, peer))) =
            tokio::time::timeout(BACKLOG_QUIET, listener.accept()).await
        {
            spawn(stream, peer, &router, &connections, &stop);
        }
    };
    // Either end of it will do.
    let _ = tokio::time::timeout(BACKLOG_MAX, backlog).await;
    drop(listener);

    if connections.count() > 0 {
        tokio::time::sleep(LINGER).await;
    }
    let in_flight = connections.count();
    if tokio::time::timeout(DRAIN, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(in_flight, "time is up, connections are cut off");
    }
}

/// Serves one connection in a task of its own.
fn spawn(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    connections: &GracefulShutdown,
    stop: &CancellationToken,
) {
    // Small answers should not wait for more to send; where that cannot be had, they just wait.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router.clone());
    let stop = stop.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = router.call(request);
        let stop = stop.clone();
        async move {
            let mut response: Response = answer.await?;
            if stop.is_cancelled() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "the connection ended early");
        }
    });
}
