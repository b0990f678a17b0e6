//! The newest entries of the room's log, each encoded once and shared by all who read it.

use std::collections::VecDeque;

use proto::frame::Encoded;
use proto::ids::{LobbySeq, Mid};

use super::log::{Fresh, READ_BYTES, READ_ENTRIES, Start};

/// The tail of the log, bounded by count and by bytes.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Fresh>,
    bytes: usize,
    head: LobbySeq,
    /// Identity of the last entry that is no longer held; `None` where there never was one.
    before: Option<Mid>,
    max_entries: usize,
    max_bytes: usize,
}

/// What a reader lacks, or the first part of it.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The first entry that is still held, where entries after the cursor are not.
    pub(super) gap: Option<LobbySeq>,
    /// Entries, oldest first.
    pub(super) frames: Vec<Encoded>,
    /// There is more to read at once.
    pub(super) more: bool,
}

impl Ring {
    /// The ring of a log that was kept: nothing of it is held here.
    pub(super) fn new(start: &Start, max_entries: usize, max_bytes: usize) -> Self {
        let entries = VecDeque::new();
        Self { entries, bytes: 0, head: start.head, before: start.mid, max_entries, max_bytes }
    }

    /// The last entry of the log.
    pub(super) fn head(&self) -> LobbySeq {
        self.head
    }

    /// The last entry that is not held here.
    pub(super) fn floor(&self) -> LobbySeq {
        LobbySeq(self.head.0 - self.entries.len() as u64)
    }

    /// Which entry stands there; the place must not be below the floor or above the head.
    pub(super) fn mid_at(&self, seq: LobbySeq) -> Option<Mid> {
        match seq.0.checked_sub(self.floor().0 + 1) {
            None => self.before,
            Some(index) => {
                usize::try_from(index).ok().and_then(|index| self.entries.get(index)).map(|entry| entry.mid)
            }
        }
    }

    /// Puts an entry behind the last one. The oldest make room.
    pub(super) fn push(&mut self, entry: Fresh) {
        self.head = self.head.next();
        self.bytes += entry.frame.0.len();
        self.entries.push_back(entry);
        // The newest stays whatever its size, or nobody would ever read it.
        while self.entries.len() > 1 && (self.entries.len() > self.max_entries || self.bytes > self.max_bytes)
        {
            self.drop_oldest();
        }
    }

    /// Drops what the log itself no longer keeps.
    pub(super) fn drop_until(&mut self, last: LobbySeq) {
        while self.floor() < last && !self.entries.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.frame.0.len();
            self.before = Some(oldest.mid);
        }
    }

    /// Entries after `cursor`, which moves behind the last one given. Empty when up to date.
    pub(super) fn read(&self, cursor: &mut LobbySeq) -> Read {
        let floor = self.floor();
        let gap = (*cursor < floor).then_some(floor.next());
        let from = (*cursor).max(floor);
        let skip = usize::try_from(from.0 - floor.0).unwrap_or(usize::MAX);
        let mut read = Read { gap, ..Read::default() };
        let mut bytes = 0;
        for entry in self.entries.iter().skip(skip) {
            bytes += entry.frame.0.len();
            if !read.frames.is_empty() && (bytes > READ_BYTES || read.frames.len() == READ_ENTRIES) {
                read.more = true;
                break;
            }
            read.frames.push(entry.frame.clone());
        }
        *cursor = LobbySeq(from.0 + read.frames.len() as u64);
        read
    }
}
