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
use super::questions::{Question, is_question};
use super::room::Room;
use super::setback::Pause;
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
    pub(super) questions: Vec<Question>,
    pub(super) stopping: Option<(Stop, Duration)>,
    /// `stopping` as of the last commit.
    pub(super) sealed: Option<(Stop, Duration)>,
    /// Nothing can be written for now.
    pub(super) paused: Option<Pause>,
    /// Old entries wait to be indexed.
    pub(super) unindexed: bool,
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
        let (sessions, room) = Self::load_logs(setup.key, &store)?;
        let mut store = store;
        let room = match room {
            Some(room) => room,
            None => Room::create(setup.key, &mut store, &mut rng)?,
        };
        let pins = Pins::load(&store)?;
        let consent = Consent::load(&store)?;
        // A start writes only what is new: it has to work with a full disk as well.
        if !same_wish {
            store.set_meta("wished", setup.name.as_str())?;
        }
        store.commit()?;
        let unindexed = store.has_unindexed()?;
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
            questions: Vec::new(),
            stopping: None,
            sealed: None,
            paused: None,
            unindexed,
        };
        core.hold_strangers()?;
        Ok(core)
    }

    /// Every session and the room, where the store has them.
    pub(super) fn load_logs(
        me: Key,
        store: &Store,
    ) -> Result<(BTreeMap<LogId, PeerSession>, Option<Room>), StoreError> {
        let mut sessions = BTreeMap::new();
        let mut room = None;
        for row in store.logs()? {
            if row.id == LogId::LOBBY {
                room = Some(Room::load(row, me, store)?);
            } else if let Some(session) = PeerSession::load(row, me, store)? {
                sessions.insert(session.log.id(), session);
            }
        }
        Ok((sessions, room))
    }

    /// One event. Its effects gather until [`Core::commit`].
    ///
    /// # Errors
    ///
    /// Where the store fails: nothing more is to be handled before [`Core::set_back`].
    pub fn handle(&mut self, now: Now, event: Event) -> Result<(), StoreError> {
        self.now = now;
        let conn = event.new_conn();
        let outcome = match self.pass(event)? {
            Some(event) => self.take(event),
            None => Ok(()),
        };
        if let (Err(_), Some(conn)) = (&outcome, conn) {
            // It may be known to nobody else.
            self.effects.push(Effect::PeerClose(conn));
        }
        outcome
    }

    fn take(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Call(call, reply) if is_question(&call) => {
                self.questions.push(Question::Call(call, reply));
            }
            Event::Call(call, reply) => return self.on_call(call, reply),
            Event::Place(session, reply) => self.questions.push(Question::Place(session, reply)),
            Event::Places(reply) => self.questions.push(Question::Places(reply)),
            Event::Known(name, reply) => self.questions.push(Question::Known(name, reply)),
            Event::Changes(since, reply) => self.questions.push(Question::Changes(since, reply)),
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
        if !self.is_paused()? {
            self.end_step()?;
        }
        let stop = self.look_for_the_end();
        self.store.commit()?;
        self.sealed = self.stopping;
        if let Some(version) = self.new_version() {
            self.effects.push(Effect::Version(version));
        }
        self.answer_questions()?;
        self.effects.extend(stop.map(Effect::Stop));
        Ok(std::mem::take(&mut self.effects))
    }

    /// Writes what has gathered.
    fn end_step(&mut self) -> Result<(), StoreError> {
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
        if self.store.is_dirty() || self.stopping.is_some() {
            let logs = self.sessions.values_mut().map(|session| &mut session.log);
            for log in logs.chain([&mut self.room.log]) {
                log.save_touched(&mut self.store)?;
            }
        }
        Ok(())
    }

    /// There is work for when nothing happens.
    pub fn has_leisure_work(&self) -> bool {
        self.unindexed && self.stopping.is_none() && self.paused.is_none()
    }

    /// Nothing happens: a piece of the work that can wait, a few milliseconds long. Call before [`Core::commit`].
    pub fn work_at_leisure(&mut self) -> Result<(), StoreError> {
        if self.has_leisure_work() {
            self.unindexed = self.store.index_more()?;
        }
        Ok(())
    }

    /// When [`Core::commit`] must be called even if nothing happens; `None`: never.
    pub fn deadline(&self) -> Option<Duration> {
        let stop = self.stopping.map(|(_, at)| at);
        if let Some(pause) = &self.paused {
            return Some(stop.map_or(pause.probe_at, |at| at.min(pause.probe_at)));
        }
        let sessions = self.sessions.values().filter_map(PeerSession::deadline);
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

    /// How the daemon stops now, if it does.
    fn look_for_the_end(&mut self) -> Option<Stop> {
        let (stop, at) = self.stopping?;
        let flushed = self.sessions.values().all(|session| !session.is_connected() || session.is_flushed())
            && (self.room.state != LobbyState::Connected || self.room.is_flushed());
        if at > self.now.mono && !(stop == Stop::Quit && flushed) {
            return None;
        }
        if stop == Stop::Quit {
            self.tell_lobby(proto::lobby::ToLobby::Bye);
        }
        Some(stop)
    }
}
