//! The database of a lobby.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use proto::ids::{Key, WallMs};
use proto::name::Name;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Kept, Row, RowId};
use crate::dirs::private_file;
use crate::lobby::doors::{Pass, TokenHash};
use crate::lobby::wards::{Kind, Rule, Subject};
use crate::store::StoreError;
use crate::store::database::{cannot_open, connect, found, make_durable, make_file};

/// Name of the file in the lobby's folder.
const FILE_NAME: &str = "lobby.db";

/// Name of the file beside it that says what operators did, to which keys and addresses.
const AUDIT_NAME: &str = "audit.log";

/// Version of the tables, in `PRAGMA user_version`. 0 is an empty file.
const VERSION: i64 = 2;

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

-- What operators have decided.
CREATE TABLE IF NOT EXISTS rule (
    kind    TEXT NOT NULL,                  -- 'ban' or 'mute'
    whom    TEXT NOT NULL,                  -- a key (base64url) or an address
    expires INTEGER,                        -- when, in milliseconds since 1970; NULL: never
    PRIMARY KEY (kind, whom)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
";

/// Who was present, so that a lobby that comes back at once takes nobody for gone.
const V2: &str = "ALTER TABLE name ADD COLUMN here INTEGER NOT NULL DEFAULT 0";

/// Where the lobby can be reached, among the named values.
const ADDRESS: &str = "address";

/// The only connection to it.
#[derive(Debug)]
pub(super) struct Book {
    db: Connection,
    audit: PathBuf,
}

impl Book {
    /// Opens the database in `dir`, making it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        make_file(&path)?;
        let mut db = connect(&path)?;
        let found = found(&db, VERSION)?;
        make_durable(&db)?;
        let tx = db.transaction()?;
        tx.execute_batch(TABLES)?;
        if found < 2 {
            tx.execute_batch(V2)?;
        }
        tx.pragma_update(None, "user_version", VERSION)?;
        tx.commit()?;
        Ok(Self { db, audit: dir.join(AUDIT_NAME) })
    }

    /// All that is kept. A row that no version of the program writes is an error, not a name that is free.
    pub(super) fn load(&self) -> Result<Kept, StoreError> {
        let address = "SELECT value FROM meta WHERE key = ?1";
        Ok(Kept {
            names: self.names()?,
            present: self.present()?,
            guests: self.guests()?,
            passes: self.passes()?,
            rules: self.rules()?,
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

    fn rules(&self) -> Result<HashMap<Rule, Option<WallMs>>, StoreError> {
        let mut query = self.db.prepare("SELECT kind, whom, expires FROM rule")?;
        let mut rows = query.query([])?;
        let mut rules = HashMap::new();
        while let Some(row) = rows.next()? {
            let kind = Kind::of(&row.get::<_, String>(0)?).ok_or(StoreError::Broken("rule"))?;
            let whom = row.get::<_, String>(1)?.parse::<Subject>();
            let whom = whom.map_err(|()| StoreError::Broken("rule"))?;
            rules.insert((kind, whom), row.get::<_, Option<u64>>(2)?.map(WallMs));
        }
        Ok(rules)
    }

    fn passes(&self) -> Result<HashMap<TokenHash, Pass>, StoreError> {
        let mut query = self.db.prepare("SELECT hash, uses, expires FROM invitation")?;
        let row = |row: &rusqlite::Row<'_>| {
            let pass = Pass { uses: row.get(1)?, expires: row.get::<_, Option<u64>>(2)?.map(WallMs) };
            Ok((TokenHash(row.get(0)?), pass))
        };
        Ok(query.query_map([], row)?.collect::<Result<_, _>>()?)
    }

    fn put_down(&self, lines: &[String]) -> io::Result<()> {
        let now = Timestamp::now();
        let mut text = Vec::new();
        for line in lines {
            writeln!(text, "{now:.3} {line}")?;
        }
        let mut file = private_file().append(true).create(true).open(&self.audit)?;
        file.write_all(&text)?;
        file.sync_all()
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

    fn present(&self) -> Result<Vec<(Key, WallMs)>, StoreError> {
        let mut query = self.db.prepare("SELECT key, used FROM name WHERE here")?;
        let mut rows = query.query([])?;
        let mut present = Vec::new();
        while let Some(row) = rows.next()? {
            let key = key(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
            present.push((key, WallMs(row.get(1)?)));
        }
        Ok(present)
    }

    /// Writes all or nothing, with one flush of the disk.
    ///
    /// Lines go to the audit log first: what cannot be put down is not done for good. After a failure they may stand
    /// there twice.
    pub(super) fn write(
        &mut self,
        changes: &HashMap<RowId, Option<Row>>,
        lines: &[String],
    ) -> Result<(), StoreError> {
        if !lines.is_empty() {
            self.put_down(lines).map_err(|error| cannot_open(&self.audit, &error))?;
        }
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
        (RowId::Name(key), Row::Name { name, used, here }) => tx
            .prepare_cached("INSERT OR REPLACE INTO name (key, name, used, here) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key.0, name.as_str(), used.0, here])?,
        (RowId::Guest(key), Row::Guest) => {
            tx.prepare_cached("INSERT OR REPLACE INTO guest (key) VALUES (?1)")?.execute([key.0])?
        }
        (RowId::Invitation(hash), Row::Invitation(Pass { uses, expires })) => tx
            .prepare_cached("INSERT OR REPLACE INTO invitation (hash, uses, expires) VALUES (?1, ?2, ?3)")?
            .execute(params![hash.0, uses, expires.map(|at| at.0)])?,
        (RowId::Rule((kind, whom)), Row::Rule(end)) => tx
            .prepare_cached("INSERT OR REPLACE INTO rule (kind, whom, expires) VALUES (?1, ?2, ?3)")?
            .execute(params![kind.word(), whom.to_string(), end.map(|end| end.0)])?,
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
        RowId::Rule((kind, whom)) => tx
            .prepare_cached("DELETE FROM rule WHERE kind = ?1 AND whom = ?2")?
            .execute([kind.word(), &whom.to_string()])?,
        RowId::Address => tx.execute("DELETE FROM meta WHERE key = ?1", [ADDRESS])?,
    };
    Ok(())
}

fn key(bytes: &[u8]) -> Result<Key, StoreError> {
    Key::from_slice(bytes).ok_or(StoreError::Broken("key"))
}
