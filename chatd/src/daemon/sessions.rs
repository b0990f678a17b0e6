//! The sessions as a whole: finding, making, naming and numbering them; events from peers.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use proto::hello::Versions;
use proto::ids::{Epoch, EpochTag, Key, Pos, SessionNo};
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
const MAX_SESSIONS: usize = 400;
/// Sessions that others opened, that have ended, and in which the person never wrote. Beyond, strangers are busied away:
/// who has throwaway keys shall not fill the disk.
const MAX_PARKED: usize = 1_000;

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
            SessionRef::Key(key) => self.find_key(key),
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
        if let Some(session) = PeerSession::load(row, self.me.key, &self.store)? {
            self.give_way(name)?;
            self.sessions.insert(log, session);
            self.apply_consent(log)?;
        }
        Ok(log)
    }

    /// No more sessions can be opened.
    pub(super) fn is_full(&self) -> bool {
        self.sessions.values().filter(|session| session.log.row.number.is_some()).count() >= MAX_SESSIONS
    }

    fn has_number(&self, log: LogId) -> bool {
        self.sessions.get(&log).is_some_and(|session| session.log.row.number.is_some())
    }

    fn parked(&self) -> usize {
        let parked =
            |session: &&PeerSession| session.log.out().0 == Pos::START && session.log.row.number.is_none();
        self.sessions.values().filter(parked).count()
    }

    /// Somebody who called under this name, and with whom no session was ever opened, gets another one. The name of a
    /// known key never comes here: see [`Core::key_changed`].
    fn give_way(&mut self, name: &Name) -> Result<(), StoreError> {
        match self.find(&SessionRef::Peer(name.clone())) {
            Some(older) => self.rename(older, self.free_name(name)),
            None => Ok(()),
        }
    }

    /// The first alternative of a name that nobody has who is known here.
    pub(super) fn free_name(&self, name: &Name) -> Name {
        let taken: BTreeSet<String> = self.sessions.values().map(|session| session.name().folded()).collect();
        let mut others = (2..=u32::MAX).map(|n| name.with_suffix(n));
        let free = |name: &Name| !taken.contains(&name.folded()) && self.pins.named(name).is_none();
        others.find(free).unwrap_or_else(|| name.clone())
    }

    /// What somebody who dials us is called: as the lobby says if it knows the key, else as they say. Never by a name
    /// under which this daemon knows somebody else.
    pub(super) fn name_of_stranger(&self, key: &Key, claim: &Name) -> Name {
        let claim = self.room.name_of(key).unwrap_or(claim);
        let taken = self.pins.against(claim, key).is_some()
            || self.find(&SessionRef::Peer(claim.clone())).is_some()
            || self.room.key_of(claim).is_some_and(|owner| owner != *key)
            || self.consent.knocks.is_another(claim, key)
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
        } else if (known.is_none() && self.parked() >= MAX_PARKED)
            || (self.is_full() && !known.is_some_and(|log| self.has_number(log)))
        {
            Some(ByeCode::Busy)
        } else if key == self.me.key {
            Some(ByeCode::Refused)
        } else {
            self.unwelcome(&key)
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
        let peer = self.sessions.get(&log).map(PeerSession::peer);
        if peer.is_none_or(|key| self.is_blocked(&key)) {
            // Blocked while the dial was under way: not a word goes out.
            self.effects.push(Effect::PeerClose(conn));
            return self.on_dial_failed(log, "blocked");
        }
        self.conns.insert(conn, log);
        self.with_session(log, |session, cx| session.on_dialed(cx, conn, dial_no, addr))
    }

    pub(super) fn on_dial_failed(&mut self, log: LogId, reason: &str) -> Result<(), StoreError> {
        self.with_session(log, |session, cx| {
            session.on_dial_failed(cx, reason);
            Ok(())
        })
    }

    pub(super) fn on_peer(&mut self, conn: ConnId, message: PeerMessage) -> Result<(), StoreError> {
        match self.conns.get(&conn) {
            Some(&log) => {
                self.with_session(log, |session, cx| session.on_message(cx, conn, message))?;
                // At once: what is said of a newcomer stands before the newcomer's first word.
                self.pin_new(log)
            }
            None => Ok(()), // closed by us, its last bytes were under way
        }
    }

    pub(super) fn on_peer_lost(&mut self, conn: ConnId) -> Result<(), StoreError> {
        let Some(log) = self.conns.remove(&conn) else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(&log) else { return Ok(()) };
        session.on_lost(&mut cx!(self), conn);
        self.forget_blank(log)
    }

    /// A stranger called and said nothing, or only opened and left: there is nothing to remember.
    pub(super) fn forget_blank(&mut self, log: LogId) -> Result<(), StoreError> {
        let Some(session) = self.sessions.get(&log) else { return Ok(()) };
        let left =
            session.is_left() && self.pins.get(&session.peer()).is_none() && !self.store.has_text(log)?;
        if session.is_blank() || left {
            self.sessions.remove(&log);
            self.store.drop_log(log)?;
        }
        Ok(())
    }

    /// Gives open sessions a number, and takes it back from those that have ended and were read to the end.
    pub(super) fn renumber(&mut self) -> Result<(), StoreError> {
        let keeps =
            |session: &PeerSession| !session.is_held() && (session.is_open() || session.log.unread() > 0);
        let number = |session: &PeerSession| session.log.row.number;
        let changing =
            self.sessions.iter().filter(|(_, session)| keeps(session) != number(session).is_some());
        for log in changing.map(|(log, _)| *log).collect::<Vec<_>>() {
            let taken: BTreeSet<SessionNo> = self.sessions.values().filter_map(number).collect();
            let Some(session) = self.sessions.get_mut(&log) else { continue };
            if keeps(session) && taken.len() >= MAX_SESSIONS {
                continue; // gets one as soon as one is free
            }
            if let Some(row) = session.row(self.pins.trust_in(&session.peer())) {
                self.versions.retire(row);
            }
            session.log.row.number = keeps(session).then(|| lowest_free(&taken));
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
