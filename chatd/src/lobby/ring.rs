//! The newest entries of the room's log, each encoded once and shared by all who read it.

use std::collections::{HashMap, VecDeque};

use proto::frame::{Encoded, FrameError, encode};
use proto::ids::{Key, LobbySeq, Mid};
use proto::lobby::{FromLobby, RoomEntry};

/// Most bytes that one read gives: four TLS records. A longer entry comes alone.
const READ_BYTES: usize = 64 * 1024;

/// Most entries that one read gives.
const READ_ENTRIES: usize = 256;

/// The tail of the log, bounded by count and by bytes.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Kept>,
    bytes: usize,
    head: LobbySeq,
    /// Where the held messages of an author stand, so that one which is published again stays one.
    known: HashMap<(Key, Mid), LobbySeq>,
    max_entries: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Kept {
    frame: Encoded,
    id: (Key, Mid),
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
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let (entries, known) = (VecDeque::new(), HashMap::new());
        Self { entries, bytes: 0, head: LobbySeq::START, known, max_entries, max_bytes }
    }

    /// The last entry of the log.
    pub(super) fn head(&self) -> LobbySeq {
        self.head
    }

    /// Where this message stands, if it is held.
    pub(super) fn find(&self, author: Key, mid: Mid) -> Option<LobbySeq> {
        self.known.get(&(author, mid)).copied()
    }

    /// Puts an entry behind the last one; its `seq` is set here. The oldest make room.
    pub(super) fn append(&mut self, mut entry: RoomEntry) -> Result<LobbySeq, FrameError> {
        let seq = self.head.next();
        entry.seq = seq;
        let id = (entry.from.key, entry.mid);
        let frame = encode(&FromLobby::Entry(Box::new(entry)))?;
        self.head = seq;
        self.bytes += frame.0.len();
        self.known.insert(id, seq);
        self.entries.push_back(Kept { frame, id });
        // The newest stays whatever its size, or nobody would ever read it.
        while self.entries.len() > 1 && (self.entries.len() > self.max_entries || self.bytes > self.max_bytes)
        {
            self.drop_oldest();
        }
        Ok(seq)
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.frame.0.len();
            self.known.remove(&oldest.id);
        }
    }

    /// The last entry that is no longer held.
    fn floor(&self) -> u64 {
        self.head.0 - self.entries.len() as u64
    }

    /// Entries after `cursor`, which moves behind the last one given. Empty when up to date.
    pub(super) fn read(&self, cursor: &mut LobbySeq) -> Read {
        let floor = self.floor();
        let gap = (cursor.0 < floor).then_some(LobbySeq(floor + 1));
        let from = cursor.0.max(floor);
        let skip = usize::try_from(from - floor).unwrap_or(usize::MAX);
        let mut read = Read { gap, ..Read::default() };
        let mut bytes = 0;
        for kept in self.entries.iter().skip(skip) {
            bytes += kept.frame.0.len();
            if !read.frames.is_empty() && (bytes > READ_BYTES || read.frames.len() == READ_ENTRIES) {
                read.more = true;
                break;
            }
            read.frames.push(kept.frame.clone());
        }
        *cursor = LobbySeq(from + read.frames.len() as u64);
        read
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::ids::WallMs;
    use proto::lobby::Member;
    use proto::name::Name;
    use proto::text::Text;

    use super::*;

    fn entry(n: u8, len: usize) -> RoomEntry {
        RoomEntry {
            seq: LobbySeq::START,
            from: Member { name: Name::new("anna").expect("name"), key: Key([1; 32]) },
            mid: Mid([n; 16]),
            at: WallMs(0),
            text: Text::new("x".repeat(len)).expect("text"),
            sig: proto::ids::Signature([0; 64]),
        }
    }

    fn seqs(read: &Read) -> Vec<u64> {
        read.frames
            .iter()
            .map(|frame| match serde_json::from_slice(&frame.0[4..]).expect("a message") {
                FromLobby::Entry(entry) => entry.seq.0,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_reader_behind_the_ring_is_told_and_goes_on() {
        let mut ring = Ring::new(3, usize::MAX);
        for n in 0..5 {
            ring.append(entry(n, 1)).expect("fits");
        }
        let mut cursor = LobbySeq(1);
        let read = ring.read(&mut cursor);
        assert_eq!((read.gap, seqs(&read)), (Some(LobbySeq(3)), vec![3, 4, 5]));
        let read = ring.read(&mut cursor);
        assert_eq!((read.gap, seqs(&read)), (None, vec![]));
    }

    #[test]
    fn a_message_is_known_for_as_long_as_it_is_held() {
        let mut ring = Ring::new(2, usize::MAX);
        for n in 0..3 {
            ring.append(entry(n, 1)).expect("fits");
        }
        let find = |n| ring.find(Key([1; 32]), Mid([n; 16]));
        assert_eq!((find(0), find(1), find(2)), (None, Some(LobbySeq(2)), Some(LobbySeq(3))));
    }

    proptest! {
        #[test]
        fn every_entry_after_the_cursor_comes_once_or_is_in_the_gap(
            sizes in proptest::collection::vec(1usize..40_000, 1..60),
            max_entries in 1usize..40,
            max_bytes in 1usize..400_000,
            steps in proptest::collection::vec(0u8..4, 1..60),
        ) {
            let mut ring = Ring::new(max_entries, max_bytes);
            let (mut cursor, mut last, mut steps) = (LobbySeq::START, 0, steps.into_iter().cycle());
            for (n, len) in sizes.into_iter().enumerate() {
                ring.append(entry(u8::try_from(n).expect("small"), len)).expect("fits");
                prop_assert!(ring.entries.len() <= max_entries);
                prop_assert!(ring.bytes <= max_bytes || ring.entries.len() == 1);
                prop_assert_eq!(ring.known.len(), ring.entries.len());
                for _ in 0..steps.next().unwrap_or(0) {
                    let read = ring.read(&mut cursor);
                    if let Some(gap) = read.gap {
                        prop_assert!(gap.0 > last + 1);
                        last = gap.0 - 1;
                    }
                    for seq in seqs(&read) {
                        prop_assert_eq!(seq, last + 1);
                        last = seq;
                    }
                    prop_assert_eq!(cursor.0, last);
                    prop_assert_eq!(read.more, cursor != ring.head());
                }
            }
        }
    }
}
