//! A lobby on a free port, and members that do exactly what a test tells them. Both end when dropped.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatd::identity::Identity;
use chatd::link::{self, Incoming, LinkError, Outgoing, socket};
use chatd::lobby::{Lobby, LobbyConfig};
use proto::frame::Encoded;
use proto::hello::Versions;
use proto::ids::{Instance, Key, LobbySeq, Mid, WallMs};
use proto::lobby::{
    ALPN, Contact, FromLobby, Member, MemberHello, RefusedCode, RoomCursor, RoomEntry, ToLobby, Welcome,
};
use proto::name::Name;
use proto::text::Text;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far longer than anything takes, and shorter than [`chatd::link::PING_AFTER`]: a ping wakes a link and would hide
/// that it was not woken for what it had to tell.
pub(crate) const DEADLINE: Duration = Duration::from_secs(8);

pub(crate) struct TestLobby {
    pub(crate) addr: SocketAddr,
    pub(crate) key: Key,
    shutdown: CancellationToken,
    task: JoinSet<()>,
}

impl TestLobby {
    pub(crate) fn start() -> Self {
        Self::with(LobbyConfig::default())
    }

    pub(crate) fn with(config: LobbyConfig) -> Self {
        Self::run(Lobby::in_memory(config))
    }

    pub(crate) fn kept_in(dir: &Path) -> Self {
        Self::run(Lobby::kept_in(dir, LobbyConfig::default()).expect("opens"))
    }

    /// A lobby that somebody else runs.
    pub(crate) fn at(addr: SocketAddr, key: Key) -> Self {
        Self { addr, key, shutdown: CancellationToken::new(), task: JoinSet::new() }
    }

    fn run(lobby: Lobby) -> Self {
        let listener = socket::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("listens");
        let addr = listener.local_addr().expect("address");
        let identity = Arc::new(Identity::ephemeral().expect("key"));
        let (key, shutdown, mut task) = (identity.key(), CancellationToken::new(), JoinSet::new());
        let serving = lobby.serve(listener, identity, shutdown.clone());
        task.spawn(async { serving.await.expect("serves") });
        Self { addr, key, shutdown, task }
    }

    /// Tells the lobby to stop.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the lobby has stopped, without a panic.
    pub(crate) async fn stopped(&mut self) {
        let ended = timeout(DEADLINE, self.task.join_next()).await.expect("stops in time");
        ended.expect("has run").expect("no panic");
    }

    /// An encrypted link on which nothing was said.
    pub(crate) async fn link(&self, identity: &Identity) -> (Incoming<FromLobby>, Outgoing) {
        let stream = TcpStream::connect(self.addr).await.expect("connects");
        socket::tune(&stream).expect("tunes");
        let (stream, _) = link::connect(stream, identity, ALPN, Some(self.key)).await.expect("handshake");
        link::split(stream)
    }

    pub(crate) async fn join(&self, identity: &Arc<Identity>, name: &str) -> Fake {
        self.join_as(identity, hello(name)).await
    }

    pub(crate) async fn resume(&self, identity: &Arc<Identity>, name: &str, room: RoomCursor) -> Fake {
        self.join_as(identity, MemberHello { room: Some(room), ..hello(name) }).await
    }

    pub(crate) async fn join_as(&self, identity: &Arc<Identity>, hello: MemberHello) -> Fake {
        let (mut incoming, mut outgoing) = self.link(identity).await;
        outgoing.send(&ToLobby::Hello(Box::new(hello))).await.expect("hello");
        let welcome = match incoming.next().await.expect("an answer") {
            FromLobby::Welcome(welcome) => *welcome,
            other => panic!("no welcome but {other:?}"),
        };
        incoming.accept_hello();
        let (stash, members) = (VecDeque::new(), Vec::new());
        let author = Author { identity: Arc::clone(identity), lobby: self.key };
        let patience = DEADLINE;
        let mut fake = Fake { incoming, outgoing, welcome, author, members, pages: 0, patience, stash };
        loop {
            let FromLobby::Members { members, more } = fake.next().await else { panic!("no members") };
            fake.pages += 1;
            fake.members.extend(members);
            if !more {
                return fake;
            }
        }
    }

    pub(crate) async fn refused(&self, hello: MemberHello) -> RefusedCode {
        self.refused_as(&identity(), hello).await
    }

    pub(crate) async fn refused_as(&self, identity: &Identity, hello: MemberHello) -> RefusedCode {
        let (mut incoming, mut outgoing) = self.link(identity).await;
        outgoing.send(&ToLobby::Hello(Box::new(hello))).await.expect("hello");
        match incoming.next().await.expect("an answer") {
            FromLobby::Refused { code, .. } => code,
            other => panic!("no refusal but {other:?}"),
        }
    }
}

pub(crate) fn identity() -> Arc<Identity> {
    Arc::new(Identity::ephemeral().expect("key"))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("name")
}

pub(crate) fn hello(text: &str) -> MemberHello {
    MemberHello {
        versions: Versions::OURS,
        features: Vec::new(),
        name: name(text),
        instance: Instance(rand::random()),
        port: 0,
        room: None,
        invitation: None,
    }
}

/// Signs what it says in one lobby.
pub(crate) struct Author {
    identity: Arc<Identity>,
    lobby: Key,
}

impl Author {
    pub(crate) fn publish(&self, mid: Mid, text: &str) -> (Mid, ToLobby) {
        let (at, text) = (WallMs(0), Text::new(text).expect("text"));
        let sig = self.identity.sign_post(&self.lobby, mid, at, &text);
        (mid, ToLobby::Publish { mid, at, text, sig })
    }
}

/// A member that does what it is told, and answers pings.
pub(crate) struct Fake {
    pub(crate) incoming: Incoming<FromLobby>,
    pub(crate) outgoing: Outgoing,
    pub(crate) welcome: Welcome,
    pub(crate) author: Author,
    pub(crate) members: Vec<Member>,
    pub(crate) pages: usize,
    /// How long this one waits for a message.
    pub(crate) patience: Duration,
    stash: VecDeque<FromLobby>,
}

impl Fake {
    pub(crate) fn name(&self) -> &str {
        self.welcome.name.as_str()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn cursor(&self, seq: LobbySeq) -> RoomCursor {
        RoomCursor { generation: self.welcome.generation, seq }
    }

    /// A message of this member, signed, to be sent.
    pub(crate) fn publish(&self, text: &str) -> (Mid, ToLobby) {
        self.author.publish(Mid(rand::random()), text)
    }

    pub(crate) async fn send(&mut self, message: &ToLobby) {
        self.outgoing.send(message).await.expect("sent");
    }

    /// Writes bytes as they are, in records of their own.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let bytes = Encoded(Bytes::copy_from_slice(bytes));
        self.outgoing.send_encoded(&[bytes]).await.expect("sent");
    }

    /// The next message from the wire, pings apart.
    pub(crate) async fn try_next(&mut self) -> Result<FromLobby, LinkError> {
        loop {
            match timeout(self.patience, self.incoming.next()).await.expect("comes in time")? {
                FromLobby::Ping { nonce } => self.send(&ToLobby::Pong { nonce }).await,
                message => return Ok(message),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> FromLobby {
        match self.stash.pop_front() {
            Some(message) => message,
            None => self.try_next().await.expect("a message"),
        }
    }

    /// The first message that `pick` takes; the others stay for later, in order.
    async fn find<T>(&mut self, pick: impl Fn(&FromLobby) -> Option<T>) -> T {
        if let Some(index) = self.stash.iter().position(|message| pick(message).is_some()) {
            let message = self.stash.remove(index).expect("is there");
            return pick(&message).expect("picked before");
        }
        loop {
            let message = self.try_next().await.expect("a message");
            match pick(&message) {
                Some(found) => return found,
                None => self.stash.push_back(message),
            }
        }
    }

    pub(crate) async fn entry(&mut self) -> RoomEntry {
        let entry = |message: &FromLobby| match message {
            FromLobby::Entry(entry) => Some((**entry).clone()),
            _ => None,
        };
        self.find(entry).await
    }

    pub(crate) async fn published(&mut self, mid: Mid) -> LobbySeq {
        let answer = |message: &FromLobby| match message {
            FromLobby::Published { mid: found, seq } if *found == mid => Some(*seq),
            _ => None,
        };
        self.find(answer).await
    }

    /// What became of a message: where it stands, or why it does not.
    pub(crate) async fn next_answer(&mut self, mid: Mid) -> Result<LobbySeq, String> {
        let answer = |message: &FromLobby| match message {
            FromLobby::Published { mid: found, seq } if *found == mid => Some(Ok(*seq)),
            FromLobby::NotPublished { mid: found, reason } if *found == mid => Some(Err(reason.clone())),
            _ => None,
        };
        self.find(answer).await
    }

    /// Says something and waits until it is in the log.
    pub(crate) async fn say(&mut self, text: &str) -> LobbySeq {
        let (mid, message) = self.publish(text);
        self.send(&message).await;
        self.published(mid).await
    }

    pub(crate) async fn lookup(&mut self, text: &str) -> Option<Contact> {
        self.send(&ToLobby::Lookup { request: 7, name: name(text) }).await;
        let found = |message: &FromLobby| match message {
            FromLobby::Found { request: 7, contact } => Some(contact.clone()),
            _ => None,
        };
        self.find(found).await
    }

    /// Everything that the lobby had for this member when it was asked.
    pub(crate) async fn barrier(&mut self) -> Vec<FromLobby> {
        let nonce = rand::random();
        self.send(&ToLobby::Ping { nonce }).await;
        let pong = |message: &FromLobby| (*message == FromLobby::Pong { nonce }).then_some(());
        self.find(pong).await;
        self.stash.drain(..).collect()
    }

    /// The next word on presence, as `+name` and `-name`.
    pub(crate) async fn presence(&mut self) -> Vec<String> {
        let presence = |message: &FromLobby| match message {
            FromLobby::Presence { joined, left } => Some(signed(joined, left)),
            _ => None,
        };
        self.find(presence).await
    }

    /// The reason that the lobby gives for ending the link.
    pub(crate) async fn goodbye(&mut self) -> String {
        let goodbye = |message: &FromLobby| match message {
            FromLobby::GoAway { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        let reason = self.find(goodbye).await;
        let end = self.try_next().await.expect_err("the end");
        assert!(matches!(end, LinkError::Closed), "{end}");
        reason
    }
}

fn signed(joined: &[Member], left: &[Member]) -> Vec<String> {
    let joined = joined.iter().map(|member| format!("+{}", member.name));
    joined.chain(left.iter().map(|member| format!("-{}", member.name))).collect()
}
