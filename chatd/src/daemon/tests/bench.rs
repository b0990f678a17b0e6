//! A core over a store in memory, and people who call it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::hello::Versions;
use proto::ids::{Chain, Epoch, EpochTag, Generation, Instance, Key, LobbySeq, Mid, Pos, SessionNo, WallMs};
use proto::ipc::{Call, CallError, Changes, EntryKind, Reply, SessionRef, SessionRow, UserRow};
use proto::lobby::{FromLobby, Member, RoomCursor, ToLobby, Welcome};
use proto::name::Name;
use proto::peer::{ByeCode, Content, DialId, Hello, OutState, PeerMessage};
use proto::text::Text;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::oneshot;

use crate::daemon::{Accept, Core, Effect, Event, Known, Setup};
use crate::joined::Joined;
use crate::peer::{ConnId, Now, chain};
use crate::store::{LogId, Store, StoreError};

/// The key of the daemon under test.
pub(super) const ME: Key = Key([5; 32]);

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A key that is told by one number.
pub(super) fn key(id: u8) -> Key {
    Key([id; 32])
}

fn addr() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000))
}

/// A core, its clock, and what it wanted done.
pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) setup: Setup,
    pub(super) now: Duration,
    /// Everything but answers, oldest first.
    pub(super) effects: Vec<Effect>,
    last_mid: u128,
}

fn setup() -> Setup {
    Setup {
        key: ME,
        name: name("anna"),
        lobby: "lobby.example.org:43210".to_owned(),
        named: true,
        accept: Accept::Anyone,
        joined: None,
        listening: Some(addr()),
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(setup())
    }

    /// In a lobby to which an invitation led.
    pub(super) fn joined(joined: Joined) -> Self {
        Self::with(Setup { joined: Some(joined), ..setup() })
    }

    /// Of somebody who lets these come in.
    pub(super) fn accepting(accept: Accept) -> Self {
        Self::with(Setup { accept, ..setup() })
    }

    /// In the lobby of its machine, which one daemon hosts after the other.
    pub(super) fn at_home() -> Self {
        Self::with(Setup { named: false, ..setup() })
    }

    fn with(setup: Setup) -> Self {
        let store = Store::in_memory().expect("store");
        Self { core: load(&setup, store), setup, now: Duration::ZERO, effects: Vec::new(), last_mid: 0 }
    }

    /// The daemon ends and comes back.
    pub(super) fn restart(mut self) -> Self {
        self.core = load(&self.setup, self.core.store);
        self.effects.clear();
        self
    }

    fn at(&self) -> Now {
        Now { mono: self.now, wall: WallMs(1_795_341_600_000) }
    }

    /// One step: an event and its commit.
    pub(super) fn step(&mut self, event: Event) {
        let at = self.at();
        let outcome = self.core.handle(at, event).and_then(|()| self.core.commit(at));
        self.carry_out(outcome);
    }

    /// A step without an event.
    pub(super) fn commit(&mut self) {
        let outcome = self.core.commit(self.at());
        self.carry_out(outcome);
    }

    fn carry_out(&mut self, outcome: Result<Vec<Effect>, StoreError>) {
        let effects = outcome.or_else(|error| self.core.set_back(self.at(), error));
        for effect in effects.expect("a sound disk") {
            match effect {
                Effect::Reply(to, reply) => to.send(reply).expect("somebody waits"),
                Effect::Changes(to, version, changes) => {
                    to.send((version, *changes)).expect("somebody waits");
                }
                Effect::Known(to, known) => to.send(known).expect("somebody waits"),
                other => self.effects.push(other),
            }
        }
    }

    pub(super) fn call(&mut self, call: Call) -> Reply {
        let (reply, mut answer) = oneshot::channel();
        self.step(Event::Call(call, reply));
        if let Ok(reply) = answer.try_recv() {
            return reply;
        }
        // It waits for the lobby, which has nothing to say.
        self.now += Duration::from_secs(4);
        self.commit();
        answer.try_recv().expect("an answer")
    }

    pub(super) fn refused(&mut self, call: Call) -> CallError {
        match self.call(call) {
            Reply::Error(error) => error,
            reply => panic!("done: {reply:?}"),
        }
    }

    pub(super) fn fork(&mut self, who: &str) -> SessionNo {
        match self.call(Call::Fork { name: name(who) }) {
            Reply::Forked { session } => session,
            reply => panic!("not forked: {reply:?}"),
        }
    }

    pub(super) fn send(&mut self, who: &str, text: &str) -> Reply {
        self.last_mid += 1;
        let mid = Mid(self.last_mid.to_be_bytes());
        let text = Text::new(text).expect("a text");
        self.call(Call::Send { session: SessionRef::Peer(name(who)), mid, text, draft: None })
    }

    /// Sends a message once more, by its number.
    pub(super) fn repeat(&mut self, who: &str, mid: u128) -> Reply {
        let text = Text::new("the same").expect("a text");
        let mid = Mid(mid.to_be_bytes());
        self.call(Call::Send { session: SessionRef::Peer(name(who)), mid, text, draft: None })
    }

    pub(super) fn state(&mut self) -> Changes {
        match self.call(Call::State) {
            Reply::State(state) => *state,
            reply => panic!("no state: {reply:?}"),
        }
    }

    /// What has changed since a version, and the version of now.
    pub(super) fn changes(&mut self, since: u64) -> (u64, Changes) {
        let (reply, mut answer) = oneshot::channel();
        self.step(Event::Changes(since, reply));
        answer.try_recv().expect("an answer")
    }

    /// The row of the session with somebody; `None` where it has no number.
    pub(super) fn row(&mut self, who: &str) -> Option<SessionRow> {
        let mut rows = self.state().sessions.into_iter();
        rows.rfind(|row| row.peer.as_ref().is_some_and(|peer| peer.name.as_str() == who))
    }

    pub(super) fn users(&mut self) -> Vec<UserRow> {
        match self.call(Call::Users { after: None }) {
            Reply::Users { users, .. } => users,
            reply => panic!("no users: {reply:?}"),
        }
    }

    /// Whose key a name stands for.
    pub(super) fn known(&mut self, who: &str) -> Result<Known, CallError> {
        let (reply, mut answer) = oneshot::channel();
        self.step(Event::Known(name(who), reply));
        answer.try_recv().expect("an answer")
    }

    /// A lobby with that key welcomes us and says who is there.
    pub(super) fn lobby(&mut self, lobby: Key, members: &[(u8, &str)]) {
        self.welcome(lobby, Generation([1; 16]), 0);
        self.members(members);
    }

    /// A lobby with that key welcomes us to that log, which ends there. Gives what our hello said of our place.
    pub(super) fn welcome(&mut self, lobby: Key, generation: Generation, head: u64) -> Option<RoomCursor> {
        self.step(Event::LobbyUp { link: 1, hosted: false, key: lobby });
        let hello = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Lobby(_, ToLobby::Hello(hello)) => Some(hello.room),
            _ => None,
        });
        let welcome = Welcome {
            version: 1,
            features: Vec::new(),
            name: name("anna"),
            generation,
            head: LobbySeq(head),
            seen_as: addr(),
        };
        self.step(Event::Lobby(FromLobby::Welcome(Box::new(welcome))));
        hello.flatten()
    }

    /// The lobby's word on who has which name.
    pub(super) fn members(&mut self, members: &[(u8, &str)]) {
        let me = Member { key: ME, name: name("anna") };
        let others = members.iter().map(|(id, who)| Member { key: key(*id), name: name(who) });
        let members = others.chain([me]).collect();
        self.step(Event::Lobby(FromLobby::Members { members, more: false }));
    }

    /// What goes out on a connection, from the beginning.
    pub(super) fn sent(&self, conn: u64) -> Vec<&PeerMessage> {
        let sent = |effect| match effect {
            &Effect::Peer(ConnId(id), ref message) if id == conn => Some(message),
            _ => None,
        };
        self.effects.iter().filter_map(sent).collect()
    }

    /// The reason for which we ended a connection; `None` where we did not.
    pub(super) fn bye(&self, conn: u64) -> Option<ByeCode> {
        self.sent(conn).into_iter().find_map(|message| match message {
            PeerMessage::Bye { code, .. } => Some(*code),
            _ => None,
        })
    }

    /// Who came and who left, as the person is told.
    pub(super) fn moves(&self) -> Vec<String> {
        self.core.store.all_moves(LogId::LOBBY).expect("moves")
    }

    pub(super) fn notices(&self, log: LogId) -> Vec<String> {
        self.core.store.all_notices(log).expect("notices")
    }
}

pub(super) fn load(setup: &Setup, store: Store) -> Core {
    let now = Now { mono: Duration::ZERO, wall: WallMs(1_795_341_600_000) };
    Core::load(setup.clone(), store, StdRng::seed_from_u64(1), now).expect("loads")
}

/// Somebody who dials us.
pub(super) struct Caller {
    pub(super) key: Key,
    name: Name,
    conn: u64,
    pos: Pos,
    chain: Chain,
    dials: u64,
    /// Its person has not said yes to us.
    pub(super) held: bool,
}

impl Caller {
    pub(super) fn new(id: u8, who: &str) -> Self {
        let key = key(id);
        let chain = chain::start(&key, &ME);
        Self {
            key,
            name: name(who),
            conn: u64::from(id) * 1000,
            pos: Pos::START,
            chain,
            dials: 0,
            held: false,
        }
    }

    fn epoch(&self) -> Epoch {
        Epoch { n: 1, r: EpochTag([self.key.0[0]; 8]) }
    }

    /// Says hello on a new connection, and where its list goes on. Returns the connection.
    pub(super) fn dial(&mut self, bench: &mut Bench) -> u64 {
        self.dials += 1;
        self.conn += 1;
        let hello = Hello {
            versions: Versions::OURS,
            features: Vec::new(),
            name: self.name.clone(),
            instance: Instance([self.key.0[0]; 16]),
            port: 40_001,
            dial_no: self.dials,
            last_dialed: self.dials,
            seen_dial: 0,
            open: vec![DialId { mine: true, dial_no: self.dials }],
            hello_no: self.dials,
            held: self.held,
            out: OutState { epoch: self.epoch(), head: self.pos, chain: self.chain },
            inbound: None,
        };
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let conn = ConnId(self.conn);
        bench.step(Event::PeerAccepted { conn, key: self.key, from, hello: Box::new(hello) });
        self.say(bench, PeerMessage::Start { epoch: self.epoch(), from: self.pos.next(), chain: self.chain });
        self.conn
    }

    pub(super) fn say(&mut self, bench: &mut Bench, message: PeerMessage) {
        bench.step(Event::Peer(ConnId(self.conn), message));
    }

    /// The end of its list.
    pub(super) fn place(&self) -> (Pos, Chain) {
        (self.pos, self.chain)
    }

    /// What came after was not taken: it is said again, or something else is.
    pub(super) fn back_to(&mut self, pos: Pos, chain: Chain) {
        (self.pos, self.chain) = (pos, chain);
    }

    /// One more entry of its list.
    pub(super) fn entry(&mut self, bench: &mut Bench, content: Content) {
        let pos = self.pos.next();
        let mut mid = self.key.0[..16].to_vec();
        mid[8..].copy_from_slice(&pos.0.to_be_bytes());
        let mid = Mid::from_slice(&mid).expect("16 bytes");
        let at = WallMs(1_795_341_600_000);
        let (kind, text, seen) = match &content {
            Content::Open => (EntryKind::Opened, "", Pos::START),
            Content::Text { text } => (EntryKind::Text, text.as_str(), Pos::START),
            Content::Close { seen } => (EntryKind::Closed, "", *seen),
        };
        self.chain = chain::extend(&self.chain, mid, kind, at, text, seen);
        self.pos = pos;
        self.say(bench, PeerMessage::Data { pos, mid, at, content });
    }

    pub(super) fn text(&mut self, bench: &mut Bench, text: &str) {
        self.entry(bench, Content::Text { text: Text::new(text).expect("a text") });
    }
}
