//! History goes out as lines and comes in again: here, at another daemon, and under the same key on a new disk.
#![cfg(unix)]

use std::fs;

use chat_tests::{Ctl, Daemon, World};
use serde_json::Value;

/// anna and bobby, who have said something to each other and to all.
fn talk(world: &World) -> [Daemon; 2] {
    let [anna, bobby] = ["anna", "bobby"].map(|name| {
        let daemon = Daemon::start_in(world, name, name);
        daemon.in_lobby();
        daemon
    });
    anna.ctl().ok(&["send", "lobby", "hello all"]);
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    for number in 1..=200 {
        anna.ctl().ok(&["send", "bobby", &format!("line {number} \u{1b}[2J\nsecond row")]);
        if number >= 3 {
            break;
        }
    }
    bobby.connected_to("anna");
    bobby.ctl().ok(&["send", "anna", "an answer", "--wait", "delivered"]);
    [anna, bobby]
}

fn export(ctl: &Ctl) -> String {
    ctl.ok(&["export"])
}

/// The records without what belongs to the place where they are.
fn said(lines: &str) -> Vec<Value> {
    let records = lines.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let mut records: Vec<Value> = records.filter(|record| record["kind"] == "text").collect();
    for record in &mut records {
        let fields = record.as_object_mut().expect("an object");
        fields.remove("seq");
        fields.remove("mine");
    }
    records.sort_by_key(|record| record["mid"].to_string());
    records
}

fn imported(ctl: &Ctl, lines: &str) -> (u64, u64) {
    let ran = ctl.run(&["--json", "import"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
    let row: Value = serde_json::from_str(&ran.out).expect("a row");
    (row["added"].as_u64().expect("a number"), row["known"].as_u64().expect("a number"))
}

#[test]
fn history_comes_back_once_and_reaches_nobody_else() {
    let world = World::new();
    let [anna, bobby] = talk(&world);
    let lines = export(&anna.ctl());
    let count = lines.lines().count() as u64 - 1;
    let head: Value = serde_json::from_str(lines.lines().next().expect("a head")).expect("a head");
    assert_eq!(
        (&head["format"], &head["version"], &head["name"]),
        (&"chat-history".into(), &1.into(), &"anna".into())
    );
    assert_eq!(said(&lines).len(), 5);
    assert_eq!(imported(&anna.ctl(), &lines), (0, count), "all of it is here");

    // Another person's daemon has it to read and to search; nobody is spoken to, nothing is unread.
    let carol = Daemon::start_in(&world, "carol", "carol");
    carol.in_lobby();
    let before = carol.ctl().ok(&["--plain", "history", "lobby", "--after", "0"]);
    let terminal = carol.screen();
    let file = world.path().join("history.jsonl");
    fs::write(&file, &lines).expect("a file");
    let told = carol.ctl().ok(&["import", file.to_str().expect("utf-8")]);
    assert_eq!(told, format!(">>> {count} entries imported, 0 were here already\n"));
    assert_eq!(imported(&carol.ctl(), &lines), (0, count));
    assert_eq!(said(&export(&carol.ctl())), said(&lines));
    assert_eq!(carol.ctl().texts("bobby")[3], "an answer");
    assert_eq!(carol.ctl().rows(&["search", "ANSWER"])[0]["from"], "bobby");
    let rows = carol.ctl().rows(&["sessions", "--all"]);
    assert_eq!((rows.len(), &rows[0]["unread"]), (1, &0.into()), "{rows:?}");
    assert!(carol.ctl().ok(&["--plain", "history", "lobby", "--after", "0"]).starts_with(&before));
    carol.ctl().ok(&["send", "lobby", "carol was here"]);
    terminal.wait_for("carol: carol was here");
    assert_eq!(terminal.count("hello all"), 0, "what is older than the screen is not printed below it");
    assert_eq!(bobby.ctl().texts("anna").len(), 4);

    // The session goes on where the two talk again.
    carol.ctl().ok(&["fork", "bobby"]);
    carol.connected_to("bobby");
    bobby.connected_to("carol");
    bobby.ctl().ok(&["send", "carol", "a new word", "--wait", "delivered"]);
    assert_eq!(carol.ctl().texts("bobby").last().map(String::as_str), Some("a new word"));
    assert_eq!(carol.ctl().texts("bobby").len(), 5);
}

#[test]
fn whoever_lost_the_disk_but_not_the_key_gets_nothing_twice() {
    let world = World::new();
    let [mut anna, bobby] = talk(&world);
    let lines = export(&anna.ctl());
    anna.terminate();
    let data = anna.house().data.join("anna");
    for file in fs::read_dir(&data).expect("a folder").flatten() {
        if file.file_name().to_string_lossy().starts_with("history.db") {
            fs::remove_file(file.path()).expect("removed");
        }
    }
    bobby.ctl().ok(&["send", "anna", "while you were away"]);
    // Before anybody can be talked with: the import is first, and what bobby still has comes after it.
    anna.start_again();
    let (added, known) = imported(&anna.ctl(), &lines);
    assert_eq!(added + known, lines.lines().count() as u64 - 1);
    anna.in_lobby();
    bobby.until("all delivered", |state| (state.session("anna")?.queued == 0).then_some(()));
    assert_eq!(anna.ctl().received("bobby"), ["an answer", "while you were away"]);
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    bobby.connected_to("anna");
    bobby.ctl().ok(&["send", "anna", "and now", "--wait", "delivered"]);
    assert_eq!(anna.ctl().received("bobby"), ["an answer", "while you were away", "and now"]);
    anna.ctl().ok(&["send", "bobby", "back", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna").last().map(String::as_str), Some("back"));
    assert_eq!(bobby.ctl().received("anna").len(), 4);
}

#[test]
fn what_cannot_be_imported_is_told_with_its_place() {
    let world = World::new();
    let [anna, bobby] = talk(&world);
    let lines = export(&anna.ctl());
    let import = |ctl: &Ctl, lines: &str| {
        let ran = ctl.run(&["import", "-"], lines.as_bytes());
        assert_eq!(ran.code, 1, "{ran:?}");
        ran.err
    };
    let cut = &lines[..lines.trim_end().len() - 3];
    let last = lines.lines().count();
    assert!(import(&anna.ctl(), cut).contains(&format!("-:{last}:")), "{}", import(&anna.ctl(), cut));
    assert!(import(&anna.ctl(), "{\"a\":1}\n").contains("-:1:7: missing field `format`"));
    let other = import(&bobby.ctl(), &lines);
    assert!(other.contains("a session with yourself") && other.contains("-:"), "{other}");
    assert!(anna.ctl().fails(&["import", "/nowhere"], 1).contains("unable to read /nowhere"));
    assert!(anna.ctl().fails(&["export", "nobody"], 4).contains("no session with nobody"));
    let one = anna.ctl().ok(&["export", "bobby"]);
    assert!(one.lines().skip(1).all(|line| line.contains("\"peer\":{\"name\":\"bobby\"")));
}
