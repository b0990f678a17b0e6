//! Who wants to reach whom: an address is told only where both have said so.
//!
//! Plain data: the wishes of members, and what is to be told to each. Both are bounded for each member, so nobody can
//! fill another one's place: what falls out is asked again by whoever still wants it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::Key;
use proto::lobby::{Contact, FromLobby, Member};
use tokio::time::Instant;

/// Wishes of one member at the same time. The oldest makes room.
const MAX_WISHES: usize = 64;

/// Messages that wait for one member. One of each kind and person, so a member who asks often is heard once.
const MAX_WAITING: usize = 256;

/// How long a wish holds; a daemon that still has it asks again within a minute.
const WISH_LIFE: Duration = Duration::from_mins(2);

/// The wishes of all members, and what waits to be told to them.
#[derive(Debug, Default)]
pub(super) struct Rendezvous {
    /// By who wishes: whom, and since when.
    wishes: HashMap<Key, VecDeque<(Key, Instant)>>,
    /// By who is to be told.
    waiting: HashMap<Key, VecDeque<FromLobby>>,
}

/// Somebody present, and where peers can reach them.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) member: Member,
    pub(super) addr: Option<SocketAddr>,
}

impl Present {
    fn contact(&self) -> FromLobby {
        FromLobby::Contact(Contact { key: self.member.key, addrs: self.addr.into_iter().collect() })
    }
}

impl Rendezvous {
    /// `by` may be told to `whom`, who is present, and wants to know where `whom` is.
    pub(super) fn reach(&mut self, now: Instant, by: &Present, whom: &Present) {
        let (one, other) = (by.member.key, whom.member.key);
        if self.take_wish(now, other, one) {
            self.tell(one, whom.contact());
            self.tell(other, by.contact());
            return;
        }
        self.take_wish(now, one, other);
        let wishes = self.wishes.entry(one).or_default();
        if wishes.len() == MAX_WISHES {
            wishes.pop_front();
        }
        wishes.push_back((other, now));
        self.tell(other, FromLobby::Wanted { by: by.member.clone() });
    }

    /// `by` does not want to be reached by `whom`, who is told.
    pub(super) fn decline(&mut self, now: Instant, by: Key, whom: Key) {
        self.take_wish(now, by, whom);
        // Only whoever has asked hears a no.
        if self.take_wish(now, whom, by) {
            self.tell(whom, FromLobby::Declined { by });
        }
    }

    /// Nobody of that key is present.
    pub(super) fn not_here(&mut self, by: Key, whom: Key) {
        self.tell(by, FromLobby::Contact(Contact { key: whom, addrs: Vec::new() }));
    }

    /// Whether `by` wishes to reach `whom`; the wish is done with.
    fn take_wish(&mut self, now: Instant, by: Key, whom: Key) -> bool {
        let Some(wishes) = self.wishes.get_mut(&by) else { return false };
        wishes.retain(|(_, since)| now < *since + WISH_LIFE);
        let found = wishes.iter().position(|(wished, _)| *wished == whom);
        let found = found.and_then(|index| wishes.remove(index));
        if wishes.is_empty() {
            self.wishes.remove(&by);
        }
        found.is_some()
    }

    fn tell(&mut self, whom: Key, message: FromLobby) {
        let waiting = self.waiting.entry(whom).or_default();
        if waiting.contains(&message) {
            return;
        }
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(message);
    }

    /// What is to be told to a member, oldest first.
    pub(super) fn take(&mut self, whom: Key) -> VecDeque<FromLobby> {
        self.waiting.remove(&whom).unwrap_or_default()
    }

    /// Somebody is not connected any more.
    pub(super) fn forget(&mut self, who: Key) {
        self.wishes.remove(&who);
        self.waiting.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use proto::name::Name;

    use super::*;

    fn present(id: u8) -> Present {
        let member = Member { key: Key([id; 32]), name: Name::new(format!("n{id}")).expect("name") };
        Present { member, addr: Some(SocketAddr::from(([127, 0, 0, 1], u16::from(id)))) }
    }

    fn told(rendezvous: &mut Rendezvous, id: u8) -> Vec<String> {
        let word = |message: FromLobby| match message {
            FromLobby::Wanted { by } => format!("wanted {}", by.name),
            FromLobby::Contact(Contact { key, addrs }) => format!("{} at {addrs:?}", key.0[0]),
            FromLobby::Declined { by } => format!("declined {}", by.0[0]),
            other => format!("{other:?}"),
        };
        rendezvous.take(Key([id; 32])).into_iter().map(word).collect()
    }

    #[test]
    fn an_address_is_told_only_where_both_want_it() {
        let (mut all, now) = (Rendezvous::default(), Instant::now());
        all.reach(now, &present(1), &present(2));
        all.reach(now, &present(1), &present(2));
        assert_eq!((told(&mut all, 1), told(&mut all, 2)), (vec![], vec!["wanted n1".to_owned()]));
        all.reach(now, &present(2), &present(1));
        assert_eq!(told(&mut all, 1), ["2 at [127.0.0.1:2]"]);
        assert_eq!(told(&mut all, 2), ["1 at [127.0.0.1:1]"]);
        // The wishes are done with: who asks again asks both again.
        all.reach(now, &present(2), &present(1));
        assert_eq!((told(&mut all, 1), told(&mut all, 2)), (vec!["wanted n2".to_owned()], vec![]));
    }

    #[test]
    fn a_no_is_heard_by_whoever_has_asked_and_ends_the_wish() {
        let (mut all, now) = (Rendezvous::default(), Instant::now());
        all.decline(now, Key([2; 32]), Key([1; 32]));
        assert_eq!(told(&mut all, 1), [] as [String; 0]);
        all.reach(now, &present(1), &present(2));
        all.decline(now, Key([2; 32]), Key([1; 32]));
        assert_eq!(told(&mut all, 1), ["declined 2"]);
        all.reach(now, &present(2), &present(1));
        assert_eq!(told(&mut all, 1), ["wanted n2"]);
    }

    #[test]
    fn a_wish_ends_with_its_time_and_with_who_has_it() {
        let (mut all, now) = (Rendezvous::default(), Instant::now());
        all.reach(now, &present(1), &present(2));
        all.reach(now + WISH_LIFE, &present(2), &present(1));
        assert_eq!(told(&mut all, 1), ["wanted n2"]);
        all.forget(Key([2; 32]));
        all.reach(now + WISH_LIFE, &present(1), &present(2));
        assert_eq!((told(&mut all, 1), told(&mut all, 2)), (vec![], vec!["wanted n1".to_owned()]));
    }

    #[test]
    fn what_waits_is_bounded_for_each_member() {
        let (mut all, now) = (Rendezvous::default(), Instant::now());
        for id in 2..=255 {
            all.reach(now, &present(id), &present(1));
            all.reach(now, &present(1), &present(id));
            all.reach(now, &present(1), &present(id));
        }
        assert_eq!(all.wishes[&Key([1; 32])].len(), MAX_WISHES);
        assert!(told(&mut all, 1).len() <= MAX_WAITING);
    }
}
