//! The sockets of private sessions: dials, accepts, and carries messages both ways. Knows nothing of sessions.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::ids::Key;
use proto::peer::{ALPN, Hello, PeerMessage};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span, warn};

use super::ConnId;
use crate::daemon::Event;
use crate::identity::Identity;
use crate::link::gate::{Gate, Place};
use crate::link::{HANDSHAKE_TIMEOUT, Incoming, LinkError, Outgoing, accept, connect, socket, split};
use crate::store::LogId;

/// Messages that wait to be written on one connection. The window of a session keeps far below it; a connection on
/// which it fills up is closed, and the session resumes on the next.
const QUEUE: usize = 1024;
/// Connections whose other end has not said hello yet; the oldest makes room for more.
const MAX_STRANGERS: usize = 128;
/// Connections that others have made; more are closed at once.
const MAX_ACCEPTED: usize = 512;
/// Time for one TCP connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// All connections to peers.
#[derive(Debug)]
pub struct PeerNet {
    identity: Arc<Identity>,
    events: mpsc::Sender<Event>,
    /// The queue of each connection. Held only to look up, put in or take out.
    queues: Mutex<HashMap<ConnId, mpsc::Sender<PeerMessage>>>,
    last_conn: AtomicU64,
    accepted: Arc<Semaphore>,
    tasks: TaskTracker,
    /// The tasks of the connections alone: they end when all that was put on them is written.
    conns: TaskTracker,
    shutdown: CancellationToken,
}

impl PeerNet {
    /// No connections yet; `events` is told of all that happens.
    pub fn new(
        identity: Arc<Identity>,
        events: mpsc::Sender<Event>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            identity,
            events,
            queues: Mutex::default(),
            last_conn: AtomicU64::new(0),
            accepted: Arc::new(Semaphore::new(MAX_ACCEPTED)),
            tasks,
            conns: TaskTracker::new(),
            shutdown,
        })
    }

    /// Puts a message on a connection; one that is gone already is told of by its own event.
    pub fn send(&self, conn: ConnId, message: PeerMessage) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.get(&conn).is_some_and(|queue| queue.try_send(message).is_err()) {
            warn!(conn = conn.0, "the connection does not take what is sent: closing it");
            queues.remove(&conn);
        }
    }

    /// Ends a connection, after what was put on it.
    pub fn close(&self, conn: ConnId) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).remove(&conn);
    }

    /// Ends every connection, after what was put on each, and waits until all have ended.
    pub async fn close_all(&self) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.conns.close();
        self.conns.wait().await;
    }

    /// Tries the addresses in turn until one answers with `key`.
    pub fn dial(self: &Arc<Self>, log: LogId, key: Key, dial_no: u64, addrs: Vec<SocketAddr>) {
        let net = Arc::clone(self);
        let span = info_span!("dial", log = log.0, dial_no);
        let work = async move {
            let event = match net.reach(key, &addrs).await {
                Ok((addr, incoming, outgoing)) => {
                    let conn = net.register(incoming, outgoing, Side::Dialed);
                    Event::PeerDialed { log, dial_no, conn, addr }
                }
                Err(reason) => Event::PeerDialFailed { log, reason },
            };
            net.events.send(event).await.ok(); // the core is gone only at the very end
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move { shutdown.run_until_cancelled(work).await }.instrument(span));
    }

    async fn reach(
        &self,
        key: Key,
        addrs: &[SocketAddr],
    ) -> Result<(SocketAddr, Incoming<PeerMessage>, Outgoing), String> {
        let mut reasons = Vec::new();
        for &addr in addrs {
            match self.reach_one(key, addr).await {
                Ok((incoming, outgoing)) => return Ok((addr, incoming, outgoing)),
                Err(reason) => reasons.push(format!("{addr}: {reason}")),
            }
        }
        debug!(?reasons, "no address answers");
        Err(reasons.join("; "))
    }

    async fn reach_one(
        &self,
        key: Key,
        addr: SocketAddr,
    ) -> Result<(Incoming<PeerMessage>, Outgoing), String> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(addr))
            .await
            .map_err(|_| "no answer".to_owned())?
            .map_err(|error| error.kind().to_string())?;
        socket::tune(&stream).map_err(|error| error.to_string())?;
        let (stream, _) =
            connect(stream, &self.identity, ALPN, Some(key)).await.map_err(|error| error.to_string())?;
        Ok(split(stream))
    }

    /// Accepts peers until the shutdown.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut gate = Gate::new(MAX_STRANGERS);
        loop {
            let calling = async { (gate.free().await, socket::accept_with_backoff(&listener).await) };
            let called = self.shutdown.run_until_cancelled(calling).await;
            let Some((permit, (stream, from))) = called else { return };
            let Ok(accepted) = Arc::clone(&self.accepted).try_acquire_owned() else {
                debug!(%from, "too many connections: closing this one");
                continue;
            };
            let place = gate.enter(permit);
            let work = Arc::clone(&self).receive(stream, from, place, accepted);
            let span = info_span!("peer", %from);
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async move { shutdown.run_until_cancelled(work).await }.instrument(span));
        }
    }

    /// One caller: its place is free again once it has said hello, or somebody else needs it.
    async fn receive(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        place: Place,
        accepted: OwnedSemaphorePermit,
    ) {
        let greeted = tokio::select! {
            greeted = timeout(HANDSHAKE_TIMEOUT, self.greet(stream)) => greeted,
            () = place.evicted() => return debug!("others need the place of one who says nothing"),
        };
        drop(place);
        match greeted {
            Ok(Ok((key, hello, incoming, outgoing))) => {
                let conn = self.register(incoming, outgoing, Side::Accepted(accepted));
                let event = Event::PeerAccepted { conn, key, from: from.ip(), hello };
                self.events.send(event).await.ok(); // the core is gone only at the very end
            }
            Ok(Err(error)) => debug!(%error, "a connection came to nothing"),
            Err(_) => debug!("a connection said no hello in time"),
        }
    }

    async fn greet(
        &self,
        stream: TcpStream,
    ) -> Result<(Key, Box<Hello>, Incoming<PeerMessage>, Outgoing), LinkError> {
        let (stream, key) = accept(stream, &self.identity, ALPN).await?;
        let (mut incoming, outgoing) = split(stream);
        let PeerMessage::Hello(hello) = incoming.next().await? else {
            return Err(LinkError::Closed);
        };
        incoming.accept_hello();
        Ok((key, hello, incoming, outgoing))
    }

    fn register(self: &Arc<Self>, incoming: Incoming<PeerMessage>, outgoing: Outgoing, side: Side) -> ConnId {
        let conn = ConnId(self.last_conn.fetch_add(1, Ordering::Relaxed) + 1);
        let (queue, waiting) = mpsc::channel(QUEUE);
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).insert(conn, queue.clone());
        let net = Arc::clone(self);
        let span = info_span!("conn", id = conn.0);
        let work = async move {
            let reads =
                read(conn, incoming, queue.downgrade(), net.events.clone(), matches!(side, Side::Dialed));
            drop(queue);
            let error = tokio::select! {
                error = reads => error,
                outcome = outgoing.carry(waiting) => outcome.err().unwrap_or(LinkError::Closed),
                () = net.shutdown.cancelled() => LinkError::Closed,
            };
            drop(side);
            debug!(%error, "connection ended");
            net.close(conn);
            net.events.send(Event::PeerLost(conn)).await.ok();
        };
        self.conns.spawn(work.instrument(span));
        conn
    }
}

/// Who made a connection. One that was accepted holds its place among those until it ends.
#[derive(Debug)]
enum Side {
    Dialed,
    Accepted(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

/// Carries what comes to the core; answers and asks whether the other side is there.
async fn read(
    conn: ConnId,
    mut incoming: Incoming<PeerMessage>,
    queue: mpsc::WeakSender<PeerMessage>,
    events: mpsc::Sender<Event>,
    mut awaits_hello: bool,
) -> LinkError {
    let hello_by = Instant::now() + HANDSHAKE_TIMEOUT;
    let answer = |message| {
        if let Some(queue) = queue.upgrade() {
            queue.try_send(message).ok(); // a full queue is noticed by its writer
        }
    };
    loop {
        let message = tokio::select! {
            message = incoming.next_or_ask(|| answer(PeerMessage::Ping { nonce: 0 })) => match message {
                Ok(message) => message,
                Err(error) => return error,
            },
            () = sleep_until(hello_by), if awaits_hello => return LinkError::HandshakeTimeout,
        };
        match message {
            PeerMessage::Ping { nonce } => {
                answer(PeerMessage::Pong { nonce });
                continue;
            }
            PeerMessage::Pong { .. } => continue,
            PeerMessage::Hello(_) if awaits_hello => {
                awaits_hello = false;
                incoming.accept_hello();
            }
            _ => {}
        }
        if events.send(Event::Peer(conn, message)).await.is_err() {
            // The daemon stops: what is still to be written goes out first.
            return std::future::pending().await;
        }
    }
}
