//! A known name with another key: nothing is sent to it, and the person decides.

use proto::ids::{Key, Mid};
use proto::ipc::{CallError, ErrorCode, Reply, SessionRef};
use proto::lobby::Member;
use proto::name::Name;
use rand::RngExt;

use super::Core;
use super::calls::{Answer, no_session, refuse};
use crate::identity::fingerprint;
use crate::peer::PeerSession;
use crate::store::{LogId, StoreError};

impl Core {
    /// First contact: whoever a session is open with is known from now on.
    pub(super) fn pin_opened(&mut self) -> Result<(), StoreError> {
        let new = |session: &&PeerSession| {
            session.is_open() && !session.is_held() && self.pins.get(&session.peer()).is_none()
        };
        let new: Vec<_> = self.sessions.values().filter(new).map(|session| session.log.id()).collect();
        new.into_iter().try_for_each(|log| self.pin_new(log))
    }

    /// The same for one session, right after what may have opened it.
    pub(super) fn pin_new(&mut self, log: LogId) -> Result<(), StoreError> {
        let open = |session: &&PeerSession| session.is_open();
        let Some(session) = self.sessions.get(&log).filter(open) else { return Ok(()) };
        let (key, name, held) = (session.peer(), session.name().clone(), session.is_held());
        if self.pins.get(&key).is_some() {
            return Ok(());
        }
        // Also of a stranger who has to wait: it stands before the first word, whenever that is read.
        if !self.store.has_notice(log)? {
            self.greet_newcomer(log, key)?;
        }
        if held { Ok(()) } else { self.pins.pin(&mut self.store, key, name, self.now.wall) }
    }

    /// Says who is new, and whose name they come under where that is somebody else's.
    fn greet_newcomer(&mut self, log: LogId, key: Key) -> Result<(), StoreError> {
        let Some(session) = self.sessions.get(&log) else { return Ok(()) };
        let (name, key_shown) = (session.name(), fingerprint(&key));
        let claim = self.room.name_of(&key).or(session.claim());
        let warning = claim.filter(|claim| self.pins.against(claim, &key).is_some()).map(|claim| {
            format!(
                "WARNING: {name} comes as {claim}, but does not have the key of the {claim} you know. Someone may be \
                 posing as {claim}, or {claim} has a new machine"
            )
        });
        let like = self.lookalike(&self.known_looks(), key, name);
        let like = like.map(|like| {
            format!(
                "CAUTION: the name {name} is easily taken for {like}, who is somebody else: the keys differ"
            )
        });
        let text = format!(
            "{name} is new to you. Key {key_shown}  Nobody has checked it: compare codes with  \\verify {name}"
        );
        for text in warning.into_iter().chain(like).chain([text]) {
            self.notice(log, text)?;
        }
        Ok(())
    }

    /// Tells the person that a known name has another key, in rows of which each is a warning of its own.
    pub(super) fn key_changed(&mut self, name: &Name, key: Key) -> CallError {
        self.pins.warn(name, key);
        let pin = self.pins.named(name);
        // As the person knows it: case does not count, and the lobby may write it otherwise.
        let name = pin.map_or(name, |pin| &pin.name);
        let held = pin.and_then(|pin| self.find_key(&pin.key));
        let held = held.and_then(|log| self.sessions.get(&log)).map_or(0, PeerSession::queued_texts);
        let waiting = match held {
            0 => String::new(),
            1 => " 1 line waits for the former key.".to_owned(),
            lines => format!(" {lines} lines wait for the former key."),
        };
        let new = fingerprint(&key);
        let message = format!(
            "WARNING: the key of {name} HAS CHANGED. Someone may be posing as {name}, or {name} has a new machine.\n\
             Nothing was sent.{waiting} New key {new}\n\
             Ask {name} by another way, then  \\trust {name}  (chatctl trust {name})"
        );
        CallError { code: ErrorCode::Changed, message }
    }

    /// The person accepts the new key of a name, or of the lobby.
    pub(super) fn trust(&mut self, who: &SessionRef) -> Answer {
        let log = self.find(who);
        if log == Some(LogId::LOBBY) {
            return self.trust_lobby();
        }
        let session = log.and_then(|log| self.sessions.get(&log));
        let name = match (who, session) {
            (SessionRef::Peer(name), _) => name.clone(),
            (_, Some(session)) => session.name().clone(),
            (_, None) => return Ok(Err(no_session(who))),
        };
        let Some(pin) = self.pins.named(&name) else {
            let message = format!("{name} is nobody you have spoken with: there is no key to compare");
            return refuse(ErrorCode::NoPeer, message);
        };
        let (known, name) = (pin.key, pin.name.clone());
        match (self.pins.warned(&name), self.room.key_of(&name)) {
            (Some(key), _) if key != known => self.accept_key(&name, known, key),
            // Only what the person has seen can be accepted: this is the first time.
            (_, Some(key)) if key != known => Ok(Err(self.key_changed(&name, key))),
            _ => {
                let message = format!("The key of {name} has not changed: {}", fingerprint(&known));
                refuse(ErrorCode::Invalid, message)
            }
        }
    }

    /// The name stands for the new key; whoever had it so far keeps log and queue under another name.
    fn accept_key(&mut self, name: &Name, old: Key, new: Key) -> Answer {
        let former = self.free_name(name);
        self.pins.rename(&mut self.store, &old, former.clone())?;
        if let Some(log) = self.find_key(&old) {
            self.rename(log, former.clone())?;
            self.notice(
                log,
                format!(
                    "{name} has another key from now on, by your word; who had it before is {former} here"
                ),
            )?;
        }
        if let Some(log) = self.find_key(&new) {
            self.rename(log, name.clone())?;
            self.with_session(log, |session, cx| {
                session.release(cx);
                Ok(())
            })?;
        }
        self.pins.pin(&mut self.store, new, name.clone(), self.now.wall)?;
        self.pins.settled(name);
        Ok(Ok(Reply::Trusted { fingerprint: fingerprint(&new), former: Some(former) }))
    }

    pub(super) fn rename(&mut self, log: LogId, name: Name) -> Result<(), StoreError> {
        match self.sessions.get_mut(&log) {
            Some(session) => session.rename(&mut self.store, name),
            None => Ok(()),
        }
    }

    /// Puts a line of the daemon itself into a session's log.
    pub(super) fn notice(&mut self, log: LogId, text: String) -> Result<(), StoreError> {
        let mid = Mid::from_parts(self.now.wall, self.rng.random());
        match self.sessions.get_mut(&log) {
            Some(session) => session.log.notice(&mut self.store, mid, self.now.wall, text),
            None => Ok(()),
        }
    }

    /// Somebody came into the lobby under a name that stands for another key here: said once for each.
    pub(super) fn warn_of_impostors(&mut self, came: &[Key]) -> Result<(), StoreError> {
        for key in came {
            let name = self.room.name_of(key).filter(|name| self.pins.against(name, key).is_some());
            if let Some(name) = name.cloned() {
                self.warn_of_impostor(&name, key)?;
            }
        }
        Ok(())
    }

    fn warn_of_impostor(&mut self, name: &Name, key: &Key) -> Result<(), StoreError> {
        if self.impostors.len() >= MAX_IMPOSTORS || !self.impostors.insert(*key) {
            return Ok(());
        }
        let text = format!(
            "WARNING: the {name} in the lobby does not have the key of the {name} you know. Someone may be posing as \
             {name}, or {name} has a new machine. Its key is {}",
            fingerprint(key)
        );
        self.room_notice(&text)
    }

    /// What somebody has said in the lobby is never shown under a name that stands for another key here: the signature
    /// is the key's, but the name beside it is the lobby's word.
    pub(super) fn name_speaker(&mut self, from: &mut Member) -> Result<(), StoreError> {
        let own = from.name.folded() == self.me.name.folded();
        if from.key == self.me.key || !(own || self.pins.against(&from.name, &from.key).is_some()) {
            return Ok(());
        }
        let claim = from.name.clone();
        from.name = match self.pins.get(&from.key) {
            Some(pin) => pin.name.clone(),
            None => self.free_name(&claim),
        };
        if own { Ok(()) } else { self.warn_of_impostor(&claim, &from.key) }
    }
}

/// Keys in the lobby under a name of somebody else that are warned of in one run; more would only fill the log.
const MAX_IMPOSTORS: usize = 256;
