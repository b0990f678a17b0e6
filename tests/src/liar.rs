//! A lobby that lies: its link is a real one, with a key of its own, and what it says is what a test makes up.
//!
//! Without a lie it does what a lobby does, so that daemons come in, meet and talk.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chatd::identity::Identity;
use chatd::link::{Incoming, Outgoing, accept, socket, split};
use proto::ids::{Generation, Key, LobbySeq};
use proto::lobby::{ALPN, Contact, FromLobby, Member, MemberHello, RoomEntry, ToLobby, Welcome};
use proto::name::Name;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::DEADLINE;

/// Messages that wait for one daemon.
const QUEUE: usize = 4_096;

/// See the module.
pub struct Liar {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its key.
    pub key: Key,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

#[derive(Debug, Default)]
struct Shared {
    scene: Mutex<Scene>,
    changed: Condvar,
}

/// Who and where.
#[derive(Debug, Clone)]
pub struct Somebody {
    /// Who.
    pub member: Member,
    /// Where.
    pub addrs: Vec<SocketAddr>,
}

/// What it was told, and what it makes of it.
#[derive(Debug, Default)]
pub struct Scene {
    /// All that was said to it after the handshakes, by whom.
    pub heard: Vec<(Key, ToLobby)>,
    /// Who is present, and where they really are.
    pub present: HashMap<Key, Somebody>,
    /// Lies about who people are and where, by their name. `None`: nobody is there.
    pub contacts: HashMap<String, Option<Somebody>>,
    /// It keeps from everybody who is there.
    pub silent: bool,
    seats: HashMap<Key, mpsc::Sender<FromLobby>>,
    head: u64,
    /// Links that ended before a hello.
    pub speechless: usize,
}

impl Liar {
    /// Opens it.
    pub fn open() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Opens it where somebody else was before.
    pub fn at(addr: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let listener = socket::listen(addr).expect("listens");
        drop(entered);
        let addr = listener.local_addr().expect("an address");
        let identity = Arc::new(Identity::ephemeral().expect("a key"));
        let (key, shared) = (identity.key(), Arc::new(Shared::default()));
        runtime.spawn(take_all(listener, identity, Arc::clone(&shared)));
        Self { addr, key, shared, _runtime: runtime }
    }

    /// Looks at what it knows, and changes what it says.
    pub fn scene(&self) -> MutexGuard<'_, Scene> {
        self.shared.scene()
    }

    /// Says something to one daemon.
    pub fn tell(&self, whom: Key, message: FromLobby) {
        assert!(self.still_tells(whom, message), "they are connected");
    }

    /// Says something to one daemon, who may have enough of it and leave. `false`: it has left.
    pub fn still_tells(&self, whom: Key, message: FromLobby) -> bool {
        let seat = self.scene().seats.get(&whom).cloned();
        seat.is_some_and(|seat| seat.blocking_send(message).is_ok())
    }

    /// Waits until what it has heard is as wanted.
    pub fn until<T>(&self, what: &str, mut wanted: impl FnMut(&Scene) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut scene = self.scene();
        loop {
            if let Some(found) = wanted(&scene) {
                return found;
            }
            let left = DEADLINE.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "{what}: not within {DEADLINE:?}; it has {scene:?}");
            let woken = self.shared.changed.wait_timeout(scene, left);
            scene = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How often somebody was looked for.
    pub fn lookups(&self, name: &str) -> usize {
        self.scene().lookups(name)
    }
}

impl Scene {
    /// The first place in its log that nothing was told of.
    pub fn next(&self) -> u64 {
        self.head + 1
    }

    /// How often somebody was looked for, by name or by key.
    pub fn lookups(&self, wanted: &str) -> usize {
        let is_wanted =
            |key: &Key| self.present.get(key).is_some_and(|found| found.member.name.as_str() == wanted);
        let lookup = |said: &&(Key, ToLobby)| match &said.1 {
            ToLobby::Lookup { name, .. } => name.as_str() == wanted,
            ToLobby::Reach { key } => is_wanted(key),
            _ => false,
        };
        self.heard.iter().filter(lookup).count()
    }

    /// Who goes by that name.
    pub fn contact(&self, name: &str) -> Somebody {
        let found = self.present.values().find(|contact| contact.member.name.as_str() == name);
        found.cloned().expect("they have come")
    }

    fn answer(&mut self, from: Key, addr: SocketAddr, message: &ToLobby) -> Vec<FromLobby> {
        self.heard.push((from, message.clone()));
        match message {
            ToLobby::Hello(hello) => self.welcome(from, addr, hello),
            ToLobby::Publish { mid, .. } => {
                self.head += 1;
                vec![FromLobby::Published { mid: *mid, seq: LobbySeq(self.head) }]
            }
            ToLobby::Lookup { request, name } => {
                let truth = self.present.values().find(|found| found.member.name == *name).cloned();
                let lie = self.contacts.get(name.as_str()).cloned();
                let member = lie.unwrap_or(truth).map(|found| found.member);
                vec![FromLobby::Found { request: *request, member }]
            }
            // It tells at once, whether or not the other one wants it.
            ToLobby::Reach { key } => {
                let truth = self.present.get(key).cloned();
                let lie =
                    truth.as_ref().and_then(|truth| self.contacts.get(truth.member.name.as_str()).cloned());
                let told = lie.unwrap_or(truth);
                let contact = told.map(|told| Contact { key: told.member.key, addrs: told.addrs });
                vec![FromLobby::Contact(contact.unwrap_or(Contact { key: *key, addrs: Vec::new() }))]
            }
            ToLobby::Ping { nonce } => vec![FromLobby::Pong { nonce: *nonce }],
            ToLobby::Decline { .. } | ToLobby::Pong { .. } | ToLobby::Bye | ToLobby::Unknown => Vec::new(),
        }
    }

    fn welcome(&mut self, key: Key, addr: SocketAddr, hello: &MemberHello) -> Vec<FromLobby> {
        let member = Member { name: hello.name.clone(), key };
        let at = SocketAddr::new(addr.ip(), hello.port);
        self.present.insert(key, Somebody { member: member.clone(), addrs: vec![at] });
        let news = FromLobby::Presence { joined: vec![member], left: Vec::new() };
        if !self.silent {
            self.seats.values().for_each(|seat| drop(seat.try_send(news.clone())));
        }
        let welcome = Welcome {
            version: 1,
            features: Vec::new(),
            name: hello.name.clone(),
            generation: Generation([7; 16]),
            head: LobbySeq(self.head),
            seen_as: addr,
        };
        let members = self.present.values().map(|contact| contact.member.clone());
        let members = members.filter(|member| !self.silent || member.key == key).collect();
        vec![FromLobby::Welcome(Box::new(welcome)), FromLobby::Members { members, more: false }]
    }
}

impl Shared {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take_all(listener: TcpListener, identity: Arc<Identity>, shared: Arc<Shared>) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((stream, addr)) = listener.accept().await {
        let (identity, shared) = (Arc::clone(&identity), Arc::clone(&shared));
        tasks.spawn(async move {
            let served = serve(stream, addr, &identity, &shared).await;
            if served.is_none() {
                shared.scene().speechless += 1;
            }
            shared.changed.notify_all();
        });
    }
}

/// One link, to its end. `None`: nothing was said on it.
async fn serve(stream: TcpStream, addr: SocketAddr, identity: &Identity, shared: &Shared) -> Option<()> {
    let (stream, key) = accept(stream, identity, ALPN).await.ok()?;
    let (mut incoming, mut outgoing): (Incoming<ToLobby>, Outgoing) = split(stream);
    let first = incoming.next().await.ok()?;
    incoming.accept_hello();
    let (seat, mut waiting) = mpsc::channel(QUEUE);
    let answers = {
        let mut scene = shared.scene();
        let answers = scene.answer(key, addr, &first);
        scene.seats.insert(key, seat.clone());
        answers
    };
    shared.changed.notify_all();
    for answer in answers {
        outgoing.feed(&answer).await.ok()?;
    }
    outgoing.flush().await.ok()?;
    loop {
        let answers = tokio::select! {
            message = incoming.next() => match message {
                Ok(message) => shared.scene().answer(key, addr, &message),
                Err(_) => break,
            },
            Some(message) = waiting.recv() => vec![message],
        };
        shared.changed.notify_all();
        for answer in answers {
            outgoing.feed(&answer).await.ok()?;
        }
        outgoing.flush().await.ok()?;
    }
    let mut scene = shared.scene();
    // Unless they have come back meanwhile.
    if scene.seats.get(&key).is_some_and(|present| present.same_channel(&seat)) {
        scene.seats.remove(&key);
    }
    Some(())
}

/// A member.
pub fn member(name: &str, key: Key) -> Member {
    Member { name: Name::new(name).expect("a name"), key }
}

/// An entry of the log, as a message.
pub fn entry(entry: RoomEntry) -> FromLobby {
    FromLobby::Entry(Box::new(entry))
}
