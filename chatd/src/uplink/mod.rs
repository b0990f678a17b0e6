//! The daemon's link to its lobby: connects, connects again, and hosts the lobby itself where nobody does.

mod host;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::ids::Key;
use proto::lobby::{ALPN, FromLobby, ToLobby};
use rand::{RngExt, rngs::StdRng};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use crate::daemon::{Event, Post};
use crate::identity::{Identity, is_genuine};
use crate::link::{Backoff, HANDSHAKE_TIMEOUT, Incoming, LinkError, Outgoing, connect, socket, split};

pub use host::{BUILT_IN, Target};

/// Messages that wait to be written to the lobby. Windows keep far below it; a link on which it fills up is closed.
const QUEUE: usize = 2048;
/// Time for one TCP connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first try after a lost link comes within this: everybody lost it at the same instant.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Shortest wait after a failed try.
const RETRY_BASE: Duration = Duration::from_millis(500);
/// Longest wait after a failed try.
const RETRY_CAP: Duration = Duration::from_secs(30);
/// Longest wait that a lobby can ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// A link that held so long was good: the next loss begins with short waits again.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Where the core puts what is for the lobby. Nothing while there is no link: the core sends again what matters.
#[derive(Debug, Clone, Default)]
pub struct ToUplink(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    /// Number of the newest link.
    link: u64,
    queue: Option<mpsc::Sender<Waiting>>,
    /// How long the lobby asked us to stay away.
    stay_away: Duration,
}

/// Waits to be written to the lobby.
#[derive(Debug)]
enum Waiting {
    /// As it is.
    Message(ToLobby),
    /// To be signed for the lobby at the other end.
    Post(Post),
}

impl ToUplink {
    /// Puts a message on a link, if that is still the one that stands.
    pub fn send(&self, link: u64, message: ToLobby) {
        self.put(link, Waiting::Message(message));
    }

    /// Says something in the lobby on a link, if that is still the one that stands.
    pub fn post(&self, link: u64, post: Post) {
        self.put(link, Waiting::Post(post));
    }

    fn put(&self, link: u64, waiting: Waiting) {
        let mut slot = self.slot();
        if slot.link == link && slot.queue.as_ref().is_some_and(|queue| queue.try_send(waiting).is_err()) {
            slot.queue = None;
        }
    }

    /// Ends the link, after what was put on it, and stays away as the lobby asks.
    pub fn leave(&self, stay_away: Duration) {
        let mut slot = self.slot();
        slot.queue = None;
        slot.stay_away = stay_away;
    }

    /// Ends the link, after what was put on it. How long the lobby asked us to stay away.
    pub fn close(&self) -> Duration {
        let mut slot = self.slot();
        slot.queue = None;
        std::mem::take(&mut slot.stay_away)
    }

    fn open(&self) -> (u64, mpsc::Receiver<Waiting>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let mut slot = self.slot();
        slot.link += 1;
        slot.queue = Some(queue);
        (slot.link, waiting)
    }

    fn weak(&self) -> Option<mpsc::WeakSender<Waiting>> {
        self.slot().queue.as_ref().map(mpsc::Sender::downgrade)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an uplink runs with.
#[derive(Debug)]
pub struct Uplink {
    /// Where the lobby is.
    pub target: Target,
    /// Folder of a hosted lobby.
    pub data: PathBuf,
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Who is told.
    pub events: mpsc::Sender<Event>,
    /// What the core has for the lobby.
    pub queue: ToUplink,
    /// Owner of a hosted lobby's task.
    pub tasks: TaskTracker,
    /// The daemon stops: the link ends once all that was put on it is written, and no new one is made.
    pub stopping: CancellationToken,
    /// Ends everything, at once.
    pub shutdown: CancellationToken,
}

impl Uplink {
    /// Keeps the link up until the shutdown.
    pub async fn run(self) {
        let shutdown = self.shutdown.clone();
        shutdown.run_until_cancelled(self.keep_up()).await;
        self.queue.close();
    }

    async fn keep_up(&self) {
        let mut rng: StdRng = rand::make_rng();
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_CAP);
        let mut hosting = false;
        loop {
            let mut up: Option<Instant> = None;
            let reason = match self.open(&mut hosting).await {
                Ok((key, incoming, outgoing)) => {
                    up = Some(Instant::now());
                    let (link, waiting) = self.queue.open();
                    if self.events.send(Event::LobbyUp { link, hosted: hosting, key }).await.is_err() {
                        return;
                    }
                    self.carry(key, incoming, outgoing, waiting).await.to_string()
                }
                Err(reason) => reason,
            };
            let asked = self.queue.close();
            info!(reason, "no link to the lobby");
            if self.events.send(Event::LobbyDown { reason }).await.is_err() {
                return;
            }
            let wait = if up.is_some_and(|up| up.elapsed() >= GOOD_AFTER) {
                backoff.reset();
                FIRST_RETRY.mul_f64(rng.random::<f64>())
            } else {
                backoff.next(&mut rng)
            };
            let wait = wait.max(asked.min(LONGEST_WAIT));
            if self.stopping.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// One try. Hosts the lobby where nobody listens and hosting is allowed.
    async fn open(&self, hosting: &mut bool) -> Result<(Key, Incoming<FromLobby>, Outgoing), String> {
        let stream = match self.connect().await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.target.may_host() => {
                *hosting |= self.host().map_err(|error| error.to_string())?;
                self.connect().await
            }
            other => other,
        };
        let stream = stream.map_err(|error| error.to_string())?;
        socket::tune(&stream).map_err(|error| error.to_string())?;
        let (stream, key) =
            connect(stream, &self.identity, ALPN, None).await.map_err(|error| error.to_string())?;
        let (incoming, outgoing) = split(stream);
        Ok((key, incoming, outgoing))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let connecting = TcpStream::connect(self.target.addr());
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    async fn carry(
        &self,
        lobby: Key,
        incoming: Incoming<FromLobby>,
        outgoing: Outgoing,
        waiting: mpsc::Receiver<Waiting>,
    ) -> LinkError {
        let Some(queue) = self.queue.weak() else { return LinkError::Closed };
        let write = outgoing.carry_as(waiting, |waiting| match waiting {
            Waiting::Message(message) => message,
            Waiting::Post(Post { mid, at, text }) => {
                let sig = self.identity.sign_post(&lobby, mid, at, &text);
                ToLobby::Publish { mid, at, text, sig }
            }
        });
        let error = tokio::select! {
            error = read(lobby, incoming, queue, &self.events) => error,
            outcome = write => outcome.err().unwrap_or(LinkError::Closed),
        };
        debug!(%error, "link to the lobby ended");
        error
    }
}

/// Carries what comes to the core; answers and asks whether the lobby is there.
async fn read(
    lobby: Key,
    mut incoming: Incoming<FromLobby>,
    queue: mpsc::WeakSender<Waiting>,
    events: &mpsc::Sender<Event>,
) -> LinkError {
    let welcome_by = Instant::now() + HANDSHAKE_TIMEOUT;
    let mut awaits_welcome = true;
    let answer = |message| {
        if let Some(queue) = queue.upgrade() {
            queue.try_send(Waiting::Message(message)).ok(); // a full queue is noticed by its writer
        }
    };
    loop {
        let message = tokio::select! {
            message = incoming.next_or_ask(|| answer(ToLobby::Ping { nonce: 0 })) => match message {
                Ok(message) => message,
                Err(error) => return error,
            },
            () = sleep_until(welcome_by), if awaits_welcome => return LinkError::HandshakeTimeout,
        };
        match message {
            FromLobby::Ping { nonce } => {
                answer(ToLobby::Pong { nonce });
                continue;
            }
            FromLobby::Pong { .. } => continue,
            FromLobby::Welcome(_) => {
                awaits_welcome = false;
                incoming.accept_hello();
            }
            _ => {}
        }
        // Here and not in the core, which has one thread for everybody.
        let event = match message {
            FromLobby::Entry(entry) if !is_genuine(&entry, &lobby) => Event::Forged(entry),
            message => Event::Lobby(message),
        };
        if events.send(event).await.is_err() {
            // The daemon stops: what is still to be written goes out first.
            return std::future::pending().await;
        }
    }
}
