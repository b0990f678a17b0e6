//! The lobby goes and comes back: private sessions do not notice, nobody loses a name or a line, and nobody is said
//! to have come or gone who was there all the time.
#![cfg(unix)]

use std::thread;

use chat_tests::{Daemon, Lobbyd, World};

/// No screen says that somebody came or went, but those who were announced when they came first.
fn assert_no_false_notices(daemons: &[&Daemon], joined: &[usize]) {
    for (daemon, joined) in daemons.iter().zip(joined) {
        let lines = daemon.ctl().ok(&["history", "lobby", "--limit", "1000"]);
        assert_eq!(lines.matches("has left").count(), 0, "{}: {lines}", daemon.name());
        assert_eq!(lines.matches(" joined").count(), *joined, "{}: {lines}", daemon.name());
    }
}

#[test]
fn private_sessions_go_on_without_the_lobby_and_everybody_is_back_under_the_same_name() {
    let world = World::new();
    let mut lobby = Lobbyd::start(&world);
    // Two people of the same name, told apart by their keys.
    let anna = Daemon::join(&world, "home", "anna");
    anna.in_lobby();
    let other = Daemon::join(&world, "elsewhere", "anna");
    other.in_lobby();
    let bobby = Daemon::join(&world, "home", "bobby");
    bobby.in_lobby();
    other.until("has another name", |state| (state.name() == "anna_2").then_some(()));
    bobby.ctl().ok(&["fork", "anna_2"]);
    bobby.ctl().ok(&["fork", "anna"]);
    for peer in ["anna", "anna_2"] {
        bobby.connected_to(peer);
    }
    let screen = anna.screen();

    lobby.kill();
    for daemon in [&anna, &other, &bobby] {
        daemon.until("lobby gone", |state| (!state.is_in_lobby()).then_some(()));
    }
    screen.wait_for(">>> The lobby is away, lines are queued");
    bobby.ctl().ok(&["send", "anna", "without a lobby", "--wait", "delivered"]);
    other.ctl().ok(&["send", "bobby", "without it too", "--wait", "delivered"]);
    assert_eq!(anna.ctl().texts("bobby"), ["without a lobby"]);
    assert_eq!(bobby.ctl().texts("anna_2"), ["without it too"]);
    for (daemon, text) in [(&anna, "from anna"), (&other, "from anna_2"), (&bobby, "from bobby")] {
        daemon.ctl().ok(&["send", "lobby", text]);
    }

    lobby.start_again();
    for (daemon, name) in [(&anna, "anna"), (&other, "anna_2"), (&bobby, "bobby")] {
        daemon.until("back, all sent", |state| {
            (state.is_in_lobby() && state.queued() == 0 && state.name() == name).then_some(())
        });
    }
    screen.wait_for("> anna_2: from anna_2");
    screen.wait_for("> bobby: from bobby");
    for daemon in [&other, &bobby] {
        daemon.until("two posts", |state| (state.lobby()?.unread == 2).then_some(()));
    }
    for daemon in [&anna, &other, &bobby] {
        let mut texts = daemon.ctl().texts("lobby");
        texts.sort();
        assert_eq!(texts, ["from anna", "from anna_2", "from bobby"], "{}", daemon.name());
    }
    assert_eq!(screen.count("> bobby: from bobby"), 1);
    assert_no_false_notices(&[&anna, &other, &bobby], &[2, 1, 0]);
    assert_eq!(screen.count("bobby is away"), 0, "the private session never broke");
}

#[test]
fn the_next_daemon_takes_over_the_lobby_of_one_that_was_killed() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    anna.until("hosts", |state| state.daemon.as_ref()?.lobby.hosted.then_some(()));
    let [bobby, carol] = Daemon::meet(&world, ["bobby", "carol"]);
    bobby.fork(&carol);
    carol.ctl().ok(&["send", "lobby", "before", "--wait", "sent"]);
    bobby.until("before", |state| (state.lobby()?.unread == 1).then_some(()));

    anna.kill();
    for daemon in [&bobby, &carol] {
        daemon.until("lobby gone", |state| (!state.is_in_lobby()).then_some(()));
    }
    for daemon in [&bobby, &carol] {
        daemon.in_lobby();
    }
    carol.ctl().ok(&["send", "lobby", "after", "--wait", "sent"]);
    bobby.until("after", |state| (state.lobby()?.unread == 2).then_some(()));
    let hosting = [&bobby, &carol].map(|daemon| {
        daemon.until("daemon", |state| state.daemon.as_ref().map(|daemon| daemon.lobby.hosted))
    });
    assert_eq!(hosting.iter().filter(|hosts| **hosts).count(), 1, "{hosting:?}");

    anna.start_again();
    anna.in_lobby();
    anna.until("own name", |state| (state.name() == "anna").then_some(()));
    anna.sees_users(3);
    for daemon in [&bobby, &carol] {
        assert_eq!(daemon.ctl().texts("lobby"), ["before", "after"], "{}", daemon.name());
    }
    assert_no_false_notices(&[&bobby, &carol], &[1, 0]);
}

#[test]
fn a_room_whose_lobby_and_readers_die_again_and_again_has_every_line_once_and_in_order() {
    const LINES: usize = 400;
    let world = World::new();
    let mut lobby = Lobbyd::start(&world);
    let [mut anna, mut bobby] = ["anna", "bobby"].map(|name| {
        let daemon = Daemon::join(&world, "home", name);
        daemon.in_lobby();
        daemon
    });
    let lines: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    for (round, part) in lines.chunks(LINES / 4).enumerate() {
        let ctl = anna.ctl();
        let script = part.join("\n") + "\n";
        thread::scope(|scope| {
            let sending = scope.spawn(|| ctl.run(&["--plain", "attach", "lobby"], script.as_bytes()));
            // Somewhere in the middle of it.
            let enough = (round * part.len() + part.len() / 3) as u64;
            bobby.until("some lines", |state| (state.lobby()?.head.0 >= enough).then_some(()));
            if round % 2 == 0 {
                lobby.kill();
            } else {
                assert!(lobby.terminate().success());
            }
            let ran = sending.join().expect("sends");
            assert_eq!(ran.code, 0, "{ran:?}");
        });
        // A part of it is answered, a part is not, and whoever waits for it dies as well.
        if round % 2 == 0 { &mut anna } else { &mut bobby }.kill();
        lobby.start_again();
        if round % 2 == 0 { &mut anna } else { &mut bobby }.start_again();
        anna.until("all sent", |state| (state.is_in_lobby() && state.queued() == 0).then_some(()));
        bobby.in_lobby();
    }
    bobby.until("all lines", |state| (state.lobby()?.head.0 >= LINES as u64).then_some(()));
    let history = |daemon: &Daemon| {
        let rows = daemon.ctl().rows(&["history", "lobby", "--after", "0", "--limit", "2000"]);
        let texts = rows.iter().filter_map(|row| row["text"].as_str().map(str::to_owned));
        texts.filter(|text| text.starts_with("line ")).collect::<Vec<_>>()
    };
    bobby.until("the last line", |_| (history(&bobby).len() >= LINES).then_some(()));
    for daemon in [&anna, &bobby] {
        assert_eq!(history(daemon), lines, "{}", daemon.name());
    }
    assert_no_false_notices(&[&anna, &bobby], &[1, 0]);
}

#[test]
fn a_daemon_that_cannot_read_the_lobby_that_it_would_host_says_so_and_goes_on() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    anna.in_lobby();
    anna.kill();
    let log = anna.house().data.join("anna/lobby/log.db");
    assert!(log.exists(), "{}", log.display());
    let kept = std::fs::read(&log).expect("reads");
    for rest in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{rest}", log.display())).ok();
    }
    std::fs::write(&log, "not a database ".repeat(500)).expect("written");
    anna.start_again();
    let trouble = anna.until("says so", |state| {
        let trouble = state.daemon.as_ref()?.lobby.trouble.clone();
        trouble.filter(|trouble| trouble.contains("cannot host the lobby"))
    });
    assert!(trouble.contains("cannot read what it keeps"), "{trouble}");
    // Somebody else hosts, or the file is put right.
    std::fs::write(&log, kept).expect("written");
    anna.until("hosts", |state| state.daemon.as_ref()?.lobby.hosted.then_some(()));
}
