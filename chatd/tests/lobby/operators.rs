//! Orders to a running `lobbyd`, and to the files of one that does not run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use chatd::identity::{Identity, fingerprint};
use proto::ids::LobbySeq;
use proto::lobby::RefusedCode;

use crate::daemon::Daemon;
use crate::harness::{Fake, TestLobby, hello, identity};

fn run(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lobbyd"));
    command.args(args).arg("--data-dir").arg(data).env_remove("RUST_LOG").output().expect("runs")
}

fn ok(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("utf-8")
}

fn fails(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).expect("utf-8")
}

fn start(data: &Path) -> (Daemon, TestLobby) {
    let daemon = Daemon::start_at(data, "127.0.0.1:0");
    let key = Identity::load_or_create(data).expect("key").key();
    let addr: SocketAddr = daemon.addr;
    (daemon, TestLobby::at(addr, key))
}

/// What becomes of a message.
async fn says(fake: &mut Fake) -> Result<(), String> {
    let (mid, message) = fake.publish("hello");
    fake.send(&message).await;
    fake.next_answer(mid).await.map(drop)
}

#[tokio::test]
async fn who_is_kicked_is_gone_at_once_is_told_and_may_come_back() {
    let data = tempfile::tempdir().expect("folder");
    let (_daemon, lobby) = start(data.path());
    let mut anna = lobby.join(&identity(), "anna").await;
    let identity = identity();
    let mut eve = lobby.join(&identity, "eve").await;
    assert_eq!(anna.presence().await, ["+eve"]);
    ok(data.path(), &["kick", "Eve"]);
    assert!(eve.goodbye().await.contains("removed you"));
    assert_eq!(anna.presence().await, ["-eve"]);
    assert!(fails(data.path(), &["kick", "eve"]).contains("is not here"));
    assert!(fails(data.path(), &["kick", "dave"]).contains("nobody here is called 'dave'"));
    assert_eq!(lobby.join(&identity, "eve").await.name(), "eve");
}

#[tokio::test]
async fn a_ban_by_key_holds_over_a_restart_until_it_is_taken_back() {
    let data = tempfile::tempdir().expect("folder");
    let (daemon, lobby) = start(data.path());
    let eve = identity();
    let mut link = lobby.join(&eve, "eve").await;
    let print = fingerprint(&eve.key());
    assert!(ok(data.path(), &["ban", &print, "--for", "1h"]).contains("until 20"));
    assert!(link.goodbye().await.contains("banned you"));
    assert_eq!(lobby.refused_as(&eve, hello("eve")).await, RefusedCode::Banned);
    assert_eq!(lobby.refused_as(&eve, hello("other")).await, RefusedCode::Banned, "whatever it calls itself");
    drop(daemon);
    assert!(ok(data.path(), &["list"]).contains(&format!("ban eve {print}")), "while none runs");
    let (_daemon, lobby) = start(data.path());
    assert_eq!(lobby.refused_as(&eve, hello("eve")).await, RefusedCode::Banned);
    ok(data.path(), &["unban", "eve"]);
    assert!(fails(data.path(), &["unban", "eve"]).contains("no such ban"));
    assert_eq!(lobby.join(&eve, "eve").await.name(), "eve");
}

#[tokio::test]
async fn a_ban_by_address_ends_all_links_from_there() {
    let data = tempfile::tempdir().expect("folder");
    let (_daemon, lobby) = start(data.path());
    let (mut anna, mut eve) = (lobby.join(&identity(), "anna").await, lobby.join(&identity(), "eve").await);
    let said = ok(data.path(), &["ban", "eve", "--address"]);
    assert!(said.contains("eve") && said.contains("127.0.0.1"), "{said}");
    assert!(eve.goodbye().await.contains("banned you"));
    assert!(anna.goodbye().await.contains("banned you"));
    assert_eq!(lobby.refused(hello("carl")).await, RefusedCode::Banned);
    ok(data.path(), &["unban", "::ffff:127.0.0.1"]);
    assert_eq!(lobby.join(&identity(), "carl").await.name(), "carl");
    assert!(fails(data.path(), &["mute", "127.0.0.1"]).contains("an address can be banned"));
}

#[tokio::test]
async fn who_is_muted_hears_and_is_not_heard() {
    let data = tempfile::tempdir().expect("folder");
    let (_daemon, lobby) = start(data.path());
    let (mut anna, mut eve) = (lobby.join(&identity(), "anna").await, lobby.join(&identity(), "eve").await);
    let (early, message) = eve.publish("early");
    eve.send(&message).await;
    assert_eq!(eve.published(early).await, LobbySeq(1));
    ok(data.path(), &["mute", "eve"]);
    eve.send(&message).await;
    assert_eq!(eve.published(early).await, LobbySeq(1), "what stands in the log stands there");
    assert!(says(&mut eve).await.expect_err("muted").contains("muted you"));
    assert_eq!(says(&mut anna).await, Ok(()));
    ok(data.path(), &["unmute", "eve"]);
    assert_eq!(says(&mut eve).await, Ok(()));
    let (last, message) = anna.publish("last");
    anna.send(&message).await;
    // "early", the first of anna's, the second of eve's: nothing of what she said muted.
    assert_eq!(anna.published(last).await, LobbySeq(4));
}

#[cfg(unix)]
#[tokio::test]
async fn the_audit_log_names_keys_and_addresses_and_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let data = tempfile::tempdir().expect("folder");
    let (_daemon, lobby) = start(data.path());
    let eve = identity();
    let _link = lobby.join(&eve, "eve").await;
    for order in [&["invite"][..], &["mute", "eve"], &["kick", "eve"], &["ban", "192.0.2.7"]] {
        ok(data.path(), order);
    }
    let path = data.path().join("audit.log");
    let text = std::fs::read_to_string(&path).expect("reads");
    let lines: Vec<&str> = text.lines().collect();
    let key = eve.key().to_string();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[0].contains("Z invite") && lines[1].contains("mute eve") && lines[1].contains(&key),
        "{text}"
    );
    assert!(lines[2].contains("kick eve") && lines[2].ends_with("at 127.0.0.1"), "{text}");
    assert!(lines[3].ends_with("ban 192.0.2.7"), "{text}");
    for file in ["audit.log", "lobbyd.sock", "lobby.db"] {
        let mode = std::fs::metadata(data.path().join(file)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
}
