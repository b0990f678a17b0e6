//! One log in memory: the durable row, where its ends are, and what the person has read of it.

use proto::archive::Record;
use proto::ids::{Chain, Key, Mid, Pos, Seq, WallMs};
use proto::ipc::{EntryKind, Reader};

use crate::peer::chain;
use crate::store::{Author, LogId, LogRow, NewEntry, Store, StoreError};

/// A log and its ends. Every change is written to the store at once and seen by others after its commit.
#[derive(Debug)]
pub struct Log {
    /// The durable row; [`Log::save`] after a change.
    pub row: LogRow,
    /// Set by whatever a client could see; cleared by who reports it.
    pub changed: bool,
    me: Key,
    head: Seq,
    out: (Pos, Chain),
    read: Seq,
    /// The row has changed in a way that may be written late, but not after the next commit of anything else.
    stale: bool,
}

impl Log {
    /// Takes up a log where the store has it.
    pub fn load(mut row: LogRow, me: Key, store: &Store) -> Result<Self, StoreError> {
        let read = store.cursor(&Reader::Person, row.id)?;
        let start = chain::start(&me, &row.peer.as_ref().map_or(Key([0; Key::LEN]), |(key, _)| *key));
        let head = store.head(row.id)?;
        row.unread += store.count_others(row.id, row.counted.max(read), head, &me)?;
        row.counted = head;
        Ok(Self {
            changed: true,
            me,
            head,
            out: store.out_head(row.id)?.unwrap_or((Pos::START, start)),
            read,
            stale: false,
            row,
        })
    }

    /// Which log.
    pub fn id(&self) -> LogId {
        self.row.id
    }

    /// The last entry.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The end of my own list, and its chain.
    pub fn out(&self) -> (Pos, Chain) {
        self.out
    }

    /// The person's read mark.
    pub fn read(&self) -> Seq {
        self.read
    }

    /// Messages of others after the read mark.
    pub fn unread(&self) -> u64 {
        self.row.unread
    }

    /// Writes the row.
    pub fn save(&mut self, store: &mut Store) -> Result<(), StoreError> {
        self.changed = true;
        self.stale = false;
        store.put_log(&self.row)
    }

    /// The row is to be written with whatever is committed next.
    pub fn touch(&mut self) {
        self.changed = true;
        self.stale = true;
    }

    /// Writes a row that was touched. Call before each commit of anything.
    pub fn save_touched(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if std::mem::take(&mut self.stale) { store.put_log(&self.row) } else { Ok(()) }
    }

    /// Appends one of my own entries, and gives it a place in my list.
    pub fn append_own(&mut self, store: &mut Store, entry: &NewEntry) -> Result<(Seq, Pos), StoreError> {
        let seq = self.push(store, entry)?;
        let pos = self.out.0.next();
        let seen = entry.seen.unwrap_or(Pos::START);
        let chain = chain::extend(&self.out.1, entry.mid, entry.kind, entry.at, &entry.text, seen);
        store.push_out(self.row.id, pos, seq, chain)?;
        self.out = (pos, chain);
        Ok((seq, pos))
    }

    /// Appends somebody else's entry, or a notice.
    pub fn append_other(&mut self, store: &mut Store, entry: &NewEntry) -> Result<Seq, StoreError> {
        let seq = self.push(store, entry)?;
        let mine = matches!(&entry.author, Author::Person(key, _) if *key == self.me);
        if entry.kind == EntryKind::Text && !mine {
            self.row.unread += 1;
            self.stale = true;
        }
        Ok(seq)
    }

    /// Appends an entry of another database, which is no news. Whoever had read everything, has still.
    pub fn append_imported(&mut self, store: &mut Store, record: &Record) -> Result<(), StoreError> {
        let seq = self.head.next();
        store.append_imported(self.row.id, seq, record)?;
        let all_read = self.read == self.head;
        self.head = seq;
        self.row.counted = seq;
        self.stale = true;
        self.changed = true;
        if all_read { self.mark(store, &Reader::Person, seq) } else { Ok(()) }
    }

    /// Appends a line of the daemon itself.
    pub fn notice(
        &mut self,
        store: &mut Store,
        mid: Mid,
        at: WallMs,
        text: String,
    ) -> Result<(), StoreError> {
        let entry = NewEntry {
            author: Author::Daemon(None),
            mid,
            kind: EntryKind::Notice,
            at,
            text: text.into(),
            seen: None,
        };
        self.append_other(store, &entry).map(drop)
    }

    fn push(&mut self, store: &mut Store, entry: &NewEntry) -> Result<Seq, StoreError> {
        let seq = self.head.next();
        store.append(self.row.id, seq, entry)?;
        self.head = seq;
        self.row.counted = seq;
        self.changed = true;
        Ok(seq)
    }

    /// Moves a reader forward, never past the end; the person's mark decides what is unread.
    pub fn mark(&mut self, store: &mut Store, reader: &Reader, seq: Seq) -> Result<(), StoreError> {
        let seq = seq.min(self.head);
        match reader {
            Reader::Person if seq <= self.read => return Ok(()),
            Reader::Person => {
                self.row.unread = self.unread_after(store, seq)?;
                self.read = seq;
                self.touch();
            }
            Reader::Named(_) => {}
        }
        store.mark(reader, self.row.id, seq)
    }

    /// What is unread once the person has read up to `seq`, counted on the shorter side of it.
    fn unread_after(&self, store: &Store, seq: Seq) -> Result<u64, StoreError> {
        if seq.0 - self.read.0 < self.head.0 - seq.0 {
            let read = store.count_others(self.row.id, self.read, seq, &self.me)?;
            return Ok(self.row.unread.saturating_sub(read));
        }
        store.count_others(self.row.id, seq, self.head, &self.me)
    }
}
