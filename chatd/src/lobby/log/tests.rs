//! The file with a crash wherever one can be, and readers between it and the ring.

use std::time::Duration;

use proptest::prelude::*;
use proto::hello::Versions;
use proto::ids::{Instance, Key, LobbySeq, Mid, Signature, WallMs};
use proto::lobby::{FromLobby, Member, MemberHello, RoomCursor, RoomEntry};
use proto::name::Name;
use proto::text::Text;
use rusqlite::Connection;

use super::{Decision, Denied, LogFile, Post, Retention, archive};
use crate::lobby::config::LobbyConfig;
use crate::lobby::room::{Entered, Next, Reader, Room};
use crate::store::StoreError;

const ALL: Retention = Retention { entries: u64::MAX, age: Duration::MAX, bytes: u64::MAX };

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(super) fn post(author: u8, mid: u32, text: &str) -> Post {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&mid.to_be_bytes());
    let entry = RoomEntry {
        seq: LobbySeq::START,
        from: Member { name: name("anna"), key: Key([author; 32]) },
        mid: Mid(id),
        at: WallMs(7),
        text: Text::new(text).expect("a text"),
        sig: Signature([9; 64]),
    };
    Post { entry, denied: None }
}

fn denied(denied: Denied, post: Post) -> Post {
    Post { denied: Some(denied), ..post }
}

/// One group that is written and committed.
fn put(file: &mut LogFile, posts: &[Post], now: u64) -> Vec<Decision> {
    let group = file.write(posts, WallMs(now)).expect("written");
    file.commit().expect("committed");
    group.decisions
}

fn decode(frame: &proto::frame::Encoded) -> RoomEntry {
    match serde_json::from_slice(&frame.0[4..]).expect("a message") {
        FromLobby::Entry(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

/// All that the file holds after a place, page by page.
fn held(file: &LogFile, after: u64) -> (Option<LobbySeq>, Vec<u64>) {
    let head = file.start().expect("a start").head;
    let page = archive::read(file.db(), LobbySeq(after), None, head).expect("a page");
    (page.gap, page.frames.iter().map(|frame| decode(frame).seq.0).collect())
}

fn stands(seqs: impl IntoIterator<Item = u64>) -> Vec<Decision> {
    seqs.into_iter().map(|seq| Decision::Stands(LobbySeq(seq))).collect()
}

#[test]
fn each_author_and_mid_stands_once_also_within_a_group_and_over_a_restart() {
    let dir = tempfile::tempdir().expect("folder");
    let mut file = LogFile::open(dir.path(), ALL).expect("opens");
    let group = [post(1, 1, "one"), post(1, 2, "two"), post(1, 1, "one"), post(2, 1, "another's")];
    assert_eq!(put(&mut file, &group, 0), stands([1, 2, 1, 3]));
    let start = file.start().expect("a start");
    drop(file);
    let mut file = LogFile::open(dir.path(), ALL).expect("opens");
    assert_eq!(file.start().expect("a start"), start, "the same log");
    assert_eq!(put(&mut file, &[post(1, 2, "two"), post(1, 3, "three")], 0), stands([2, 4]));
    let page = archive::read(file.db(), LobbySeq(3), None, LobbySeq(4)).expect("a page");
    let [entry] = &page.frames[..] else { panic!("{page:?}") };
    assert_eq!(decode(entry), RoomEntry { seq: LobbySeq(4), ..post(1, 3, "three").entry });
}

#[test]
fn what_is_denied_has_no_place_unless_it_has_one_already() {
    let mut file = LogFile::in_memory(ALL).expect("opens");
    let group = [
        post(1, 1, "early"),
        denied(Denied::Muted, post(1, 2, "late")),
        denied(Denied::Muted, post(1, 1, "early")),
        denied(Denied::Unsigned, post(1, 3, "forged")),
        post(2, 1, "others"),
    ];
    let [one, two] = [1, 2].map(|seq| Decision::Stands(LobbySeq(seq)));
    let [muted, unsigned] = [Denied::Muted, Denied::Unsigned].map(Decision::Denied);
    assert_eq!(put(&mut file, &group, 0), [one, muted, one, unsigned, two]);
    assert_eq!(held(&file, 0), (None, vec![1, 2]));
}

#[test]
fn what_was_not_committed_never_was() {
    let dir = tempfile::tempdir().expect("folder");
    let mut file = LogFile::open(dir.path(), ALL).expect("opens");
    put(&mut file, &[post(1, 1, "kept")], 0);
    file.write(&[post(1, 2, "lost")], WallMs(0)).expect("written");
    let reader = Connection::open(dir.path().join("log.db")).expect("opens");
    let page = archive::read(&reader, LobbySeq::START, None, LobbySeq(9)).expect("a page");
    assert_eq!(page.frames.len(), 1, "nobody sees it before the commit");
    drop(file); // a crash before it
    let mut file = LogFile::open(dir.path(), ALL).expect("opens");
    assert_eq!(file.start().expect("a start").head, LobbySeq(1));
    assert_eq!(put(&mut file, &[post(1, 2, "lost")], 0), stands([2]));
}

#[test]
fn the_log_is_bounded_by_count_by_bytes_and_by_age_and_counts_on() {
    let posts: Vec<Post> = (1..=10).map(|mid| post(1, mid, &"x".repeat(1_000))).collect();
    let by_count = Retention { entries: 4, ..ALL };
    let by_bytes = Retention { bytes: 4 * 1_300, ..ALL };
    for retention in [by_count, by_bytes] {
        let mut file = LogFile::in_memory(retention).expect("opens");
        for post in &posts {
            put(&mut file, std::slice::from_ref(post), 0);
        }
        assert_eq!(held(&file, 0), (Some(LobbySeq(7)), vec![7, 8, 9, 10]));
        assert_eq!(held(&file, 6), (None, vec![7, 8, 9, 10]));
    }
    let mut file = LogFile::in_memory(Retention { age: Duration::from_secs(5), ..ALL }).expect("opens");
    for (index, post) in posts.iter().enumerate() {
        put(&mut file, std::slice::from_ref(post), 1_000 * index as u64);
    }
    assert_eq!(held(&file, 0), (Some(LobbySeq(5)), vec![5, 6, 7, 8, 9, 10]));
    put(&mut file, &[], 1_000_000);
    let start = file.start().expect("a start");
    assert_eq!((start.head, start.mid), (LobbySeq(10), Some(posts[9].entry.mid)), "the numbers go on");
    assert_eq!(put(&mut file, &[post(1, 11, "new")], 1_000_000), stands([11]));
    assert_eq!(held(&file, 3), (Some(LobbySeq(11)), vec![11]));
}

#[test]
fn a_single_text_over_the_limit_is_there_to_be_read() {
    let mut file = LogFile::in_memory(Retention { bytes: 1, ..ALL }).expect("opens");
    put(&mut file, &[post(1, 1, "one"), post(1, 2, "two")], 0);
    assert_eq!(held(&file, 1), (None, vec![2]));
}

#[test]
fn a_lower_limit_is_reached_in_steps() {
    let dir = tempfile::tempdir().expect("folder");
    let mut file = LogFile::open(dir.path(), ALL).expect("opens");
    let posts: Vec<Post> = (1..=1_200).map(|mid| post(1, mid, "x")).collect();
    put(&mut file, &posts, 0);
    drop(file);
    let mut file = LogFile::open(dir.path(), Retention { entries: 10, ..ALL }).expect("opens");
    let mut floors = Vec::new();
    loop {
        let group = file.write(&[], WallMs(0)).expect("written");
        file.commit().expect("committed");
        floors.push(group.floor.0);
        if !group.more_to_go {
            break;
        }
    }
    assert_eq!(floors, [512, 1_024, 1_190]);
}

#[test]
fn a_log_of_a_later_version_and_what_is_no_log_stay_as_they_are() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("log.db");
    drop(LogFile::open(dir.path(), ALL).expect("opens"));
    Connection::open(&path).expect("opens").pragma_update(None, "user_version", 99).expect("set");
    let error = LogFile::open(dir.path(), ALL).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found: 99, known: 1 }), "{error}");
    let words = "no database but somebody's words, and more than a few of them ".repeat(100);
    std::fs::write(&path, &words).expect("written");
    assert!(LogFile::open(dir.path(), ALL).is_err());
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), words);
}

#[test]
fn a_full_disk_leaves_everything_as_it_was_and_the_same_posts_go_in_later() {
    let mut file = LogFile::in_memory(ALL).expect("opens");
    put(&mut file, &[post(1, 1, "first")], 0);
    file.db().pragma_update(None, "max_page_count", 12).expect("a small disk");
    let posts: Vec<Post> = (2..=60).map(|mid| post(1, mid, &"x".repeat(3_000))).collect();
    assert!(file.write(&posts, WallMs(0)).and_then(|_| file.commit()).is_err(), "there is no room");
    file.roll_back().expect("rolled back");
    assert_eq!(file.start().expect("a start").head, LobbySeq(1));
    file.db().pragma_update(None, "max_page_count", 1_000_000).expect("room");
    assert_eq!(put(&mut file, &posts, 0), stands(2..=60));
}

#[test]
fn a_place_where_another_entry_stands_is_no_place_of_this_log() {
    let mut file = LogFile::in_memory(Retention { entries: 3, ..ALL }).expect("opens");
    let posts: Vec<Post> = (1..=5).map(|mid| post(1, mid, "x")).collect();
    put(&mut file, &posts, 0);
    let read = |after: u64, check: &Post| {
        let page = archive::read(file.db(), LobbySeq(after), Some(check.entry.mid), LobbySeq(5));
        let page = page.expect("a page");
        (page.gap.map(|gap| gap.0), page.frames.iter().map(|frame| decode(frame).seq.0).collect::<Vec<_>>())
    };
    assert_eq!(read(3, &posts[2]), (None, vec![4, 5]), "the same entry");
    assert_eq!(read(3, &post(1, 77, "x")), (Some(3), vec![3, 4, 5]), "the log went another way");
    assert_eq!(read(1, &posts[0]), (Some(3), vec![3, 4, 5]), "deleted: nobody can tell");
}

/// A lobby and one reader, driven without threads.
struct Bench {
    file: LogFile,
    room: Room,
    reader: Reader,
    config: LobbyConfig,
    cursor: RoomCursor,
    read: Vec<u32>,
}

impl Bench {
    fn new(file: LogFile, config: LobbyConfig) -> Self {
        let start = file.start().expect("a start");
        let cursor = RoomCursor { generation: start.generation, seq: start.head, mid: None };
        let (room, reader) = open(&file, &config, cursor);
        Self { file, room, reader, config, cursor, read: Vec::new() }
    }

    /// What is in memory is gone; the reader comes back with its place.
    fn crash(&mut self) {
        self.file.roll_back().expect("rolled back");
        (self.room, self.reader) = open(&self.file, &self.config, self.cursor);
    }

    /// Reads once, and checks that nothing is left out or comes twice. `false`: there was nothing more.
    fn read(&mut self) -> bool {
        let batch = self.room.read(&mut self.reader).expect("served");
        let entries = match batch.entries {
            Next::Here(entries) => entries,
            Next::Behind(missing) => {
                let page = archive::read(self.file.db(), missing.after, missing.check, missing.until);
                self.reader.turn(page.expect("a page"))
            }
        };
        if let Some(gap) = entries.gap {
            assert!(gap > self.cursor.seq.next(), "a gap is where something is left out");
            self.cursor.seq = LobbySeq(gap.0 - 1);
        }
        for frame in &entries.frames {
            let entry = decode(frame);
            assert_eq!(entry.seq, self.cursor.seq.next());
            (self.cursor.seq, self.cursor.mid) = (entry.seq, Some(entry.mid));
            self.read.push(u32::from_be_bytes(entry.mid.0[..4].try_into().expect("four")));
        }
        entries.more
    }
}

fn open(file: &LogFile, config: &LobbyConfig, cursor: RoomCursor) -> (Room, Reader) {
    let mut room = Room::new(&file.start().expect("a start"), true, config);
    let hello = MemberHello {
        versions: Versions::OURS,
        features: Vec::new(),
        name: name("bobby"),
        instance: Instance([0; 16]),
        port: 0,
        room: Some(cursor),
        invitation: None,
    };
    let from = "127.0.0.1:1".parse().expect("an address");
    let Entered { reader, .. } = room.enter(Key([2; 32]), from, 1, &hello).expect("let in");
    (room, reader)
}

#[derive(Debug, Clone)]
enum Step {
    /// Posts of these lengths are written, and then: 0 shown, 1 a crash before the commit, 2 one after it.
    Say(Vec<usize>, u8),
    Read(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (proptest::collection::vec(1usize..30_000, 1..8), 0u8..5)
            .prop_map(|(lens, end)| Step::Say(lens, end.saturating_sub(2))),
        (1u8..4).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_entry_after_the_cursor_comes_once_or_is_in_the_gap(
        steps in proptest::collection::vec(step(), 1..30),
        ring_entries in 1usize..12,
        ring_bytes in 1usize..200_000,
        // No fewer than are in one group: an author that publishes again finds what it has published.
        kept in 8u64..60,
    ) {
        let retention = Retention { entries: kept, ..ALL };
        let config = LobbyConfig { ring_entries, ring_bytes, ..LobbyConfig::default() };
        let mut bench = Bench::new(LogFile::in_memory(retention).expect("opens"), config);
        let mut said = 0;
        for step in steps {
            match step {
                Step::Read(times) => { (0..times).all(|_| bench.read()); }
                Step::Say(lens, end) => {
                    let first = said + 1;
                    let posts: Vec<Post> = lens.iter().map(|len| {
                        said += 1;
                        post(1, said, &"x".repeat(*len))
                    }).collect();
                    let mut group = bench.file.write(&posts, WallMs(0)).expect("written");
                    if end > 0 {
                        if end == 2 { bench.file.commit().expect("committed"); }
                        // Nothing was answered: its author publishes it again.
                        bench.crash();
                        group = bench.file.write(&posts, WallMs(0)).expect("written");
                    }
                    bench.file.commit().expect("committed");
                    let seqs = stands((first..=said).map(u64::from));
                    prop_assert_eq!(&group.decisions, &seqs);
                    bench.room.show(&group);
                }
            }
        }
        while bench.read() {}
        prop_assert_eq!(bench.cursor.seq, LobbySeq(u64::from(said)));
        prop_assert!(bench.read.is_sorted_by(|one, other| one < other), "once, in order: {:?}", bench.read);
        let floor = u64::from(said).saturating_sub(kept);
        let tail: Vec<u32> = bench.read.iter().copied().filter(|mid| u64::from(*mid) > floor).collect();
        let held: Vec<u32> = (1..=said).filter(|mid| u64::from(*mid) > floor).collect();
        prop_assert_eq!(tail, held, "all that is kept was read");
    }
}
