//! Files of older versions, of a later one, and files that are no databases.

use std::fs;

use rusqlite::{Connection, params};

use super::*;
use crate::store::schema::old;

const BOBBY: Key = Key([1; 32]);

/// A file of that version: anna has spoken with bobby, and somebody has only called.
fn history(path: &Path, version: usize) {
    let db = old(path, version);
    for (id, peer, name) in [(1, BOBBY.0, "bobby"), (2, [2; 32], "silent")] {
        db.execute(
            "INSERT INTO log (id, peer, name, epoch_n, epoch_r) VALUES (?1, ?2, ?3, 1, ?4)",
            params![id, peer, name, [0_u8; 8]],
        )
        .expect("a log");
    }
    let entry =
        "INSERT INTO entry (log, seq, author, mid, kind, at, text) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
    let entries =
        [("opened", [9_u8; 32], ""), ("text", BOBBY.0, "first words"), ("text", BOBBY.0, "second words")];
    for (seq, (kind, author, text)) in (1_u8..).zip(entries) {
        db.execute(entry, params![seq, author, [seq; 16], kind, 400 + 100 * i64::from(seq), text])
            .expect("an entry");
    }
    db.execute("INSERT INTO cursor (reader, log, seq) VALUES ('', 1, 2)", []).expect("a read mark");
    if version >= 2 {
        db.execute("INSERT INTO pin VALUES (?1, 'bobby', 'verified', 7)", [BOBBY.0]).expect("a pin");
    }
    if version >= 3 {
        db.execute("INSERT INTO block VALUES (?1, 'eve', 8)", [[3_u8; 32]]).expect("a block");
    }
}

/// The names in a folder that hold a word.
fn files(folder: &Path, word: &str) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.contains(word));
    names.sort();
    names
}

#[test]
fn a_history_of_any_older_version_is_copied_and_goes_on() {
    for version in 1..=3 {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("history.db");
        history(&path, version);
        for _ in 0..2 {
            let mut store = Store::open(&path).expect("migrates once");
            let pins = store.pins().expect("pins");
            let pins: Vec<_> =
                pins.iter().map(|pin| (pin.key, pin.name.as_str(), pin.verified, pin.since.0)).collect();
            // Whoever was spoken with before there were pins is pinned.
            assert_eq!(pins, [(BOBBY, "bobby", version >= 2, if version >= 2 { 7 } else { 500 })]);
            assert_eq!(store.blocks().expect("blocks").len(), usize::from(version >= 3));
            let row = store.logs().expect("logs").swap_remove(0);
            let log = crate::session::Log::load(row, ME, &store).expect("loads");
            assert_eq!((log.head(), log.unread()), (Seq(3), 0), "the entries are the own ones");
            while store.index_more().expect("indexes") {}
            store.commit().expect("commits");
            assert_eq!(store.indexed("words"), [2, 3]);
        }
        assert_eq!(files(dir.path(), "bak"), [format!("history.db.v{version}.bak")]);
        let bak = dir.path().join(format!("history.db.v{version}.bak"));
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&bak).expect("a copy").permissions());
        assert_eq!(mode & 0o777, 0o600);
        let copy = Connection::open(&bak).expect("opens");
        let found = |sql| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("reads");
        assert_eq!(found("PRAGMA user_version"), i64::try_from(version).expect("small"));
        assert_eq!(found("SELECT count(*) FROM entry"), 3);
    }
}

#[test]
fn only_the_newest_copies_are_kept_and_a_broken_try_is_swept_away() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.db");
    for name in ["history.db.v1.bak", "history.db.v2.bak", "history.db.v3.bak.part", "other.bak"] {
        fs::write(dir.path().join(name), "old").expect("a file");
    }
    history(&path, 3);
    drop(Store::open(&path).expect("migrates"));
    assert_eq!(files(dir.path(), "bak"), ["history.db.v2.bak", "history.db.v3.bak", "other.bak"]);
    drop(Store::open(&dir.path().join("new.db")).expect("opens"));
    assert_eq!(files(dir.path(), "new.db."), [] as [&str; 0], "there was nothing to copy");
}

#[test]
fn what_is_not_for_us_is_refused_with_what_to_do_and_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("history.db");
    let later = || {
        let db = Connection::open(&path).expect("opens");
        db.execute_batch("CREATE TABLE later (x); PRAGMA user_version = 99").expect("writes");
    };
    let cut = || {
        history(&path, 3);
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, &bytes[..bytes.len() / 2 - 100]).expect("writes");
    };
    let foreign = || fs::write(&path, "something else altogether\n".repeat(99)).expect("writes");
    let cases: [(&dyn Fn(), &str); 3] = [
        (&later, "has version 99, this program knows up to 5: update the program"),
        (&cut, "left as it is: put a copy of it in its place"),
        (&foreign, "left as it is: put a copy of it in its place"),
    ];
    for (make, words) in cases {
        make();
        let before = fs::read(&path).expect("reads");
        let error = Store::open(&path).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
        assert!(fs::read(&path).expect("reads") == before, "it was changed: {error}");
        for file in files(dir.path(), "history") {
            fs::remove_file(dir.path().join(file)).expect("removes");
        }
    }
}
