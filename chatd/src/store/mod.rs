//! The embedded database: one file per daemon that holds every log, position and cursor.
//!
//! One thread owns the only writing connection ([`Store`]). Writes open a transaction by themselves;
//! [`Store::commit`] ends it, with one flush of the disk for all that was written since the last one. Whatever others
//! are to see (a reply, a frame, an acknowledgement) waits until then. Clients' pages come from read-only
//! connections ([`Reader`]), which see only what was committed.
//!
//! A failed flush is not repaired here: the daemon stops and starts again from what is on the disk. A full disk is no
//! such failure: see [`StoreError::setback`].

mod archive;
mod backup;
mod blocks;
pub(crate) mod database;
mod drafts;
mod entries;
mod errors;
mod logs;
mod pins;
mod positions;
mod reader;
mod schema;
mod search;
#[cfg(test)]
mod tests;
mod words;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

pub use entries::{Author, NewEntry};
pub use errors::{Setback, StoreError};
pub use logs::{LogId, LogRow};
pub use pins::PinRow;
pub use positions::{InRow, OutRow};
pub use reader::{Progress, Reader};
pub use schema::SCHEMA;
pub use search::{Found, Scope};
pub use words::Query;

/// The writing connection.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: Option<PathBuf>,
    /// Writes and commits that go well before the disk is full.
    #[cfg(test)]
    pub(crate) room: Option<u32>,
}

impl Store {
    /// Opens the database at `path`, making it if there is none. The caller holds the lock of the folder.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut db = database::connect(path)?;
        let found = database::found(&db, SCHEMA)?;
        if (1..SCHEMA).contains(&found) {
            backup::keep(&db, path, found)?;
        }
        database::make_durable(&db)?;
        db.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut db)?;
        Ok(Self::new(db, Some(path.to_owned())))
    }

    /// A database in memory, for tests and simulation.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        db.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut db)?;
        Ok(Self::new(db, None))
    }

    fn new(db: Connection, path: Option<PathBuf>) -> Self {
        Self {
            db,
            path,
            #[cfg(test)]
            room: None,
        }
    }

    /// Fills the disk when its time has come.
    #[cfg(test)]
    fn use_room(&mut self) -> Result<(), StoreError> {
        match &mut self.room {
            Some(0) => Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                Some("database or disk is full".to_owned()),
            )
            .into()),
            Some(room) => {
                *room -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A copy of what is committed, in memory: what a backup holds. For simulation.
    #[cfg(test)]
    pub(crate) fn copy(&self) -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        rusqlite::backup::Backup::new(&self.db, &mut db)?.step(-1)?;
        Ok(Self::new(db, None))
    }

    /// A reader of the same database; `None` for one in memory.
    pub fn reader(&self) -> Option<Result<Reader, StoreError>> {
        self.path.as_deref().map(Reader::open)
    }

    /// The connection, with a transaction open.
    fn write(&mut self) -> Result<&Connection, StoreError> {
        #[cfg(test)]
        self.use_room()?;
        if self.db.is_autocommit() {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(&self.db)
    }

    /// Makes everything written since the last commit durable, with one flush; nothing to do is no work.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if !self.db.is_autocommit() {
            #[cfg(test)]
            self.use_room()?;
            self.db.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// Something was written since the last commit.
    pub fn is_dirty(&self) -> bool {
        !self.db.is_autocommit()
    }

    /// Forgets everything written since the last commit.
    pub fn roll_back(&mut self) -> Result<(), StoreError> {
        if !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }

    /// Writes 1 MiB and takes it away again, to see whether there is room.
    pub fn probe(&mut self) -> Result<(), StoreError> {
        let outcome = self.write_and_remove(1 << 20);
        if outcome.is_err() {
            self.roll_back()?;
        }
        outcome
    }

    fn write_and_remove(&mut self, bytes: i32) -> Result<(), StoreError> {
        self.write()?
            .execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', zeroblob(?1))", [bytes])?;
        self.commit()?;
        self.write()?.execute("DELETE FROM meta WHERE key = 'probe'", [])?;
        self.commit()
    }

    /// A named value of the daemon; `None` where it was never set.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Sets a named value of the daemon.
    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        )?
        .execute([key, value])?;
        Ok(())
    }
}
