//! The log over restarts, crashes, backups and full disks: each message once, in order, or in a gap that is told.

use std::path::Path;
use std::process::Command;

use chatd::identity::Identity;
use chatd::lobby::LobbyConfig;
use proto::ids::{LobbySeq, Mid};
use proto::lobby::{FromLobby, RoomCursor, RoomEntry, ToLobby};

use crate::daemon::Daemon;
use crate::harness::{Fake, TestLobby, identity};

fn place(fake: &Fake, entry: &RoomEntry) -> RoomCursor {
    RoomCursor { mid: Some(entry.mid), ..fake.cursor(entry.seq) }
}

/// Entries up to a place, without a hole.
async fn read(fake: &mut Fake, seqs: std::ops::RangeInclusive<u64>) -> Vec<RoomEntry> {
    let mut entries = Vec::new();
    for seq in seqs {
        let entry = fake.entry().await;
        assert_eq!(entry.seq, LobbySeq(seq));
        entries.push(entry);
    }
    entries
}

async fn restart(mut lobby: TestLobby, dir: &Path) -> TestLobby {
    lobby.stop();
    lobby.stopped().await;
    TestLobby::kept_in(dir)
}

fn at(data: &Path, daemon: &Daemon) -> TestLobby {
    TestLobby::at(daemon.addr, Identity::load_or_create(data).expect("key").key())
}

#[tokio::test]
async fn a_restarted_lobby_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().expect("folder");
    let (anna_key, bobby_key) = (identity(), identity());
    let lobby = TestLobby::kept_in(dir.path());
    let mut anna = lobby.join(&anna_key, "anna").await;
    let mut bobby = lobby.join(&bobby_key, "bobby").await;
    let (mid, message) = anna.publish("line 1");
    anna.send(&message).await;
    anna.published(mid).await;
    anna.say("line 2").await;
    let first = bobby.entry().await;
    let (generation, cursor) = (bobby.welcome.generation, place(&bobby, &first));
    let lobby = restart(lobby, dir.path()).await;
    let mut anna = lobby.join(&anna_key, "anna").await;
    assert_eq!((anna.welcome.generation, anna.welcome.head), (generation, LobbySeq(2)));
    anna.send(&message).await;
    assert_eq!(anna.published(mid).await, LobbySeq(1), "published before the restart");
    anna.say("line 3").await;
    let mut bobby = lobby.resume(&bobby_key, "bobby", cursor).await;
    let texts: Vec<_> = read(&mut bobby, 2..=3).await.into_iter().map(|entry| entry.text).collect();
    assert_eq!((texts[0].as_str(), texts[1].as_str()), ("line 2", "line 3"));
    assert_eq!(bobby.barrier().await, []);
}

#[tokio::test]
async fn a_reader_far_behind_what_is_in_memory_gets_all_of_it_while_the_room_talks_on() {
    let dir = tempfile::tempdir().expect("folder");
    let config = LobbyConfig { ring_entries: 8, ..LobbyConfig::default() };
    let lobby = TestLobby::kept_with(dir.path(), config);
    let mut anna = lobby.join(&identity(), "anna").await;
    let mut last = Mid([0; 16]);
    for n in 0..600 {
        let (mid, message) = anna.publish(&format!("line {n}"));
        anna.send(&message).await;
        last = mid;
    }
    anna.published(last).await;
    let mut late = lobby.resume(&identity(), "late", anna.cursor(LobbySeq::START)).await;
    for n in 600..620 {
        anna.say(&format!("line {n}")).await;
    }
    for (n, entry) in read(&mut late, 1..=620).await.into_iter().enumerate() {
        assert_eq!(entry.text.as_str(), format!("line {n}"));
    }
    assert!(late.barrier().await.iter().all(|message| !matches!(message, FromLobby::Gap { .. })));
}

#[tokio::test]
async fn what_is_no_longer_kept_is_a_gap_also_over_a_restart() {
    let dir = tempfile::tempdir().expect("folder");
    let config = LobbyConfig { keep_entries: 300, ring_entries: 8, ..LobbyConfig::default() };
    let mut lobby = TestLobby::kept_with(dir.path(), config.clone());
    let mut anna = lobby.join(&identity(), "anna").await;
    for n in 1..=400 {
        assert_eq!(anna.say(&format!("line {n}")).await, LobbySeq(n));
    }
    let cursor = anna.cursor(LobbySeq(5));
    for _ in 0..2 {
        let mut late = lobby.resume(&identity(), "late", cursor).await;
        assert_eq!(late.next().await, FromLobby::Gap { next: LobbySeq(101) });
        read(&mut late, 101..=400).await;
        lobby.stop();
        lobby.stopped().await;
        lobby = TestLobby::kept_with(dir.path(), config.clone());
    }
}

#[tokio::test]
async fn a_lobby_restored_from_a_backup_notices_readers_of_what_it_lost() {
    let (dir, backup) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let mut lobby = TestLobby::kept_in(dir.path());
    let mut anna = lobby.join(&identity(), "anna").await;
    for n in 1..=3 {
        anna.say(&format!("line {n}")).await;
    }
    let third = read(&mut anna, 1..=3).await.remove(2);
    lobby.stop();
    lobby.stopped().await;
    for file in std::fs::read_dir(dir.path()).expect("folder").map(|file| file.expect("file")) {
        std::fs::copy(file.path(), backup.path().join(file.file_name())).expect("copied");
    }
    let lobby = TestLobby::kept_in(dir.path());
    let mut anna = lobby.join(&identity(), "anna").await;
    anna.say("lost").await;
    let lost = anna.entry().await;
    let (kept, ahead) = (place(&anna, &third), place(&anna, &lost));
    drop((anna, lobby));

    let lobby = TestLobby::kept_in(backup.path());
    let mut before = lobby.resume(&identity(), "before", ahead).await;
    read(&mut before, 1..=3).await; // its place is beyond the end
    let mut anna = lobby.join(&identity(), "anna").await;
    anna.say("another fourth").await;
    anna.say("a fifth").await;
    read(&mut before, 4..=5).await;
    let mut same = lobby.resume(&identity(), "same", kept).await;
    read(&mut same, 4..=5).await;
    let mut strayed = lobby.resume(&identity(), "strayed", ahead).await;
    let texts: Vec<_> = read(&mut strayed, 1..=5).await.into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts[3].as_str(), "another fourth");
    let lobby = restart(lobby, backup.path()).await;
    // Now only the disk can tell.
    let mut anna = lobby.join(&identity(), "anna").await;
    anna.say("a sixth").await;
    let mut strayed = lobby.resume(&identity(), "strayed", ahead).await;
    read(&mut strayed, 1..=6).await;
}

/// Publishes, loses the lobby at any moment, and publishes again what had no answer.
#[tokio::test]
async fn a_lobby_that_is_killed_has_all_that_it_answered_and_nothing_twice() {
    const EACH: usize = 200;
    let data = tempfile::tempdir().expect("folder");
    let mut daemon = Daemon::start_at(data.path(), "127.0.0.1:0");
    let (key, reader_key) = (identity(), identity());
    let mut reader = at(data.path(), &daemon).join(&reader_key, "reader").await;
    let mut cursor = reader.cursor(LobbySeq::START);
    let (mut open, mut said, mut seen): (Vec<(Mid, ToLobby)>, Vec<Mid>, Vec<Mid>) = Default::default();
    for round in 0..5 {
        let lobby = at(data.path(), &daemon);
        let mut anna = lobby.join(&key, "anna").await;
        for n in 0..EACH {
            let (mid, message) = anna.publish(&format!("{round}.{n}"));
            said.push(mid);
            open.push((mid, message));
        }
        for (_, message) in &open {
            anna.send(message).await;
        }
        // Answers come in order: what came before the end is not published again.
        let stop = if round == 4 { open.len() } else { EACH / 5 * round };
        for (mid, _) in open.drain(..stop) {
            anna.published(mid).await;
        }
        daemon.kill();
        while let Ok(message) = reader.try_next().await {
            if let FromLobby::Entry(entry) = message {
                assert_eq!(entry.seq, cursor.seq.next());
                seen.push(entry.mid);
                cursor = place(&reader, &entry);
            }
        }
        daemon = Daemon::start_at(data.path(), "127.0.0.1:0");
        reader = at(data.path(), &daemon).resume(&reader_key, "reader", cursor).await;
    }
    let head = reader.welcome.head.0;
    seen.extend(read(&mut reader, cursor.seq.0 + 1..=head).await.into_iter().map(|entry| entry.mid));
    assert_eq!(seen, said);
    assert_eq!(reader.barrier().await, []);
}

fn refuses(data: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lobbyd"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .env_remove("RUST_LOG")
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("utf-8")
}

#[test]
fn a_log_that_cannot_be_read_is_left_alone() {
    let data = tempfile::tempdir().expect("folder");
    let path = data.path().join("log.db");
    let words = "not a database at all, whoever wrote it ".repeat(200);
    std::fs::write(&path, &words).expect("written");
    let said = refuses(data.path());
    assert!(
        said.contains("cannot read what the lobby keeps") && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), words);
}

/// The soft limit of a file's size stands for a full disk: a write beyond it fails.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_holds_what_is_said_until_there_is_room_and_nobody_is_cut() {
    use std::process::Stdio;

    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let data = tempfile::tempdir().expect("folder");
    drop(Daemon::start_at(data.path(), "127.0.0.1:0")); // the files are there
    // Blocks of 1,024 bytes; the signal that comes with the error is not for us.
    let script = "trap '' XFSZ; ulimit -S -f 200; exec \"$0\" --listen 127.0.0.1:0 --data-dir \"$1\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_lobbyd")]).arg(data.path()).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = Daemon::ready(command.spawn().expect("starts"));
    let lobby = at(data.path(), &daemon);
    let mut anna = lobby.join(&identity(), "anna").await;
    let mut bobby = lobby.join(&identity(), "bobby").await;
    let block = "x".repeat(10_000);
    let mut mids = Vec::new();
    for _ in 0..60 {
        let (mid, message) = anna.publish(&block);
        anna.send(&message).await;
        mids.push(mid);
    }
    // Questions are answered while posts wait.
    assert!(anna.lookup("bobby").await.is_some());
    let told = anna.barrier().await;
    assert!(!told.iter().any(|message| matches!(message, FromLobby::NotPublished { .. })));
    let shown = told.iter().filter(|message| matches!(message, FromLobby::Entry(_))).count();
    assert!(shown < 60, "the disk was not full");
    let room = Rlimit { current: None, maximum: None };
    prlimit(Some(Pid::from_child(&daemon.child)), Resource::Fsize, room).expect("room again");
    for seq in 1..=60 {
        assert_eq!(bobby.entry().await.seq, LobbySeq(seq));
    }
    let (mid, message) = anna.publish("after");
    anna.send(&message).await;
    assert_eq!(anna.published(mid).await, LobbySeq(61));
    daemon.kill();
    let log = daemon.log();
    assert!(log.contains("could not be written") && log.contains("is written again"), "{log}");
}
