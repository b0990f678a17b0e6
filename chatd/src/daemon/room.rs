//! The lobby as this daemon has it: its log, who is there, and what waits to be said there.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::{Epoch, EpochTag, Key, LobbySeq, Mid, Pos, Seq, SessionNo, WallMs};
use proto::ipc::{EntryKind, LobbyState, Path, Reply, SessionRow, SessionState};
use proto::limits::WINDOW_ENTRIES;
use proto::lobby::{RoomCursor, RoomEntry, Welcome};
use proto::name::Name;
use proto::text::Text;
use rand::{RngExt, rngs::StdRng};
use tokio::sync::oneshot;

use super::presence::Presence;
use super::{Effect, Place, Post};
use crate::peer::Me;
use crate::session::Log;
use crate::store::{Author, LogId, LogRow, NewEntry, Progress, Store, StoreError};

/// Key of the room cursor among the store's named values.
const CURSOR: &str = "room";

/// Something that waits for the lobby to tell where somebody is.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) why: Why,
    /// Does without the answer after this.
    pub(super) until: Duration,
}

/// What the answer is for.
#[derive(Debug)]
pub(super) enum Why {
    /// A dial: the newest address is tried first.
    Dial { log: LogId, key: Key, dial_no: u64, addrs: Vec<SocketAddr> },
    /// A fork with somebody whom this daemon was not told of yet.
    Fork { name: Name, reply: oneshot::Sender<Reply> },
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
    cursor: Option<RoomCursor>,
    cursor_stale: bool,
    /// Posts on their way, in order.
    flying: VecDeque<(Pos, Mid)>,
    next_request: u64,
}

impl Room {
    /// Takes up the room where the store has it.
    pub(super) fn load(row: LogRow, me: Key, store: &Store) -> Result<Self, StoreError> {
        let cursor = store.meta(CURSOR)?.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            log: Log::load(row, me, store)?,
            state: LobbyState::Reconnecting,
            hosted: false,
            link: 0,
            last_words: None,
            trouble: None,
            presence: Presence::new(me),
            asked: BTreeMap::new(),
            cursor: cursor.map_err(|_| StoreError::Broken("place in the lobby"))?,
            cursor_stale: false,
            flying: VecDeque::new(),
            next_request: 0,
        })
    }

    /// A room without history.
    pub(super) fn create(me: Key, store: &mut Store, rng: &mut StdRng) -> Result<Self, StoreError> {
        let row = LogRow::new(LogId::LOBBY, None, Epoch { n: 1, r: EpochTag(rng.random()) });
        store.put_log(&row)?;
        Self::load(row, me, store)
    }

    pub(super) fn cursor(&self) -> Option<RoomCursor> {
        self.cursor
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
    pub(super) fn welcomed(&mut self, welcome: &Welcome, hosted: bool) {
        self.state = LobbyState::Connected;
        self.hosted = hosted;
        self.trouble = None;
        self.log.changed = true;
        self.flying.clear();
        let known = self.cursor.filter(|cursor| cursor.generation == welcome.generation);
        let seq = match (self.cursor, known) {
            (None, _) => welcome.head,
            // Another log, or this one without its end: it is read from its beginning, ids tell what is known.
            (Some(_), None) => LobbySeq::START,
            (Some(_), Some(known)) if known.seq > welcome.head => LobbySeq::START,
            (Some(_), Some(known)) => known.seq,
        };
        self.move_to(RoomCursor { generation: welcome.generation, seq });
    }

    /// The link is gone.
    pub(super) fn lost(&mut self, reason: String) {
        self.state = LobbyState::Reconnecting;
        self.hosted = false;
        self.trouble = Some(reason);
        self.log.changed = true;
        self.flying.clear();
        self.presence.interrupted();
    }

    /// One entry of the lobby's log. `true` if it is new here.
    pub(super) fn take(&mut self, store: &mut Store, entry: RoomEntry) -> Result<bool, StoreError> {
        let Some(cursor) = self.cursor.filter(|cursor| entry.seq > cursor.seq) else {
            return Ok(false);
        };
        self.move_to(RoomCursor { seq: entry.seq, ..cursor });
        if store.find(LogId::LOBBY, &entry.from.key, entry.mid)?.is_some() {
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
        let fresh = self.cursor.filter(|cursor| entry.seq > cursor.seq);
        if let Some(cursor) = fresh {
            self.move_to(RoomCursor { seq: entry.seq, ..cursor });
        }
        fresh.is_some()
    }

    fn move_to(&mut self, cursor: RoomCursor) {
        self.cursor_stale |= self.cursor != Some(cursor);
        self.cursor = Some(cursor);
    }

    /// The lobby has decided on a post. Posts are decided in the order in which they were sent.
    pub(super) fn decided(&mut self, mid: Mid) {
        if let Some(index) = self.flying.iter().position(|(_, flying)| *flying == mid) {
            let pos = self.flying[index].0;
            self.flying.drain(..=index);
            self.log.row.acked = self.log.row.acked.max(pos);
            self.log.changed = true;
            self.cursor_stale = true; // the row is written together with the cursor
        }
    }

    /// Ends a step: posts that wait go out, as far as the window lets them; the cursor is written.
    pub(super) fn finish(&mut self, store: &mut Store, effects: &mut Vec<Effect>) -> Result<(), StoreError> {
        if std::mem::take(&mut self.cursor_stale) {
            if let Some(cursor) = self.cursor {
                let text =
                    serde_json::to_string(&cursor).map_err(|_| StoreError::Broken("place in the lobby"))?;
                store.set_meta(CURSOR, &text)?;
            }
            store.put_log(&self.log.row)?;
        }
        if self.state != LobbyState::Connected {
            return Ok(());
        }
        let last = self.flying.back().map_or(self.log.row.acked, |(pos, _)| *pos);
        let room = WINDOW_ENTRIES.saturating_sub(self.flying.len() as u64);
        if last >= self.log.out().0 || room == 0 {
            return Ok(());
        }
        for row in store.out_rows(LogId::LOBBY, last.next(), room)? {
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
        self.asked.values().map(|asked| asked.until).chain(self.presence.deadline()).min()
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
        }
    }
}
