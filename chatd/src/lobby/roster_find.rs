//! Finding people in the roster, for operators.

use super::{Arc, Key, LinkNo, Member, Name, Roster, State};
use crate::lobby::rendezvous::Present;

impl Roster {
    /// Whose a name is, present or not.
    pub(in crate::lobby) fn key_of(&self, name: &Name) -> Option<Key> {
        let key = *self.looks.get(&name.skeleton())?;
        self.member(key).filter(|member| member.name.folded() == name.folded()).map(|member| member.key)
    }

    /// Who a key is.
    pub(in crate::lobby) fn member(&self, key: Key) -> Option<&Arc<Member>> {
        self.records.get(&key).map(|record| &record.member)
    }

    /// Who has a name and is here, or will be back within the grace.
    pub(in crate::lobby) fn find(&self, name: &Name) -> Option<Member> {
        let record = self.records.get(&self.key_of(name)?)?;
        let absent = matches!(record.state, State::Absent { .. });
        (!absent).then(|| Member::clone(&record.member))
    }

    /// Somebody who has a link, and where peers can reach them.
    pub(in crate::lobby) fn present(&self, key: Key) -> Option<Present> {
        let record = self.records.get(&key)?;
        match record.state {
            State::Linked { addr, .. } => Some(Present { member: Member::clone(&record.member), addr }),
            State::Dropped { .. } | State::Absent { .. } => None,
        }
    }

    /// The link of a key that has one.
    pub(in crate::lobby) fn link_of(&self, key: Key) -> Option<LinkNo> {
        match self.records.get(&key)?.state {
            State::Linked { link, .. } => Some(link),
            State::Dropped { .. } | State::Absent { .. } => None,
        }
    }

    /// Everybody whose name is kept.
    pub(in crate::lobby) fn known(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.records.values().map(|record| &record.member)
    }

    /// Somebody is gone at once, whether or not a link still counts for the grace.
    pub(in crate::lobby) fn remove_now(&mut self, key: Key) {
        let absent = self.records.get(&key).is_none_or(|record| matches!(record.state, State::Absent { .. }));
        if !absent {
            self.depart(key);
        }
    }
}
