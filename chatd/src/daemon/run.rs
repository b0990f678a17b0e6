//! The core's own thread, and the carrying out of its effects.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto::ids::WallMs;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{error, info};

use super::{Core, Effect, Event, Stop};
use crate::peer::Now;
use crate::peer::net::PeerNet;
use crate::store::StoreError;
use crate::uplink::ToUplink;

/// Events that wait for the core. A full queue slows down whoever has the next one, sockets included.
pub const QUEUE: usize = 1024;
/// Most events in one commit.
const BATCH: usize = 512;

/// What others see of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Version of the newest change.
    pub version: u64,
    /// The daemon has stopped.
    pub stop: Option<Stop>,
}

/// A running core.
#[derive(Debug)]
pub struct Handle {
    /// Changes and the end, as they happen.
    pub seen: watch::Receiver<Seen>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Handle {
    /// Waits for the thread after it has stopped.
    pub fn join(self) -> Result<(), StoreError> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Starts the core's thread. It ends with [`Effect::Stop`], or when the store fails.
pub fn run(
    core: Core,
    started: Instant,
    events: mpsc::Receiver<Event>,
    peers: Arc<PeerNet>,
    uplink: ToUplink,
) -> std::io::Result<Handle> {
    let (tell, seen) = watch::channel(Seen::default());
    let runtime = runtime::Handle::current();
    let mut driver = Driver { core, started, events, peers, uplink, tell, runtime };
    let thread = thread::Builder::new().name("core".to_owned()).spawn(move || {
        let outcome = driver.drive();
        if let Err(error) = &outcome {
            error!(%error, "the core stopped");
        }
        // Whoever waits for the end learns of it even after a failure.
        driver.tell.send_modify(|seen| seen.stop = seen.stop.or(Some(Stop::Suspend)));
        outcome
    })?;
    Ok(Handle { seen, thread })
}

/// The wall clock and the time since `started`.
pub fn now(started: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: started.elapsed(), wall: WallMs(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)) }
}

struct Driver {
    core: Core,
    started: Instant,
    events: mpsc::Receiver<Event>,
    peers: Arc<PeerNet>,
    uplink: ToUplink,
    tell: watch::Sender<Seen>,
    runtime: runtime::Handle,
}

impl Driver {
    fn drive(&mut self) -> Result<(), StoreError> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            for event in batch.drain(..) {
                let now = now(self.started);
                self.core.handle(now, event)?;
            }
            let effects = self.core.commit(now(self.started))?;
            for effect in effects {
                if self.carry_out(effect) {
                    return Ok(());
                }
            }
            if !self.wait(&mut batch) {
                return Ok(());
            }
        }
    }

    /// Waits for events or the next deadline. `false`: nobody can send any more.
    fn wait(&mut self, batch: &mut Vec<Event>) -> bool {
        let Some(deadline) = self.core.deadline() else {
            return self.events.blocking_recv_many(batch, BATCH) > 0;
        };
        let left = deadline.saturating_sub(self.started.elapsed());
        if left == Duration::ZERO {
            // Overdue: take what is there and look at the deadline at once.
            while batch.len() < BATCH
                && let Ok(event) = self.events.try_recv()
            {
                batch.push(event);
            }
            return true;
        }
        let events = &mut self.events;
        // The timer is made inside: it needs the runtime's clock.
        let waited = self.runtime.block_on(async { timeout(left, events.recv_many(batch, BATCH)).await });
        waited != Ok(0)
    }

    /// `true`: the daemon stops.
    fn carry_out(&mut self, effect: Effect) -> bool {
        match effect {
            // Whoever asked may be gone: then nobody waits for the answer.
            Effect::Reply(to, reply) => drop(to.send(reply)),
            Effect::Place(to, place) => drop(to.send(place)),
            Effect::Places(to, places) => drop(to.send(places)),
            Effect::Known(to, known) => drop(to.send(known)),
            Effect::Changes(to, version, changes) => drop(to.send((version, *changes))),
            Effect::Peer(conn, message) => self.peers.send(conn, message),
            Effect::PeerClose(conn) => self.peers.close(conn),
            Effect::Dial { log, key, dial_no, addrs } => {
                let _guard = self.runtime.enter();
                self.peers.dial(log, key, dial_no, addrs);
            }
            Effect::Lobby(link, message) => self.uplink.send(link, message),
            Effect::Post(link, post) => self.uplink.post(link, post),
            Effect::LobbyClose(stay_away) => self.uplink.leave(stay_away),
            Effect::Version(version) => self.tell.send_modify(|seen| seen.version = version),
            Effect::Stop(stop) => {
                info!(?stop, "the daemon stops");
                self.tell.send_modify(|seen| seen.stop = Some(stop));
                return true;
            }
        }
        false
    }
}
