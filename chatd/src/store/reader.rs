//! Pages of history for clients, from a read-only connection that sees only what was committed.

use std::path::Path;

use proto::ids::{Key, Pos, Seq, WallMs};
use proto::ipc::{Entry, EntryState, Range};
use proto::limits::{PAGE_BYTES, PAGE_ENTRIES};
use proto::name::Name;
use proto::text::Words;
use rusqlite::{Connection, Row, params};

use super::archive::state_of;
use super::entries::kind_of;
use super::positions::to_mid;
use super::{LogId, StoreError, database};

/// How far a log's own entries have come: what turns a position into an [`EntryState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Own entries up to here have left.
    pub sent: Pos,
    /// Own entries up to here are on the peer's disk.
    pub delivered: Pos,
}

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub(super) db: Connection,
}

pub(super) const COLUMNS: &str =
    "entry.log, entry.seq, entry.kind, entry.name, entry.author, entry.mid, out.pos, entry.at,
    entry.text, entry.imported FROM entry LEFT JOIN out ON out.log = entry.log AND out.seq = entry.seq";

/// The text among [`COLUMNS`].
pub(super) const TEXT: usize = 8;

impl Reader {
    /// Opens the database at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: database::connect_to_read(path)? })
    }

    /// One page of a log, oldest first: at most `limit` entries, and no more than the limits of a page.
    ///
    /// The first entry of the page (for [`Range::Before`], the last) is there however long it is.
    pub fn page(
        &self,
        log: LogId,
        range: Range,
        limit: u32,
        me: &Key,
        progress: Progress,
    ) -> Result<Vec<Entry>, StoreError> {
        let (bound, seq, order) = match range {
            Range::After(seq) => (">", seq, "ASC"),
            Range::Before(seq) => ("<", seq, "DESC"),
        };
        let mut query = self.db.prepare_cached(&format!(
            "SELECT {COLUMNS} WHERE entry.log = ?1 AND entry.seq {bound} ?2 ORDER BY entry.seq {order} LIMIT ?3"
        ))?;
        let limit = u64::from(limit).min(PAGE_ENTRIES as u64);
        let mut rows = query.query(params![log.0, seq.0, limit])?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let (_, entry) = to_entry(row, me, progress)?;
            bytes += entry.text.len();
            if bytes > PAGE_BYTES && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        if matches!(range, Range::Before(_)) {
            entries.reverse();
        }
        Ok(entries)
    }
}

pub(super) fn to_entry(row: &Row<'_>, me: &Key, progress: Progress) -> Result<(LogId, Entry), StoreError> {
    let name: Option<String> = row.get(3)?;
    let author: Vec<u8> = row.get(4)?;
    let pos = row.get::<_, Option<u64>>(6)?;
    let imported: Option<String> = row.get(9)?;
    let entry = Entry {
        seq: Seq(row.get(1)?),
        kind: kind_of(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
        // A name of an earlier version of the program may be none for this one: the entry is there all the same.
        from: name.and_then(|name| Name::new(name).ok()),
        mine: author == me.0,
        mid: to_mid(&row.get::<_, Vec<u8>>(5)?)?,
        pos: pos.map(Pos),
        at: WallMs(row.get(7)?),
        state: state(imported.as_deref(), pos, progress)?,
        text: Words(row.get(TEXT)?),
        imported: imported.is_some(),
    };
    Ok((LogId(row.get(0)?), entry))
}

/// How far an entry has come: one of another database stays as it was there.
pub(super) fn state(
    imported: Option<&str>,
    pos: Option<u64>,
    progress: Progress,
) -> Result<EntryState, StoreError> {
    match imported {
        Some(state) => state_of(state),
        None => Ok(pos.map_or(EntryState::Received, |pos| progress.state(Pos(pos)))),
    }
}

impl Progress {
    fn state(self, pos: Pos) -> EntryState {
        if pos <= self.delivered {
            EntryState::Delivered
        } else if pos <= self.sent {
            EntryState::Sent
        } else {
            EntryState::Queued
        }
    }
}
