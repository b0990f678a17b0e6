//! Who may enter: a lobby that others can reach, its invitations, and daemons that use them. With the real programs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use chatd::identity::Identity;
use proto::invitation::Invitation;
use proto::lobby::{MemberHello, RefusedCode};

use crate::daemon::Daemon;
use crate::harness::{Fake, TestLobby, hello, identity};

fn lobbyd(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lobbyd"));
    command.args(args).arg("--data-dir").arg(data).env_remove("RUST_LOG").output().expect("runs")
}

fn invite(data: &Path, args: &[&str]) -> Invitation {
    let output = lobbyd(data, &[&["invite"], args].concat());
    let (line, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(line.lines().count(), 1, "{line}{error}");
    line.parse().unwrap_or_else(|why| panic!("{why}: {error}"))
}

/// The lobby of a running `lobbyd`, seen from this machine.
fn lobby(daemon: &Daemon, data: &Path) -> TestLobby {
    let key = Identity::load_or_create(data).expect("key").key();
    TestLobby::at(SocketAddr::from((Ipv4Addr::LOCALHOST, daemon.addr.port())), key)
}

fn with(invitation: &Invitation, name: &str) -> MemberHello {
    MemberHello { invitation: Some(invitation.token), ..hello(name) }
}

#[tokio::test]
async fn an_invitation_lets_in_as_many_as_it_is_for_and_outlives_a_restart() {
    let data = tempfile::tempdir().expect("folder");
    let daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let invitation = invite(data.path(), &["--address", "chat.example.org:43210"]);
    let there = lobby(&daemon, data.path());
    assert_eq!((invitation.addr.as_str(), invitation.lobby), ("chat.example.org:43210", there.key));
    assert_eq!(there.refused(hello("anna")).await, RefusedCode::Invitation);
    let wrong = Invitation { token: proto::invitation::Token([7; 16]), ..invitation.clone() };
    assert_eq!(there.refused(with(&wrong, "anna")).await, RefusedCode::Invitation);
    let anna = identity();
    assert_eq!(there.join_as(&anna, with(&invitation, "anna")).await.name(), "anna");
    assert_eq!(there.refused(with(&invitation, "eve")).await, RefusedCode::Invitation, "used up");
    drop(daemon); // killed: what was answered was on the disk, or soon
    let later = invite(data.path(), &["--uses", "2", "--address", "chat.example.org:1"]);
    let daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let there = lobby(&daemon, data.path());
    assert_eq!(there.join(&anna, "anna").await.name(), "anna", "let in once, let in for good");
    assert_eq!(there.refused(with(&invitation, "eve")).await, RefusedCode::Invitation, "used up for good");
    assert_eq!(
        there.join_as(&identity(), with(&later, "bobby")).await.name(),
        "bobby",
        "made while none ran"
    );
}

#[tokio::test]
async fn on_loopback_and_by_open_anybody_may_enter() {
    for args in [&["--listen", "127.0.0.1:0"][..], &["--listen", "0.0.0.0:0", "--open"]] {
        let data = tempfile::tempdir().expect("folder");
        let daemon = Daemon::start_with(data.path(), args);
        assert_eq!(lobby(&daemon, data.path()).join(&identity(), "anna").await.name(), "anna");
    }
}

#[test]
fn no_token_is_kept_or_logged_and_an_expiry_is_a_time() {
    let data = tempfile::tempdir().expect("folder");
    let mut daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let line = invite(data.path(), &["--expires", "1h", "--address", "h:1"]).line();
    let secret = line.rsplit_once('.').expect("a token").1;
    let bytes = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).expect("base64");
    for file in std::fs::read_dir(data.path()).expect("folder") {
        let path = file.expect("file").path();
        let Ok(held) = std::fs::read(&path) else { continue }; // the socket
        let found = held.windows(bytes.len()).any(|part| part == bytes)
            || held.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{}", path.display());
    }
    assert_eq!(lobbyd(data.path(), &["invite", "--expires", "soon"]).status.code(), Some(2));
    daemon.kill();
    assert_eq!(daemon.log(), "");
    let nowhere = lobbyd(&data.path().join("none"), &["invite"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("no lobby in"), "{nowhere:?}");
}

/// A `chatd`, killed when dropped.
struct Chatd(Child);

impl Drop for Chatd {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn chatd(dir: &Path, lobby: Option<&str>) -> Chatd {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatd"));
    command.args(["--name", "anna", "-vv", "--data-dir"]).arg(dir).arg("--runtime-dir").arg(dir.join("run"));
    command.args(lobby.iter().flat_map(|lobby| ["--lobby", lobby])).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Chatd(command.spawn().expect("starts"))
}

/// An open look at who comes.
async fn watcher(there: &TestLobby, data: &Path) -> Fake {
    let invitation = invite(data, &["--address", "h:1"]);
    there.join_as(&identity(), with(&invitation, "watcher")).await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_daemon_joins_by_the_line_hides_it_and_needs_it_only_once() {
    let (data, home) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let there = lobby(&daemon, data.path());
    let mut watcher = watcher(&there, data.path()).await;
    let line = invite(data.path(), &["--address", &there.addr.to_string()]).line();
    let secret = line.rsplit_once('.').expect("a token").1;
    let mut anna = chatd(home.path(), Some(&line));
    assert_eq!(watcher.presence().await, ["+anna"]);
    let shown = std::fs::read_to_string(format!("/proc/{}/cmdline", anna.0.id())).expect("runs");
    assert!(shown.contains("anna") && !shown.contains("chat:") && !shown.contains(secret), "{shown}");
    anna.0.kill().expect("killed");
    anna.0.wait().expect("gone");
    watcher.patience = 2 * crate::harness::DEADLINE; // a dropped link counts as present for a while
    assert_eq!(watcher.presence().await, ["-anna"]);
    let again = chatd(home.path(), None);
    assert_eq!(watcher.presence().await, ["+anna"], "the lobby is remembered, the key is let in");
    drop(again);
    let log = home.path().join("anna/log");
    for file in std::fs::read_dir(log).expect("logs") {
        let text = std::fs::read(file.expect("file").path()).expect("reads");
        assert!(
            !text.is_empty() && !String::from_utf8_lossy(&text).contains(secret),
            "a log names the secret"
        );
    }
}

#[tokio::test]
async fn a_lobby_with_another_key_hears_nothing() {
    let home = tempfile::tempdir().expect("folder");
    let impostor = TestLobby::start();
    let mut watcher = impostor.join(&identity(), "watcher").await;
    let invitation = Invitation {
        addr: impostor.addr.to_string(),
        lobby: identity().key(),
        token: proto::invitation::Token([1; 16]),
    };
    let _anna = chatd(home.path(), Some(&invitation.line()));
    let log = home.path().join("anna/log");
    let told = || {
        let files = std::fs::read_dir(&log).ok()?;
        let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        texts.into_iter().any(|text| text.contains("HAS CHANGED")).then_some(())
    };
    let deadline = tokio::time::Instant::now() + crate::harness::DEADLINE;
    while told().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "nobody is told");
        watcher.barrier().await;
    }
    assert!(watcher.barrier().await.is_empty(), "nobody came");
}

#[tokio::test]
async fn open_invitations_are_listed_and_revoked_whether_or_not_the_lobby_runs() {
    let data = tempfile::tempdir().expect("folder");
    let daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let there = lobby(&daemon, data.path());
    let listed = || {
        let output = lobbyd(data.path(), &["invitations"]);
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).expect("utf-8");
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [] as [String; 0]);
    let address = ["--address", "chat.example.org:1"];
    let first = invite(data.path(), &[&address[..], &["--uses", "2", "--expires", "never"]].concat());
    assert_eq!(there.join_as(&identity(), with(&first, "anna")).await.name(), "anna");
    let line = listed().pop().expect("one");
    let id = line.strip_suffix(" for 1 more").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(id.len(), 8);
    assert!(!first.line().contains(id));
    let second = invite(data.path(), &address);
    assert!(listed()[0].contains(" for 1 more until 20"), "{:?}", listed());

    assert!(lobbyd(data.path(), &["revoke", id]).status.success());
    assert_eq!(there.refused(with(&first, "eve")).await, RefusedCode::Invitation);
    let again = lobbyd(data.path(), &["revoke", id]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is no invitation"), "{again:?}");
    drop(daemon);
    let other = listed()[0][..8].to_owned();
    assert!(lobbyd(data.path(), &["revoke", &other]).status.success());
    let daemon = Daemon::start_at(data.path(), "0.0.0.0:0");
    let there = lobby(&daemon, data.path());
    assert_eq!(there.refused(with(&second, "eve")).await, RefusedCode::Invitation);
    let audit = std::fs::read_to_string(data.path().join("audit.log")).expect("a log");
    for done in ["invite", "revoke"] {
        assert!(
            audit.contains(&format!("{done} {id}")) && audit.contains(&format!("{done} {other}")),
            "{audit}"
        );
    }
}
