//! The tables, and how a database of an older version becomes one of this version.

use rusqlite::Connection;

use super::StoreError;

/// Version of the tables, in `PRAGMA user_version`. 0 is an empty file.
pub const SCHEMA: i64 = 1;

/// First SQLite without the WAL-reset bug, which could corrupt a database (<https://sqlite.org/wal.html>).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

const V1: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One log: the lobby (id 0) or a private session. A pair of keys has one log for ever.
CREATE TABLE log (
    id          INTEGER PRIMARY KEY,
    number      INTEGER UNIQUE,             -- what the person types; NULL once it was given back
    peer        BLOB UNIQUE,                -- key of the other side; NULL: the lobby
    name        TEXT,                       -- name of the other side
    mode        TEXT,                       -- 'A' or 'B', as long as known
    my_open     INTEGER,                    -- position of my OPEN that no CLOSE covers
    their_open  INTEGER,                    -- position of theirs
    epoch_n     INTEGER NOT NULL,
    epoch_r     BLOB NOT NULL,
    acked       INTEGER NOT NULL DEFAULT 0, -- my entries up to here are on the other side's disk
    in_epoch_n  INTEGER,
    in_epoch_r  BLOB,
    last_dialed INTEGER NOT NULL DEFAULT 0,
    addrs       TEXT NOT NULL DEFAULT '[]'
);

-- What clients read. `seq` is dense per log and local.
CREATE TABLE entry (
    id     INTEGER PRIMARY KEY,
    log    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    author BLOB NOT NULL,                   -- key; empty: this daemon itself
    name   TEXT,                            -- the author's name at that time
    mid    BLOB NOT NULL,
    kind   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL,
    seen   INTEGER,                         -- of a CLOSE: how far its author had read
    UNIQUE (log, seq),
    UNIQUE (log, author, mid)
);

-- My entries in the order I made them; what the other side's acknowledgements count.
CREATE TABLE out (
    log   INTEGER NOT NULL,
    pos   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    chain BLOB NOT NULL,
    PRIMARY KEY (log, pos)
) WITHOUT ROWID;
CREATE UNIQUE INDEX out_seq ON out (log, seq);

-- The other side's entries as accepted.
CREATE TABLE in_pos (
    log   INTEGER NOT NULL,
    pos   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    mid   BLOB NOT NULL,
    chain BLOB NOT NULL,
    PRIMARY KEY (log, pos)
) WITHOUT ROWID;

CREATE TABLE cursor (
    reader TEXT NOT NULL,                   -- empty: the person; else a script's name
    log    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (reader, log)
) WITHOUT ROWID;
";

/// Refuses a SQLite that can corrupt its files.
pub(crate) fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(StoreError::Sqlite { version: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Brings the tables to [`SCHEMA`].
///
/// # Errors
///
/// [`StoreError::Newer`] where a later program made them; nothing is touched then.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    check_sqlite()?;
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        SCHEMA => Ok(()),
        0 => {
            let tx = db.transaction()?;
            tx.execute_batch(V1)?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
            tx.commit()?;
            Ok(())
        }
        newer => Err(StoreError::Newer { found: newer, known: SCHEMA }),
    }
}
