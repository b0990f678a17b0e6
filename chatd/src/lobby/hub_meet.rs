//! How members find and reach each other.

use proto::ids::Key;
use proto::lobby::Member;
use proto::name::Name;
use tokio::time::Instant;

use super::{Hub, State};
use crate::lobby::roster::LinkNo;

impl Hub {
    /// Who has a name and is here.
    pub(in crate::lobby) fn find(&self, name: &Name) -> Option<Member> {
        self.state().room.roster().find(name)
    }

    /// One member wants to reach another.
    pub(in crate::lobby) fn reach(&self, by: Key, whom: Key) {
        let mut state = self.state();
        let Some(one) = state.room.roster().present(by) else { return };
        match state.room.roster().present(whom) {
            Some(other) if by != whom => state.rendezvous.reach(Instant::now(), &one, &other),
            _ => state.rendezvous.not_here(by, whom),
        }
        state.call(by);
        state.call(whom);
    }

    /// One member does not want to be reached by another.
    pub(in crate::lobby) fn decline(&self, by: Key, whom: Key) {
        let mut state = self.state();
        state.rendezvous.decline(Instant::now(), by, whom);
        state.call(whom);
    }
}

impl State {
    /// Has the link of a key look for what is told to it.
    fn call(&self, key: Key) {
        let link = self.room.roster().link_of(key);
        if let Some(seat) = link.and_then(|link| self.links.get(&link)) {
            seat.tether.bell.notify_one();
        }
    }

    /// A link has ended.
    pub(super) fn forget(&mut self, key: Key, link: LinkNo) {
        if self.room.roster().link_of(key) == Some(link) {
            self.rendezvous.forget(key);
        }
        self.links.remove(&link);
    }
}
