//! The entries of a log: what was said, and what the daemon noted.

use proto::ids::{Key, Mid, Pos, Seq, WallMs};
use proto::ipc::EntryKind;
use proto::name::Name;
use proto::text::Words;
use rusqlite::{OptionalExtension, params};

use super::{LogId, Store, StoreError};

/// Whose entry it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// Somebody, by key and by the name of that time.
    Person(Key, Name),
    /// This daemon, about somebody or about nobody.
    Daemon(Option<Name>),
}

impl Author {
    pub(super) fn key_bytes(&self) -> &[u8] {
        match self {
            Self::Person(key, _) => &key.0,
            Self::Daemon(_) => &[],
        }
    }

    fn name(&self) -> Option<&Name> {
        match self {
            Self::Person(_, name) => Some(name),
            Self::Daemon(name) => name.as_ref(),
        }
    }
}

/// An entry that has no place yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Whose.
    pub author: Author,
    /// Its identity.
    pub mid: Mid,
    /// What it is.
    pub kind: EntryKind,
    /// When its author made it.
    pub at: WallMs,
    /// The text; empty for kinds that have none.
    pub text: Words,
    /// Of a closing entry: how far its author had read.
    pub seen: Option<Pos>,
}

/// A row of the table, as it is written.
pub(super) struct NewRow<'a> {
    /// The bytes of the author's key; none: the daemon itself.
    pub(super) author: &'a [u8],
    pub(super) name: Option<&'a Name>,
    pub(super) mid: Mid,
    pub(super) kind: EntryKind,
    pub(super) at: WallMs,
    pub(super) text: &'a str,
    pub(super) seen: Option<Pos>,
    /// How far it had come in the database from which it is; `None`: it was written or came here.
    pub(super) imported: Option<&'static str>,
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Text => "text",
        EntryKind::Joined => "joined",
        EntryKind::Left => "left",
        EntryKind::Opened => "opened",
        EntryKind::Closed => "closed",
        EntryKind::Notice => "notice",
    }
}

pub(super) fn kind_of(name: &str) -> Result<EntryKind, StoreError> {
    Ok(match name {
        "text" => EntryKind::Text,
        "joined" => EntryKind::Joined,
        "left" => EntryKind::Left,
        "opened" => EntryKind::Opened,
        "closed" => EntryKind::Closed,
        "notice" => EntryKind::Notice,
        _ => return Err(StoreError::Broken("kind of an entry")),
    })
}

impl Store {
    /// The last entry of a log.
    pub fn head(&self, log: LogId) -> Result<Seq, StoreError> {
        let mut query = self.db.prepare_cached("SELECT max(seq) FROM entry WHERE log = ?1")?;
        let head: Option<u64> = query.query_row([log.0], |row| row.get(0))?;
        Ok(Seq(head.unwrap_or(0)))
    }

    /// Where an author's message stands; `None` where it is not in the log.
    pub fn find(&self, log: LogId, author: &Key, mid: Mid) -> Result<Option<Seq>, StoreError> {
        self.find_of(log, &author.0, mid)
    }

    /// The same by the bytes of the author's key, of which a daemon's own entries have none.
    pub(super) fn find_of(&self, log: LogId, author: &[u8], mid: Mid) -> Result<Option<Seq>, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT seq FROM entry WHERE log = ?1 AND author = ?2 AND mid = ?3")?;
        let seq = query.query_row(params![log.0, author, mid.0], |row| row.get(0)).optional()?;
        Ok(seq.map(Seq))
    }

    /// Puts an entry at the end of a log, as `seq`: the caller knows the head.
    pub fn append(&mut self, log: LogId, seq: Seq, entry: &NewEntry) -> Result<(), StoreError> {
        let row = NewRow {
            author: entry.author.key_bytes(),
            name: entry.author.name(),
            mid: entry.mid,
            kind: entry.kind,
            at: entry.at,
            text: &entry.text,
            seen: entry.seen,
            imported: None,
        };
        self.insert(log, seq, &row)
    }

    /// Writes a row, and its words into the index.
    pub(super) fn insert(&mut self, log: LogId, seq: Seq, row: &NewRow<'_>) -> Result<(), StoreError> {
        let db = self.write()?;
        let mut statement = db.prepare_cached(
            "INSERT INTO entry (log, seq, author, name, mid, kind, at, text, seen, imported)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        statement.execute(params![
            log.0,
            seq.0,
            row.author,
            row.name.map(Name::as_str),
            row.mid.0,
            kind_name(row.kind),
            row.at.0,
            row.text,
            row.seen.map(|pos| pos.0),
            row.imported,
        ])?;
        if row.kind == EntryKind::Text { Self::index(db, db.last_insert_rowid(), row.text) } else { Ok(()) }
    }

    /// Messages of others after one entry and up to another.
    pub fn count_others(&self, log: LogId, after: Seq, last: Seq, me: &Key) -> Result<u64, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT count(*) FROM entry
             WHERE log = ?1 AND seq > ?2 AND seq <= ?3 AND kind = 'text' AND author <> ?4 AND imported IS NULL",
        )?;
        Ok(query.query_row(params![log.0, after.0, last.0, me.0], |row| row.get(0))?)
    }

    /// How many entries of an author came into a log, and how many bytes of text they hold.
    pub fn weight(&self, log: LogId, author: &Key) -> Result<(u64, usize), StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT count(*), coalesce(sum(length(CAST(text AS BLOB))), 0) FROM entry
             WHERE log = ?1 AND author = ?2 AND imported IS NULL",
        )?;
        let (entries, bytes): (u64, u64) =
            query.query_row(params![log.0, author.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((entries, usize::try_from(bytes).unwrap_or(usize::MAX)))
    }

    /// Author and text of every message of a log, in order. For tests.
    #[cfg(test)]
    pub(crate) fn all_texts(&self, log: LogId) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
        let mut query = self
            .db
            .prepare("SELECT author, text FROM entry WHERE log = ?1 AND kind = 'text' ORDER BY seq")?;
        let rows = query.query_map([log.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Who came and who left, in order: `joined anna`, `left anna`. For tests.
    #[cfg(test)]
    pub(crate) fn all_moves(&self, log: LogId) -> Result<Vec<String>, StoreError> {
        let mut query = self.db.prepare(
            "SELECT kind || ' ' || name FROM entry WHERE log = ?1 AND kind IN ('joined', 'left') ORDER BY seq",
        )?;
        let rows = query.query_map([log.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The daemon's own lines of a log, in order. For tests.
    #[cfg(test)]
    pub(crate) fn all_notices(&self, log: LogId) -> Result<Vec<String>, StoreError> {
        let mut query =
            self.db.prepare("SELECT text FROM entry WHERE log = ?1 AND kind = 'notice' ORDER BY seq")?;
        let rows = query.query_map([log.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
