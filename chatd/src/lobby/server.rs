//! Accepting, and the orderly end.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::config::LobbyConfig;
use super::desk::Desk;
use super::hub::Hub;
use super::keep::{self, Keeper, Kept, Ledger, Row, RowId};
use super::member;
use crate::identity::Identity;
use crate::ipc::ListenError;
use crate::link::gate::Gate;
use crate::link::socket::accept_with_backoff;
use crate::store::StoreError;

/// The server side of the lobby.
#[derive(Debug)]
pub struct Lobby {
    config: LobbyConfig,
    kept: Kept,
    ledger: Ledger,
    keeper: Option<Keeper>,
    desk: Option<Desk>,
}

impl Lobby {
    /// A lobby that forgets everything when it ends.
    pub fn in_memory(config: LobbyConfig) -> Self {
        Self { config, kept: Kept::default(), ledger: Ledger::default(), keeper: None, desk: None }
    }

    /// A lobby that keeps in `dir` which name belongs to which key. The folder is there, its owner's only, and no other
    /// lobby uses it at the same time.
    ///
    /// # Errors
    ///
    /// Where what is kept there cannot be read, so that no name passes to another key because of it.
    pub fn kept_in(dir: &Path, config: LobbyConfig) -> Result<Self, StoreError> {
        let (kept, ledger, keeper) = keep::open(dir)?;
        Ok(Self { config, kept, ledger, keeper: Some(keeper), desk: None })
    }

    /// Takes orders by a local socket in `dir`, and tells in invitations that the lobby is reached at `address`.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be opened.
    pub async fn with_desk(mut self, dir: &Path, address: String) -> Result<Self, ListenError> {
        self.desk = Some(Desk::open(dir).await?);
        self.ledger.note([(RowId::Address, Some(Row::Address(address.clone())))]);
        self.kept.address = Some(address);
        Ok(self)
    }

    /// Runs the lobby on `listener` until `shutdown` is cancelled: then nobody new is accepted, every member is told to
    /// come back soon, and what is still open after [`LobbyConfig::drain_timeout`] is dropped.
    ///
    /// Dropping the future ends the lobby at once. A member is whoever its key says; nothing a member does ends it.
    ///
    /// # Errors
    ///
    /// Only where the listener is not one.
    pub async fn serve(
        self,
        listener: TcpListener,
        identity: Arc<Identity>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let Self { config, kept, ledger, keeper, desk } = self;
        let addr = listener.local_addr()?;
        info!(%addr, "lobby open");
        let gate = Gate::new(config.max_pending);
        let server = Server { gate, hub: Arc::new(Hub::new(config, kept, ledger)), identity };
        server.run(listener, desk, shutdown).await;
        if let Some(keeper) = keeper {
            // The hub is gone, and the ledger with it: the thread writes what is left and ends.
            spawn_blocking(move || keeper.finish()).await.ok();
        }
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
    async fn run(mut self, listener: TcpListener, desk: Option<Desk>, shutdown: CancellationToken) {
        let mut members = JoinSet::new();
        let closing = CancellationToken::new();
        let hub = self.hub.clone();
        let mut clock = std::pin::pin!(hub.keep_time());
        let mut orders = std::pin::pin!(take_orders(desk.as_ref(), &hub));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = &mut orders => {}
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
        place: crate::link::gate::Place,
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

async fn take_orders(desk: Option<&Desk>, hub: &Hub) {
    match desk {
        Some(desk) => desk.serve(hub).await,
        None => pending().await,
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
