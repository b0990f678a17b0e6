//! `attach` with a script on its standard input, against a fake daemon.

mod fake;

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use fake::Fake;
use proto::ipc::Mode;
use tempfile::TempDir;

fn attach(dir: &TempDir, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
    command.arg("attach").args(args).arg("--runtime-dir").arg(dir.path()).arg("--data-dir").arg(dir.path());
    command.env("CHAT_NAME", "anna");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs")
}

fn type_in(child: &mut Child, lines: &str) {
    child.stdin.as_mut().expect("input").write_all(lines.as_bytes()).expect("reads its input");
}

fn end(mut child: Child) -> (Output, String) {
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("ends");
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    (output, text)
}

#[test]
fn a_script_talks_forks_lists_and_leaves() {
    let dir = TempDir::new().expect("folder");
    let daemon = Fake::start(dir.path(), "anna");
    let mut child = attach(&dir, &[]);
    type_in(&mut child, "hello all\n\\users\n\\fork bobby\nhi bobby\n\\ss\n\\users\n\\leave\n\\ss\n");
    let (output, text) = end(child);
    assert_eq!(output.status.code(), Some(1), "\\users outside the lobby has failed: {text}");
    daemon.with(|world| assert_eq!(world.texts(0), ["hello all"]));
    for line in [
        ">>> Registered as name: anna, switch id is 0\n",
        "< Users in the lobby >\n anna (you)\n bobby\n",
        "< Peer bobby is ready to chat >\n",
        ">>> Auto switched to session 1, for lobby do: \\lob\n",
        "< Active Sessions (type \\sw (session id) to switch over) >\n 0, broadcast chat in main lobby\n*1, peer chat --> bobby\n",
        ">>> \\users works in the lobby only, go there with: \\lob\n",
        "< Session terminated, you have left bobby >\n>>> Auto switched to session 0\n",
        "*0, broadcast chat in main lobby\n",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line:?} in {text}");
    }
    assert!(!text.contains("hello all") && !text.contains("hi bobby"), "own lines are not echoed: {text}");
}

#[test]
fn a_peer_is_verified_at_the_prompt() {
    let dir = TempDir::new().expect("folder");
    let _daemon = Fake::start(dir.path(), "anna");
    let mut child = attach(&dir, &[]);
    type_in(&mut child, "\\verify bobby\n\\verify bobby ok\n\\users\n\\trust bobby\n");
    let (output, text) = end(child);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        ">>> Code with bobby, key SHA256:bobby:\n    01234 56789 01234 56789\n",
        ">>> bobby is verified: the key is the one you have compared\n",
        "\n bobby (verified)\n",
        ">>> Accepted the key SHA256:bobby; who had the name before is bobby_2 here\n",
    ] {
        assert_eq!(text.matches(line).count(), 1, "{line:?} in {text}");
    }
}

#[test]
fn the_refusals_are_told_and_are_the_exit_code() {
    let dir = TempDir::new().expect("folder");
    let _daemon = Fake::start(dir.path(), "anna");
    for (line, told) in [
        ("\\fork anna", ">>> Unable to fork a session with self\n"),
        (
            "\\fork mallory",
            ">>> WARNING: the key of mallory HAS CHANGED.\n>>> Nothing was sent.\n>>> Ask mallory, then  \\trust mallory\n",
        ),
        ("\\fork dave", ">>> Unable to fork into private session as peer dave unavailable\n"),
        ("\\fork bobby\n\\lob\n\\fork bobby", ">>> Unable to fork a duplicate session with same peer!\n"),
        ("\\sw 9", ">>> There is no session 9, see: \\ss\n"),
        ("\\usrs", "did you mean \\users?"),
    ] {
        let mut child = attach(&dir, &[]);
        type_in(&mut child, &format!("{line}\n"));
        let (output, text) = end(child);
        assert_eq!(output.status.code(), Some(1), "{line}: {text}");
        assert!(text.contains(told), "{line}: {text}");
    }
}

#[test]
fn what_was_missed_is_shown_once_and_other_sessions_only_hint() {
    let dir = TempDir::new().expect("folder");
    let daemon = Fake::start(dir.path(), "anna");
    daemon.with(|world| {
        world.says(0, "bobby", "missed");
        world.forked("bobby", Mode::B);
        world.says(1, "bobby", "psst");
    });
    let mut child = attach(&dir, &[]);
    type_in(&mut child, "\\ss\n");
    daemon.wait_for("the read mark", |world| (world.sessions[&0].row.unread == 0).then_some(()));
    let (_, text) = end(child);
    assert_eq!(text.matches("> bobby: missed\n").count(), 1, "{text}");
    assert!(text.contains(">>> Sessions: 1 bobby (1 unread)"), "{text}");
    assert!(!text.contains("psst"), "{text}");
    let mut child = attach(&dir, &["bobby"]);
    type_in(&mut child, "answer\n");
    let (_, text) = end(child);
    assert!(text.contains("P~> <bobby> psst\n") && !text.contains("missed"), "{text}");
    daemon.with(|world| assert_eq!(world.texts(1), ["psst", "answer"]));
}

#[test]
fn a_daemon_that_crashes_gets_every_line_once() {
    let dir = TempDir::new().expect("folder");
    let daemon = Fake::start(dir.path(), "anna");
    let mut child = attach(&dir, &[]);
    type_in(&mut child, "one\n");
    daemon.wait_for("the first line", |world| (!world.texts(0).is_empty()).then_some(()));
    let mut world = daemon.crash();
    world.says(0, "bobby", "while you were away");
    type_in(&mut child, "two\n");
    let daemon = Fake::resume(dir.path(), "anna", world);
    daemon.wait_for("the second line", |world| (world.texts(0).len() == 3).then_some(()));
    let (output, text) = end(child);
    assert_eq!(output.status.code(), Some(0), "{text}");
    daemon.with(|world| assert_eq!(world.texts(0), ["one", "while you were away", "two"]));
    assert_eq!(text.matches("> bobby: while you were away\n").count(), 1, "{text}");
    assert_eq!(text.matches(">>> daemon went away, trying again\n").count(), 1, "{text}");
    assert_eq!(text.matches(">>> daemon is back\n").count(), 1, "{text}");
}

#[test]
fn quit_signs_off() {
    let dir = TempDir::new().expect("folder");
    let _daemon = Fake::start(dir.path(), "anna");
    let mut child = attach(&dir, &[]);
    type_in(&mut child, "\\quit\n");
    let (output, text) = end(child);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with(">>> signed off\n"), "{text}");
}
