//! What a person at a terminal sees of restarts, of other terminals, and of first contacts.
#![cfg(unix)]

use chat_tests::{Ctl, Daemon, Screen, World};

/// anna, and bobby who has forked her.
fn pair(world: &World) -> [Daemon; 2] {
    let [anna, bobby] = Daemon::meet(world, ["anna", "bobby"]);
    bobby.fork(&anna);
    [anna, bobby]
}

fn in_session(anna: &Daemon) -> Screen {
    let screen = Screen::open(&anna.ctl().pty(&["attach", "bobby"]));
    screen.wait_for_prompt("[1 P~> bobby]");
    screen
}

fn unread(ctl: &Ctl) -> Vec<(String, u64)> {
    let rows = ctl.rows(&["sessions"]);
    let row = |row: &serde_json::Value| {
        let peer = row["peer"].as_str().unwrap_or("lobby").to_owned();
        (peer, row["unread"].as_u64().expect("a number"))
    };
    rows.iter().map(row).collect()
}

#[test]
fn a_terminal_goes_on_over_restarts_with_the_line_that_is_being_typed() {
    let world = World::new();
    let [mut anna, bobby] = pair(&world);
    let screen = in_session(&anna);
    screen.type_text("typed over three");
    for restart in 1..=4 {
        // Killed, stopped as by systemd or for an upgrade, and again.
        if restart % 2 == 0 {
            assert!(anna.terminate().success());
        } else {
            anna.kill();
        }
        bobby.ctl().ok(&["send", "anna", &format!("in the gap {restart}.")]);
        screen.wait_for_times("daemon went away, trying again", restart);
        // What is typed while there is no daemon counts as well.
        screen.key(".");
        let typed = format!("typed over three{}", ".".repeat(restart));
        screen.wait_until(&typed, |capture| capture.cursor_row().trim_end().ends_with(&typed));
        anna.start_again();
        screen.wait_for_times("daemon is back", restart);
        screen.wait_for(&format!("P~> <bobby> in the gap {restart}."));
        screen.wait_until(&typed, |capture| {
            capture.cursor_row().trim_end() == format!("[1 P~> bobby] {typed}")
        });
        anna.has_draft("bobby", Some(&typed));
    }
    screen.enter();
    assert_eq!(bobby.until_received("anna", 1), ["typed over three...."]);
    anna.has_draft("bobby", None);
    for restart in 1..=4 {
        assert_eq!(screen.count(&format!("in the gap {restart}.")), 1);
    }
}

#[test]
fn what_one_terminal_has_shown_is_read_on_all_of_them() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    let (one, two) = (anna.screen(), anna.screen());
    bobby.ctl().ok(&["send", "anna", "psst"]);
    for screen in [&one, &two] {
        screen.next_prompt("[0 lobby | 1:1]");
    }
    one.type_line("\\sw 1");
    one.wait_for("P~> <bobby> psst");
    anna.until("read", |state| (state.session("bobby")?.unread == 0).then_some(()));
    two.next_prompt("[0 lobby]");
    // Who attaches later begins behind it; who has not seen it yet, does not miss it.
    let three = in_session(&anna);
    two.type_line("\\sw 1");
    two.wait_for("P~> <bobby> psst");
    assert_eq!((one.count("psst"), two.count("psst"), three.count("psst")), (1, 1, 0));
}

#[test]
fn a_failed_attach_moves_nobodys_cursor() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    bobby.ctl().ok(&["send", "lobby", "to all", "--wait", "sent"]);
    bobby.ctl().ok(&["send", "anna", "to anna", "--wait", "delivered"]);
    anna.until("both", |state| {
        (state.session("bobby")?.unread == 1 && state.lobby()?.unread == 1).then_some(())
    });
    let before = unread(&anna.ctl());
    assert_eq!(before, [("lobby".to_owned(), 1), ("bobby".to_owned(), 1)]);
    for wrong in ["nobody", "9"] {
        assert!(anna.ctl().fails(&["attach", wrong], 4).contains("there is no session"));
        let mut screen = Screen::open(&anna.ctl().pty(&["attach", wrong]));
        assert_eq!(screen.ended(), 4);
        assert_eq!((screen.count("to all"), screen.count("to anna")), (0, 0));
    }
    assert!(anna.ctl().fails(&["tail", "nobody", "--cursor", "bot"], 4).contains("nobody"));
    assert_eq!(unread(&anna.ctl()), before);
}

#[test]
fn regression_who_is_new_is_told_before_the_first_word() {
    let world = World::new();
    let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    // The session and its first words come together.
    let script = b"\\fork anna\nfirst word\nsecond word\n";
    assert_eq!(bobby.ctl().run(&["attach"], script).code, 0);
    anna.until("two words", |state| (state.session("bobby")?.unread == 2).then_some(()));
    let lines = anna.ctl().ok(&["--plain", "history", "bobby", "--after", "0"]);
    let at = |what: &str| lines.find(what).unwrap_or_else(|| panic!("no {what}: {lines}"));
    assert!(at("is new to you") < at("first word"), "{lines}");
}

#[test]
fn the_longest_names_have_a_daemon_and_its_terminals() {
    let world = World::new();
    let name = "Длинноеимя".repeat(4).chars().take(32).collect::<String>();
    // In a folder where the name as it is would be too long for a socket by a few bytes.
    let house = "h".repeat(104_usize.saturating_sub(world.path().as_os_str().len() + 70).max(1));
    let daemon = Daemon::start_in(&world, &house, &name);
    daemon.in_lobby();
    assert_eq!(daemon.ctl().rows(&["status"])[0]["name"], name.as_str());
    // The name is not in the name of the socket: the daemon says it.
    assert_eq!(Ctl::nameless(daemon.house()).rows(&["status"])[0]["name"], name.as_str());
    daemon.screen().wait_for(&format!("Registered as name: {name}"));
}

#[test]
fn somebody_is_blocked_listed_and_forgotten() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    bobby.ctl().ok(&["send", "anna", "remember me", "--wait", "delivered"]);
    let screen = anna.screen();
    screen.command("\\blocks", "Nobody is blocked");
    assert!(anna.ctl().fails(&["forget", "bobby", "--yes"], 1).contains("is open: end it first"));
    screen.command("\\block bobby", "bobby is blocked");
    screen.command("\\blocks", "< Blocked >");
    let blocked = anna.ctl().rows(&["blocks"]);
    assert_eq!((blocked.len(), &blocked[0]["name"]), (1, &"bobby".into()));
    screen.command("\\unblock bobby", "no longer blocked");
    screen.command("\\forget bobby", "to do it, say again: \\forget bobby");
    assert_eq!(anna.ctl().texts("bobby"), ["remember me"]);
    // Something else in between: it has to be said twice anew.
    screen.command("\\whoami", "You are anna");
    screen.type_line("\\forget bobby");
    screen.wait_for_times("to do it, say again", 2);
    screen.command("\\forget bobby", "bobby is forgotten");
    anna.ctl().fails(&["history", "bobby"], 4);
    let users = anna.ctl().rows(&["users"]);
    assert_eq!(users.iter().find(|row| row["name"] == "bobby").expect("is there")["trust"], "new");
    assert!(anna.ctl().fails(&["forget", "bobby"], 2).contains("--yes"));
    assert!(anna.ctl().fails(&["forget", "bobby", "--yes"], 4).contains("nobody called bobby"));
}
