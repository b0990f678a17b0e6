//! How far this daemon has read the lobbies that it was in lately, and which of its posts stand there.
//!
//! A lobby is known by its key, because a hello is sent before the lobby has said which log it has: the lobby of a
//! machine is hosted by one daemon after the other. A lobby that was restored from a backup has the same log without
//! its end. It sends all it holds, and posts of ours that do not come are published again.

use std::collections::VecDeque;

use proto::ids::{Key, LobbySeq, Mid, Pos};
use proto::lobby::{RoomCursor, Welcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

/// The keys of the lobbies, the last one first, among the store's named values.
const LOBBIES: &str = "rooms";

/// The only place that was kept before there was one for each lobby.
const BEFORE: &str = "room";

/// Lobbies that are remembered.
const MAX_LOBBIES: usize = 8;

/// Own posts of which it is remembered that they stand in a lobby.
const MAX_POSTS: usize = 256;

/// A post of ours that stood in the lobby's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    pos: Pos,
    seq: LobbySeq,
    /// The lobby has lost the end of its log: not seen there since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
}

/// What is known of one lobby.
#[derive(Debug, Default)]
struct Bookmark {
    cursor: Option<RoomCursor>,
    posts: VecDeque<Standing>,
}

/// What is known of the lobbies.
#[derive(Debug)]
pub(super) struct Bookmarks {
    /// The last one first.
    lobbies: Vec<Key>,
    /// The lobby of the present link.
    here: Option<Key>,
    mark: Bookmark,
    /// What was said in the hello.
    told: Option<RoomCursor>,
    /// Where the lobby's log ended at the welcome; `None` without a welcome.
    head: Option<LobbySeq>,
    /// Lost posts were given out on this link.
    given: bool,
    cursor_stale: bool,
    posts_stale: bool,
}

fn cursor_name(lobby: Key) -> String {
    format!("room cursor {lobby}")
}

fn posts_name(lobby: Key) -> String {
    format!("room posts {lobby}")
}

fn get<T: DeserializeOwned>(store: &Store, name: &str) -> Result<Option<T>, StoreError> {
    let text = store.meta(name)?.filter(|text| !text.is_empty());
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|_| StoreError::Broken("place in the lobby"))
}

fn set<T: Serialize>(store: &mut Store, name: &str, value: &T) -> Result<(), StoreError> {
    let text = serde_json::to_string(value).map_err(|_| StoreError::Broken("place in the lobby"))?;
    store.set_meta(name, &text)
}

impl Bookmarks {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            lobbies: get(store, LOBBIES)?.unwrap_or_default(),
            here: None,
            mark: Bookmark::default(),
            told: None,
            head: None,
            given: false,
            cursor_stale: false,
            posts_stale: false,
        })
    }

    /// A link to a lobby stands: what to say in the hello. `passed_on`: the lobby is hosted by one daemon after the other,
    /// so where this one is not known a place in the last one tells it that we are no newcomer.
    pub(super) fn turn_to(
        &mut self,
        store: &Store,
        lobby: Key,
        passed_on: bool,
    ) -> Result<Option<RoomCursor>, StoreError> {
        self.here = Some(lobby);
        self.head = None;
        let cursor = get(store, &cursor_name(lobby))?;
        self.mark = Bookmark { cursor, posts: get(store, &posts_name(lobby))?.unwrap_or_default() };
        self.told = match (self.mark.cursor, self.lobbies.first()) {
            (Some(cursor), _) => Some(cursor),
            (None, Some(last)) if passed_on => get(store, &cursor_name(*last))?,
            (None, Some(_)) => None,
            (None, None) => get(store, BEFORE)?,
        };
        Ok(self.told)
    }

    /// The lobby says which log it has: the place there.
    pub(super) fn welcomed(&mut self, store: &mut Store, welcome: &Welcome) -> Result<(), StoreError> {
        let generation = welcome.generation;
        self.head = Some(welcome.head);
        self.given = false;
        let same = self.told.filter(|told| told.generation == generation);
        let (seq, mid) = match (self.told, same) {
            (None, _) => (welcome.head, None),
            // Another log: it is read from its beginning, ids tell what is known.
            (Some(_), None) => (LobbySeq::START, None),
            (Some(_), Some(told)) if told.seq > welcome.head => (LobbySeq::START, None),
            (Some(_), Some(told)) => (told.seq, told.mid),
        };
        if same.is_none() && !self.mark.posts.is_empty() {
            self.mark.posts.clear();
            self.posts_stale = true;
        }
        if same.is_some_and(|told| told.seq > seq) {
            self.rewound();
        }
        self.move_to(RoomCursor { generation, seq, mid });
        self.come_first(store)
    }

    fn come_first(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let Some(here) = self.here.filter(|here| self.lobbies.first() != Some(here)) else { return Ok(()) };
        self.lobbies.retain(|lobby| *lobby != here);
        self.lobbies.insert(0, here);
        for gone in self.lobbies.drain(MAX_LOBBIES.min(self.lobbies.len())..) {
            store.set_meta(&cursor_name(gone), "")?;
            store.set_meta(&posts_name(gone), "")?;
        }
        set(store, LOBBIES, &self.lobbies)
    }

    fn move_to(&mut self, cursor: RoomCursor) {
        self.cursor_stale |= self.mark.cursor != Some(cursor);
        self.mark.cursor = Some(cursor);
    }

    /// The lobby's log is not the one that was read before: it has lost its end.
    fn rewound(&mut self) {
        for post in &mut self.mark.posts {
            post.lost = true;
        }
        self.posts_stale |= !self.mark.posts.is_empty();
    }

    /// An entry of the lobby's log has come. `true`: it was not read before.
    pub(super) fn read(&mut self, seq: LobbySeq, mid: Mid) -> bool {
        let Some(cursor) = self.mark.cursor else { return false };
        let rewound = seq <= cursor.seq;
        if rewound {
            self.rewound();
        }
        self.move_to(RoomCursor { seq, mid: Some(mid), ..cursor });
        !rewound
    }

    /// What lies before `next` is no longer held. `true`: some of it was not read.
    pub(super) fn gap(&mut self, next: LobbySeq) -> bool {
        let Some(cursor) = self.mark.cursor else { return false };
        let before = LobbySeq(next.0.saturating_sub(1));
        let ours = self.told.is_some_and(|told| told.generation == cursor.generation);
        let news = before > cursor.seq && ours && !self.has_lost();
        if next <= cursor.seq {
            self.rewound();
        }
        let held = self.mark.posts.len();
        self.mark.posts.retain(|post| post.seq >= next);
        self.posts_stale |= self.mark.posts.len() < held;
        self.move_to(RoomCursor { seq: before, mid: None, ..cursor });
        news
    }

    /// A post of ours stands in the log.
    pub(super) fn stands(&mut self, pos: Pos, seq: LobbySeq) {
        let posts = &mut self.mark.posts;
        posts.retain(|post| post.pos != pos);
        posts.push_back(Standing { pos, seq, lost: false });
        if posts.len() > MAX_POSTS {
            posts.pop_front();
        }
        self.posts_stale = true;
    }

    /// A post of ours does not stand there and will not.
    pub(super) fn refused(&mut self, pos: Pos) {
        let held = self.mark.posts.len();
        self.mark.posts.retain(|post| post.pos != pos);
        self.posts_stale |= self.mark.posts.len() < held;
    }

    /// Some posts of ours may be gone.
    pub(super) fn has_lost(&self) -> bool {
        self.mark.posts.iter().any(|post| post.lost)
    }

    /// Posts of ours that are gone, in order, once on each link; known when the lobby's log was read to its end.
    pub(super) fn take_lost(&mut self) -> Vec<Pos> {
        let read = self.mark.cursor.is_some_and(|cursor| self.head.is_some_and(|head| cursor.seq >= head));
        if self.given || !read || !self.has_lost() {
            return Vec::new();
        }
        self.given = true;
        let mut lost: Vec<Pos> =
            self.mark.posts.iter().filter(|post| post.lost).map(|post| post.pos).collect();
        lost.sort_unstable();
        lost
    }

    /// Writes what has changed. `true`: something had.
    pub(super) fn save(&mut self, store: &mut Store) -> Result<bool, StoreError> {
        let Some(here) = self.here else { return Ok(false) };
        let (cursor, posts) = (std::mem::take(&mut self.cursor_stale), std::mem::take(&mut self.posts_stale));
        if cursor {
            set(store, &cursor_name(here), &self.mark.cursor)?;
        }
        if posts {
            set(store, &posts_name(here), &self.mark.posts)?;
        }
        Ok(cursor || posts)
    }
}
