//! Accepting, and the orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::config::LobbyConfig;
use super::gate::Gate;
use super::hub::Hub;
use super::member;
use crate::identity::Identity;
use crate::link::socket::accept_with_backoff;

/// The server side of the lobby.
pub struct Lobby;

impl Lobby {
    /// Runs a lobby on `listener` until `shutdown` is cancelled: then nobody new is accepted, every member is told to
    /// come back soon, and what is still open after [`LobbyConfig::drain_timeout`] is dropped.
    ///
    /// Dropping the future ends the lobby at once. A member is whoever its key says; nothing a member does ends it.
    ///
    /// # Errors
    ///
    /// Only where the listener is not one.
    pub async fn serve(
        listener: TcpListener,
        identity: Arc<Identity>,
        config: LobbyConfig,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let addr = listener.local_addr()?;
        info!(%addr, "lobby open");
        let server =
            Server { gate: Gate::new(config.max_pending), hub: Arc::new(Hub::new(config)), identity };
        server.run(listener, shutdown).await;
        info!(%addr, "lobby closed");
        Ok(())
    }
}

struct Server {
    gate: Gate,
    hub: Arc<Hub>,
    identity: Arc<Identity>,
}

impl Server {
    async fn run(mut self, listener: TcpListener, shutdown: CancellationToken) {
        let mut members = JoinSet::new();
        let closing = CancellationToken::new();
        let hub = self.hub.clone();
        let mut clock = std::pin::pin!(hub.keep_time());
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                // Far more callers than places come in a minute: ended ones are cleared away first.
                Some(ended) = members.join_next() => report(ended),
                () = &mut clock => {}
                (permit, (stream, addr)) = next_caller(&self.gate, &listener) => {
                    let place = self.gate.enter(permit);
                    self.welcome(&mut members, place, stream, addr, &closing);
                }
            }
        }
        drop(listener);
        // In this order: after the goodbye to one member nothing can be said that only others would hear.
        self.hub.close();
        closing.cancel();
        drain(&self.hub, members).await;
    }

    fn welcome(
        &self,
        members: &mut JoinSet<()>,
        place: super::gate::Place,
        stream: TcpStream,
        addr: SocketAddr,
        closing: &CancellationToken,
    ) {
        let span = info_span!("member", %addr, name = tracing::field::Empty, key = tracing::field::Empty);
        let caller = member::Caller { stream, addr, place };
        let serving = member::serve(self.hub.clone(), self.identity.clone(), caller, closing.child_token());
        members.spawn(serving.instrument(span));
    }
}

async fn next_caller(
    gate: &Gate,
    listener: &TcpListener,
) -> (tokio::sync::OwnedSemaphorePermit, (TcpStream, SocketAddr)) {
    let permit = gate.free().await;
    (permit, accept_with_backoff(listener).await)
}

async fn drain(hub: &Hub, mut members: JoinSet<()>) {
    let all = async {
        while let Some(ended) = members.join_next().await {
            report(ended);
        }
    };
    if timeout(hub.config.drain_timeout, all).await.is_err() {
        warn!(open = members.len(), "members did not take the goodbye");
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task failed");
    }
}
