//! Accepting, and the orderly end.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::config::LobbyConfig;
use super::desk::Desk;
use super::hub::{Hub, Log, wall};
use super::keep::{self, Keeper, Kept, Ledger, Row, RowId};
use super::log::{self, LogFile, QUEUE, Retention, Writer};
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
    log: LogFile,
    desk: Option<Desk>,
}

impl Lobby {
    /// A lobby that forgets everything when it ends.
    ///
    /// # Errors
    ///
    /// Where the linked SQLite cannot be used.
    pub fn in_memory(config: LobbyConfig) -> Result<Self, StoreError> {
        let entries = u64::try_from(config.ring_entries).unwrap_or(u64::MAX);
        let bytes = u64::try_from(config.ring_bytes).unwrap_or(u64::MAX);
        let log = LogFile::in_memory(Retention { entries, bytes, age: config.keep_age })?;
        let (kept, ledger) = (Kept::default(), Ledger::default());
        Ok(Self { config, kept, ledger, keeper: None, log, desk: None })
    }

    /// A lobby that keeps in `dir` what was said and which name belongs to which key. The folder is there, its owner's
    /// only, and no other lobby uses it at the same time.
    ///
    /// # Errors
    ///
    /// Where what is kept there cannot be read: nothing is changed then, so that no name passes to another key and
    /// nothing that was said is lost because of it.
    pub fn kept_in(dir: &Path, config: LobbyConfig) -> Result<Self, StoreError> {
        let retention =
            Retention { entries: config.keep_entries, age: config.keep_age, bytes: config.keep_bytes };
        let log = LogFile::open(dir, retention)?;
        let (kept, ledger, keeper) = keep::open(dir)?;
        Ok(Self { config, kept, ledger, keeper: Some(keeper), log, desk: None })
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
    /// Only where the listener is not one, or the log's thread cannot be started.
    pub async fn serve(
        self,
        listener: TcpListener,
        identity: Arc<Identity>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let Self { config, kept, ledger, keeper, log, desk } = self;
        let addr = listener.local_addr()?;
        let gate = Gate::new(config.max_pending);
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let start = log.start().map_err(io::Error::other)?;
        let ends = Log { start, archive: log.archive(), jobs };
        let hub = Arc::new(Hub::new(config, kept, ledger, ends));
        let writer = start_writer(log, waiting, hub.clone())?;
        info!(%addr, generation = %start.generation, head = start.head.0, "lobby open");
        let server = Server { gate, hub, identity };
        server.run(listener, desk, shutdown, writer).await;
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
    async fn run(
        mut self,
        listener: TcpListener,
        desk: Option<Desk>,
        shutdown: CancellationToken,
        writer: Writer,
    ) {
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
        let written = spawn_blocking(move || writer.finish());
        if timeout(self.hub.config.drain_timeout, written).await.is_err() {
            warn!("the disk does not take what was said last: its authors publish it again");
        }
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

/// What is in the log is shown at once.
fn start_writer(log: LogFile, waiting: mpsc::Receiver<log::Job>, hub: Arc<Hub>) -> io::Result<Writer> {
    // The room's timers are those of this runtime.
    let runtime = Handle::current();
    log::start(log, waiting, wall, move |group| {
        let _guard = runtime.enter();
        hub.show(group);
    })
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
