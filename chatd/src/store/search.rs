//! Full-text search: the index over what was said, and how a search uses it.
//!
//! The index (table `word`) holds for each word the entries with it, and no text: what it finds is read from `entry`
//! and looked at once more. An entry is indexed by the transaction that appends it. What an older version of the
//! program wrote is indexed a little at a time while the daemon has nothing else to do, the newest first; a search
//! reads through the rest.

use std::time::{Duration, Instant};

use proto::ids::Key;
use proto::ipc::Entry;
use proto::limits::{PAGE_BYTES, PAGE_ENTRIES};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::reader::{COLUMNS, TEXT, to_entry};
use super::words::{Query, for_index};
use super::{LogId, Progress, Reader, Store, StoreError};

/// Among the named values: entries up to this one are not indexed yet.
const NOT_INDEXED: &str = "not indexed";
/// Entries that are indexed at a time: a few milliseconds of the writer.
const PORTION: i64 = 256;
/// A search ends after this, with what it has found: it must not hold up the others for long.
const TIME: Duration = Duration::from_millis(200);
/// Rows between two looks at the clock.
const LOOKS: u32 = 64;

/// Whose lines a search shows, and how.
pub struct Scope<P, S> {
    /// At most so many.
    pub limit: u32,
    /// The daemon's key.
    pub me: Key,
    /// How far a log's own entries have come.
    pub progress: P,
    /// Lines of this log are not shown.
    pub skip: S,
}

/// What a search has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Newest first.
    pub hits: Vec<(LogId, Entry)>,
    /// There may be more: the search has ended before it had seen everything.
    pub partial: bool,
}

fn not_indexed(db: &Connection) -> Result<i64, StoreError> {
    let mut query = db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let last: Option<String> = query.query_row([NOT_INDEXED], |row| row.get(0)).optional()?;
    last.map_or(Ok(0), |last| last.parse().map_err(|_| StoreError::Broken("end of the index")))
}

impl Store {
    /// Indexes one entry.
    pub(super) fn index(db: &Connection, id: i64, text: &str) -> Result<(), StoreError> {
        let words = for_index(text);
        if !words.is_empty() {
            db.prepare_cached("INSERT INTO word (rowid, text) VALUES (?1, ?2)")?
                .execute(params![id, words])?;
        }
        Ok(())
    }

    /// Takes the entries of a log out of the index.
    pub(super) fn forget_words(db: &Connection, log: LogId) -> Result<(), StoreError> {
        let last = not_indexed(db)?;
        let mut query =
            db.prepare_cached("SELECT id, text FROM entry WHERE log = ?1 AND id > ?2 AND kind = 'text'")?;
        let mut rows = query.query(params![log.0, last])?;
        let mut forget =
            db.prepare_cached("INSERT INTO word (word, rowid, text) VALUES ('delete', ?1, ?2)")?;
        while let Some(row) = rows.next()? {
            let words = for_index(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            if !words.is_empty() {
                forget.execute(params![row.get::<_, i64>(0)?, words])?;
            }
        }
        Ok(())
    }

    /// The entries that the index has for a word. For tests.
    #[cfg(test)]
    pub(crate) fn indexed(&self, word: &str) -> Vec<i64> {
        let mut query = self.db.prepare("SELECT rowid FROM word WHERE word MATCH ?1").expect("a query");
        let rows = query.query_map([format!("\"{word}\"")], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("ids")
    }

    /// Makes it a database of before there was an index. For tests.
    #[cfg(test)]
    pub(crate) fn unindex(&mut self) {
        let db = self.write().expect("a transaction");
        db.execute_batch(
            "INSERT INTO word (word) VALUES ('delete-all');
             INSERT INTO meta (key, value) SELECT 'not indexed', max(id) FROM entry;",
        )
        .expect("forgets");
    }

    /// There are entries of an older version that are not indexed.
    pub fn has_unindexed(&self) -> Result<bool, StoreError> {
        Ok(not_indexed(&self.db)? > 0)
    }

    /// Indexes the newest entries that are not indexed. `false`: all are.
    pub fn index_more(&mut self) -> Result<bool, StoreError> {
        let last = not_indexed(&self.db)?;
        if last == 0 {
            return Ok(false);
        }
        let before = (last - PORTION).max(0);
        let db = self.write()?;
        let mut query = db.prepare_cached(
            "SELECT id, text FROM entry WHERE id > ?1 AND id <= ?2 AND kind = 'text' ORDER BY id",
        )?;
        let mut rows = query.query([before, last])?;
        while let Some(row) = rows.next()? {
            Self::index(db, row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        }
        drop(rows);
        drop(query);
        if before == 0 {
            db.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([NOT_INDEXED])?;
        } else {
            self.set_meta(NOT_INDEXED, &before.to_string())?;
        }
        Ok(before > 0)
    }
}

impl Reader {
    /// Messages that hold all the words, each as the beginning of one of theirs; newest first.
    pub fn search<P, S>(&self, query: &Query, scope: &Scope<P, S>) -> Result<Found, StoreError>
    where
        P: Fn(LogId) -> Progress,
        S: Fn(LogId) -> bool,
    {
        // One view of the database, so that no entry moves into the index between the two looks.
        let db = self.db.unchecked_transaction()?;
        let mut search =
            Search { query, scope, found: Found::default(), bytes: 0, begun: Instant::now(), looked: 0 };
        let unindexed = match query.for_index() {
            Some(words) => {
                search.index(&db, &words)?;
                not_indexed(&db)?
            }
            None => i64::MAX,
        };
        if unindexed > 0 && !search.is_full() && !search.found.partial {
            search.scan(&db, unindexed)?;
        }
        Ok(search.found)
    }
}

/// A search under way.
struct Search<'a, P, S> {
    query: &'a Query,
    scope: &'a Scope<P, S>,
    found: Found,
    bytes: usize,
    begun: Instant,
    looked: u32,
}

impl<P: Fn(LogId) -> Progress, S: Fn(LogId) -> bool> Search<'_, P, S> {
    fn is_full(&self) -> bool {
        self.found.hits.len() >= PAGE_ENTRIES.min(self.scope.limit as usize) || self.bytes > PAGE_BYTES
    }

    /// Takes an entry if it is one of those meant. `false`: it was the last one to be looked at.
    fn take(&mut self, row: &Row<'_>) -> Result<bool, StoreError> {
        self.looked += 1;
        if self.looked.is_multiple_of(LOOKS) && self.begun.elapsed() > TIME {
            self.found.partial = true;
            return Ok(false);
        }
        let text = row.get_ref(TEXT)?.as_str().map_err(rusqlite::Error::from)?;
        let log = LogId(row.get(0)?);
        if (self.scope.skip)(log) || !self.query.is_in(text) {
            return Ok(true);
        }
        self.bytes += text.len();
        if self.bytes <= PAGE_BYTES || self.found.hits.is_empty() {
            self.found.hits.push(to_entry(row, &self.scope.me, (self.scope.progress)(log))?);
        }
        Ok(!self.is_full())
    }

    /// What the index knows.
    fn index(&mut self, db: &Connection, words: &str) -> Result<(), StoreError> {
        let mut ids = db.prepare_cached("SELECT rowid FROM word WHERE word MATCH ?1 ORDER BY rowid DESC")?;
        let mut entry =
            db.prepare_cached(&format!("SELECT {COLUMNS} WHERE entry.id = ?1 AND entry.kind = 'text'"))?;
        let mut ids = ids.query([words])?;
        while let Some(id) = ids.next()? {
            let mut rows = entry.query([id.get::<_, i64>(0)?])?;
            if let Some(row) = rows.next()?
                && !self.take(row)?
            {
                break;
            }
        }
        Ok(())
    }

    /// What the index does not know: the entries up to `last`, one by one.
    fn scan(&mut self, db: &Connection, last: i64) -> Result<(), StoreError> {
        let mut query = db.prepare_cached(&format!(
            "SELECT {COLUMNS} WHERE entry.id <= ?1 AND entry.kind = 'text' ORDER BY entry.id DESC"
        ))?;
        let mut rows = query.query([last])?;
        while let Some(row) = rows.next()? {
            if !self.take(row)? {
                break;
            }
        }
        Ok(())
    }
}
