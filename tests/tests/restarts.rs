//! A daemon is killed and comes back: every line arrives once and in order, whoever was away.
#![cfg(unix)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chat_tests::{Ctl, Daemon, Lobbyd, Screen, World};

const LINES: usize = 500;
const KILLS: usize = 4;

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

/// Sends numbered lines through one `attach`, as a script does: each is on the daemon's disk before the next is read.
fn send_all(from: &Ctl, to: &str, count: usize) {
    let script = numbered(count).join("\n") + "\n";
    let ran = from.run(&["--plain", "attach", to], script.as_bytes());
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_daemon_that_is_killed_again_and_again_gets_every_line_once_and_in_order() {
    let world = World::new();
    let [anna, mut bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    anna.ctl().ok(&["fork", "bobby"]);
    bobby.connected_to("anna");
    let screen = Screen::open(&bobby.ctl().pty(&["attach", "anna"]));
    screen.wait_for_prompt("[1 P~> anna");
    thread::scope(|scope| {
        let sending = scope.spawn(|| send_all(&anna.ctl(), "bobby", LINES));
        for kill in 1..=KILLS {
            // Somewhere in the middle of the stream, later each time.
            let enough = (LINES / (KILLS + 1) * kill) as u64;
            bobby.until("some lines", |state| (state.session("anna")?.head.0 >= enough).then_some(()));
            bobby.kill();
            bobby.start_again();
        }
        sending.join().expect("all lines are sent");
    });
    anna.until("all delivered", |state| {
        let row = state.session("bobby")?;
        (row.queued == 0 && row.delivered == row.sent).then_some(())
    });
    assert_eq!(bobby.ctl().received("anna"), numbered(LINES));
    let rows = anna.ctl().rows(&["history", "bobby", "--after", "0"]);
    assert_eq!(rows.len(), LINES);
    assert!(rows.iter().all(|row| row["state"] == "delivered" && row["mine"] == true));
    // The terminal has gone through it all, and so has what it shows.
    screen.wait_for(&format!("P~> <anna> line {LINES}"));
    let rows = screen.rows();
    let shown: Vec<&str> =
        rows.iter().filter_map(|row| row.split_once("P~> <anna> ")).map(|(_, text)| text).collect();
    assert_eq!(shown, numbered(LINES));
}

#[test]
fn two_daemons_killed_in_turn_while_both_write_lose_and_repeat_nothing() {
    const EACH: usize = 300;
    let world = World::new();
    let [mut anna, mut bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    anna.ctl().ok(&["fork", "bobby"]);
    bobby.connected_to("anna");
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (ctl, peer) in [(anna.ctl(), "bobby"), (bobby.ctl(), "anna")] {
            let done = &done;
            scope.spawn(move || {
                send_all(&ctl, peer, EACH);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        // Each script is attached: a script that finds no daemon at its start would start another one.
        for daemon in [&anna, &bobby] {
            daemon.until("a script", |state| {
                let attached = state.daemon.as_ref()?.attached >= 2;
                (attached || done.load(Ordering::Relaxed) > 0).then_some(())
            });
        }
        for kill in 0..12 {
            let (victim, peer) = if kill % 2 == 0 { (&mut anna, "bobby") } else { (&mut bobby, "anna") };
            victim.kill();
            victim.start_again();
            if kill % 3 == 0 && done.load(Ordering::Relaxed) == 0 {
                victim.connected_to(peer);
            }
        }
    });
    for (daemon, peer) in [(&anna, "bobby"), (&bobby, "anna")] {
        daemon.until("all delivered", |state| (state.session(peer)?.queued == 0).then_some(()));
    }
    assert_eq!(anna.ctl().received("bobby"), numbered(EACH));
    assert_eq!(bobby.ctl().received("anna"), numbered(EACH));
    assert_eq!(anna.ctl().texts("bobby").len(), 2 * EACH);
}

#[test]
fn a_sender_that_is_killed_repeats_nothing_and_forgets_nothing() {
    let world = World::new();
    let [mut anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    let mut expected = Vec::new();
    for round in 0..5 {
        for line in 0..10 {
            let text = format!("round {round} line {line}");
            anna.ctl().ok(&["send", "bobby", &text]);
            expected.push(text);
        }
        anna.kill();
        anna.start_again();
    }
    anna.until("all delivered", |state| (state.session("bobby")?.queued == 0).then_some(()));
    assert_eq!(bobby.ctl().received("anna"), expected);
    assert_eq!(anna.ctl().texts("bobby"), expected);
}

#[test]
fn sessions_keep_their_number_and_mode_over_a_restart() {
    let world = World::new();
    let [mut anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    let carol = Daemon::start(&world, "carol");
    carol.in_lobby();
    carol.ctl().ok(&["fork", "anna"]);
    anna.connected_to("carol");
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    let listed = |daemon: &Daemon| {
        let mut rows = daemon.ctl().rows(&["sessions"]);
        rows.retain(|row| row["kind"] == "peer");
        let fields =
            |row: &serde_json::Value| (row["session"].clone(), row["mode"].clone(), row["peer"].clone());
        rows.iter().map(fields).collect::<Vec<_>>()
    };
    let before = listed(&anna);
    assert_eq!(before, [(1.into(), "B".into(), "carol".into()), (2.into(), "A".into(), "bobby".into())]);
    anna.kill();
    anna.start_again();
    for peer in ["bobby", "carol"] {
        anna.connected_to(peer);
    }
    assert_eq!(listed(&anna), before);
    // An orderly end keeps them just the same.
    assert!(anna.terminate().success());
    anna.start_again();
    for peer in ["bobby", "carol"] {
        anna.connected_to(peer);
    }
    assert_eq!(listed(&anna), before);
    for daemon in [&bobby, &carol] {
        daemon.ctl().ok(&["send", "anna", "there again", "--wait", "delivered"]);
    }
}

#[test]
fn lines_for_a_peer_who_is_away_go_out_on_the_return_without_any_lobby() {
    let world = World::new();
    let mut lobby = Lobbyd::start(&world);
    let [anna, mut bobby] = ["anna", "bobby"].map(|name| {
        let daemon = Daemon::join(&world, "home", name);
        daemon.in_lobby();
        daemon
    });
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    lobby.kill();
    bobby.kill();
    anna.until("bobby gone", |state| {
        (state.session("bobby")?.state == proto::ipc::SessionState::Waiting).then_some(())
    });
    for text in ["one", "two", "three"] {
        anna.ctl().ok(&["send", "bobby", text]);
    }
    assert_eq!(anna.ctl().rows(&["sessions"])[1]["queued"], 3);
    let states: Vec<_> = anna.ctl().rows(&["history", "bobby"]);
    assert!(states.iter().all(|row| row["state"] == "queued"), "{states:?}");
    let said = anna.ctl().fails(&["send", "bobby", "four", "--wait", "delivered", "--timeout", "1"], 5);
    assert!(said.contains("not delivered within 1 seconds"), "{said}");

    // The lobby stays down: both know where the other one was.
    bobby.start_again();
    anna.until("all delivered", |state| (state.session("bobby")?.queued == 0).then_some(()));
    assert_eq!(bobby.ctl().received("anna"), ["one", "two", "three", "four"]);
    bobby.ctl().ok(&["send", "anna", "got them", "--wait", "delivered"]);
    assert_eq!(anna.ctl().received("bobby"), ["got them"]);
}

#[test]
fn regression_words_left_by_somebody_who_has_left_again_are_shown() {
    let world = World::new();
    let [anna, mut bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    bobby.kill();
    anna.ctl().ok(&["fork", "bobby"]);
    anna.ctl().ok(&["send", "bobby", "call me"]);
    anna.ctl().ok(&["leave", "bobby"]);
    bobby.start_again();
    let row = bobby.until("the words", |state| state.session("anna").filter(|row| row.unread == 1).cloned());
    assert_eq!(row.session.0, 1, "it has a number to be called by");
    assert_eq!(bobby.ctl().received("anna"), ["call me"]);
}
