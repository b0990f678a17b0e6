//! History goes out whole, and comes in from elsewhere without anybody being spoken to.

use proto::archive::{Party, Record};
use proto::ids::{Key, WallMs};
use proto::ipc::{CallError, ErrorCode, Peer, Reply, SessionRef};
use proto::limits::{MAX_TEXT_LEN, PAGE_MEMBERS, PAGE_RECORDS};
use proto::name::Name;

use super::Core;
use super::calls::{Answer, refuse};
use crate::identity::fingerprint;
use crate::peer::PeerSession;
use crate::store::{LogId, StoreError};

/// Peers of imported history that get a session each. Beyond, the daemon would have more to hold than to do.
const MAX_LOGS: usize = 10_000;

impl Core {
    /// One page of people, in order of key.
    pub(super) fn page_of<'a>(
        &self,
        people: impl Iterator<Item = (&'a Key, &'a Name)>,
        after: Option<Key>,
    ) -> Reply {
        let mut people: Vec<(&Key, &Name)> =
            people.filter(|(key, _)| after.is_none_or(|after| **key > after)).collect();
        people.sort_unstable_by_key(|(key, _)| **key);
        let more = people.len() > PAGE_MEMBERS;
        let peer = |(key, name): &(&Key, &Name)| Peer {
            name: (*name).clone(),
            key: **key,
            fingerprint: fingerprint(key),
            trust: self.pins.trust_in(key),
            lookalike: None,
        };
        Reply::Peers { peers: people.iter().take(PAGE_MEMBERS).map(peer).collect(), more }
    }

    /// Everybody there is a log with.
    pub(super) fn peers(&self, after: Option<Key>) -> Reply {
        let keys: Vec<(Key, &Name)> =
            self.sessions.values().map(|session| (session.peer(), session.name())).collect();
        self.page_of(keys.iter().map(|(key, name)| (key, *name)), after)
    }

    /// Entries that were exported here or elsewhere; one that is here already is left as it is.
    pub(super) fn import(&mut self, records: &[Record]) -> Answer {
        if records.len() > PAGE_RECORDS {
            return refuse(
                ErrorCode::Invalid,
                format!("At most {PAGE_RECORDS} entries are imported at once"),
            );
        }
        if let Some(error) = records.iter().find_map(|record| self.unfit(record)) {
            return Ok(Err(error));
        }
        let mut added = 0;
        for record in records {
            let log = match &record.peer {
                None => LogId::LOBBY,
                Some(party) => self.log_of_party(party)?,
            };
            if self.store.holds(log, record.author.as_ref(), record.mid)? {
                continue;
            }
            let into = match self.sessions.get_mut(&log) {
                Some(session) => &mut session.log,
                None => &mut self.room.log,
            };
            into.append_imported(&mut self.store, record)?;
            added += 1;
        }
        Ok(Ok(Reply::Imported { added, known: records.len() as u64 - added }))
    }

    /// Why a record cannot be taken.
    fn unfit(&self, record: &Record) -> Option<CallError> {
        let why = match &record.peer {
            _ if record.text.len() > MAX_TEXT_LEN => {
                format!("the text has {} bytes, an entry holds at most {MAX_TEXT_LEN}", record.text.len())
            }
            _ if record.at > WallMs(i64::MAX as u64) => "its time is out of all bounds".to_owned(),
            Some(party) if party.key == self.me.key => {
                "it is of a session with yourself: this is the history of somebody you talk with".to_owned()
            }
            Some(party) if self.sessions.len() >= MAX_LOGS && self.find_key(&party.key).is_none() => {
                format!("there are {MAX_LOGS} sessions already")
            }
            _ => return None,
        };
        Some(CallError { code: ErrorCode::Invalid, message: why })
    }

    /// The log with somebody; a new one has ended and asks nobody for anything. Nobody who is known gives way.
    fn log_of_party(&mut self, party: &Party) -> Result<LogId, StoreError> {
        if let Some(log) = self.find_key(&party.key) {
            return Ok(log);
        }
        let taken = self.find(&SessionRef::Peer(party.name.clone())).is_some()
            || self.pins.against(&party.name, &party.key).is_some()
            || party.name.folded() == self.me.name.folded();
        let own = || self.pins.get(&party.key).map(|pin| pin.name.clone());
        let name =
            own().unwrap_or_else(|| if taken { self.free_name(&party.name) } else { party.name.clone() });
        self.session_with(party.key, &name)
    }

    /// Somebody is not known any more: neither the key nor what was said.
    pub(super) fn forget(&mut self, name: &Name) -> Answer {
        let pin = self.pins.named(name).map(|pin| pin.key);
        let log = pin.map_or_else(|| self.find(&SessionRef::Peer(name.clone())), |key| self.find_key(&key));
        let session = log.and_then(|log| self.sessions.get(&log));
        if session.is_some_and(PeerSession::is_open) {
            let message =
                format!("The session with {name} is open: end it first with \\leave (chatctl leave {name})");
            return refuse(ErrorCode::Invalid, message);
        }
        let Some(key) = pin.or_else(|| session.map(PeerSession::peer)) else {
            return refuse(ErrorCode::NoPeer, format!("There is nobody called {name} to forget"));
        };
        self.pins.forget(&mut self.store, &key)?;
        self.compared.retain(|_, compared| *compared != key);
        if let Some(log) = log {
            self.mark_all_read(log)?;
            self.renumber()?;
            self.with_session(log, |session, cx| {
                session.block(cx, true);
                Ok(())
            })?;
            self.take_outputs()?;
            self.sessions.remove(&log);
            self.store.drop_log(log)?;
        }
        Ok(Ok(Reply::Done))
    }
}
