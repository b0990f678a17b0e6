//! The two numbered lists of a session: mine (`out`) and theirs (`in_pos`), each with its chain.

use proto::ids::{Chain, Mid, Pos, Seq, WallMs};
use proto::ipc::EntryKind;
use proto::text::Words;
use rusqlite::{OptionalExtension, params};

use super::{LogId, Store, StoreError, entries::kind_of};

/// One of my entries, as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRow {
    /// Where it stands in my list.
    pub pos: Pos,
    /// Its identity.
    pub mid: Mid,
    /// What it is.
    pub kind: EntryKind,
    /// When I made it.
    pub at: WallMs,
    /// The text; empty for kinds that have none.
    pub text: Words,
    /// Of a closing entry: how far I had read.
    pub seen: Option<Pos>,
}

/// One position of the other side's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InRow {
    /// Where it stands in their list.
    pub pos: Pos,
    /// Where it stands in the log.
    pub seq: Seq,
    /// Its identity.
    pub mid: Mid,
    /// The chain up to it.
    pub chain: Chain,
}

impl Store {
    /// The end of my list; `None` where it is empty.
    pub fn out_head(&self, log: LogId) -> Result<Option<(Pos, Chain)>, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT pos, chain FROM out WHERE log = ?1 ORDER BY pos DESC LIMIT 1")?;
        let row = query.query_row([log.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        row.map(|(pos, chain): (u64, Vec<u8>)| Ok((Pos(pos), to_chain(&chain)?))).transpose()
    }

    /// The chain of my list at a position; `None` where the list is shorter.
    pub fn out_chain(&self, log: LogId, pos: Pos) -> Result<Option<Chain>, StoreError> {
        self.chain("SELECT chain FROM out WHERE log = ?1 AND pos = ?2", log, pos)
    }

    /// The position of one of my entries; `None` where it is somebody else's.
    pub fn out_pos(&self, log: LogId, seq: Seq) -> Result<Option<Pos>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT pos FROM out WHERE log = ?1 AND seq = ?2")?;
        Ok(query.query_row(params![log.0, seq.0], |row| row.get(0)).optional()?.map(Pos))
    }

    /// Puts one of my entries at the end of my list.
    pub fn push_out(&mut self, log: LogId, pos: Pos, seq: Seq, chain: Chain) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("INSERT INTO out (log, pos, seq, chain) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![log.0, pos.0, seq.0, chain.0])?;
        Ok(())
    }

    /// My entries from a position on, at most `limit`.
    pub fn out_rows(&self, log: LogId, from: Pos, limit: u64) -> Result<Vec<OutRow>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT out.pos, entry.mid, entry.kind, entry.at, entry.text, entry.seen
             FROM out JOIN entry ON entry.log = out.log AND entry.seq = out.seq
             WHERE out.log = ?1 AND out.pos >= ?2 ORDER BY out.pos LIMIT ?3",
        )?;
        let mut rows = query.query(params![log.0, from.0, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(OutRow {
                pos: Pos(row.get(0)?),
                mid: to_mid(&row.get::<_, Vec<u8>>(1)?)?,
                kind: kind_of(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
                at: WallMs(row.get(3)?),
                text: Words(row.get(4)?),
                seen: row.get::<_, Option<u64>>(5)?.map(Pos),
            });
        }
        Ok(found)
    }

    /// The positions from `from` on of my entries that are not messages.
    pub fn out_notes(&self, log: LogId, from: Pos) -> Result<Vec<Pos>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT out.pos FROM out JOIN entry ON entry.log = out.log AND entry.seq = out.seq
             WHERE out.log = ?1 AND out.pos >= ?2 AND entry.kind <> 'text'",
        )?;
        let rows = query.query_map(params![log.0, from.0], |row| row.get(0).map(Pos))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The end of their list; `None` where nothing came.
    pub fn in_head(&self, log: LogId) -> Result<Option<InRow>, StoreError> {
        self.in_row(
            "SELECT pos, seq, mid, chain FROM in_pos WHERE log = ?1 AND pos <= ?2 ORDER BY pos DESC LIMIT 1",
            log,
            Pos(i64::MAX as u64),
        )
    }

    /// One position of their list; `None` where it was not reached.
    pub fn in_at(&self, log: LogId, pos: Pos) -> Result<Option<InRow>, StoreError> {
        self.in_row("SELECT pos, seq, mid, chain FROM in_pos WHERE log = ?1 AND pos = ?2", log, pos)
    }

    /// Puts a position at the end of their list.
    pub fn push_in(&mut self, log: LogId, row: InRow) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("INSERT INTO in_pos (log, pos, seq, mid, chain) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![log.0, row.pos.0, row.seq.0, row.mid.0, row.chain.0])?;
        Ok(())
    }

    /// Forgets their positions after `last`: their list was forked. The entries stay.
    pub fn cut_in(&mut self, log: LogId, last: Pos) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("DELETE FROM in_pos WHERE log = ?1 AND pos > ?2")?
            .execute(params![log.0, last.0])?;
        Ok(())
    }

    fn chain(&self, sql: &str, log: LogId, pos: Pos) -> Result<Option<Chain>, StoreError> {
        let mut query = self.db.prepare_cached(sql)?;
        let chain: Option<Vec<u8>> = query.query_row(params![log.0, pos.0], |row| row.get(0)).optional()?;
        chain.map(|chain| to_chain(&chain)).transpose()
    }

    fn in_row(&self, sql: &str, log: LogId, pos: Pos) -> Result<Option<InRow>, StoreError> {
        let mut query = self.db.prepare_cached(sql)?;
        let row = query
            .query_row(params![log.0, pos.0], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, Vec<u8>>(3)?))
            })
            .optional()?;
        row.map(|(pos, seq, mid, chain)| {
            Ok(InRow { pos: Pos(pos), seq: Seq(seq), mid: to_mid(&mid)?, chain: to_chain(&chain)? })
        })
        .transpose()
    }
}

fn to_chain(bytes: &[u8]) -> Result<Chain, StoreError> {
    Chain::from_slice(bytes).ok_or(StoreError::Broken("chain"))
}

pub(super) fn to_mid(bytes: &[u8]) -> Result<Mid, StoreError> {
    Mid::from_slice(bytes).ok_or(StoreError::Broken("message id"))
}
