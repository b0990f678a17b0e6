//! The lobby as this daemon has it: its log, who is there, and what waits to be said there.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::{Epoch, EpochTag, Key, LobbySeq, Mid, Pos, Seq, SessionNo, WallMs};
use proto::ipc::{EntryKind, LobbyState, Path, Reply, SessionRow, SessionState};
use proto::limits::WINDOW_ENTRIES;
use proto::lobby::{RoomEntry, Welcome};
use proto::name::Name;
use proto::text::Text;
use rand::{RngExt, rngs::StdRng};
use tokio::sync::oneshot;

use super::bookmarks::Bookmarks;
use super::presence::Presence;
use super::{Effect, Place, Post};
use crate::peer::Me;
use crate::session::Log;
use crate::store::{Author, LogId, LogRow, NewEntry, OutRow, Progress, Store, StoreError};

/// A fork with somebody whom this daemon was not told of yet.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: Name,
    pub(super) reply: oneshot::Sender<Reply>,
    /// Does without the answer after this.
    pub(super) until: Duration,
}

/// A dial that waits for the peer's newest address.
#[derive(Debug)]
pub(super) struct Reaching {
    pub(super) log: LogId,
    pub(super) dial_no: u64,
    /// Where the peer was reached before.
    pub(super) addrs: Vec<SocketAddr>,
    /// Does without the answer after this.
    pub(super) until: Duration,
}

/// The lobby's side of a daemon.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) log: Log,
    pub(super) state: LobbyState,
    pub(super) hosted: bool,
    /// Number of the present link.
    pub(super) link: u64,
    /// Why the lobby ended the link, in its own words.
    pub(super) last_words: Option<String>,
    pub(super) trouble: Option<String>,
    pub(super) presence: Presence,
    pub(super) asked: BTreeMap<u64, Asked>,
    pub(super) reaching: BTreeMap<Key, Reaching>,
    /// Where the lobby sees us come from.
    pub(super) seen_as: Option<SocketAddr>,
    /// How far the lobbies were read.
    pub(super) bookmarks: Bookmarks,
    me: Key,
    /// The row of the log is to be written.
    stale: bool,
    /// Posts on their way, in order.
    flying: VecDeque<(Pos, Mid)>,
    /// The last post that was put on the present link for the first time.
    put: Pos,
    /// Posts that the lobby has lost and that wait to be published again.
    again: VecDeque<Pos>,
    pub(super) next_request: u64,
}

impl Room {
    /// Takes up the room where the store has it.
    pub(super) fn load(row: LogRow, me: Key, store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            log: Log::load(row, me, store)?,
            state: LobbyState::Reconnecting,
            hosted: false,
            link: 0,
            last_words: None,
            trouble: None,
            presence: Presence::new(me),
            asked: BTreeMap::new(),
            reaching: BTreeMap::new(),
            seen_as: None,
            bookmarks: Bookmarks::load(store)?,
            me,
            stale: false,
            flying: VecDeque::new(),
            put: Pos::START,
            again: VecDeque::new(),
            next_request: 0,
        })
    }

    /// A room without history.
    pub(super) fn create(me: Key, store: &mut Store, rng: &mut StdRng) -> Result<Self, StoreError> {
        let row = LogRow::new(LogId::LOBBY, None, Epoch { n: 1, r: EpochTag(rng.random()) });
        store.put_log(&row)?;
        Self::load(row, me, store)
    }

    /// The person says something in the room; the same `mid` again gives the same place.
    pub(super) fn post(
        &mut self,
        store: &mut Store,
        me: &Me,
        mid: Mid,
        at: WallMs,
        text: Text,
    ) -> Result<(Seq, Pos), StoreError> {
        if let Some(seq) = store.find(LogId::LOBBY, &me.key, mid)? {
            return Ok((seq, store.out_pos(LogId::LOBBY, seq)?.unwrap_or(Pos::START)));
        }
        let author = Author::Person(me.key, me.name.clone());
        let entry = NewEntry { author, mid, kind: EntryKind::Text, at, text: text.into(), seen: None };
        self.log.append_own(store, &entry)
    }

    /// The link is up: go on from where the lobby says it is.
    pub(super) fn welcomed(
        &mut self,
        store: &mut Store,
        welcome: &Welcome,
        hosted: bool,
    ) -> Result<(), StoreError> {
        self.state = LobbyState::Connected;
        self.hosted = hosted;
        self.seen_as = Some(welcome.seen_as);
        self.trouble = None;
        self.log.changed = true;
        self.ground();
        self.bookmarks.welcomed(store, welcome)
    }

    /// Nothing is on its way any more: what has no answer goes out again on the next link.
    fn ground(&mut self) {
        self.flying.clear();
        self.again.clear();
        self.put = self.log.row.acked;
    }

    /// The link is gone.
    pub(super) fn lost(&mut self, reason: String) {
        self.state = LobbyState::Reconnecting;
        self.hosted = false;
        self.trouble = Some(reason);
        self.log.changed = true;
        self.ground();
        self.presence.interrupted();
    }

    /// One entry of the lobby's log. `true` if it is new here.
    pub(super) fn take(&mut self, store: &mut Store, entry: RoomEntry) -> Result<bool, StoreError> {
        self.bookmarks.read(entry.seq, entry.mid);
        if let Some(seq) = store.find(LogId::LOBBY, &entry.from.key, entry.mid)? {
            if entry.from.key == self.me
                && self.bookmarks.has_lost()
                && let Some(pos) = store.out_pos(LogId::LOBBY, seq)?
            {
                self.bookmarks.stands(pos, entry.seq);
            }
            return Ok(false);
        }
        let author = Author::Person(entry.from.key, entry.from.name);
        let entry = NewEntry {
            author,
            mid: entry.mid,
            kind: EntryKind::Text,
            at: entry.at,
            text: entry.text.into(),
            seen: None,
        };
        self.log.append_other(store, &entry)?;
        Ok(true)
    }

    /// An entry that is not to be shown: it counts as read. `true` the first time that it comes.
    pub(super) fn pass_over(&mut self, entry: &RoomEntry) -> bool {
        self.bookmarks.read(entry.seq, entry.mid)
    }

    /// The lobby has decided on a post: it stands at `seq`, or does not stand. Posts are decided in the order in which
    /// they were sent.
    pub(super) fn decided(&mut self, mid: Mid, seq: Option<LobbySeq>) {
        if let Some(index) = self.flying.iter().position(|(_, flying)| *flying == mid) {
            let pos = self.flying[index].0;
            self.flying.drain(..=index);
            match seq {
                Some(seq) => self.bookmarks.stands(pos, seq),
                None => self.bookmarks.refused(pos),
            }
            self.log.row.acked = self.log.row.acked.max(pos);
            self.log.changed = true;
            self.stale = true; // the row is written together with the cursor
        }
    }

    /// Ends a step: posts that wait go out, as far as the window lets them; the cursor is written.
    pub(super) fn finish(&mut self, store: &mut Store, effects: &mut Vec<Effect>) -> Result<(), StoreError> {
        if self.bookmarks.save(store)? || std::mem::take(&mut self.stale) {
            self.stale = false;
            self.log.touch();
            self.log.save_touched(store)?;
        }
        if self.state != LobbyState::Connected {
            return Ok(());
        }
        self.again.extend(self.bookmarks.take_lost());
        while let Some(pos) = self.again.front().filter(|_| self.window() > 0) {
            let row = store.out_rows(LogId::LOBBY, *pos, 1)?;
            self.again.pop_front();
            self.put_on_its_way(row, effects)?;
        }
        if self.put >= self.log.out().0 || self.window() == 0 {
            return Ok(());
        }
        let rows = store.out_rows(LogId::LOBBY, self.put.next(), self.window())?;
        self.put = rows.last().map_or(self.put, |row| row.pos);
        self.put_on_its_way(rows, effects)
    }

    /// How many posts more may be on their way.
    fn window(&self) -> u64 {
        WINDOW_ENTRIES.saturating_sub(self.flying.len() as u64)
    }

    fn put_on_its_way(&mut self, rows: Vec<OutRow>, effects: &mut Vec<Effect>) -> Result<(), StoreError> {
        for row in rows {
            let text = Text::new(row.text).map_err(|_| StoreError::Broken("text"))?;
            self.flying.push_back((row.pos, row.mid));
            effects.push(Effect::Post(self.link, Post { mid: row.mid, at: row.at, text }));
        }
        Ok(())
    }

    pub(super) fn queued(&self) -> u64 {
        self.log.out().0.0.saturating_sub(self.log.row.acked.0)
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.queued() == 0
    }

    /// A number for a question to the lobby.
    pub(super) fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let forks = self.asked.values().map(|asked| asked.until);
        let dials = self.reaching.values().map(|reaching| reaching.until);
        forks.chain(dials).chain(self.presence.deadline()).min()
    }

    pub(super) fn name_of(&self, key: &Key) -> Option<&Name> {
        self.presence.name_of(key)
    }

    pub(super) fn key_of(&self, name: &Name) -> Option<Key> {
        self.presence.find(name).map(|(key, _)| key)
    }

    pub(super) fn member(&self, name: &Name) -> Option<(Key, Name)> {
        self.presence.find(name)
    }

    /// The members after a name, in order of name.
    pub(super) fn members_after(&self, after: Option<&Name>) -> impl Iterator<Item = (&Name, Key)> {
        let members = self.presence.sorted();
        members.into_iter().filter(move |(name, _)| after.is_none_or(|after| *name > after))
    }

    pub(super) fn place(&self) -> Place {
        Place {
            log: LogId::LOBBY,
            number: Some(SessionNo::LOBBY),
            peer: None,
            head: self.log.head(),
            progress: self.progress(),
            held: false,
        }
    }

    /// In the lobby an entry goes no further than into its log: `delivered` stays at the start.
    fn progress(&self) -> Progress {
        Progress { sent: self.log.row.acked, delivered: Pos::START }
    }

    pub(super) fn row(&self) -> SessionRow {
        let connected = self.state == LobbyState::Connected;
        SessionRow {
            session: SessionNo::LOBBY,
            mode: None,
            peer: None,
            state: if connected { SessionState::Connected } else { SessionState::Waiting },
            path: if connected { Path::Direct } else { Path::None },
            head: self.log.head(),
            read: self.log.read(),
            unread: self.log.unread(),
            queued: self.queued(),
            sent: self.log.row.acked,
            delivered: Pos::START,
            trouble: self.trouble.clone(),
            asked: false,
        }
    }
}
