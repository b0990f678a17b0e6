//! The tables, and how a database of an older version becomes one of this version.

use rusqlite::Connection;

use super::StoreError;

/// Version of the tables, in `PRAGMA user_version`. 0 is an empty file.
pub const SCHEMA: i64 = 4;

/// First SQLite without the WAL-reset bug, which could corrupt a database (<https://sqlite.org/wal.html>).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// Never edited: there are files that it made.
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

/// Pins. A name counted as known by its session before there were any, so those sessions are the first contacts.
const V2: &str = "
-- Who is known. Names are compared by the program: SQL knows no case but that of ASCII.
CREATE TABLE pin (
    key   BLOB PRIMARY KEY,
    name  TEXT NOT NULL,                    -- what it is called here; no two pins have the same one
    trust TEXT NOT NULL,                    -- 'pinned', or 'verified' by the person
    since INTEGER NOT NULL                  -- milliseconds since 1970
) WITHOUT ROWID;

INSERT INTO pin (key, name, trust, since)
SELECT peer, name, 'pinned', coalesce((SELECT min(at) FROM entry WHERE entry.log = log.id), 0)
FROM log WHERE peer IS NOT NULL AND name IS NOT NULL
    AND EXISTS (SELECT 1 FROM entry WHERE entry.log = log.id AND entry.kind = 'opened');
";

/// Whom the person does not want to hear of.
const V3: &str = "
CREATE TABLE block (
    key   BLOB PRIMARY KEY,
    name  TEXT NOT NULL,                    -- what it was called when it was blocked
    since INTEGER NOT NULL
) WITHOUT ROWID;
";

/// The index for searches, and the count of what is unread, so that neither needs a look at every entry.
const V4: &str = "
-- Each word with the entries that have it; see search.rs. Words are parted by the program: here they end at a space.
CREATE VIRTUAL TABLE word USING fts5 (
    text, content = '', detail = 'none', columnsize = 0, tokenize = 'ascii', prefix = '2 3'
);
INSERT INTO meta (key, value) SELECT 'not indexed', max(id) FROM entry WHERE true HAVING max(id) IS NOT NULL;

-- Messages of others that the person has not read, among the entries up to `counted`.
ALTER TABLE log ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
";

/// What each version adds, the first one first.
const STEPS: [&str; 4] = [V1, V2, V3, V4];

/// Refuses a SQLite that can corrupt its files.
pub(crate) fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(StoreError::Sqlite { version: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// Brings the tables to [`SCHEMA`], in one step that happens whole or not at all.
///
/// # Errors
///
/// [`StoreError::Newer`] where a later program made them; nothing is touched then.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    check_sqlite()?;
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = usize::try_from(found).ok().and_then(|found| STEPS.get(found..));
    let Some(missing) = known else {
        return Err(StoreError::Newer { found, known: SCHEMA });
    };
    if missing.is_empty() {
        return Ok(());
    }
    let tx = db.transaction()?;
    missing.iter().try_for_each(|step| tx.execute_batch(step))?;
    tx.pragma_update(None, "user_version", SCHEMA)?;
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::store::Store;

    /// A database as version 1 left it: anna has spoken with bobby, and somebody has only called.
    fn v1(path: &std::path::Path) {
        let db = Connection::open(path).expect("opens");
        db.execute_batch(V1).expect("the tables of version 1");
        for (id, peer, name) in [(1, [1_u8; 32], "bobby"), (2, [2; 32], "silent")] {
            db.execute(
                "INSERT INTO log (id, peer, name, epoch_n, epoch_r) VALUES (?1, ?2, ?3, 1, ?4)",
                params![id, peer, name, [0_u8; 8]],
            )
            .expect("a log");
        }
        let entry =
            "INSERT INTO entry (log, seq, author, mid, kind, at, text) VALUES (1, ?1, ?2, ?3, ?4, ?5, '')";
        db.execute(entry, params![1, [9_u8; 32], [1_u8; 16], "opened", 500]).expect("an entry");
        db.execute(entry, params![2, [1_u8; 32], [2_u8; 16], "text", 700]).expect("an entry");
        db.pragma_update(None, "user_version", 1).expect("version 1");
    }

    #[test]
    fn whoever_was_spoken_with_before_there_were_pins_is_pinned() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.db");
        v1(&path);
        for _ in 0..2 {
            let store = Store::open(&path).expect("migrates once");
            let pins = store.pins().expect("pins");
            let pins: Vec<_> =
                pins.iter().map(|pin| (pin.key.0, pin.name.as_str(), pin.verified, pin.since.0)).collect();
            assert_eq!(pins, [([1; 32], "bobby", false, 500)]);
            assert_eq!(store.logs().expect("logs").len(), 2);
        }
    }
}
