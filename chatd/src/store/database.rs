//! What the databases of both daemons have in common: how a file is opened, and how its tables come to be those of this
//! version of the program.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use super::StoreError;
use crate::dirs::private_file;

/// How long a reader waits for a checkpoint, and a second writer for the first to go.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// First SQLite without the WAL-reset bug, which could corrupt a database (<https://sqlite.org/wal.html>).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// Makes the file, if it is not there yet, for its owner only. Those that SQLite puts beside it get the same mode.
pub(crate) fn make_file(path: &Path) -> Result<(), StoreError> {
    let made = private_file().append(true).create(true).open(path);
    made.map(drop).map_err(|error| cannot_open(path, &error).into())
}

/// The error of SQLite for a file that the system does not open.
pub(crate) fn cannot_open(path: &Path, error: &std::io::Error) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(format!("{}: {error}", path.display())))
}

/// A connection to read and write. Nothing is written by this.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// A read-only connection.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// What is committed on this connection stays, also over a power cut.
pub(crate) fn make_durable(db: &Connection) -> Result<(), StoreError> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL may roll commits back after a power cut; a line that was accepted must stay.
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(())
}

/// The version of the tables that are there; 0: none are. Ask before anything is written, the form of the journal
/// included: a file that is not for us stays as it is.
///
/// # Errors
///
/// [`StoreError::Newer`] where a later program made them, [`StoreError::Damaged`] where it is no database,
/// [`StoreError::Sqlite`] where this SQLite can corrupt it.
pub(crate) fn found(db: &Connection, known: i64) -> Result<i64, StoreError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(StoreError::Sqlite { version: rusqlite::version().to_owned() });
    }
    let found = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if (0..=known).contains(&found) { Ok(found) } else { Err(StoreError::Newer { found, known }) }
}

/// Brings the tables to the version of the last of these steps; the first one makes version 1. Returns the version that
/// was there.
pub(crate) fn step_up(tx: &Transaction<'_>, steps: &[&str]) -> Result<i64, StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found = found(tx, known)?;
    let missing = &steps[usize::try_from(found).unwrap_or(steps.len())..];
    if !missing.is_empty() {
        missing.iter().try_for_each(|step| tx.execute_batch(step))?;
        tx.pragma_update(None, "user_version", known)?;
    }
    Ok(found)
}
