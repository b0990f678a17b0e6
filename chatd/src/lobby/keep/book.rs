//! The database of a lobby.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use proto::ids::{Key, WallMs};
use proto::name::Name;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Kept, Row, RowId};
use crate::lobby::doors::{Pass, TokenHash};
use crate::store::{StoreError, check_sqlite};

/// Name of the file in the lobby's folder.
const FILE_NAME: &str = "lobby.db";

/// Version of the tables, in `PRAGMA user_version`. 0 is an empty file.
const VERSION: i64 = 1;

const TABLES: &str = "
-- A name belongs to a key, until it was not used for long.
CREATE TABLE IF NOT EXISTS name (
    key  BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    used INTEGER NOT NULL                   -- when, in milliseconds since 1970
) WITHOUT ROWID;

-- Who was let in by an invitation stays so.
CREATE TABLE IF NOT EXISTS guest (
    key BLOB PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS invitation (
    hash    BLOB PRIMARY KEY,               -- SHA-256 of the token
    uses    INTEGER NOT NULL,               -- how many more keys it lets in
    expires INTEGER                         -- when, in milliseconds since 1970; NULL: never
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
";

/// Where the lobby can be reached, among the named values.
const ADDRESS: &str = "address";

/// The only connection to it.
#[derive(Debug)]
pub(super) struct Book {
    db: Connection,
}

impl Book {
    /// Opens the database in `dir`, making it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        check_sqlite()?;
        let path = dir.join(FILE_NAME);
        make_private(&path).map_err(|error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            rusqlite::Error::SqliteFailure(code, Some(format!("{}: {error}", path.display())))
        })?;
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > VERSION {
            return Err(StoreError::Newer { found, known: VERSION });
        }
        db.execute_batch(TABLES)?;
        db.pragma_update(None, "user_version", VERSION)?;
        Ok(Self { db })
    }

    /// All that is kept. A row that no version of the program writes is an error, not a name that is free.
    pub(super) fn load(&self) -> Result<Kept, StoreError> {
        let address = "SELECT value FROM meta WHERE key = ?1";
        Ok(Kept {
            names: self.names()?,
            guests: self.guests()?,
            passes: self.passes()?,
            address: self.db.query_row(address, [ADDRESS], |row| row.get(0)).optional()?,
        })
    }

    fn guests(&self) -> Result<HashSet<Key>, StoreError> {
        let mut query = self.db.prepare("SELECT key FROM guest")?;
        let mut rows = query.query([])?;
        let mut guests = HashSet::new();
        while let Some(row) = rows.next()? {
            guests.insert(key(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?);
        }
        Ok(guests)
    }

    fn passes(&self) -> Result<HashMap<TokenHash, Pass>, StoreError> {
        let mut query = self.db.prepare("SELECT hash, uses, expires FROM invitation")?;
        let row = |row: &rusqlite::Row<'_>| {
            let pass = Pass { uses: row.get(1)?, expires: row.get::<_, Option<u64>>(2)?.map(WallMs) };
            Ok((TokenHash(row.get(0)?), pass))
        };
        Ok(query.query_map([], row)?.collect::<Result<_, _>>()?)
    }

    fn names(&self) -> Result<Vec<(Key, Name, WallMs)>, StoreError> {
        let mut query = self.db.prepare("SELECT key, name, used FROM name ORDER BY used")?;
        let mut rows = query.query([])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let name = Name::new(row.get::<_, String>(1)?).map_err(|_| StoreError::Broken("name"))?;
            names.push((
                key(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
                name,
                WallMs(row.get(2)?),
            ));
        }
        Ok(names)
    }

    /// Writes all or nothing, with one flush of the disk.
    pub(super) fn write(&mut self, changes: &HashMap<RowId, Option<Row>>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let tx = self.db.transaction()?;
        for (id, row) in changes {
            match row {
                Some(row) => put(&tx, id, row)?,
                None => remove(&tx, id)?,
            }
        }
        Ok(tx.commit()?)
    }
}

fn put(tx: &Transaction<'_>, id: &RowId, row: &Row) -> Result<(), StoreError> {
    match (id, row) {
        (RowId::Name(key), Row::Name { name, used }) => tx
            .prepare_cached("INSERT OR REPLACE INTO name (key, name, used) VALUES (?1, ?2, ?3)")?
            .execute(params![key.0, name.as_str(), used.0])?,
        (RowId::Guest(key), Row::Guest) => {
            tx.prepare_cached("INSERT OR REPLACE INTO guest (key) VALUES (?1)")?.execute([key.0])?
        }
        (RowId::Invitation(hash), Row::Invitation(Pass { uses, expires })) => tx
            .prepare_cached("INSERT OR REPLACE INTO invitation (hash, uses, expires) VALUES (?1, ?2, ?3)")?
            .execute(params![hash.0, uses, expires.map(|at| at.0)])?,
        (RowId::Address, Row::Address(address)) => tx
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute([ADDRESS, address])?,
        _ => return Err(StoreError::Broken("row")),
    };
    Ok(())
}

fn remove(tx: &Transaction<'_>, id: &RowId) -> Result<(), StoreError> {
    match id {
        RowId::Name(key) => tx.prepare_cached("DELETE FROM name WHERE key = ?1")?.execute([key.0])?,
        RowId::Guest(key) => tx.prepare_cached("DELETE FROM guest WHERE key = ?1")?.execute([key.0])?,
        RowId::Invitation(hash) => {
            tx.prepare_cached("DELETE FROM invitation WHERE hash = ?1")?.execute([hash.0])?
        }
        RowId::Address => tx.execute("DELETE FROM meta WHERE key = ?1", [ADDRESS])?,
    };
    Ok(())
}

fn key(bytes: &[u8]) -> Result<Key, StoreError> {
    Key::from_slice(bytes).ok_or(StoreError::Broken("key"))
}

/// The files that SQLite puts beside it get the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
