//! Strangers at the door: they want to reach the person, and the lobby does not tell them where.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use proto::ids::Key;
use proto::ipc::Reply;
use proto::lobby::{Member, ToLobby};
use proto::name::Name;
use proto::peer::ByeCode;
use tokio::sync::oneshot;

use super::consent::{Accept, MAX_REQUESTS};
use super::{Core, Effect};
use crate::store::StoreError;

/// How long a stranger who knocked at the lobby is waited for; whose daemon still wants us knocks again within a minute.
const KNOCK_LIFE: Duration = Duration::from_mins(5);

/// How long the answer to an `accept` waits for the stranger to come.
const COMING: Duration = Duration::from_secs(5);

/// Strangers who want to reach us and do not know where we are, and those who were told.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    waiting: BTreeMap<Key, Knock>,
    /// To whom the person said yes before they came.
    expected: BTreeSet<Key>,
    /// Who said so, and is told the number of the session.
    accepting: Vec<Accepting>,
}

/// A stranger who wants to reach us.
#[derive(Debug)]
struct Knock {
    /// What it is called here.
    name: Name,
    /// Forgotten after this.
    until: Duration,
}

/// What somebody hears who wants to reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answering {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Nothing, for lack of room.
    Busy,
    /// Nothing, until the person has decided.
    Ask,
}

/// An `accept` whose session is about to open.
#[derive(Debug)]
struct Accepting {
    key: Key,
    reply: oneshot::Sender<Reply>,
    until: Duration,
}

impl Knocks {
    /// Somebody else who knocks under this name.
    pub(super) fn is_another(&self, name: &Name, key: &Key) -> bool {
        self.waiting.iter().any(|(other, knock)| other != key && knock.name.folded() == name.folded())
    }

    /// Who waits under a name.
    pub(super) fn find(&self, name: &Name) -> Option<Key> {
        let mut waiting = self.waiting.iter();
        waiting.find(|(_, knock)| knock.name.folded() == name.folded()).map(|(key, _)| *key)
    }

    /// Who waits, and what they are called here.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Name)> {
        self.waiting.iter().map(|(key, knock)| (*key, &knock.name))
    }

    /// Whether the person has said yes to somebody who has not come yet, or has come since.
    pub(super) fn expects(&self, key: &Key) -> bool {
        self.expected.contains(key)
    }

    /// Whoever said yes to somebody and was not answered yet.
    pub(super) fn take_accepts(&mut self) -> Vec<oneshot::Sender<Reply>> {
        mem::take(&mut self.accepting).into_iter().map(|accepting| accepting.reply).collect()
    }
}

impl Core {
    /// What somebody hears who wants to reach us by the lobby.
    pub(super) fn answering(&self, key: &Key) -> Answering {
        let session = self.find_key(key).and_then(|log| self.sessions.get(&log));
        // Whom the person has forked with, or said yes to.
        let ours = session.is_some_and(|session| session.is_open() && !session.is_held());
        match self.unwelcome(key) {
            Some(ByeCode::Busy) => Answering::Busy,
            _ if self.is_blocked(key) => Answering::No,
            _ if ours || self.consent.knocks.expected.contains(key) => Answering::Yes,
            Some(_) => Answering::No,
            None if self.setup.accept == Accept::Ask && self.pins.get(key).is_none() => Answering::Ask,
            None => Answering::Yes,
        }
    }

    /// A stranger wants to reach us: the person decides.
    pub(super) fn knocked(&mut self, by: &Member) {
        let until = self.now.mono + KNOCK_LIFE;
        if let Some(knock) = self.consent.knocks.waiting.get_mut(&by.key) {
            knock.until = until;
            return;
        }
        if self.requests().count() + self.consent.knocks.waiting.len() >= MAX_REQUESTS {
            return;
        }
        let held = self.find_key(&by.key).and_then(|log| self.sessions.get(&log));
        let name = match held {
            // Waits already, by what it has sent.
            Some(session) if session.is_request() => return,
            Some(session) => session.name().clone(),
            None => self.name_of_stranger(&by.key, &by.name),
        };
        self.consent.knocks.waiting.insert(by.key, Knock { name, until });
    }

    /// Strangers who do not knock any more are forgotten, as are those with whom a session is open by now: whoever came in
    /// waits by what it has sent, and whom the person has forked with does not wait.
    pub(super) fn forget_knocks(&mut self) {
        let waiting = &mut self.consent.knocks.waiting;
        if waiting.is_empty() {
            return;
        }
        for session in self.sessions.values().filter(|session| session.is_open()) {
            waiting.remove(&session.peer());
        }
        waiting.retain(|_, knock| knock.until > self.now.mono);
    }

    /// When [`Core::forget_knocks`] has something to do.
    pub(super) fn knock_deadline(&self) -> Option<Duration> {
        let coming = self.consent.knocks.accepting.iter().map(|accepting| accepting.until);
        self.consent.knocks.waiting.values().map(|knock| knock.until).chain(coming).min()
    }

    /// The person says yes to a stranger who knocked: it is told where we are, and comes.
    pub(super) fn accept_knock(&mut self, key: Key, reply: oneshot::Sender<Reply>) -> Result<(), StoreError> {
        let knocks = &mut self.consent.knocks;
        knocks.waiting.remove(&key);
        knocks.expected.insert(key);
        knocks.accepting.push(Accepting { key, reply, until: self.now.mono + COMING });
        if let Some(log) = self.find_key(&key) {
            self.with_session(log, |session, cx| {
                session.release(cx);
                Ok(())
            })?;
        }
        self.tell_lobby(ToLobby::Reach { key });
        Ok(())
    }

    /// Those who came are announced to whoever let them in; those who did not come in time may still.
    pub(super) fn answer_accepts(&mut self) {
        for accepting in mem::take(&mut self.consent.knocks.accepting) {
            let session = self.find_key(&accepting.key).and_then(|log| self.sessions.get(&log));
            match session.and_then(|session| session.log.row.number) {
                Some(session) => self.effects.push(Effect::Reply(accepting.reply, Reply::Forked { session })),
                None if accepting.until <= self.now.mono => {
                    self.effects.push(Effect::Reply(accepting.reply, Reply::Done));
                }
                None => self.consent.knocks.accepting.push(accepting),
            }
        }
    }

    /// The person says no: whoever knocked hears it.
    pub(super) fn turn_from_the_door(&mut self, key: Key) {
        self.consent.knocks.expected.remove(&key);
        if self.consent.knocks.waiting.remove(&key).is_some() {
            self.tell_lobby(ToLobby::Decline { key });
        }
    }
}
