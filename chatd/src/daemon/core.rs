//! The core itself: who it is, what it holds, and which part handles which event.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::{Instance, Key};
use proto::ipc::LobbyState;
use proto::name::Name;
use rand::{RngExt, rngs::StdRng};

use super::changes::Versions;
use super::consent::{Accept, Consent};
use super::lobby_pin::LobbyKey;
use super::pins::Pins;
use super::room::Room;
use super::{Effect, Event, Stop};
use crate::joined::Joined;
use crate::peer::{ConnId, Cx, Me, Now, Output, PeerSession};
use crate::store::{LogId, Store, StoreError};

/// How long `quit` waits for peers to take what is left for them.
const QUIT_FLUSH: Duration = Duration::from_secs(2);

/// What a core is made with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The daemon's key.
    pub key: Key,
    /// The name asked for.
    pub name: Name,
    /// Where the lobby is, for show.
    pub lobby: String,
    /// Somebody chose that lobby: its key is remembered.
    pub named: bool,
    /// Who may open a session without being asked about.
    pub accept: Accept,
    /// What is known of the lobby by an invitation.
    pub joined: Option<Joined>,
    /// Where peers can dial us.
    pub listening: Option<SocketAddr>,
}

/// The daemon without its sockets.
#[derive(Debug)]
pub struct Core {
    pub(super) setup: Setup,
    pub(super) store: Store,
    pub(super) rng: StdRng,
    pub(super) me: Me,
    pub(super) now: Now,
    pub(super) sessions: BTreeMap<LogId, PeerSession>,
    pub(super) conns: HashMap<ConnId, LogId>,
    pub(super) room: Room,
    pub(super) pins: Pins,
    pub(super) consent: Consent,
    pub(super) lobby_key: LobbyKey,
    /// The key whose code was shown last for a name.
    pub(super) compared: BTreeMap<String, Key>,
    /// Keys in the lobby under a name of somebody else, of which the person was told.
    pub(super) impostors: BTreeSet<Key>,
    /// Authors whose entries the lobby has forged, of which the person was told.
    pub(super) forged: BTreeSet<Key>,
    pub(super) versions: Versions,
    pub(super) attached: u32,
    pub(super) outputs: Vec<Output>,
    pub(super) effects: Vec<Effect>,
    stopping: Option<(Stop, Duration)>,
}

/// The parts of a core that a session's step is handed.
macro_rules! cx {
    ($core:expr) => {
        crate::peer::Cx {
            store: &mut $core.store,
            now: $core.now,
            rng: &mut $core.rng,
            me: &$core.me,
            outputs: &mut $core.outputs,
        }
    };
}
pub(super) use cx;

impl Core {
    /// Takes up everything where the store has it.
    pub fn load(setup: Setup, store: Store, mut rng: StdRng, now: Now) -> Result<Self, StoreError> {
        let granted = store.meta("name")?.and_then(|name| Name::new(name).ok());
        // The name granted before belongs to the name that was asked for before.
        let same_wish = store.meta("wished")?.is_some_and(|wished| wished == setup.name.as_str());
        let name = granted.filter(|_| same_wish).unwrap_or_else(|| setup.name.clone());
        let me = Me {
            key: setup.key,
            name,
            instance: Instance(rng.random()),
            port: setup.listening.map_or(0, |addr| addr.port()),
        };
        let mut sessions = BTreeMap::new();
        let mut room = None;
        for row in store.logs()? {
            if row.id == LogId::LOBBY {
                room = Some(Room::load(row, setup.key, &store)?);
            } else if let Some(session) = PeerSession::load(row, setup.key, &store)? {
                sessions.insert(session.log.id(), session);
            }
        }
        let mut store = store;
        let room = match room {
            Some(room) => room,
            None => Room::create(setup.key, &mut store, &mut rng)?,
        };
        let pins = Pins::load(&store)?;
        let consent = Consent::load(&store)?;
        store.set_meta("wished", setup.name.as_str())?;
        store.commit()?;
        let mut core = Self {
            setup,
            store,
            rng,
            me,
            now,
            sessions,
            conns: HashMap::new(),
            room,
            pins,
            consent,
            lobby_key: LobbyKey::default(),
            compared: BTreeMap::new(),
            impostors: BTreeSet::new(),
            forged: BTreeSet::new(),
            versions: Versions::default(),
            attached: 0,
            outputs: Vec::new(),
            effects: Vec::new(),
            stopping: None,
        };
        for log in core.sessions.keys().copied().collect::<Vec<_>>() {
            core.apply_consent(log)?;
        }
        Ok(core)
    }

    /// One event. Its effects gather until [`Core::commit`].
    pub fn handle(&mut self, now: Now, event: Event) -> Result<(), StoreError> {
        self.now = now;
        match event {
            Event::Call(call, reply) => return self.on_call(call, reply),
            Event::Place(session, reply) => self.on_place(&session, reply),
            Event::Places(reply) => self.on_places(reply),
            Event::Known(name, reply) => self.on_known(&name, reply),
            Event::Changes(since, reply) => self.on_changes(since, reply),
            Event::Attached => self.on_attached(self.attached + 1),
            Event::Detached => self.on_attached(self.attached.saturating_sub(1)),
            Event::PeerAccepted { conn, key, from, hello } => {
                return self.on_accepted(conn, key, from, &hello);
            }
            Event::PeerDialed { log, dial_no, conn, addr } => {
                return self.on_dialed(log, dial_no, conn, addr);
            }
            Event::PeerDialFailed { log, reason } => return self.on_dial_failed(log, &reason),
            Event::Peer(conn, message) => return self.on_peer(conn, message),
            Event::PeerLost(conn) => return self.on_peer_lost(conn),
            Event::LobbyUp { link, hosted, key } => return self.on_lobby_up(link, hosted, key),
            Event::Lobby(message) => return self.on_lobby(message),
            Event::Forged(entry) => return self.on_forged(&entry),
            Event::LobbyDown { reason } => return self.on_lobby_down(reason),
            Event::Suspend => self.suspend(),
        }
        Ok(())
    }

    /// Ends a step: deadlines, what has gathered, one commit. The effects are to be carried out now, in order.
    pub fn commit(&mut self, now: Now) -> Result<Vec<Effect>, StoreError> {
        self.now = now;
        self.room_deadlines()?;
        for session in self.sessions.values_mut() {
            session.tick(&mut cx!(self))?;
            session.finish(&mut cx!(self))?;
        }
        self.take_outputs()?;
        self.pin_opened()?;
        self.note_requests();
        self.room.finish(&mut self.store, &mut self.effects)?;
        self.renumber()?;
        self.look_for_the_end();
        if self.store.is_dirty() || self.stopping.is_some() {
            for session in self.sessions.values_mut() {
                session.save_lazily(&mut self.store)?;
            }
        }
        self.store.commit()?;
        if let Some(version) = self.new_version() {
            self.effects.push(Effect::Version(version));
        }
        Ok(std::mem::take(&mut self.effects))
    }

    /// When [`Core::commit`] must be called even if nothing happens; `None`: never.
    pub fn deadline(&self) -> Option<Duration> {
        let sessions = self.sessions.values().filter_map(PeerSession::deadline);
        let stop = self.stopping.map(|(_, at)| at);
        sessions.chain(self.room.deadline()).chain(stop).min()
    }

    /// Runs one step of a session, if there is one.
    pub(super) fn with_session(
        &mut self,
        log: LogId,
        step: impl FnOnce(&mut PeerSession, &mut Cx<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self.sessions.get_mut(&log) {
            Some(session) => step(session, &mut cx!(self)),
            None => Ok(()),
        }
    }

    /// What the sessions want done becomes effects, in order.
    pub(super) fn take_outputs(&mut self) -> Result<(), StoreError> {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Send(conn, message) => self.effects.push(Effect::Peer(conn, message)),
                Output::Close(conn) => {
                    self.effects.push(Effect::PeerClose(conn));
                    if let Some(log) = self.conns.remove(&conn) {
                        self.forget_blank(log)?;
                    }
                }
                Output::Dial { log, key, name, dial_no, addrs } => {
                    self.dial(log, key, &name, dial_no, addrs);
                }
            }
        }
        Ok(())
    }

    /// `quit`: everything ends, what is left gets a moment to go out.
    pub(super) fn quit(&mut self) -> Result<(), StoreError> {
        // A stranger who waits is not answered by this.
        let open = |session: &&mut PeerSession| session.is_open() && !session.is_held();
        for session in self.sessions.values_mut().filter(open) {
            session.close(&mut cx!(self))?;
        }
        self.stopping = Some((Stop::Quit, self.now.mono + QUIT_FLUSH));
        Ok(())
    }

    fn suspend(&mut self) {
        self.stopping.get_or_insert((Stop::Suspend, self.now.mono));
    }

    fn look_for_the_end(&mut self) {
        let Some((stop, at)) = self.stopping else { return };
        let flushed = self.sessions.values().all(|session| !session.is_connected() || session.is_flushed())
            && (self.room.state != LobbyState::Connected || self.room.is_flushed());
        if at > self.now.mono && !(stop == Stop::Quit && flushed) {
            return;
        }
        if stop == Stop::Quit {
            self.tell_lobby(proto::lobby::ToLobby::Bye);
        }
        self.effects.push(Effect::Stop(stop));
    }
}
