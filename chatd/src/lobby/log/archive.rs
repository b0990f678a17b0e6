//! Pages of the log for readers who are behind the ring: read-only connections, few, off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use proto::frame::{Encoded, encode};
use proto::ids::{Key, LobbySeq, Mid, Signature, WallMs};
use proto::lobby::{FromLobby, Member, RoomEntry};
use proto::name::Name;
use proto::text::Text;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{READ_BYTES, READ_ENTRIES};
use crate::store::StoreError;
use crate::store::database::connect_to_read;

/// Most pages that are read at the same time. Who comes later waits: a page takes a millisecond.
const MAX_READERS: usize = 4;

/// The readers of a log.
#[derive(Debug, Clone)]
pub(in crate::lobby) struct Archive(Arc<Readers>);

#[derive(Debug)]
struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A part of what a reader lacks.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::lobby) struct Page {
    /// The first entry that is still held, where entries after the reader's place are not.
    pub(in crate::lobby) gap: Option<LobbySeq>,
    /// Entries, oldest first.
    pub(in crate::lobby) frames: Vec<Encoded>,
    /// Where the reader stands behind them.
    pub(in crate::lobby) end: LobbySeq,
}

impl Archive {
    pub(super) fn new(path: PathBuf) -> Self {
        let (places, idle) = (Semaphore::new(MAX_READERS), Mutex::default());
        Self(Arc::new(Readers { path, places, idle }))
    }

    /// See [`read`].
    pub(in crate::lobby) async fn page(
        &self,
        after: LobbySeq,
        check: Option<Mid>,
        until: LobbySeq,
    ) -> Result<Page, StoreError> {
        // An error would mean that the semaphore was closed, which nobody does.
        let _place = self.0.places.acquire().await;
        let readers = self.0.clone();
        let work = move || {
            let idle = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let db = idle.map_or_else(|| connect_to_read(&readers.path), Ok)?;
            let page = read(&db, after, check, until)?;
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            Ok(page)
        };
        spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

/// The entries after a place up to `until`, behind which the ring goes on; at most a page of them.
///
/// With `check` the place is good only if that is the entry there: else this log went another way since, and all of it
/// is read. Where the entry is deleted nobody can tell. No entry at all means that those up to `until` are deleted.
pub(super) fn read(
    db: &Connection,
    after: LobbySeq,
    check: Option<Mid>,
    until: LobbySeq,
) -> Result<Page, StoreError> {
    let strayed = check.is_some_and(|_| after > LobbySeq::START) && {
        let there = "SELECT mid FROM entry WHERE seq = ?1";
        let there: Option<Vec<u8>> =
            db.prepare_cached(there)?.query_row([after.0], |row| row.get(0)).optional()?;
        there.is_some_and(|there| check.is_some_and(|mid| mid.0 != *there))
    };
    let after = if strayed { LobbySeq::START } else { after };
    let mut query = db.prepare_cached(
        "SELECT seq, author, name, mid, at, text, sig FROM entry
         WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = query.query(params![after.0, until.0, READ_ENTRIES])?;
    let (mut frames, mut bytes, mut first, mut end) = (Vec::new(), 0, until.next(), until);
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        let seq = entry.seq;
        let frame = encode(&FromLobby::Entry(Box::new(entry))).map_err(|_| StoreError::Broken("entry"))?;
        bytes += frame.0.len();
        if bytes > READ_BYTES && !frames.is_empty() {
            break;
        }
        first = first.min(seq);
        end = seq;
        frames.push(frame);
    }
    Ok(Page { gap: (first > after.next()).then_some(first), frames, end })
}

fn entry(row: &Row<'_>) -> Result<RoomEntry, StoreError> {
    let blob = |index| row.get_ref(index).and_then(|value| value.as_blob().map_err(Into::into));
    Ok(RoomEntry {
        seq: LobbySeq(row.get(0)?),
        from: Member {
            key: Key::from_slice(blob(1)?).ok_or(StoreError::Broken("key"))?,
            name: Name::new(row.get::<_, String>(2)?).map_err(|_| StoreError::Broken("name"))?,
        },
        mid: Mid::from_slice(blob(3)?).ok_or(StoreError::Broken("message id"))?,
        at: WallMs(row.get(4)?),
        text: Text::new(row.get::<_, String>(5)?).map_err(|_| StoreError::Broken("text"))?,
        sig: Signature::from_slice(blob(6)?).ok_or(StoreError::Broken("signature"))?,
    })
}
