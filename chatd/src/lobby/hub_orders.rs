//! What operators may do to the room.

use std::net::IpAddr;
use std::sync::{Arc, MutexGuard};

use jiff::Timestamp;
use proto::ids::{Key, WallMs};
use proto::lobby::Member;
use proto::name::Name;

use super::{Hub, State, wall};
use crate::identity::fingerprint;
use crate::lobby::doors::{Pass, TokenHash};
use crate::lobby::room::Cut;
use crate::lobby::wards::{Kind, Rule, Subject};

/// Most lines of a list: they fit into one frame.
const MAX_LINES: usize = 1_000;

/// Why an order was not carried out, for the person who gave it.
#[derive(Debug, thiserror::Error)]
pub(in crate::lobby) enum OrderError {
    /// Nobody of that name is known.
    #[error("nobody here is called '{0}': say a name, a key, a fingerprint or an address; see: lobbyd list")]
    Nobody(String),
    /// An address was given where a person is meant.
    #[error("an address can be banned, nothing else")]
    AddressOnly,
    /// Somebody has no link.
    #[error("{0} is not here now")]
    NotHere(String),
    /// There was nothing to take back.
    #[error("there is no such {0} on {1}")]
    NoRule(&'static str, String),
    /// No invitation is called that.
    #[error(transparent)]
    Unrevoked(#[from] crate::lobby::doors::Unrevoked),
    /// No room for more.
    #[error(transparent)]
    TooMany(#[from] crate::lobby::wards::TooMany),
}

impl Hub {
    /// Ends somebody's link and presence. They may come back.
    pub(in crate::lobby) fn kick(&self, whom: &str) -> Result<Vec<String>, OrderError> {
        let mut state = self.state();
        let key = key_of(&state, whom)?;
        let who = named(&state, Subject::Key(key));
        if state.room.roster().link_of(key).is_none() {
            return Err(OrderError::NotHere(who));
        }
        let from = state.from(key);
        self.remove(&mut state, key, Cut::Removed);
        let line = format!("kick {who}{}", from.map(|from| format!(" at {from}")).unwrap_or_default());
        Ok(self.settle(state, line))
    }

    /// Decides that somebody may not come in, or not speak. With `with_address` the address counts as well from which
    /// they are connected now.
    pub(in crate::lobby) fn forbid(
        &self,
        kind: Kind,
        whom: &str,
        end: Option<WallMs>,
        with_address: bool,
    ) -> Result<Vec<String>, OrderError> {
        let mut state = self.state();
        let subject = subject_of(&state, whom)?;
        let mut subjects = vec![subject];
        match subject {
            Subject::Addr(_) if kind != Kind::Ban => return Err(OrderError::AddressOnly),
            Subject::Key(key) if with_address => {
                let from = state.from(key);
                let from = from.ok_or_else(|| OrderError::NotHere(named(&state, subject)))?;
                subjects.push(Subject::Addr(from));
            }
            _ => {}
        }
        let mut words = Vec::new();
        for subject in subjects {
            words.push(named(&state, subject));
            state.wards.set((kind, subject), end, wall())?;
            if kind == Kind::Ban {
                self.remove_all(&mut state, subject);
            }
        }
        let line = format!("{} {}{}", kind.word(), words.join(" and "), until(end));
        Ok(self.settle(state, line))
    }

    /// Takes such a decision back.
    pub(in crate::lobby) fn allow(&self, kind: Kind, whom: &str) -> Result<Vec<String>, OrderError> {
        let mut state = self.state();
        let subject = subject_of(&state, whom)?;
        let who = named(&state, subject);
        if !state.wards.lift((kind, subject)) {
            return Err(OrderError::NoRule(kind.word(), who));
        }
        Ok(self.settle(state, format!("un{} {who}", kind.word())))
    }

    /// Who is here and what is decided, one line each.
    pub(in crate::lobby) fn list(&self) -> Vec<String> {
        let state = self.state();
        let here = |member: &Arc<Member>| {
            let from =
                state.from(member.key).map_or("nowhere for a moment".to_owned(), |from| from.to_string());
            format!("here {} from {from}", named(&state, Subject::Key(member.key)))
        };
        let rule = |((kind, subject), end): (Rule, Option<WallMs>)| {
            format!("{} {}{}", kind.word(), named(&state, subject), until(end))
        };
        let mut lines: Vec<String> = state.wards.all(wall()).into_iter().map(rule).collect();
        let mut present: Vec<String> = state.room.roster().everybody().iter().map(here).collect();
        present.sort();
        lines.append(&mut present);
        bounded(lines)
    }

    /// The invitations that still let somebody in, one line each.
    pub(in crate::lobby) fn invitations(&self) -> Vec<String> {
        let passes = self.state().doors.open_passes(wall());
        let line = |(hash, pass): (TokenHash, Pass)| {
            format!("{} for {} more{}", hash.id(), pass.uses, until(pass.expires))
        };
        bounded(passes.into_iter().map(line).collect())
    }

    /// An invitation lets nobody in any more.
    pub(in crate::lobby) fn revoke(&self, id: &str) -> Result<Vec<String>, OrderError> {
        let mut state = self.state();
        state.doors.revoke(id)?;
        Ok(self.settle(state, format!("revoke {}", id.to_ascii_lowercase())))
    }

    fn remove_all(&self, state: &mut State, subject: Subject) {
        let meant = |key: &Key, state: &State| match subject {
            Subject::Key(banned) => *key == banned,
            Subject::Addr(addr) => state.from(*key) == Some(addr),
        };
        let keys = state.room.roster().everybody().into_iter().map(|member| member.key);
        let keys: Vec<Key> = keys.filter(|key| meant(key, state)).collect();
        for key in keys {
            self.remove(state, key, Cut::Banned);
        }
    }

    /// The room is told at once; the link learns why it ends.
    fn remove(&self, state: &mut State, key: Key, why: Cut) {
        if let Some(link) = state.room.roster().link_of(key)
            && let Some(seat) = state.links.remove(&link)
        {
            seat.end(why);
        }
        state.room.remove_now(key);
        self.keep(state);
    }

    /// An order is done: it is kept and put down.
    fn settle(&self, mut state: MutexGuard<'_, State>, line: String) -> Vec<String> {
        self.keep(&mut state);
        self.ledger.put_down(line.clone());
        self.announce(state, super::PRESENCE_PACE);
        vec![line]
    }
}

impl State {
    /// From where somebody is connected.
    fn from(&self, key: Key) -> Option<IpAddr> {
        let link = self.room.roster().link_of(key)?;
        self.links.get(&link).map(|seat| seat.from)
    }
}

fn subject_of(state: &State, whom: &str) -> Result<Subject, OrderError> {
    if let Ok(subject) = whom.parse() {
        return Ok(subject);
    }
    let nobody = || OrderError::Nobody(whom.to_owned());
    if whom.starts_with("SHA256:") {
        let mut known = state.room.roster().known();
        let found = known.find(|member| fingerprint(&member.key) == whom).ok_or_else(nobody)?;
        return Ok(Subject::Key(found.key));
    }
    let name = Name::new(whom).map_err(|_| nobody())?;
    state.room.roster().key_of(&name).map(Subject::Key).ok_or_else(nobody)
}

fn key_of(state: &State, whom: &str) -> Result<Key, OrderError> {
    match subject_of(state, whom)? {
        Subject::Key(key) => Ok(key),
        Subject::Addr(_) => Err(OrderError::AddressOnly),
    }
}

/// A key with its name and its fingerprint, as far as they are known; an address as it is.
fn named(state: &State, subject: Subject) -> String {
    let Subject::Key(key) = subject else { return subject.to_string() };
    let name = state.room.roster().member(key).map_or("somebody", |member| member.name.as_str());
    format!("{name} {} {key}", fingerprint(&key))
}

/// As many lines as fit into an answer.
fn bounded(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} more"));
    }
    lines
}

pub(super) fn until(end: Option<WallMs>) -> String {
    let time = end.and_then(|end| Timestamp::from_millisecond(i64::try_from(end.0).ok()?).ok());
    time.map_or(String::new(), |time| format!(" until {time:.0}"))
}
