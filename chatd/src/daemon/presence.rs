//! Who is in the lobby, as far as this daemon was told, and who only seems to have gone.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::ids::Key;
use proto::lobby::Member;
use proto::name::Name;

use super::looks::Looks;

/// How long after a reconnect a member may be missing before it is said to have left: everybody reconnects at once,
/// and some take longer.
const MISSING_GRACE: Duration = Duration::from_secs(30);

/// Most members that a lobby can have, as far as this daemon goes along.
const MAX_MEMBERS: usize = 50_000;

/// What the person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// Somebody came.
    Joined(Key, Name),
    /// Somebody is gone.
    Left(Name),
}

/// The members of the lobby.
#[derive(Debug)]
pub(super) struct Presence {
    /// This daemon's own key: its comings and goings are no news to it.
    me: Key,
    present: BTreeMap<Key, Name>,
    looks: Looks,
    /// Were there before the link broke, are not on the list since.
    missing: BTreeMap<Key, Name>,
    /// When the missing are gone for good; `None` while there is no list, on which they may yet be.
    patience: Option<Duration>,
    /// Pages of the list that has begun to arrive.
    pages: Vec<Member>,
    /// A whole list has arrived once: who is new on a later one has joined.
    known: bool,
}

impl Presence {
    /// Nobody yet.
    pub(super) fn new(me: Key) -> Self {
        let (present, looks) = (BTreeMap::new(), Looks::default());
        let missing = BTreeMap::new();
        Self { me, present, looks, missing, patience: None, pages: Vec::new(), known: false }
    }

    /// One page of the whole list. The notices are there when it was the last page; the first list of all has none.
    pub(super) fn page(&mut self, members: Vec<Member>, more: bool, now: Duration) -> Vec<Notice> {
        self.pages.extend(members);
        if more {
            return Vec::new();
        }
        let listed: BTreeMap<Key, Name> =
            self.pages.drain(..).map(|member| (member.key, member.name)).collect();
        let before = std::mem::replace(&mut self.present, listed.clone());
        self.looks = listed.iter().map(|(key, name)| (*key, name.clone())).collect();
        if !std::mem::replace(&mut self.known, true) {
            return Vec::new();
        }
        for (key, name) in &before {
            if !listed.contains_key(key) && *key != self.me {
                self.missing.entry(*key).or_insert_with(|| name.clone());
            }
        }
        self.patience = Some(now + MISSING_GRACE);
        let mut notices = Vec::new();
        for (key, name) in listed {
            if before.get(&key) != Some(&name) {
                notices.extend(self.came(key, name, before.get(&key).cloned()));
            }
        }
        notices
    }

    /// More people than any lobby has.
    pub(super) fn is_flooded(&self) -> bool {
        self.pages.len().max(self.present.len() + self.missing.len()) > MAX_MEMBERS
    }

    /// Changes since the last word on it.
    pub(super) fn change(&mut self, joined: Vec<Member>, left: Vec<Member>) -> Vec<Notice> {
        let mut notices = Vec::new();
        for member in left.into_iter().filter(|member| member.key != self.me) {
            let present = self.present.remove(&member.key);
            if let Some(name) = &present {
                self.looks.remove(member.key, name);
            }
            let was = present.or(self.missing.remove(&member.key));
            notices.extend(was.map(Notice::Left));
        }
        for member in joined {
            let before = self.present.insert(member.key, member.name.clone());
            if let Some(name) = &before {
                self.looks.remove(member.key, name);
            }
            self.looks.add(member.key, &member.name);
            if before.as_ref() != Some(&member.name) {
                notices.extend(self.came(member.key, member.name, before));
            }
        }
        notices
    }

    /// Somebody is there who was not, or was under another name. Who was only missing has never left.
    fn came(&mut self, key: Key, name: Name, before: Option<Name>) -> Vec<Notice> {
        if key == self.me {
            return Vec::new();
        }
        let before = before.or(self.missing.remove(&key));
        match before {
            Some(before) if before == name => Vec::new(),
            Some(before) => vec![Notice::Left(before), Notice::Joined(key, name)],
            None => vec![Notice::Joined(key, name)],
        }
    }

    /// The link broke: a list that was arriving will not be finished. Who is missing gets the time to come back anew.
    pub(super) fn interrupted(&mut self) {
        self.pages.clear();
        self.patience = None;
    }

    /// Who was missing for too long.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Notice> {
        if self.patience.is_none_or(|at| at > now) {
            return Vec::new();
        }
        std::mem::take(&mut self.missing).into_values().map(Notice::Left).collect()
    }

    /// When [`Presence::expire`] has something to say.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.patience.filter(|_| !self.missing.is_empty())
    }

    /// The name of a key that is present.
    pub(super) fn name_of(&self, key: &Key) -> Option<&Name> {
        self.present.get(key)
    }

    /// Somebody else present whose name looks like this one.
    pub(super) fn like(&self, key: Key, name: &Name) -> Option<&Name> {
        self.looks.like(key, name)
    }

    /// The member of a name; case does not count.
    pub(super) fn find(&self, name: &Name) -> Option<(Key, Name)> {
        let folded = name.folded();
        let mut members = self.present.iter();
        members.find(|(_, name)| name.folded() == folded).map(|(key, name)| (*key, name.clone()))
    }

    /// The keys of everybody present.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.present.keys().copied().collect()
    }

    /// Everybody present, in order of name.
    pub(super) fn sorted(&self) -> Vec<(&Name, Key)> {
        let mut members: Vec<_> = self.present.iter().map(|(key, name)| (name, *key)).collect();
        members.sort();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u8, name: &str) -> Member {
        Member { key: Key([id; 32]), name: Name::new(name).expect("name") }
    }

    fn joined(id: u8, name: &str) -> Notice {
        Notice::Joined(Key([id; 32]), Name::new(name).expect("name"))
    }

    fn left(name: &str) -> Notice {
        Notice::Left(Name::new(name).expect("name"))
    }

    const START: Duration = Duration::ZERO;

    #[test]
    fn the_first_list_is_no_news_and_later_changes_are() {
        let mut presence = Presence::new(Key([0; 32]));
        assert!(presence.page(vec![member(1, "anna")], true, START).is_empty());
        assert!(presence.page(vec![member(2, "bobby")], false, START).is_empty());
        assert_eq!(presence.change(vec![member(3, "carol")], vec![]), [joined(3, "carol")]);
        assert_eq!(presence.change(vec![], vec![member(2, "bobby")]), [left("bobby")]);
    }

    #[test]
    fn who_returns_within_the_grace_after_a_reconnect_has_never_left() {
        let mut presence = Presence::new(Key([0; 32]));
        presence.page(vec![member(1, "anna"), member(2, "bobby"), member(3, "carol")], false, START);
        presence.interrupted();
        assert!(presence.page(vec![member(1, "anna")], false, START).is_empty());
        assert!(presence.change(vec![member(2, "bobby")], vec![]).is_empty());
        assert!(presence.expire(MISSING_GRACE / 2).is_empty());
        assert_eq!(presence.deadline(), Some(MISSING_GRACE));
        assert_eq!(presence.expire(MISSING_GRACE), [left("carol")]);
        assert_eq!(presence.deadline(), None);
    }

    #[test]
    fn ones_own_coming_and_going_is_no_news() {
        let mut presence = Presence::new(Key([1; 32]));
        presence.page(vec![member(1, "anna"), member(2, "bobby")], false, START);
        assert!(presence.change(vec![], vec![member(1, "anna")]).is_empty());
        assert!(presence.change(vec![member(1, "anna_2")], vec![]).is_empty());
    }

    #[test]
    fn who_returns_under_another_name_left_and_joined() {
        let mut presence = Presence::new(Key([0; 32]));
        presence.page(vec![member(1, "anna")], false, START);
        assert_eq!(presence.change(vec![member(1, "anna_2")], vec![]), [left("anna"), joined(1, "anna_2")]);
    }
}
