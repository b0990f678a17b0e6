//! Names and keys, who is here, and the log of comings and goings that presence is read from.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::ids::{Key, WallMs};
use proto::lobby::Member;
use proto::name::Name;
use tokio::time::Instant;

use super::config::LobbyConfig;
use super::keep::{Row, RowChange, RowId};

/// Alternatives that are tried for a name that is taken, `_2` upwards.
const MAX_SUFFIX: u32 = 1000;

/// Number of a connection, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinkNo(pub(super) u64);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The room has as many members as it holds.
    #[error("the lobby is full")]
    Full,
    /// No alternative of the name was free.
    #[error("the name and all its numbered forms are taken, please wish another one")]
    NameTaken,
    /// An operator has decided so.
    #[error("an operator of this lobby has banned you")]
    Banned,
    /// No invitation came.
    #[error("this lobby wants an invitation: ask for one, and use it by: chatctl join LINE")]
    Uninvited,
    /// An invitation came that this lobby did not make.
    #[error("this lobby does not know the invitation: ask for a new one")]
    UnknownInvitation,
    /// The invitation was for a time that is over.
    #[error("the invitation has expired: ask for a new one")]
    ExpiredInvitation,
    /// The invitation has let in as many as it was for.
    #[error("the invitation is used up: ask for a new one")]
    UsedInvitation,
}

/// The members of a room: those present, and the names of those who were.
#[derive(Debug)]
pub(super) struct Roster {
    records: HashMap<Key, Record>,
    /// Whose a name is, by what it looks like: no two keys have names that could be taken for each other.
    looks: HashMap<String, Key>,
    present: usize,
    /// Who counts as present without a link, by when that ends.
    leaving: BTreeSet<(Instant, Key)>,
    /// The absent, longest absent first.
    absent: BTreeSet<(u64, Key)>,
    departures: u64,
    changes: VecDeque<Change>,
    /// How many changes there ever were.
    changed: u64,
    max_present: usize,
    max_known: usize,
    max_changes: usize,
    grace: Duration,
    rest: Duration,
    /// The wall clock, as last told: names rest while the lobby does, so no other clock will do.
    wall: WallMs,
    /// Whose rows have changed since they were last asked for.
    noted: HashSet<Key>,
}

#[derive(Debug)]
struct Record {
    member: Arc<Member>,
    state: State,
    /// When the name was last known to be in use.
    used: WallMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Connected; `addr` is where it accepts peers.
    Linked { link: LinkNo, addr: Option<SocketAddr> },
    /// The link dropped; present until `until`.
    Dropped { until: Instant, addr: Option<SocketAddr> },
    /// Gone; `departure` orders the absent.
    Absent { departure: u64 },
}

#[derive(Debug)]
struct Change {
    member: Arc<Member>,
    here: bool,
}

/// The difference between two moments of presence.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) joined: Vec<Arc<Member>>,
    pub(super) left: Vec<Arc<Member>>,
}

impl Roster {
    pub(super) fn new(config: &LobbyConfig) -> Self {
        Self {
            records: HashMap::new(),
            looks: HashMap::new(),
            present: 0,
            leaving: BTreeSet::new(),
            absent: BTreeSet::new(),
            departures: 0,
            changes: VecDeque::new(),
            changed: 0,
            max_present: config.max_members,
            max_known: config.max_known,
            max_changes: config.max_changes,
            grace: config.absent_grace,
            rest: config.name_rest,
            wall: WallMs(0),
            noted: HashSet::new(),
        }
    }

    /// Tells what time it is, for what follows.
    pub(super) fn set_wall(&mut self, now: WallMs) {
        self.wall = now;
    }

    /// The names of those present are in use now.
    pub(super) fn refresh(&mut self) {
        for (key, record) in &mut self.records {
            if !matches!(record.state, State::Absent { .. }) {
                record.used = self.wall;
                self.noted.insert(*key);
            }
        }
    }

    /// The rows that have changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<RowChange> {
        let row = |record: &Record| {
            let here = !matches!(record.state, State::Absent { .. });
            Row::Name { name: record.member.name.clone(), used: record.used, here }
        };
        self.noted.drain().map(|key| (RowId::Name(key), self.records.get(&key).map(row))).collect()
    }

    /// Lets a key in under the wished name or an alternative. Returns who it is now, and its older link if there is one.
    pub(super) fn enter(
        &mut self,
        key: Key,
        wished: &Name,
        link: LinkNo,
        addr: Option<SocketAddr>,
    ) -> Result<(Arc<Member>, Option<LinkNo>), Refusal> {
        let before = self.records.get(&key).map(|record| (record.member.clone(), record.state));
        let here = before.as_ref().filter(|(_, state)| !matches!(state, State::Absent { .. }));
        if here.is_none() && self.present >= self.max_present {
            return Err(Refusal::Full);
        }
        self.forget_unused();
        let name = self.grant(key, wished)?;
        let same = here.filter(|(member, _)| member.name == name).map(|(member, _)| member.clone());
        let silent = same.is_some();
        let member = same.unwrap_or_else(|| Arc::new(Member { name, key }));
        let older = match before {
            Some((old, state)) => self.unseat(&old, state, silent),
            None => None,
        };
        self.own(key, &member.name);
        let state = State::Linked { link, addr };
        self.records.insert(key, Record { member: member.clone(), state, used: self.wall });
        self.noted.insert(key);
        self.present += 1;
        if !silent {
            self.log(member.clone(), true);
        }
        self.forget();
        Ok((member, older))
    }

    /// Takes a known key out of all lists, so that it can be entered anew. Returns the link it had.
    fn unseat(&mut self, member: &Arc<Member>, state: State, silent: bool) -> Option<LinkNo> {
        self.free(&member.name);
        let link = match state {
            State::Absent { departure } => {
                self.absent.remove(&(departure, member.key));
                return None;
            }
            State::Linked { link, .. } => Some(link),
            State::Dropped { until, .. } => {
                self.leaving.remove(&(until, member.key));
                None
            }
        };
        self.present -= 1;
        if !silent {
            self.log(member.clone(), false);
        }
        link
    }

    /// The wished name if it is free or the key's own, else the first numbered form of which that holds.
    ///
    /// Who wishes for what only looks like somebody's name gets a number behind *that* spelling: the number tells the
    /// two apart, and everybody can type it. A name in letters of its own would still pass for the owner's at a glance.
    fn grant(&self, key: Key, wished: &Name) -> Result<Name, Refusal> {
        let Some(owner) = self.owner(key, wished) else { return Ok(wished.clone()) };
        let taken = &owner.name;
        let base = if taken.folded() == wished.folded() { wished } else { taken };
        let mut forms = (2..=MAX_SUFFIX).map(|n| base.with_suffix(n));
        forms.find(|form| self.owner(key, form).is_none()).ok_or(Refusal::NameTaken)
    }

    /// Somebody else whose name is this one or looks like it.
    fn owner(&self, key: Key, name: &Name) -> Option<&Arc<Member>> {
        let owners = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look));
        let other = owners.copied().find(|owner| *owner != key)?;
        self.records.get(&other).map(|record| &record.member)
    }

    fn own(&mut self, key: Key, name: &Name) {
        self.looks.extend(name.skeletons().into_iter().map(|look| (look, key)));
    }

    fn free(&mut self, name: &Name) {
        for look in name.skeletons() {
            self.looks.remove(&look);
        }
    }

    /// Forgets the longest absent where there are too many names.
    fn forget(&mut self) {
        while self.records.len() > self.max_known {
            let Some(&(_, key)) = self.absent.first() else { return };
            self.remove(key);
        }
    }

    /// Forgets those who were away for so long that their names are free again.
    fn forget_unused(&mut self) {
        let rest = u64::try_from(self.rest.as_millis()).unwrap_or(u64::MAX);
        while let Some(&(_, key)) = self.absent.first()
            && let Some(record) = self.records.get(&key)
            && record.used.0.saturating_add(rest) < self.wall.0
        {
            self.remove(key);
        }
    }

    /// Forgets somebody who is absent.
    fn remove(&mut self, key: Key) {
        if let Some(record) = self.records.remove(&key) {
            if let State::Absent { departure } = record.state {
                self.absent.remove(&(departure, key));
            }
            self.free(&record.member.name);
            self.noted.insert(key);
        }
    }

    fn log(&mut self, member: Arc<Member>, here: bool) {
        self.changed += 1;
        self.changes.push_back(Change { member, here });
        if self.changes.len() > self.max_changes {
            self.changes.pop_front();
        }
    }

    /// Whether this is the key's present link, and who the key is.
    pub(super) fn holds(&self, key: Key, link: LinkNo) -> Option<&Arc<Member>> {
        let record = self.records.get(&key)?;
        matches!(record.state, State::Linked { link: present, .. } if present == link)
            .then_some(&record.member)
    }

    /// The link ended without a goodbye: its member stays for the grace. Nothing happens if it has a newer link.
    pub(super) fn dropped(&mut self, now: Instant, key: Key, link: LinkNo) {
        let until = now + self.grace;
        if let Some(Record { state, .. }) = self.records.get_mut(&key)
            && let State::Linked { link: present, addr } = *state
            && present == link
        {
            *state = State::Dropped { until, addr };
            self.leaving.insert((until, key));
        }
    }

    /// The member said goodbye: it is gone at once. Nothing happens if it has a newer link.
    pub(super) fn bye(&mut self, key: Key, link: LinkNo) {
        if self.holds(key, link).is_some() {
            self.depart(key);
        }
    }

    /// Those whose grace is over are gone.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(&(until, key)) = self.leaving.first()
            && until <= now
        {
            self.depart(key);
        }
    }

    /// When [`Roster::expire`] next has something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.leaving.first().map(|(until, _)| *until)
    }

    fn depart(&mut self, key: Key) {
        self.departures += 1;
        let departure = self.departures;
        let Some(record) = self.records.get_mut(&key) else { return };
        if let State::Dropped { until, .. } = record.state {
            self.leaving.remove(&(until, key));
        }
        record.state = State::Absent { departure };
        record.used = self.wall;
        self.noted.insert(key);
        let member = record.member.clone();
        self.absent.insert((departure, key));
        self.present -= 1;
        self.log(member, false);
    }

    /// How many changes there ever were: the cursor of a reader that knows all.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Everybody present.
    pub(super) fn everybody(&self) -> Vec<Arc<Member>> {
        let here = |record: &&Record| !matches!(record.state, State::Absent { .. });
        self.records.values().filter(here).map(|record| record.member.clone()).collect()
    }

    /// What changed after `cursor`, which moves to now: who came and went in between is left out.
    /// `None` where that is no longer known.
    pub(super) fn since(&self, cursor: &mut u64) -> Option<Delta> {
        let lacking = usize::try_from(self.changed - *cursor).ok().filter(|n| *n <= self.changes.len())?;
        *cursor = self.changed;
        let mut delta = Delta::default();
        if lacking == 0 {
            return Some(delta);
        }
        let mut net: Vec<(&Change, bool)> = Vec::new();
        let mut seen: HashMap<(Key, &str), usize> = HashMap::new();
        for change in self.changes.iter().skip(self.changes.len() - lacking) {
            let index = *seen.entry((change.member.key, change.member.name.as_str())).or_insert_with(|| {
                net.push((change, change.here));
                net.len() - 1
            });
            net[index].1 = change.here;
        }
        for (first, here) in net.into_iter().filter(|(first, here)| first.here == *here) {
            if here { &mut delta.joined } else { &mut delta.left }.push(first.member.clone());
        }
        Some(delta)
    }
}

#[path = "roster_find.rs"]
mod find;

#[path = "roster_restore.rs"]
mod restore;

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
