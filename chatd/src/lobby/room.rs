//! The room: log and members together. Plain data in and out; clock, network and locks are the caller's.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::ids::{Generation, Key, LobbySeq, Mid, Signature, WallMs};
use proto::lobby::{Contact, Member, MemberHello, RoomCursor, RoomEntry, Welcome};
use proto::name::Name;
use proto::text::Text;
use tokio::time::Instant;

use super::config::LobbyConfig;
use super::keep::RowChange;
use super::ring::{Read, Ring};
use super::roster::{Delta, LinkNo, Refusal, Roster};

/// Members, their names, and what was said.
#[derive(Debug)]
pub(super) struct Room {
    generation: Generation,
    ring: Ring,
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
    /// Where this link reads on.
    pub(super) reader: Reader,
}

/// How far a link has read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    seq: LobbySeq,
    changed: u64,
}

/// What a link has to write.
#[derive(Debug)]
pub(super) struct Batch {
    /// Goes before the entries: who speaks there was announced.
    pub(super) presence: Delta,
    pub(super) entries: Read,
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
    /// The lobby takes nothing more.
    #[error("the lobby is stopping")]
    Stopping,
}

/// What a member says, signed.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) mid: Mid,
    pub(super) at: WallMs,
    pub(super) text: Text,
    pub(super) sig: Signature,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands in the log, `fresh` where it did not before.
    Stands { seq: LobbySeq, fresh: bool },
    /// It does not fit into a frame.
    TooLong,
    /// An operator has decided that its author may not speak.
    Muted,
}

impl Room {
    pub(super) fn new(generation: Generation, config: &LobbyConfig) -> Self {
        let ring = Ring::new(config.ring_entries, config.ring_bytes);
        Self { generation, ring, roster: Roster::new(config), links: 0 }
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
        let reader = Reader { seq: self.start(hello.room), changed: self.roster.changed() };
        Ok(Entered { link, older, welcome, members: self.roster.everybody(), reader })
    }

    /// Where a reader begins: at the head if it is new, after its cursor if that is on this log, else at the start.
    fn start(&self, cursor: Option<RoomCursor>) -> LobbySeq {
        let head = self.ring.head();
        match cursor {
            None => head,
            Some(RoomCursor { generation, seq }) if generation == self.generation && seq <= head => seq,
            Some(_) => LobbySeq::START,
        }
    }

    /// Whether a message stands in the log.
    pub(super) fn has(&self, key: Key, mid: Mid) -> bool {
        self.ring.find(key, mid).is_some()
    }

    /// Puts a message into the log, once for each author and `mid`.
    pub(super) fn publish(&mut self, key: Key, link: LinkNo, post: Post) -> Result<Outcome, Cut> {
        let Post { mid, at, text, sig } = post;
        let member = self.roster.holds(key, link).ok_or(Cut::Superseded)?;
        if let Some(seq) = self.ring.find(key, mid) {
            return Ok(Outcome::Stands { seq, fresh: false });
        }
        let from = Member::clone(member);
        let entry = RoomEntry { seq: LobbySeq::START, from, mid, at, text, sig };
        match self.ring.append(entry) {
            Ok(seq) => Ok(Outcome::Stands { seq, fresh: true }),
            Err(_) => Ok(Outcome::TooLong),
        }
    }

    /// Where somebody can be reached, if present.
    pub(super) fn contact(&self, name: &Name) -> Option<Contact> {
        self.roster.contact(name)
    }

    /// What the reader lacks, or the first part of it; the reader moves behind it.
    pub(super) fn read(&self, reader: &mut Reader) -> Result<Batch, Cut> {
        let presence = self.roster.since(&mut reader.changed).ok_or(Cut::TooSlow)?;
        Ok(Batch { presence, entries: self.ring.read(&mut reader.seq) })
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
