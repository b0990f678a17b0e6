//! What scripts rely on: exit codes, rows, standard input, followers that miss nothing, and limits.
#![cfg(unix)]

use std::collections::BTreeSet;

use chat_tests::ctl::Following;
use chat_tests::{Ctl, Daemon, World};
use proto::limits::MAX_TEXT_LEN;
use serde_json::Value;

/// Two daemons; anna has forked bobby.
fn pair(world: &World) -> [Daemon; 2] {
    let [anna, bobby] = Daemon::meet(world, ["anna", "bobby"]);
    anna.fork(&bobby);
    [anna, bobby]
}

#[test]
fn standard_input_is_one_message_without_its_last_line_end() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    for (input, text) in [("one\ntwo\n", "one\ntwo"), ("three\r\n", "three"), ("  four\n\n", "  four\n")] {
        let ran =
            anna.ctl().run(&["send", "bobby", "--wait", "delivered", "--timeout", "20"], input.as_bytes());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(bobby.ctl().received("anna").last().map(String::as_str), Some(text));
    }
    // Delivered is what it says: the row knows it at once.
    let rows = anna.ctl().rows(&["history", "bobby"]);
    assert!(rows.iter().all(|row| row["state"] == "delivered"), "{rows:?}");
    let ran = anna.ctl().run(&["send", "bobby"], b"\xff\xfe");
    assert_eq!((ran.code, ran.err.contains("not UTF-8")), (1, true), "{ran:?}");
}

#[test]
fn texts_up_to_the_limit_arrive_exactly_and_one_byte_more_is_refused() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    let cyrillic: String =
        "Съешь же ещё этих мягких французских булок, да выпей чаю. ".chars().cycle().take(20_000).collect();
    let most = "x".repeat(MAX_TEXT_LEN);
    for text in [&cyrillic, &most] {
        for (to, mine) in [("bobby", "bobby"), ("lobby", "lobby")] {
            let ran = anna.ctl().run(&["send", to, "--wait", "delivered"], text.as_bytes());
            assert_eq!(ran.code, 0, "{mine}: {}", ran.err);
        }
    }
    bobby.until("both posts", |state| (state.lobby()?.unread == 2).then_some(()));
    for session in ["anna", "lobby"] {
        let received = bobby.ctl().received(session);
        assert_eq!(received.len(), 2);
        assert!(received == [cyrillic.as_str(), &most], "{session}: not what was sent");
    }
    let ran = anna.ctl().run(&["send", "bobby"], (most + "x").as_bytes());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("65537 bytes, a message holds at most 65536"), "{}", ran.err);
    assert_eq!(bobby.ctl().received("anna").len(), 2);
}

#[test]
fn history_goes_on_after_a_row_and_stops_at_a_limit() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    let lines: Vec<String> = (1..=300).map(|number| format!("line {number}")).collect();
    assert_eq!(anna.ctl().run(&["attach", "bobby"], lines.join("\n").as_bytes()).code, 0);
    bobby.until("all", |state| (state.session("anna")?.unread == 300).then_some(()));
    let all = bobby.ctl().rows(&["history", "anna", "--after", "0"]);
    assert_eq!(all.len(), 300);
    let seqs: Vec<u64> = all.iter().filter_map(|row| row["seq"].as_u64()).collect();
    assert!(seqs.is_sorted_by(|one, next| one < next));
    let after = seqs[279].to_string();
    let rest = bobby.ctl().rows(&["history", "anna", "--after", &after]);
    assert_eq!(rest, all[280..]);
    assert_eq!(bobby.ctl().rows(&["history", "anna", "--after", &after, "--limit", "5"]), all[280..285]);
    assert_eq!(bobby.ctl().rows(&["history", "anna", "--limit", "7"]), all[293..]);
    assert_eq!(bobby.ctl().rows(&["history", "anna"]).len(), 50);
    assert_eq!(bobby.ctl().ok(&["--plain", "history", "anna", "--limit", "1"]), "P~> <anna> line 300\n");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let world = World::new();
    let [mut anna, bobby] = pair(&world);
    anna.ctl().ok(&["status"]);
    for (args, code, says) in [
        (&["fork", "anna"][..], 1, "Unable to fork a session with self"),
        (&["fork", "bobby"], 1, "Unable to fork a duplicate session with same peer!"),
        (&["leave", "0"], 1, "The lobby is always there"),
        (&["fork", "nobody"], 4, "Unable to fork into private session as peer nobody unavailable"),
        (&["send", "carol", "hi"], 4, "There is no session with carol"),
        (&["history", "9"], 4, "There is no session 9"),
        (&["tail", "9"], 4, "There is no session 9"),
        (&["leave", "9"], 4, "There is no session 9"),
        (&["attach", "9"], 4, "there is no session 9"),
        (&["send"], 2, "required"),
        (&["shout", "hi"], 2, "unrecognized subcommand"),
        (&["send", "not a name!", "hi"], 2, "neither a number nor 'lobby' nor a name"),
    ] {
        let said = anna.ctl().fails(args, code);
        assert!(said.contains(says), "{args:?}: {said}");
        assert_eq!(said.trim().lines().count(), if code == 2 { said.trim().lines().count() } else { 1 });
    }
    drop(bobby);
    let said = anna.ctl().fails(&["send", "bobby", "hi", "--wait", "delivered", "--timeout", "1"], 5);
    assert!(said.contains("the daemon keeps the message"), "{said}");
    anna.kill();
    for args in [&["status"][..], &["send", "lobby", "hi"], &["tail"]] {
        let said = anna.ctl().fails(args, 3);
        assert!(said.contains("chatctl attach"), "{args:?}: {said}");
    }
}

#[test]
fn without_a_name_the_only_daemon_is_meant_and_several_have_to_be_told_apart() {
    let world = World::new();
    let anna = Daemon::start(&world, "anna");
    let nameless = Ctl::nameless(anna.house());
    assert_eq!(nameless.rows(&["status"])[0]["name"], "anna");
    let bobby = Daemon::start(&world, "bobby");
    let said = nameless.fails(&["status"], 2);
    assert!(said.contains("anna, bobby"), "{said}");
    drop(anna);
    assert_eq!(nameless.rows(&["status"])[0]["name"], "bobby");
    drop(bobby);
    nameless.fails(&["status"], 3);
}

#[test]
fn a_script_piped_into_attach_runs_its_lines_and_detaches() {
    let world = World::new();
    let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    let script = "hello all\n\\fork bobby\nfirst\ntwo rows \\\nin one\n\\\\literal\n\\lob\nbye all\n\\ss\n";
    let ran = anna.ctl().run(&["--plain", "attach"], script.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        ">>> Registered as name: anna, switch id is 0",
        "< Peer bobby is ready to chat >",
        ">>> Auto switched to session 1, for lobby do: \\lob",
        "*0, broadcast chat in main lobby",
    ] {
        // A post may still be queued, which the list says behind the row.
        assert!(ran.out.lines().any(|found| found.starts_with(line)), "{line:?} in {}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    bobby.until("all", |state| {
        (state.session("anna")?.unread == 3 && state.lobby()?.unread == 2).then_some(())
    });
    assert_eq!(bobby.ctl().received("anna"), ["first", "two rows \nin one", "\\literal"]);
    assert_eq!(bobby.ctl().received("lobby"), ["hello all", "bye all"]);
    // The daemon goes on, and a line that is not done is the exit code.
    let ran = anna.ctl().run(&["--plain", "attach"], b"\\fork bobby\nstill here\n");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains(">>> Unable to fork a duplicate session with same peer!"), "{ran:?}");
    bobby.until("the line behind it", |state| (state.lobby()?.unread == 3).then_some(()));
}

fn keys(row: &Value) -> BTreeSet<&str> {
    row.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn assert_keys(row: &Value, wanted: &[&str]) {
    assert_eq!(keys(row), wanted.iter().copied().collect(), "{row}");
}

#[test]
fn the_fields_of_json_rows_are_a_contract() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    bobby.ctl().ok(&["send", "anna", "hi", "--wait", "delivered"]);
    let message = ["session", "seq", "from", "mine", "at", "state", "text"];

    let sessions = anna.ctl().rows(&["sessions"]);
    assert_keys(&sessions[0], &["session", "kind", "state", "unread", "active"]);
    assert_eq!((&sessions[0]["kind"], &sessions[0]["state"]), (&"lobby".into(), &"connected".into()));
    let peer = [
        "session",
        "kind",
        "mode",
        "peer",
        "fingerprint",
        "trust",
        "state",
        "path",
        "unread",
        "queued",
        "active",
    ];
    assert_keys(&sessions[1], &peer);
    for (field, value) in
        [("kind", "peer"), ("mode", "A"), ("peer", "bobby"), ("trust", "pinned"), ("path", "direct")]
    {
        assert_eq!(sessions[1][field], value, "{field}");
    }
    assert_eq!((&sessions[1]["unread"], &sessions[1]["queued"]), (&1.into(), &0.into()));

    anna.sees_users(2);
    let users = anna.ctl().rows(&["users"]);
    for user in &users {
        assert_keys(user, &["name", "fingerprint", "trust", "self"]);
    }
    assert_eq!((&users[0]["name"], &users[0]["self"]), (&"anna".into(), &true.into()));
    assert_eq!(users[1]["fingerprint"], sessions[1]["fingerprint"]);
    assert_eq!(users[1]["trust"], "pinned");

    let history = anna.ctl().rows(&["history", "1"]);
    assert_keys(&history[0], &message);
    for (field, value) in [("from", "bobby"), ("state", "received"), ("text", "hi")] {
        assert_eq!(history[0][field], value, "{field}");
    }
    let at = history[0]["at"].as_str().expect("a time");
    assert!(at.len() == "2026-11-22T10:00:00.123Z".len() && at.ends_with('Z'), "{at}");
    assert_keys(&anna.ctl().rows(&["search", "hi"])[0], &message);

    let status = &anna.ctl().rows(&["status"])[0];
    assert_keys(
        status,
        &["name", "fingerprint", "version", "pid", "lobby", "sessions", "attached", "queued", "requests"],
    );
    assert_keys(&status["lobby"], &["addr", "state", "hosted"]);
    assert_eq!(status["lobby"]["addr"], world.lobby().to_string());
    assert_eq!((&status["sessions"], &status["queued"]), (&1.into(), &0.into()));
    assert!(anna.ready_line().contains(&format!("process {},", status["pid"])), "{}", anna.ready_line());
}

/// Reads numbers until `last`.
fn numbers_until(following: &Following, last: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        numbers.push(following.text().parse().expect("a number"));
    }
    numbers
}

#[test]
fn tail_prints_what_comes_from_now_on() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    bobby.ctl().ok(&["send", "anna", "before", "--wait", "delivered"]);
    let tail = anna.ctl().follow(&["--json", "tail", "bobby"]);
    anna.until("it looks on", |state| (state.daemon.as_ref()?.attached >= 2).then_some(()));
    bobby.ctl().ok(&["send", "lobby", "to all", "--wait", "sent"]);
    bobby.ctl().ok(&["send", "anna", "after", "--wait", "delivered"]);
    assert_eq!(tail.text(), "after");
    anna.ctl().ok(&["quit"]);
    assert_eq!(tail.rest(), Vec::<String>::new(), "it ends with the daemon");
}

#[test]
fn a_tail_with_a_cursor_misses_nothing_over_restarts_of_itself_and_of_the_daemon() {
    let world = World::new();
    let [mut anna, bobby] = pair(&world);
    let tail = ["--json", "tail", "bobby", "--cursor", "bot"];
    let say = |number: u32| bobby.ctl().ok(&["send", "anna", &number.to_string()]);
    let mut seen = Vec::new();
    let (mut number, mut certain) = (0_u32, 0);
    for round in 0..3 {
        let before = number;
        // While it is away.
        for _ in 0..3 {
            number += 1;
            say(number);
        }
        let bot = anna.ctl().follow(&tail);
        let caught_up = numbers_until(&bot, number);
        assert!(caught_up[0] > certain, "the place is kept: {caught_up:?} after {certain}");
        // The last line may have been printed and not counted, and the count be lost with the daemon.
        certain = before.saturating_sub(1);
        seen.extend(caught_up);
        // While it looks on, over a restart of the daemon.
        if round == 1 {
            anna.kill();
            number += 1;
            say(number);
            anna.start_again();
        }
        number += 1;
        say(number);
        seen.extend(numbers_until(&bot, number));
        // Killed; what it has printed last may come again, nothing may be missing.
        drop(bot);
    }
    // What was printed last before a kill may come again, from its place on; nothing may be missing or out of order.
    let mut first_times = Vec::new();
    for number in seen {
        if first_times.last().is_none_or(|last| number > *last) {
            first_times.push(number);
        }
    }
    assert_eq!(first_times, (1..=number).collect::<Vec<u32>>());
}

#[test]
fn eight_daemons_on_one_machine_all_talk() {
    let world = World::new();
    let names = ["ann", "ben", "cleo", "dan", "eve", "fred", "gus", "hal"];
    let all = Daemon::meet(&world, names);
    for (daemon, next) in all.iter().zip(names.iter().cycle().skip(1)) {
        daemon.sees_users(8);
        daemon.ctl().ok(&["send", "lobby", &format!("{} is here", daemon.name())]);
        daemon.ctl().ok(&["fork", next]);
        daemon.ctl().ok(&["send", next, &format!("{} to {next}", daemon.name()), "--wait", "delivered"]);
    }
    let posts: BTreeSet<String> = names.iter().map(|name| format!("{name} is here")).collect();
    for (daemon, before) in all.iter().zip(names.iter().cycle().skip(7)) {
        daemon.until("seven posts", |state| (state.lobby()?.unread == 7).then_some(()));
        let texts = daemon.ctl().texts("lobby");
        assert_eq!((texts.len(), texts.into_iter().collect::<BTreeSet<_>>()), (8, posts.clone()));
        assert_eq!(daemon.ctl().received(before), [format!("{before} to {}", daemon.name())]);
        assert_eq!(daemon.ctl().rows(&["status"])[0]["sessions"], 2);
    }
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    use std::io::{ErrorKind, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    let world = World::new();
    let [anna, bobby] = pair(&world);
    let big = "x".repeat(MAX_TEXT_LEN);
    for _ in 0..20 {
        assert_eq!(bobby.ctl().run(&["send", "anna", "--wait", "delivered"], big.as_bytes()).code, 0);
    }
    let mut deaf = UnixStream::connect(anna.socket()).expect("the socket");
    let mut say = |json: &str| {
        let frame = [&u32::try_from(json.len()).expect("short").to_be_bytes()[..], json.as_bytes()].concat();
        deaf.write_all(&frame)
    };
    say(r#"{"type":"hello","versions":{"min":1,"max":1},"client":"deaf"}"#).expect("hello");
    say(r#"{"type":"request","id":1,"call":{"do":"watch"}}"#).expect("watch");
    anna.until("it looks on", |state| (state.daemon.as_ref()?.attached >= 2).then_some(()));
    deaf.set_write_timeout(Some(Duration::from_secs(2))).expect("an option");
    // Questions with long answers, until the daemon takes no more of them or has had enough.
    let mut ask = |id: u32| {
        let json = format!(
            r#"{{"type":"request","id":{id},"call":{{"do":"read","session":{{"number":1}},"range":{{"after":0}},"limit":256}}}}"#
        );
        let frame = [&u32::try_from(json.len()).expect("short").to_be_bytes()[..], json.as_bytes()].concat();
        deaf.write_all(&frame)
    };
    let stopped = (2..50_000).find_map(|id| ask(id).err()).expect("a bound");
    assert!(matches!(stopped.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe), "{stopped}");

    let screen = anna.screen();
    for number in 0..100 {
        bobby.ctl().ok(&["send", "lobby", &format!("post {number}."), "--wait", "sent"]);
    }
    screen.wait_for("> bobby: post 99.");
    bobby.ctl().ok(&["send", "anna", "private", "--wait", "delivered"]);
    anna.ctl().ok(&["send", "bobby", "and back", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), ["and back"]);
    let pid = anna.ctl().rows(&["status"])[0]["pid"].clone();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 128 * 1024, "the daemon has grown to {kib} KiB");
}
