//! Another program in front of this one: it takes the connections in its place, and hands on what it
//! does not answer itself.
//!
//! The socket stays open here too. When it is time to stop, the program in front closes it at once,
//! and would cut off who is in its queue; those are answered here.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::{BoxError, BoxFuture};
use crate::server;

/// How long the program in front has to close the socket, once it was told to end.
const HANDOVER: Duration = Duration::from_millis(300);

/// Runs the program in front; see [`App::front`](crate::App::front).
pub(crate) type RunFront = Box<dyn FnOnce(Front) -> BoxFuture<Result<(), BoxError>> + Send>;

/// What the program in front needs.
pub struct Front {
    /// The socket that it takes connections from.
    pub socket: std::net::TcpListener,
    /// Where this program answers what is handed on.
    pub behind: SocketAddr,
    /// Cancelled when it shall end.
    pub stop: CancellationToken,
    /// To be cancelled as soon as it was told so.
    pub told: CancellationToken,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("socket", &self.socket)
            .field("behind", &self.behind)
            .finish_non_exhaustive()
    }
}

/// Serves behind another program until `stop` is cancelled and that one has ended.
pub(crate) async fn serve(
    run: RunFront,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let public = listener.into_std()?;
    let front = Front {
        socket: public.try_clone()?,
        behind: inner.local_addr()?,
        stop: stop.clone(),
        told: CancellationToken::new(),
    };
    let told = front.told.clone();
    let inner_stop = CancellationToken::new();
    let answering = tokio::spawn(server::serve(inner, router.clone(), inner_stop.clone()));
    let running = async {
        let outcome = run(front).await;
        // Where it ends on its own, this program does too.
        stop.cancel();
        told.cancel();
        outcome
    };
    let (outcome, left) = tokio::join!(
        running,
        answer_who_is_left(public, router, &stop, told.clone())
    );
    inner_stop.cancel();
    answering.await?;
    outcome.and(left)
}

/// From the signal to stop on, answers who is not taken in by the program in front any more.
async fn answer_who_is_left(
    public: std::net::TcpListener,
    router: Router,
    stop: &CancellationToken,
    told: CancellationToken,
) -> Result<(), BoxError> {
    stop.cancelled().await;
    let enough = CancellationToken::new();
    let closed = enough.clone();
    tokio::spawn(async move {
        told.cancelled().await;
        tokio::time::sleep(HANDOVER).await;
        closed.cancel();
    });
    server::serve(TcpListener::from_std(public)?, router, enough).await;
    Ok(())
}
