//! The index and what a search makes of it.

use super::*;

/// Appends texts to a log, from `seq` on.
fn say(store: &mut Store, log: LogId, seq: u64, texts: &[&str]) {
    for (seq, said) in (seq..).zip(texts) {
        let entry = NewEntry { mid: Mid::from_parts(WallMs(seq), [0; 10]), ..text(0, said) };
        store.append(log, Seq(seq), &entry).expect("appends");
    }
}

fn search(store: &Store, words: &str, limit: u32) -> Found {
    let skip = |log| log == LogId(13);
    let scope = Scope { limit, me: ME, progress: |_| Progress::default(), skip };
    let reader = store.reader().expect("on disk").expect("opens");
    reader.search(&Query::new(words), &scope).expect("searches")
}

/// The places of what is found.
fn find(store: &Store, words: &str) -> Vec<u64> {
    search(store, words, 9).hits.iter().map(|(_, entry)| entry.seq.0).collect()
}

#[test]
fn all_words_are_found_by_their_beginnings_in_any_case_newest_first() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    let texts = [
        "The Build is green",
        "Сборка ЗЕЛЁНАЯ",
        "builds: red",
        "green BUILD again",
        "今天天气很好",
        "a :-) b",
    ];
    say(&mut store, LOG, 1, &texts);
    let notice = NewEntry { kind: EntryKind::Notice, mid: Mid([9; 16]), ..text(0, "a build notice") };
    store.append(LOG, Seq(7), &notice).expect("appends");
    assert_eq!(find(&store, "build"), [] as [u64; 0], "nothing is seen before the commit");
    store.commit().expect("commits");
    assert_eq!(find(&store, "GREEN build"), [4, 1]);
    assert_eq!(find(&store, "build"), [4, 3, 1]);
    assert_eq!(search(&store, "build", 1).hits.len(), 1);
    assert_eq!(find(&store, "зеленая"), [2]);
    assert_eq!(find(&store, "天气"), [5]);
    assert_eq!(find(&store, ":-)"), [6], "not in the index, but there");
    assert_eq!(find(&store, "build \"AND\" NOT*"), [] as [u64; 0]);
    assert_eq!(find(&store, "ild"), [] as [u64; 0]);
}

#[test]
fn lines_of_strangers_are_not_found() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    say(&mut store, LOG, 1, &["buy this"]);
    say(&mut store, LogId(13), 2, &["buy that"]);
    store.commit().expect("commits");
    assert_eq!(find(&store, "buy"), [1]);
}

#[test]
fn a_log_that_is_forgotten_is_in_the_index_no_more() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    say(&mut store, LOG, 1, &["stays"]);
    say(&mut store, LogId(8), 1, &["the words of a log", "go"]);
    store.drop_log(LogId(8)).expect("drops");
    store.commit().expect("commits");
    let left: Vec<i64> = ["words", "go", "stays"].iter().flat_map(|word| store.indexed(word)).collect();
    assert_eq!(left, [1]);
}

#[test]
fn an_old_history_is_indexed_bit_by_bit_and_found_all_the_while() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut store = open(dir.path());
    let texts: Vec<String> = (1..=600).map(|n| format!("word{n} all")).collect();
    say(&mut store, LOG, 1, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    store.unindex();
    store.commit().expect("commits");
    say(&mut store, LOG, 601, &["new all"]);
    store.commit().expect("commits");
    let mut rounds = 0;
    loop {
        assert_eq!(find(&store, "all")[..3], [601, 600, 599]);
        assert_eq!(find(&store, "word3"), [399, 398, 397, 396, 395, 394, 393, 392, 391]);
        assert_eq!(find(&store, "word1 all").len(), 9);
        if !store.has_unindexed().expect("reads") {
            break;
        }
        store.index_more().expect("indexes");
        store.commit().expect("commits");
        rounds += 1;
    }
    assert_eq!(rounds, 3);
    assert_eq!(store.indexed("word1"), [1]);
    assert_eq!(store.indexed("all").len(), 601);
}
