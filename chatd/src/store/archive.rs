//! History that goes to another place, or has come from one.

use proto::archive::{Party, Record};
use proto::ids::{Key, Mid, Seq, WallMs};
use proto::ipc::EntryState;
use proto::limits::{PAGE_BYTES, PAGE_RECORDS};
use proto::name::Name;
use proto::text::Words;
use rusqlite::{Row, params};

use super::entries::{NewRow, kind_of};
use super::positions::to_mid;
use super::reader::{Reader, state};
use super::{LogId, Progress, Store, StoreError};

pub(super) fn state_name(state: EntryState) -> &'static str {
    match state {
        EntryState::Queued => "queued",
        EntryState::Sent => "sent",
        EntryState::Delivered => "delivered",
        EntryState::Received => "received",
    }
}

pub(super) fn state_of(name: &str) -> Result<EntryState, StoreError> {
    Ok(match name {
        "queued" => EntryState::Queued,
        "sent" => EntryState::Sent,
        "delivered" => EntryState::Delivered,
        "received" => EntryState::Received,
        _ => return Err(StoreError::Broken("state of an entry")),
    })
}

impl Store {
    /// An entry of that author (`None`: a daemon) and identity is in the log.
    pub fn holds(&self, log: LogId, author: Option<&Key>, mid: Mid) -> Result<bool, StoreError> {
        Ok(self.find_of(log, author_bytes(author), mid)?.is_some())
    }

    /// Puts an entry of another database at the end of a log, as `seq`: the caller knows the head.
    pub fn append_imported(&mut self, log: LogId, seq: Seq, record: &Record) -> Result<(), StoreError> {
        let row = NewRow {
            author: author_bytes(record.author.as_ref()),
            name: record.from.as_ref(),
            mid: record.mid,
            kind: record.kind,
            at: record.at,
            text: &record.text,
            seen: None,
            imported: Some(state_name(record.state)),
        };
        self.insert(log, seq, &row)
    }
}

fn author_bytes(author: Option<&Key>) -> &[u8] {
    author.map_or(&[], |key| &key.0)
}

impl Reader {
    /// One page of a log as records, oldest first; no more than [`PAGE_RECORDS`] with [`PAGE_BYTES`] of text,
    /// or one that is longer.
    pub fn records(
        &self,
        log: LogId,
        peer: Option<&Party>,
        after: Seq,
        me: &Key,
        progress: Progress,
    ) -> Result<Vec<Record>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT entry.seq, entry.kind, entry.name, entry.author, entry.mid, out.pos, entry.at, entry.text,
                entry.imported
             FROM entry LEFT JOIN out ON out.log = entry.log AND out.seq = entry.seq
             WHERE entry.log = ?1 AND entry.seq > ?2 ORDER BY entry.seq LIMIT ?3",
        )?;
        let mut rows = query.query(params![log.0, after.0, PAGE_RECORDS as u64])?;
        let mut records = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let record = to_record(row, peer, me, progress)?;
            bytes += record.text.len();
            if bytes > PAGE_BYTES && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }
}

fn to_record(
    row: &Row<'_>,
    peer: Option<&Party>,
    me: &Key,
    progress: Progress,
) -> Result<Record, StoreError> {
    let author: Vec<u8> = row.get(3)?;
    let author = match author.as_slice() {
        [] => None,
        key => Some(Key::from_slice(key).ok_or(StoreError::Broken("author"))?),
    };
    let imported: Option<String> = row.get(8)?;
    Ok(Record {
        peer: peer.cloned(),
        seq: Seq(row.get(0)?),
        kind: kind_of(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        from: row.get::<_, Option<String>>(2)?.and_then(|name| Name::new(name).ok()),
        author,
        mine: author.as_ref() == Some(me),
        mid: to_mid(&row.get::<_, Vec<u8>>(4)?)?,
        at: WallMs(row.get(6)?),
        state: state(imported.as_deref(), row.get(5)?, progress)?,
        text: Words(row.get(7)?),
    })
}
