mod migration;
mod search;

use std::path::Path;

use proto::ids::{Chain, Epoch, EpochTag, Key, Mid, Pos, Seq, WallMs};
use proto::ipc::{self, EntryKind, EntryState, Range};
use proto::limits::{MAX_TEXT_LEN, PAGE_BYTES, PAGE_ENTRIES};
use proto::name::Name;

use super::*;

const ME: Key = Key([1; 32]);
const ANNA: Key = Key([2; 32]);
const LOG: LogId = LogId(7);

fn text(mid: u8, text: &str) -> NewEntry {
    NewEntry {
        author: Author::Person(ANNA, Name::new("anna").expect("name")),
        mid: Mid([mid; 16]),
        kind: EntryKind::Text,
        at: WallMs(5),
        text: text.into(),
        seen: None,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("history.db")).expect("opens")
}

fn page(store: &Store, range: Range, limit: u32) -> Vec<u64> {
    let reader = store.reader().expect("on disk").expect("opens");
    let page = reader.page(LOG, range, limit, &ME, Progress::default()).expect("reads");
    page.iter().map(|entry| entry.seq.0).collect()
}

#[test]
fn pages_go_on_from_any_place_in_either_direction() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    for seq in 1..=9 {
        store.append(LOG, Seq(seq), &text(u8::try_from(seq).expect("small"), "x")).expect("appends");
    }
    store.append(LogId(8), Seq(1), &text(1, "of another log")).expect("appends");
    assert_eq!(
        page(&store, Range::After(Seq::START), 9),
        [] as [u64; 0],
        "nothing is seen before the commit"
    );
    store.commit().expect("commits");
    assert_eq!(page(&store, Range::After(Seq(3)), 2), [4, 5]);
    assert_eq!(page(&store, Range::After(Seq(9)), 2), [] as [u64; 0]);
    assert_eq!(page(&store, Range::Before(Seq(3)), 9), [1, 2]);
    assert_eq!(page(&store, Range::Before(Seq::END), 3), [7, 8, 9]);
    assert_eq!(store.head(LOG).expect("head"), Seq(9));
}

#[test]
fn a_page_is_bounded_and_one_entry_always_fits() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    let long = "x".repeat(MAX_TEXT_LEN);
    for seq in 1..=3 {
        store.append(LOG, Seq(seq), &text(u8::try_from(seq).expect("small"), &long)).expect("appends");
    }
    for seq in 4..=300 {
        let mut entry = text(0, "");
        entry.mid = Mid::from_parts(WallMs(seq), [0; 10]);
        entry.text = "y".repeat(PAGE_BYTES / 100).into();
        store.append(LOG, Seq(seq), &entry).expect("appends");
    }
    store.commit().expect("commits");
    assert_eq!(page(&store, Range::After(Seq::START), u32::MAX), [1]);
    assert_eq!(page(&store, Range::Before(Seq(4)), u32::MAX), [3]);
    let shorter = page(&store, Range::After(Seq(3)), u32::MAX);
    assert!(shorter.len() >= 100 && shorter.len() <= PAGE_ENTRIES, "{}", shorter.len());
}

#[test]
fn an_entry_is_in_a_log_once_for_each_author() {
    let mut store = Store::in_memory().expect("opens");
    store.append(LOG, Seq(1), &text(1, "x")).expect("appends");
    assert_eq!(store.find(LOG, &ANNA, Mid([1; 16])).expect("finds"), Some(Seq(1)));
    assert_eq!(store.find(LOG, &ME, Mid([1; 16])).expect("finds"), None);
    assert_eq!(store.find(LogId(8), &ANNA, Mid([1; 16])).expect("finds"), None);
    assert!(store.append(LOG, Seq(2), &text(1, "again")).is_err());
}

#[test]
fn what_was_not_committed_is_gone_and_the_rest_is_there_after_a_reopening() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    let epoch = Epoch { n: 3, r: EpochTag([9; 8]) };
    let mut row = LogRow::new(LOG, Some((ANNA, Name::new("anna").expect("name"))), epoch);
    row.addrs = vec!["[::1]:5".parse().expect("address")];
    (row.my_open, row.in_epoch, row.acked) = (Some(Pos(4)), Some(epoch), Pos(2));
    store.put_log(&row).expect("writes");
    store.set_meta("name", "bobby").expect("writes");
    store.commit().expect("commits");
    store.set_meta("name", "lost").expect("writes");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.logs().expect("logs"), [row]);
    assert_eq!(store.meta("name").expect("reads").as_deref(), Some("bobby"));
}

#[test]
fn own_entries_show_how_far_they_have_come() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    for seq in 1..=4 {
        store.append(LOG, Seq(seq), &text(u8::try_from(seq).expect("small"), "x")).expect("appends");
        if seq < 4 {
            store.push_out(LOG, Pos(seq), Seq(seq), Chain([0; 32])).expect("appends");
        }
    }
    store.commit().expect("commits");
    let reader = store.reader().expect("on disk").expect("opens");
    let progress = Progress { sent: Pos(2), delivered: Pos(1) };
    let entries = reader.page(LOG, Range::After(Seq::START), 9, &ANNA, progress).expect("reads");
    let states: Vec<EntryState> = entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [EntryState::Delivered, EntryState::Sent, EntryState::Queued, EntryState::Received]);
}

#[test]
fn cursors_never_go_back_and_are_each_readers_own() {
    let mut store = Store::in_memory().expect("opens");
    let bot = ipc::Reader::Named("bot".to_owned());
    store.mark(&bot, LOG, Seq(5)).expect("marks");
    store.mark(&bot, LOG, Seq(3)).expect("marks");
    assert_eq!(store.cursor(&bot, LOG).expect("reads"), Seq(5));
    assert_eq!(store.cursor(&ipc::Reader::Person, LOG).expect("reads"), Seq::START);
}
