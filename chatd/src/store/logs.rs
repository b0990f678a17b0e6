//! One row per log: whose it is, how it stands, and the cursors on it.

use std::net::SocketAddr;

use proto::ids::{Epoch, EpochTag, Key, Pos, Seq, SessionNo};
use proto::ipc::{self, Mode};
use proto::name::Name;
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreError};

/// A log, by its number in the database. Clients never see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub i64);

impl LogId {
    /// The lobby's.
    pub const LOBBY: Self = Self(0);
}

/// The durable state of a log, its entries apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Which log.
    pub id: LogId,
    /// What the person types; `None` once the number was given back.
    pub number: Option<SessionNo>,
    /// The other side; `None` for the lobby.
    pub peer: Option<(Key, Name)>,
    /// Who opened it, as long as that is known.
    pub mode: Option<Mode>,
    /// My OPEN that no CLOSE covers.
    pub my_open: Option<Pos>,
    /// Theirs.
    pub their_open: Option<Pos>,
    /// Numbering of my entries.
    pub epoch: Epoch,
    /// My entries up to here are on the other side's disk (the lobby: in its log).
    pub acked: Pos,
    /// Numbering under which their entries came; `None` where none came.
    pub in_epoch: Option<Epoch>,
    /// Highest number of a dial to this peer.
    pub last_dialed: u64,
    /// Where the peer was reached, best first.
    pub addrs: Vec<SocketAddr>,
    /// Messages of others that the person has not read, among the entries up to `counted`.
    pub unread: u64,
    /// See `unread`.
    pub counted: Seq,
}

impl LogRow {
    /// A log without entries.
    pub fn new(id: LogId, peer: Option<(Key, Name)>, epoch: Epoch) -> Self {
        Self {
            id,
            number: None,
            peer,
            mode: None,
            my_open: None,
            their_open: None,
            epoch,
            acked: Pos::START,
            in_epoch: None,
            last_dialed: 0,
            addrs: Vec::new(),
            unread: 0,
            counted: Seq::START,
        }
    }

    /// An OPEN stands that no CLOSE covers.
    pub fn is_open(&self) -> bool {
        self.my_open.is_some() || self.their_open.is_some()
    }

    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let peer = match (row.get::<_, Option<Vec<u8>>>("peer")?, row.get::<_, Option<String>>("name")?) {
            (Some(key), Some(name)) => {
                let key = Key::from_slice(&key).ok_or(StoreError::Broken("peer key"))?;
                Some((key, Name::new(name).unwrap_or_else(|_| stand_in(&key))))
            }
            _ => None,
        };
        let in_epoch = match (row.get("in_epoch_n")?, row.get::<_, Option<Vec<u8>>>("in_epoch_r")?) {
            (Some(n), Some(r)) => Some(epoch(n, &r)?),
            _ => None,
        };
        let mode: Option<String> = row.get("mode")?;
        Ok(Self {
            id: LogId(row.get("id")?),
            number: row.get::<_, Option<u32>>("number")?.map(SessionNo),
            peer,
            mode: mode.map(|mode| if mode == "A" { Mode::A } else { Mode::B }),
            my_open: row.get::<_, Option<u64>>("my_open")?.map(Pos),
            their_open: row.get::<_, Option<u64>>("their_open")?.map(Pos),
            epoch: epoch(row.get("epoch_n")?, &row.get::<_, Vec<u8>>("epoch_r")?)?,
            acked: Pos(row.get("acked")?),
            in_epoch,
            last_dialed: row.get("last_dialed")?,
            addrs: serde_json::from_str(&row.get::<_, String>("addrs")?)
                .map_err(|_| StoreError::Broken("list of addresses"))?,
            unread: row.get("unread")?,
            counted: Seq(row.get("counted")?),
        })
    }
}

/// What somebody is called whose name was a name for an earlier version of the program only.
fn stand_in(key: &Key) -> Name {
    let [a, b, c, d, ..] = key.0;
    let text = format!("key-{a:02x}{b:02x}{c:02x}{d:02x}");
    Name::new(text).expect("letters, digits and a dash, beginning with a letter")
}

fn epoch(n: u32, r: &[u8]) -> Result<Epoch, StoreError> {
    Ok(Epoch { n, r: EpochTag::from_slice(r).ok_or(StoreError::Broken("epoch"))? })
}

impl Store {
    /// Every log, in the order in which they were made.
    pub fn logs(&self) -> Result<Vec<LogRow>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT * FROM log ORDER BY id")?;
        let mut rows = query.query([])?;
        let mut logs = Vec::new();
        while let Some(row) = rows.next()? {
            logs.push(LogRow::from_row(row)?);
        }
        Ok(logs)
    }

    /// Writes the state of a log, new or known.
    pub fn put_log(&mut self, log: &LogRow) -> Result<(), StoreError> {
        let db = self.write()?;
        let mut statement = db.prepare_cached(
            "INSERT OR REPLACE INTO log (id, number, peer, name, mode, my_open, their_open, epoch_n, epoch_r, acked,
                in_epoch_n, in_epoch_r, last_dialed, addrs, unread, counted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        statement.execute(params![
            log.id.0,
            log.number.map(|number| number.0),
            log.peer.as_ref().map(|(key, _)| key.0),
            log.peer.as_ref().map(|(_, name)| name.as_str()),
            log.mode.map(|mode| if mode == Mode::A { "A" } else { "B" }),
            log.my_open.map(|pos| pos.0),
            log.their_open.map(|pos| pos.0),
            log.epoch.n,
            log.epoch.r.0,
            log.acked.0,
            log.in_epoch.map(|epoch| epoch.n),
            log.in_epoch.map(|epoch| epoch.r.0),
            log.last_dialed,
            serde_json::to_string(&log.addrs).map_err(|_| StoreError::Broken("list of addresses"))?,
            log.unread,
            log.counted.0,
        ])?;
        Ok(())
    }

    /// Somebody said something in a log.
    pub fn has_text(&self, log: LogId) -> Result<bool, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT EXISTS (SELECT 1 FROM entry WHERE log = ?1 AND kind = 'text')")?;
        Ok(query.query_row([log.0], |row| row.get(0))?)
    }

    /// The daemon has noted something in a log.
    pub fn has_notice(&self, log: LogId) -> Result<bool, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM entry WHERE log = ?1 AND kind = 'notice' AND imported IS NULL)",
        )?;
        Ok(query.query_row([log.0], |row| row.get(0))?)
    }

    /// Forgets a log and all that hangs on it.
    pub fn drop_log(&mut self, log: LogId) -> Result<(), StoreError> {
        let db = self.write()?;
        Self::forget_words(db, log)?;
        for statement in [
            "DELETE FROM entry WHERE log = ?1",
            "DELETE FROM out WHERE log = ?1",
            "DELETE FROM in_pos WHERE log = ?1",
            "DELETE FROM cursor WHERE log = ?1",
            "DELETE FROM draft WHERE log = ?1",
            "DELETE FROM log WHERE id = ?1",
        ] {
            db.prepare_cached(statement)?.execute([log.0])?;
        }
        Ok(())
    }

    /// Where a reader stands in a log; [`Seq::START`] where it has read nothing.
    pub fn cursor(&self, reader: &ipc::Reader, log: LogId) -> Result<Seq, StoreError> {
        let mut query = self.db.prepare_cached("SELECT seq FROM cursor WHERE reader = ?1 AND log = ?2")?;
        let seq = query.query_row(params![reader_name(reader), log.0], |row| row.get(0)).optional()?;
        Ok(seq.map_or(Seq::START, Seq))
    }

    /// Moves a reader forward; a cursor never goes back.
    pub fn mark(&mut self, reader: &ipc::Reader, log: LogId, seq: Seq) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached(
            "INSERT INTO cursor (reader, log, seq) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET seq = max(seq, ?3)",
        )?
        .execute(params![reader_name(reader), log.0, seq.0])?;
        Ok(())
    }
}

/// Names of scripts are never empty, so the empty one is free for the person.
fn reader_name(reader: &ipc::Reader) -> &str {
    match reader {
        ipc::Reader::Person => "",
        ipc::Reader::Named(name) => name,
    }
}
