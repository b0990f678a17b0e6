//! Strangers: who may open a session with the person, and whom the person does not want to hear of.

use std::collections::BTreeMap;

use proto::ids::Key;
use proto::ipc::{ErrorCode, Peer, Reply, SessionRef, Trust};
use proto::name::Name;
use proto::peer::ByeCode;
use tokio::sync::oneshot;

use super::Core;
use super::calls::{Answer, refuse};
use super::core::cx;
use super::knocks::Knocks;
use super::looks::Looks;
use super::setback::NOT_DONE;
use crate::identity::fingerprint;
use crate::peer::PeerSession;
use crate::store::{LogId, Store, StoreError};

/// Strangers that can wait for the person's word at the same time.
pub(super) const MAX_REQUESTS: usize = 100;

/// Who may open a session without being asked about. Whoever is pinned always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accept {
    /// Everybody
    Anyone,
    /// Nobody else: strangers are refused
    Known,
    /// Nobody else: you are asked about strangers
    Ask,
}

/// Keys that are blocked, and the strangers that the clients were told of.
#[derive(Debug, Default)]
pub(super) struct Consent {
    blocked: BTreeMap<Key, Name>,
    requests: Vec<Key>,
    pub(super) knocks: Knocks,
}

impl Consent {
    /// Takes the blocks up where the store has them.
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { blocked: store.blocks()?.into_iter().collect(), ..Self::default() })
    }

    /// Takes the blocks up once more: memory is what is on the disk.
    pub(super) fn reload(&mut self, store: &Store) -> Result<(), StoreError> {
        self.blocked = store.blocks()?.into_iter().collect();
        Ok(())
    }
}

impl Core {
    pub(super) fn is_blocked(&self, key: &Key) -> bool {
        self.consent.blocked.contains_key(key)
    }

    /// Why somebody who dials us is turned away at once; `None` where they are heard.
    pub(super) fn unwelcome(&self, key: &Key) -> Option<ByeCode> {
        let pinned = self.pins.get(key).is_some();
        let waits = || {
            let log = self.find_key(key).and_then(|log| self.sessions.get(&log));
            log.is_some_and(PeerSession::is_request) || self.consent.knocks.expects(key)
        };
        match self.setup.accept {
            _ if self.is_blocked(key) => Some(ByeCode::Refused),
            Accept::Known if !pinned => Some(ByeCode::Refused),
            Accept::Ask if !pinned && !waits() && self.requests().count() >= MAX_REQUESTS => {
                Some(ByeCode::Busy)
            }
            _ => None,
        }
    }

    /// Strangers wait, the blocked are cut off: for a session that was just loaded or made.
    pub(super) fn apply_consent(&mut self, log: LogId) -> Result<(), StoreError> {
        let Some(key) = self.sessions.get(&log).map(PeerSession::peer) else { return Ok(()) };
        let stranger = self.setup.accept != Accept::Anyone
            && self.pins.get(&key).is_none()
            && !self.consent.knocks.expects(&key);
        let blocked = self.is_blocked(&key);
        let Some(session) = self.sessions.get_mut(&log) else { return Ok(()) };
        session.block(&mut cx!(self), blocked);
        if stranger { session.hold(&self.store) } else { Ok(()) }
    }

    /// The same for every session.
    pub(super) fn hold_strangers(&mut self) -> Result<(), StoreError> {
        self.sessions
            .keys()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|log| self.apply_consent(log))
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &PeerSession> {
        self.sessions.values().filter(|session| session.is_request())
    }

    /// The strangers who wait, as clients see them.
    pub(super) fn request_rows(&self) -> Vec<Peer> {
        let anybody = self.requests().next().is_some() || self.consent.knocks.iter().next().is_some();
        let looks = if anybody { self.known_looks() } else { Looks::default() };
        let row = |key: Key, name: &Name, claim: Option<&Name>| {
            let claim = self.room.name_of(&key).or(claim);
            let known = claim.is_some_and(|claim| self.pins.against(claim, &key).is_some());
            let trust = if known { Trust::Changed } else { Trust::New };
            let lookalike = self.lookalike(&looks, key, name);
            Peer { name: name.clone(), key, fingerprint: fingerprint(&key), trust, lookalike }
        };
        let held = self.requests().map(|session| row(session.peer(), session.name(), session.claim()));
        let knocks = self.consent.knocks.iter().map(|(key, name)| row(key, name, None));
        held.chain(knocks).take(MAX_REQUESTS).collect()
    }

    /// Has clients told where the strangers who wait are others than before.
    pub(super) fn note_requests(&mut self) {
        let knocks = self.consent.knocks.iter().map(|(key, _)| key);
        let requests: Vec<Key> = self.requests().map(PeerSession::peer).chain(knocks).collect();
        if requests != self.consent.requests {
            self.consent.requests = requests;
            self.versions.daemon_changed = true;
        }
    }

    fn request(&self, name: &Name) -> Option<LogId> {
        let log = self.find(&SessionRef::Peer(name.clone()))?;
        self.sessions.get(&log).filter(|session| session.is_request()).map(|_| log)
    }

    /// The person says yes to a stranger. The answer may have to wait for the stranger to come.
    pub(super) fn accept(&mut self, name: &Name, reply: oneshot::Sender<Reply>) -> Result<(), StoreError> {
        let answer = match (self.request(name), self.consent.knocks.find(name)) {
            (None, None) => refuse(ErrorCode::NoPeer, format!("Nobody called {name} waits for your answer")),
            _ if self.is_full() => {
                refuse(ErrorCode::Busy, "Too many sessions are open: leave some with \\leave first")
            }
            (Some(log), _) => self.accept_log(log),
            (None, Some(key)) => return self.accept_knock(key, reply),
        };
        self.reply(reply, NOT_DONE, answer)
    }

    pub(super) fn accept_log(&mut self, log: LogId) -> Answer {
        if let Some(session) = self.sessions.get_mut(&log) {
            session.release(&mut cx!(self));
        }
        self.pin_opened()?;
        self.renumber()?;
        let session = self.sessions.get(&log).and_then(|session| session.log.row.number).unwrap_or_default();
        Ok(Ok(Reply::Forked { session }))
    }

    /// The person says no to a stranger, who learns that the session has ended.
    pub(super) fn decline(&mut self, name: &Name) -> Answer {
        if let Some(key) = self.consent.knocks.find(name) {
            self.turn_from_the_door(key);
            return Ok(Ok(Reply::Done));
        }
        let Some(log) = self.request(name) else {
            return refuse(ErrorCode::NoPeer, format!("Nobody called {name} waits for your answer"));
        };
        self.with_session(log, PeerSession::close)?;
        self.mark_all_read(log)?;
        Ok(Ok(Reply::Done))
    }

    /// The person does not want to hear of somebody any more.
    pub(super) fn block(&mut self, name: &Name) -> Answer {
        let log = self.find(&SessionRef::Peer(name.clone()));
        let session = log.and_then(|log| self.sessions.get(&log)).map(PeerSession::peer);
        let pinned = || self.pins.named(name).map(|pin| pin.key);
        let knock = || self.consent.knocks.find(name);
        let Some(key) = session.or_else(pinned).or_else(knock).or_else(|| self.room.key_of(name)) else {
            return refuse(ErrorCode::NoPeer, format!("There is nobody called {name} to block"));
        };
        if key == self.me.key {
            return refuse(ErrorCode::Invalid, "That is you");
        }
        if let Some(other) = self.room.key_of(name).filter(|other| *other != key) {
            let message = format!(
                "There are two called {name}: the one you know ({}) and the one in the lobby ({}). Nobody was blocked; \
                 to know the one in the lobby by that name say first: \\trust {name}",
                fingerprint(&key),
                fingerprint(&other)
            );
            return refuse(ErrorCode::Invalid, message);
        }
        self.store.put_block(&key, name, self.now.wall)?;
        self.consent.blocked.insert(key, name.clone());
        self.turn_from_the_door(key);
        if let Some(log) = self.find_key(&key) {
            if self.sessions.get(&log).is_some_and(PeerSession::is_open) {
                self.with_session(log, PeerSession::close)?;
            }
            self.mark_all_read(log)?;
            self.with_session(log, |session, cx| {
                session.block(cx, true);
                Ok(())
            })?;
        }
        Ok(Ok(Reply::Done))
    }

    /// Whom the person does not want to hear of.
    pub(super) fn blocks(&self, after: Option<Key>) -> Reply {
        self.page_of(self.consent.blocked.iter(), after)
    }

    /// The person wants to hear of somebody again.
    pub(super) fn unblock(&mut self, name: &Name) -> Answer {
        let meant = |(_, blocked): &(&Key, &Name)| blocked.folded() == name.folded();
        let Some(key) = self.consent.blocked.iter().find(meant).map(|(key, _)| *key) else {
            let names: Vec<&str> = self.consent.blocked.values().map(Name::as_str).collect();
            let list = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            return refuse(ErrorCode::NoPeer, format!("Nobody called {name} is blocked; blocked: {list}"));
        };
        self.store.drop_block(&key)?;
        self.consent.blocked.remove(&key);
        if let Some(log) = self.find_key(&key) {
            self.with_session(log, |session, cx| {
                session.block(cx, false);
                Ok(())
            })?;
        }
        Ok(Ok(Reply::Done))
    }
}
