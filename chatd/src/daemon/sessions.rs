//! The sessions as a whole: finding, making, naming and numbering them; events from peers.

use std::net::{IpAddr, SocketAddr};

use proto::hello::Versions;
use proto::ids::{Epoch, EpochTag, Key, Mid, Seq, SessionNo};
use proto::ipc::SessionRef;
use proto::name::Name;
use proto::peer::{ByeCode, Hello, PeerMessage};
use rand::RngExt;

use super::core::cx;
use super::{Core, Effect};
use crate::peer::{ConnId, PeerSession};
use crate::session::lowest_free;
use crate::store::{LogId, LogRow, StoreError};

/// Sessions with a number at the same time: all their rows fit into one answer.
const MAX_SESSIONS: usize = 500;
/// Keys that have connected and never said anything.
const MAX_SILENT: usize = 256;

impl Core {
    /// The log that a client means; `None` where there is no such session.
    pub(super) fn find(&self, session: &SessionRef) -> Option<LogId> {
        match session {
            SessionRef::Number(SessionNo::LOBBY) => Some(LogId::LOBBY),
            SessionRef::Number(number) => {
                let mut sessions = self.sessions.values();
                sessions.find(|session| session.log.row.number == Some(*number)).map(|found| found.log.id())
            }
            SessionRef::Peer(name) => {
                let named = self.sessions.values().filter(|session| session.name().folded() == name.folded());
                named.max_by_key(|session| (session.is_open(), session.log.id())).map(|found| found.log.id())
            }
        }
    }

    pub(super) fn find_key(&self, key: &Key) -> Option<LogId> {
        self.sessions.values().find(|session| session.peer() == *key).map(|session| session.log.id())
    }

    /// The session with a key; made if there is none.
    pub(super) fn session_with(&mut self, key: Key, name: &Name) -> Result<LogId, StoreError> {
        if let Some(log) = self.find_key(&key) {
            return Ok(log);
        }
        let log = LogId(self.sessions.keys().next_back().map_or(0, |last| last.0) + 1);
        let epoch = Epoch { n: 1, r: EpochTag(self.rng.random()) };
        let row = LogRow::new(log, Some((key, name.clone())), epoch);
        self.store.put_log(&row)?;
        if let Some(mut session) = PeerSession::load(row, self.me.key, &self.store)? {
            if let Some(text) = self.give_way(name)? {
                let mid = Mid::from_parts(self.now.wall, self.rng.random());
                session.log.notice(&mut self.store, mid, self.now.wall, text)?;
            }
            self.sessions.insert(log, session);
        }
        Ok(log)
    }

    /// No more sessions can be opened.
    pub(super) fn is_full(&self) -> bool {
        self.sessions.values().filter(|session| session.log.row.number.is_some()).count() >= MAX_SESSIONS
    }

    fn silent(&self) -> usize {
        self.sessions.values().filter(|session| session.log.head() == Seq::START).count()
    }

    /// An older session under the same name belongs to another key: it gets another name, and the person is told.
    fn give_way(&mut self, name: &Name) -> Result<Option<String>, StoreError> {
        let Some(older) = self.find(&SessionRef::Peer(name.clone())) else {
            return Ok(None);
        };
        let other = self.free_name(name);
        if let Some(session) = self.sessions.get_mut(&older) {
            session.rename(&mut self.store, other.clone())?;
        }
        Ok(Some(format!(
            "This {name} has another key than the {name} of an earlier session, who is {other} from now on: \
             a new machine, or somebody else"
        )))
    }

    /// The first alternative of a name that no session has.
    fn free_name(&self, name: &Name) -> Name {
        let taken = |name: &Name| self.find(&SessionRef::Peer(name.clone())).is_some();
        (2..=u32::MAX).map(|n| name.with_suffix(n)).find(|name| !taken(name)).unwrap_or_else(|| name.clone())
    }

    /// What somebody who dials us is called: by the lobby if it knows the key, else as they say, if that is free.
    fn name_of_stranger(&self, key: &Key, claim: &Name) -> Name {
        if let Some(name) = self.room.name_of(key) {
            return name.clone();
        }
        let taken = self.find(&SessionRef::Peer(claim.clone())).is_some()
            || self.room.key_of(claim).is_some_and(|owner| owner != *key)
            || claim.folded() == self.me.name.folded();
        if taken { self.free_name(claim) } else { claim.clone() }
    }

    pub(super) fn on_accepted(
        &mut self,
        conn: ConnId,
        key: Key,
        from: IpAddr,
        hello: &Hello,
    ) -> Result<(), StoreError> {
        let known = self.find_key(&key);
        let refused = if Versions::OURS.agree(hello.versions).is_err() {
            Some(ByeCode::Version)
        } else if known.is_none() && (self.is_full() || self.silent() >= MAX_SILENT) {
            Some(ByeCode::Busy)
        } else if key == self.me.key {
            Some(ByeCode::Refused)
        } else {
            None
        };
        if let Some(code) = refused {
            self.effects.push(Effect::Peer(conn, PeerMessage::Bye { code, retry_after_ms: 30_000 }));
            self.effects.push(Effect::PeerClose(conn));
            return Ok(());
        }
        let log = match known {
            Some(log) => log,
            None => self.session_with(key, &self.name_of_stranger(&key, &hello.name))?,
        };
        self.conns.insert(conn, log);
        self.with_session(log, |session, cx| session.on_accepted(cx, conn, from, hello))
    }

    pub(super) fn on_dialed(
        &mut self,
        log: LogId,
        dial_no: u64,
        conn: ConnId,
        addr: SocketAddr,
    ) -> Result<(), StoreError> {
        self.conns.insert(conn, log);
        self.with_session(log, |session, cx| session.on_dialed(cx, conn, dial_no, addr))
    }

    pub(super) fn on_dial_failed(&mut self, log: LogId, reason: String) -> Result<(), StoreError> {
        self.with_session(log, |session, cx| {
            session.on_dial_failed(cx, reason);
            Ok(())
        })
    }

    pub(super) fn on_peer(&mut self, conn: ConnId, message: PeerMessage) -> Result<(), StoreError> {
        match self.conns.get(&conn) {
            Some(&log) => self.with_session(log, |session, cx| session.on_message(cx, conn, message)),
            None => Ok(()), // closed by us, its last bytes were under way
        }
    }

    pub(super) fn on_peer_lost(&mut self, conn: ConnId) -> Result<(), StoreError> {
        match self.conns.remove(&conn) {
            Some(log) => self.with_session(log, |session, cx| {
                session.on_lost(cx, conn);
                Ok(())
            }),
            None => Ok(()),
        }
    }

    /// Gives open sessions a number, and takes it back from those that have ended and were read to the end.
    pub(super) fn renumber(&mut self) -> Result<(), StoreError> {
        let is_open = |session: &PeerSession| session.is_open();
        let keeps = |session: &PeerSession| session.is_open() || session.log.unread() > 0;
        let number = |session: &PeerSession| session.log.row.number;
        let changing = |(_, session): &(&LogId, &PeerSession)| match number(session) {
            None => is_open(session),
            Some(_) => !keeps(session),
        };
        let changing: Vec<LogId> = self.sessions.iter().filter(changing).map(|(log, _)| *log).collect();
        for log in changing {
            let taken = self.sessions.values().filter_map(number).collect();
            let Some(session) = self.sessions.get_mut(&log) else { continue };
            let free = lowest_free(&taken);
            if let Some(row) = session.row() {
                self.versions.retire(row);
            }
            session.log.row.number = is_open(session).then_some(free);
            session.log.save(&mut self.store)?;
        }
        Ok(())
    }

    /// Reads to the end: who leaves a session has no use for what is unread in it.
    pub(super) fn mark_all_read(&mut self, log: LogId) -> Result<(), StoreError> {
        match self.sessions.get_mut(&log) {
            Some(session) => {
                let head = session.log.head();
                session.log.mark(&mut self.store, &proto::ipc::Reader::Person, head)
            }
            None => Ok(()),
        }
    }

    /// A member came who may have been waited for.
    pub(super) fn poke_key(&mut self, key: &Key) {
        if let Some(session) = self.sessions.values_mut().find(|session| session.peer() == *key) {
            session.poke(&mut cx!(self));
        }
    }
}
