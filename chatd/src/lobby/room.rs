//! The room: log and members together. Plain data in and out; clock, network and locks are the caller's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use proto::ids::{Generation, Key, LobbySeq, Mid, WallMs};
use proto::lobby::{FromLobby, Member, MemberHello, RoomCursor, Welcome};
use proto::name::Name;
use tokio::time::Instant;

use super::config::{LobbyConfig, Past};
use super::keep::RowChange;
use super::log::{Group, Page, Start};
use super::ring::{Read, Ring};
use super::roster::{Delta, LinkNo, Refusal, Roster};

/// Members, their names, and what was said.
#[derive(Debug)]
pub(super) struct Room {
    generation: Generation,
    ring: Ring,
    /// What the ring does not hold any more can be read elsewhere.
    archived: bool,
    /// Where those begin who come from another lobby.
    past: LobbySeq,
    roster: Roster,
    links: u64,
}

/// Somebody is in.
#[derive(Debug)]
pub(super) struct Entered {
    /// The new link.
    pub(super) link: LinkNo,
    /// An older link of the same key, which no longer counts.
    pub(super) older: Option<LinkNo>,
    pub(super) welcome: Welcome,
    /// Everybody present, the new one included.
    pub(super) members: Vec<Arc<Member>>,
    /// What lies before this entry is left out.
    pub(super) gap: Option<LobbySeq>,
    /// Where this link reads on.
    pub(super) reader: Reader,
}

/// How far a link has read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    seq: LobbySeq,
    /// The place is good only if this is the entry there; that is still to be looked up, in the archive.
    check: Option<Mid>,
    changed: u64,
}

impl Reader {
    /// Takes up a page of what the ring did not hold.
    pub(super) fn turn(&mut self, page: Page) -> Read {
        (self.seq, self.check) = (page.end, None);
        Read { gap: page.gap, frames: page.frames, more: true }
    }
}

/// What a link has to write.
#[derive(Debug)]
pub(super) struct Batch {
    /// For this link alone.
    pub(super) told: VecDeque<FromLobby>,
    /// Goes before the entries: who speaks there was announced.
    pub(super) presence: Delta,
    pub(super) entries: Next,
}

/// What comes next in the log.
#[derive(Debug)]
pub(super) enum Next {
    /// The ring holds it.
    Here(Read),
    /// The archive holds it.
    Behind(Missing),
}

/// What is to be read in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub(super) after: LobbySeq,
    pub(super) check: Option<Mid>,
    /// Behind this the ring goes on.
    pub(super) until: LobbySeq,
}

/// Why a link of a member is no longer served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    /// The same key has a newer link.
    #[error("another connection with your key took over")]
    Superseded,
    /// More came and went than is remembered.
    #[error("you were too slow to follow who came and went, come back")]
    TooSlow,
    /// An operator ended it; the member may come back.
    #[error("an operator has removed you from the lobby")]
    Removed,
    /// An operator ended it, for longer.
    #[error("an operator has banned you from the lobby")]
    Banned,
    /// What the member lacks cannot be read at the moment.
    #[error("the lobby cannot read its log, come back later")]
    Unreadable,
    /// The lobby takes nothing more.
    #[error("the lobby is stopping")]
    Stopping,
}

impl Room {
    /// A room whose log stands at `start`; with `archived` what it holds can be read elsewhere.
    pub(super) fn new(start: &Start, archived: bool, config: &LobbyConfig) -> Self {
        let ring = Ring::new(start, config.ring_entries, config.ring_bytes);
        let past = match config.past {
            Past::All => LobbySeq::START,
            Past::SinceOpen => start.head,
        };
        Self { generation: start.generation, ring, archived, past, roster: Roster::new(config), links: 0 }
    }

    /// Lets a key in that speaks `version` and comes from `from`.
    pub(super) fn enter(
        &mut self,
        key: Key,
        from: SocketAddr,
        version: u16,
        hello: &MemberHello,
    ) -> Result<Entered, Refusal> {
        self.links += 1;
        let link = LinkNo(self.links);
        let addr = (hello.port != 0).then(|| SocketAddr::new(from.ip(), hello.port));
        let (member, older) = self.roster.enter(key, &hello.name, link, addr)?;
        let welcome = Welcome {
            version,
            features: Vec::new(),
            name: member.name.clone(),
            generation: self.generation,
            head: self.ring.head(),
            seen_as: from,
        };
        let (seq, check) = self.start(hello.room);
        let other = hello.room.is_some_and(|cursor| cursor.generation != self.generation);
        let reader = Reader { seq, check, changed: self.roster.changed() };
        let gap = (other && seq > LobbySeq::START).then(|| seq.next());
        Ok(Entered { link, older, welcome, members: self.roster.everybody(), gap, reader })
    }

    /// Where a reader begins: at the head if it is new, after its cursor if that is on this log, else at the start.
    /// What only the archive can tell is still to be checked.
    fn start(&self, cursor: Option<RoomCursor>) -> (LobbySeq, Option<Mid>) {
        let head = self.ring.head();
        let Some(cursor) = cursor else { return (head, None) };
        let RoomCursor { generation, seq, mid } = cursor;
        if generation != self.generation {
            return (self.past, None);
        }
        if seq > head {
            return (LobbySeq::START, None);
        }
        if seq < self.ring.floor() {
            return (seq, mid);
        }
        // One who has read nothing yet has no entry to show.
        let strayed = mid.is_some() && self.ring.mid_at(seq) != mid;
        (if strayed { LobbySeq::START } else { seq }, None)
    }

    /// Whether the key still speaks on this link.
    pub(super) fn check(&self, key: Key, link: LinkNo) -> Result<(), Cut> {
        self.roster.holds(key, link).map(drop).ok_or(Cut::Superseded)
    }

    /// Takes up what is in the log from now on.
    pub(super) fn show(&mut self, group: &Group) {
        for entry in &group.fresh {
            self.ring.push(entry.clone());
        }
        self.ring.drop_until(group.floor);
    }

    /// What the reader lacks, or the first part of it; the reader moves behind it.
    pub(super) fn read(&self, reader: &mut Reader) -> Result<Batch, Cut> {
        let presence = self.roster.since(&mut reader.changed).ok_or(Cut::TooSlow)?;
        let until = self.ring.floor();
        let entries = if self.archived && reader.seq < until {
            Next::Behind(Missing { after: reader.seq, check: reader.check, until })
        } else {
            Next::Here(self.ring.read(&mut reader.seq))
        };
        Ok(Batch { told: VecDeque::new(), presence, entries })
    }

    /// The member said goodbye.
    pub(super) fn bye(&mut self, key: Key, link: LinkNo) {
        self.roster.bye(key, link);
    }

    /// The link ended without a goodbye.
    pub(super) fn dropped(&mut self, now: Instant, key: Key, link: LinkNo) {
        self.roster.dropped(now, key, link);
    }

    /// Those whose grace is over are gone.
    pub(super) fn expire(&mut self, now: Instant) {
        self.roster.expire(now);
    }

    /// When [`Room::expire`] next has something to do.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.roster.next_expiry()
    }

    /// Takes up names that were kept.
    pub(super) fn restore(&mut self, names: Vec<(Key, Name, WallMs)>) {
        self.roster.restore(names);
    }

    /// Who was present when the lobby went down may be back until `until`.
    pub(super) fn expect_back(&mut self, keys: impl IntoIterator<Item = Key>, until: Instant) {
        self.roster.expect_back(keys, until);
    }

    /// Tells what time it is, for what follows.
    pub(super) fn set_wall(&mut self, now: WallMs) {
        self.roster.set_wall(now);
    }

    /// The names of those present are in use now.
    pub(super) fn refresh(&mut self) {
        self.roster.refresh();
    }

    /// What is to be kept of what has changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<RowChange> {
        self.roster.take_changes()
    }

    /// Somebody is gone at once.
    pub(super) fn remove_now(&mut self, key: Key) {
        self.roster.remove_now(key);
    }

    /// The members, to look at.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Counts the changes of presence.
    pub(super) fn changed(&self) -> u64 {
        self.roster.changed()
    }
}
