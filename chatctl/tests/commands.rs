//! The program itself against a fake daemon: exit codes, request flow, what scripts read.

mod fake;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fake::Fake;
use proto::ids::Seq;
use proto::ipc::{EntryKind, Mode, Reader};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    daemon: Fake,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("folder");
        let daemon = Fake::start(&dir.path().join("run"), "anna");
        Self { dir, daemon }
    }

    fn run(&self, args: &[&str]) -> Output {
        program(self.dir.path(), args).output().expect("runs")
    }

    fn piped(&self, args: &[&str], input: &str) -> Output {
        let mut child = program(self.dir.path(), args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        child.stdin.take().expect("input").write_all(input.as_bytes()).expect("reads its input");
        child.wait_with_output().expect("ends")
    }
}

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
    command.args(args).arg("--data-dir").arg(dir.join("data")).arg("--runtime-dir").arg(dir.join("run"));
    command.env_remove("CHAT_NAME").stdin(Stdio::null());
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn without_a_daemon_the_code_is_3_and_the_way_out_is_named() {
    let dir = TempDir::new().expect("folder");
    let output = program(dir.path(), &["sessions"]).output().expect("runs");
    assert_eq!(code(&output), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chatctl attach"), "{output:?}");
    let named = program(dir.path(), &["status", "--name", "anna"]).output().expect("runs");
    assert_eq!(code(&named), Some(3));
}

#[test]
fn attach_without_a_name_and_a_terminal_is_a_usage_error() {
    let dir = TempDir::new().expect("folder");
    assert_eq!(code(&program(dir.path(), &["attach"]).output().expect("runs")), Some(2));
}

#[test]
fn several_daemons_are_not_guessed_from() {
    let bench = Bench::new();
    let _other = Fake::start(&bench.dir.path().join("run"), "bobby");
    let output = bench.run(&["sessions"]);
    assert_eq!(code(&output), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("anna, bobby"), "{output:?}");
    assert!(stdout(&bench.run(&["status", "--name", "bobby"])).contains("bobby"));
}

#[test]
fn a_missing_session_or_peer_is_4_and_other_refusals_are_1() {
    let bench = Bench::new();
    assert_eq!(code(&bench.run(&["send", "7", "hi"])), Some(4));
    assert_eq!(code(&bench.run(&["history", "carol"])), Some(4));
    assert_eq!(code(&bench.run(&["tail", "7"])), Some(4));
    assert_eq!(code(&bench.run(&["fork", "dave"])), Some(4));
    assert_eq!(code(&bench.run(&["fork", "anna"])), Some(1));
    assert_eq!(code(&bench.run(&["send", "no such name", "hi"])), Some(2));
}

#[test]
fn fork_prints_the_number_that_send_takes() {
    let bench = Bench::new();
    assert_eq!(stdout(&bench.run(&["fork", "bobby"])), "1\n");
    stdout(&bench.run(&["send", "1", "hello", "there"]));
    stdout(&bench.run(&["send", "bobby", "again", "--wait", "delivered"]));
    bench.daemon.with(|world| assert_eq!(world.texts(1), ["hello there", "again"]));
}

#[test]
fn standard_input_is_one_message_without_its_last_line_end() {
    let bench = Bench::new();
    stdout(&bench.piped(&["send", "lobby", "--wait", "delivered"], "one\n\\two\n\n"));
    bench.daemon.with(|world| assert_eq!(world.texts(0), ["one\n\\two\n"]));
    let long = "x".repeat(proto::limits::MAX_TEXT_LEN + 2);
    let output = bench.piped(&["send", "lobby"], &long);
    assert_eq!(code(&output), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("at most 65536"), "{output:?}");
}

#[test]
fn what_does_not_arrive_in_time_is_5_and_stays_queued() {
    let bench = Bench::new();
    bench.daemon.with(|world| {
        world.delivers = false;
        world.forked("bobby", Mode::A);
    });
    let output = bench.run(&["send", "1", "hi", "--wait", "delivered", "--timeout", "1"]);
    assert_eq!(code(&output), Some(5));
    bench.daemon.with(|world| assert_eq!(world.texts(1), ["hi"]));
}

#[test]
fn history_pages_in_both_directions() {
    let bench = Bench::new();
    bench.daemon.with(|world| {
        world.page = 3;
        for index in 1..=10 {
            world.says(0, "bobby", &format!("line {index}"));
        }
    });
    let lines = |args: &[&str]| stdout(&bench.run(args));
    assert_eq!(lines(&["history", "0", "--limit", "4"]).lines().count(), 4);
    assert!(lines(&["history", "0", "--limit", "4"]).starts_with("> bobby: line 7\n"));
    assert_eq!(lines(&["history", "0", "--after", "8"]), "> bobby: line 9\n> bobby: line 10\n");
    assert_eq!(lines(&["history", "0"]).lines().count(), 10);
    let json = lines(&["history", "0", "--after", "9", "--json"]);
    assert!(json.starts_with(r#"{"session":0,"seq":10,"from":"bobby","mine":false,"at":"2026-"#), "{json}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let bench = Bench::new();
    bench.daemon.with(|world| {
        for _ in 0..3000 {
            world.says(0, "bobby", &"x".repeat(100));
        }
    });
    let mut child = program(bench.dir.path(), &["history", "0", "--after", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(code(&output), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn lists_are_lines_or_objects() {
    let bench = Bench::new();
    bench.daemon.with(|world| world.forked("bobby", Mode::B));
    let sessions = stdout(&bench.run(&["sessions"]));
    assert_eq!(sessions, " 0, broadcast chat in main lobby\n 1, peer chat --> bobby\n");
    let users = stdout(&bench.run(&["users", "--json"]));
    assert_eq!(users.lines().count(), 2);
    assert!(users.starts_with(r#"{"name":"anna","fingerprint":"SHA256:anna","trust":"pinned","self":true}"#));
    assert!(stdout(&bench.run(&["status", "--json"])).contains(r#""sessions":1,"attached":1,"queued":0}"#));
}

#[test]
fn a_bot_that_was_down_misses_nothing_and_sees_nothing_twice() {
    let bench = Bench::new();
    bench.daemon.with(|world| {
        world.push(0, EntryKind::Joined, "bobby", "");
        world.says(0, "bobby", "one");
        world.says(0, "bobby", "two");
    });
    let read = |until: u64| {
        let mut child = program(bench.dir.path(), &["tail", "--cursor", "bot", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        let bot = (Reader::Named("bot".into()), 0);
        bench.daemon.wait_for("the bot's mark", |world| {
            world.cursors.get(&bot).copied().filter(|seq| *seq >= Seq(until))
        });
        child.kill().expect("ends");
        String::from_utf8(child.wait_with_output().expect("ends").stdout).expect("UTF-8")
    };
    let first = read(3);
    assert!(first.contains("one") && first.contains("two"), "{first}");
    bench.daemon.with(|world| world.says(0, "bobby", "three"));
    let second = read(4);
    assert!(second.contains("three") && !second.contains("two"), "{second}");
}

#[test]
fn quit_ends_well_once_the_daemon_has_said_goodbye() {
    let bench = Bench::new();
    assert_eq!(code(&bench.run(&["quit"])), Some(0));
}

#[test]
fn trust_says_what_was_accepted() {
    let bench = Bench::new();
    let said = stdout(&bench.run(&["trust", "bobby"]));
    assert_eq!(said, "Accepted the key SHA256:bobby; who had the name before is bobby_2 here\n");
    let said = stdout(&bench.run(&["trust", "bobby", "--json"]));
    assert_eq!(said, "{\"fingerprint\":\"SHA256:bobby\",\"former\":\"bobby_2\"}\n");
}

#[test]
fn verify_shows_the_digits_and_notes_that_they_were_compared() {
    let bench = Bench::new();
    let said = stdout(&bench.run(&["verify", "bobby"]));
    assert!(said.contains("\n    01234 56789 01234 56789\n"), "{said}");
    let said = stdout(&bench.run(&["verify", "bobby", "--json"]));
    assert!(
        said.starts_with(r#"{"name":"bobby","fingerprint":"SHA256:bobby","trust":"pinned","code":"0123"#),
        "{said}"
    );
    assert_eq!(
        stdout(&bench.run(&["verify", "bobby", "--ok"])),
        "bobby is verified: the key is the one you have compared\n"
    );
    assert!(stdout(&bench.run(&["users"])).contains("bobby (verified)\n"));
}
