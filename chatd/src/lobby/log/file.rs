//! The database of a lobby's log. Whoever writes commits; nothing counts before.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::frame::encode;
use proto::ids::{Generation, LobbySeq, Mid, WallMs};
use proto::lobby::{FromLobby, RoomEntry};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Archive, Decision, Denied, Fresh, Group, Post, Start};
use crate::store::StoreError;
use crate::store::database::{connect, found, make_durable, make_file, step_up};

/// Name of the file in the lobby's folder. It is not the one of the names: the log is written by a thread of its own.
const FILE_NAME: &str = "log.db";

/// Version of the tables, in `PRAGMA user_version`: that of the last step. 0 is an empty file.
const VERSION: i64 = 1;

/// What each version adds, the first one first. Never edited: there are files that they made.
const STEPS: [&str; 1] = ["
CREATE TABLE entry (
    seq      INTEGER PRIMARY KEY,           -- without a hole; the oldest are deleted
    author   BLOB NOT NULL,                 -- key
    name     TEXT NOT NULL,                 -- as the lobby had granted it
    mid      BLOB NOT NULL,
    at       INTEGER NOT NULL,              -- when its author made it, in milliseconds since 1970
    text     TEXT NOT NULL,
    sig      BLOB NOT NULL,                 -- the author's
    received INTEGER NOT NULL,              -- when the lobby took it
    UNIQUE (author, mid)
);

-- One row.
CREATE TABLE log (
    generation BLOB NOT NULL,
    head       INTEGER NOT NULL,            -- the last entry there ever was
    mid        BLOB,                        -- its identity
    floor      INTEGER NOT NULL,            -- the last entry that was deleted
    bytes      INTEGER NOT NULL             -- of the entries, as retention counts them
);
"];

/// What an entry counts for besides its text, in bytes: its other columns and its place in two indexes.
const ENTRY_BYTES: u64 = 256;

/// Most entries that one commit deletes: far more than one commit adds.
const STEP: usize = 512;

/// How much of the log is kept. What is over any of the three goes, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lobby) struct Retention {
    /// Most entries.
    pub(in crate::lobby) entries: u64,
    /// Longest time since the lobby took an entry.
    pub(in crate::lobby) age: Duration,
    /// Most bytes of text, and 256 more for each entry.
    pub(in crate::lobby) bytes: u64,
}

/// The only writing connection.
#[derive(Debug)]
pub(in crate::lobby) struct LogFile {
    db: Connection,
    path: Option<PathBuf>,
    retention: Retention,
}

/// The row of the log.
#[derive(Debug, Clone, Copy)]
struct Ends {
    head: u64,
    mid: Option<Mid>,
    floor: u64,
    bytes: u64,
}

impl LogFile {
    /// Opens the log in `dir`, beginning one if there is none.
    pub(in crate::lobby) fn open(dir: &Path, retention: Retention) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        make_file(&path)?;
        let db = connect(&path)?;
        found(&db, VERSION)?;
        make_durable(&db)?;
        Self::with(db, Some(path), retention)
    }

    /// A log that nobody keeps.
    pub(in crate::lobby) fn in_memory(retention: Retention) -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?, None, retention)
    }

    fn with(mut db: Connection, path: Option<PathBuf>, retention: Retention) -> Result<Self, StoreError> {
        migrate(&mut db)?;
        Ok(Self { db, path, retention })
    }

    /// Where the log stands.
    pub(in crate::lobby) fn start(&self) -> Result<Start, StoreError> {
        let row = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
        let generation = self.db.query_row("SELECT generation FROM log", [], row)?;
        let generation = Generation::from_slice(&generation).ok_or(StoreError::Broken("generation"))?;
        let ends = self.ends()?;
        Ok(Start { generation, head: LobbySeq(ends.head), mid: ends.mid })
    }

    /// For readers who are behind; `None` for a log in memory.
    pub(in crate::lobby) fn archive(&self) -> Option<Archive> {
        self.path.clone().map(Archive::new)
    }

    /// Gives each post its place and deletes the oldest entries that are too many. Nothing of it is so before
    /// [`LogFile::commit`]; after an error the same posts may come again.
    ///
    /// The ends are read anew each time: what a failed commit has left is on the disk alone.
    pub(in crate::lobby) fn write(&mut self, posts: &[Post], now: WallMs) -> Result<Group, StoreError> {
        self.roll_back()?;
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let mut ends = self.ends()?;
        let (mut decisions, mut fresh) = (Vec::with_capacity(posts.len()), Vec::new());
        for post in posts {
            decisions.push(self.place(&mut ends, post, now, &mut fresh)?);
        }
        let more_to_go = self.trim(&mut ends, now)?;
        self.db
            .prepare_cached("UPDATE log SET head = ?1, mid = ?2, floor = ?3, bytes = ?4")?
            .execute(params![ends.head, ends.mid.map(|mid| mid.0), ends.floor, ends.bytes])?;
        Ok(Group { decisions, fresh, floor: LobbySeq(ends.floor), more_to_go })
    }

    /// Makes what was written durable, with one flush of the disk.
    pub(in crate::lobby) fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.db.execute_batch("COMMIT")?)
    }

    /// What was written since the last commit is not so.
    pub(in crate::lobby) fn roll_back(&mut self) -> Result<(), StoreError> {
        if !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    fn place(
        &self,
        ends: &mut Ends,
        post: &Post,
        now: WallMs,
        fresh: &mut Vec<Fresh>,
    ) -> Result<Decision, StoreError> {
        let (author, mid) = (post.entry.from.key, post.entry.mid);
        let mut find = self.db.prepare_cached("SELECT seq FROM entry WHERE author = ?1 AND mid = ?2")?;
        if let Some(seq) = find.query_row(params![author.0, mid.0], |row| row.get(0)).optional()? {
            return Ok(Decision::Stands(LobbySeq(seq)));
        }
        if let Some(denied) = post.denied {
            return Ok(Decision::Denied(denied));
        }
        let entry = RoomEntry { seq: LobbySeq(ends.head + 1), ..post.entry.clone() };
        let cost = cost(entry.text.as_str().len() as u64);
        self.insert(&entry, now)?;
        let Ok(frame) = encode(&FromLobby::Entry(Box::new(entry))) else {
            self.db.prepare_cached("DELETE FROM entry WHERE seq = ?1")?.execute([ends.head + 1])?;
            return Ok(Decision::Denied(Denied::TooLong));
        };
        ends.head += 1;
        ends.mid = Some(mid);
        ends.bytes += cost;
        fresh.push(Fresh { mid, frame });
        Ok(Decision::Stands(LobbySeq(ends.head)))
    }

    fn insert(&self, entry: &RoomEntry, now: WallMs) -> Result<(), StoreError> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO entry (seq, author, name, mid, at, text, sig, received)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        insert.execute(params![
            entry.seq.0,
            entry.from.key.0,
            entry.from.name.as_str(),
            entry.mid.0,
            entry.at.0,
            entry.text.as_str(),
            entry.sig.0,
            now.0,
        ])?;
        Ok(())
    }

    /// Deletes the oldest that are too many, too old or too big, at most [`STEP`]. `true`: there is more to delete.
    fn trim(&self, ends: &mut Ends, now: WallMs) -> Result<bool, StoreError> {
        let age = u64::try_from(self.retention.age.as_millis()).unwrap_or(u64::MAX);
        let oldest = now.0.saturating_sub(age);
        let before = ends.floor;
        let mut rows = self.oldest()?;
        while let Some((seq, received, cost)) = rows.front().copied()
            && self.is_over(ends, seq, received < oldest)
        {
            rows.pop_front();
            ends.floor = seq;
            ends.bytes = ends.bytes.saturating_sub(cost);
        }
        if ends.floor > before {
            self.db.prepare_cached("DELETE FROM entry WHERE seq <= ?1")?.execute([ends.floor])?;
        }
        Ok(rows.is_empty() && ends.floor >= before + STEP as u64)
    }

    /// The newest goes for its age only: a single long text must be there to be read.
    fn is_over(&self, ends: &Ends, seq: u64, too_old: bool) -> bool {
        let too_many = ends.head - ends.floor > self.retention.entries || ends.bytes > self.retention.bytes;
        too_old || (too_many && seq < ends.head)
    }

    fn oldest(&self) -> Result<VecDeque<(u64, u64, u64)>, StoreError> {
        let mut query = self
            .db
            .prepare_cached("SELECT seq, received, octet_length(text) FROM entry ORDER BY seq LIMIT ?1")?;
        let rows = query.query_map([STEP as u64], |row| Ok((row.get(0)?, row.get(1)?, cost(row.get(2)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn ends(&self) -> Result<Ends, StoreError> {
        let mut query = self.db.prepare_cached("SELECT head, mid, floor, bytes FROM log")?;
        let (head, mid, floor, bytes) = query.query_row([], |row| {
            Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get(2)?, row.get(3)?))
        })?;
        let mid = mid.map(|mid| Mid::from_slice(&mid).ok_or(StoreError::Broken("message id"))).transpose()?;
        Ok(Ends { head, mid, floor, bytes })
    }

    /// The connection, to read what is committed and what is not.
    #[cfg(test)]
    pub(super) fn db(&self) -> &Connection {
        &self.db
    }
}

fn cost(text: u64) -> u64 {
    text + ENTRY_BYTES
}

/// Brings the tables to the version of this program, in one step that happens whole or not at all.
fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction()?;
    if step_up(&tx, &STEPS)? == 0 {
        let generation: [u8; Generation::LEN] = rand::random();
        tx.execute("INSERT INTO log (generation, head, floor, bytes) VALUES (?1, 0, 0, 0)", [generation])?;
    }
    Ok(tx.commit()?)
}
