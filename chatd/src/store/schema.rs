//! The tables, and how a database of an older version becomes one of this version.

use rusqlite::Connection;

use super::StoreError;
use super::database::step_up;

/// Version of the tables, in `PRAGMA user_version`. 0 is an empty file.
pub const SCHEMA: i64 = 5;

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

/// Lines that were begun, and entries that came from another database.
const V5: &str = "
CREATE TABLE draft (
    log  INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE entry ADD COLUMN imported TEXT; -- how far it had come elsewhere; NULL: it was written or came here
";

/// What each version adds, the first one first.
const STEPS: [&str; 5] = [V1, V2, V3, V4, V5];

/// Brings the tables to [`SCHEMA`], in one step that happens whole or not at all.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction()?;
    step_up(&tx, &STEPS)?;
    Ok(tx.commit()?)
}

/// A file as the version of that number left it, with its tables and nothing in them. For tests.
#[cfg(test)]
pub(super) fn old(path: &std::path::Path, version: usize) -> Connection {
    let db = Connection::open(path).expect("opens");
    db.pragma_update(None, "journal_mode", "WAL").expect("its journal");
    STEPS[..version].iter().try_for_each(|step| db.execute_batch(step)).expect("its tables");
    db.pragma_update(None, "user_version", i64::try_from(version).expect("small")).expect("its version");
    db
}
