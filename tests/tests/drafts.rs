//! A line that is begun and not sent stays with its session, whatever becomes of the terminal and the daemon.
#![cfg(unix)]

use chat_tests::{Daemon, Screen, World};

/// anna on terminals, bobby with a private session to her.
struct Pair {
    anna: Daemon,
    bobby: Daemon,
    _world: World,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
        bobby.fork(&anna);
        Self { anna, bobby, _world: world }
    }

    /// anna's terminal in the session with bobby, with `begun` at the prompt.
    fn in_session(&self, begun: &str) -> Screen {
        let screen = Screen::open(&self.anna.ctl().pty(&["attach", "bobby"]));
        shows(&screen, "[1 P~> bobby]", begun);
        screen
    }
}

/// Waits until that stands at the prompt.
fn shows(screen: &Screen, prompt: &str, begun: &str) {
    let wanted = format!("{prompt} {begun}");
    screen.wait_until(&wanted, |capture| capture.cursor_row().trim_end() == wanted.trim_end());
}

#[test]
fn what_is_begun_stays_with_its_session_across_a_switch_and_another_terminal() {
    let pair = Pair::new();
    let screen = pair.in_session("");
    screen.type_text("half a li");
    screen.key("\x180");
    screen.wait_for_prompt("[0 lobby]");
    screen.type_text("for all");
    screen.key("\x181");
    shows(&screen, "[1 P~> bobby]", "half a li");
    screen.key("ne");
    shows(&screen, "[1 P~> bobby]", "half a line");
    assert_eq!(screen.count("< Peer"), 0, "nothing was left");
    pair.anna.has_draft("bobby", Some("half a line"));
    screen.kill();

    let screen = pair.anna.screen_showing("for all");
    shows(&screen, "[0 lobby]", "for all");
    screen.key("\x187");
    screen.wait_for("There is no session 7");
    shows(&screen, "[0 lobby]", "for all");
    let screen = pair.in_session("half a line");
    screen.enter();
    assert_eq!(pair.bobby.until_received("anna", 1), ["half a line"]);
    pair.anna.has_draft("bobby", None);
    assert_eq!(pair.bobby.ctl().texts("lobby"), Vec::<String>::new());
}

#[test]
fn what_is_begun_survives_the_terminal_and_the_daemon() {
    let mut pair = Pair::new();
    let screen = pair.in_session("");
    screen.paste("two\nrows");
    screen.wait_until("the rows", |capture| capture.cursor_row().starts_with("rows"));
    pair.anna.has_draft("bobby", Some("two\nrows"));
    screen.kill();
    pair.anna.kill();
    pair.anna.start_again();
    pair.anna.connected_to("bobby");
    let mut screen = Screen::open(&pair.anna.ctl().pty(&["attach", "bobby"]));
    screen.wait_until("the rows", |capture| capture.cursor_row().starts_with("rows"));
    screen.key(" more");
    screen.wait_until("more", |capture| capture.cursor_row().starts_with("rows more"));
    // The window is closed: not even the pause in typing is waited for.
    screen.hang_up();
    screen.ended();
    pair.anna.has_draft("bobby", Some("two\nrows more"));
    let screen = Screen::open(&pair.anna.ctl().pty(&["attach", "bobby"]));
    screen.wait_until("the rows", |capture| capture.cursor_row().starts_with("rows more"));
    screen.enter();
    assert_eq!(pair.bobby.until_received("anna", 1), ["two\nrows more"]);
}

#[test]
fn of_two_terminals_the_newest_wins_and_none_takes_the_line_of_the_other() {
    let pair = Pair::new();
    let (one, two) = (pair.in_session(""), pair.in_session(""));
    one.type_text("the first");
    pair.anna.has_draft("bobby", Some("the first"));
    two.type_text("the second");
    pair.anna.has_draft("bobby", Some("the second"));
    shows(&one, "[1 P~> bobby]", "the first");
    one.enter();
    assert_eq!(pair.bobby.until_received("anna", 1), ["the first"]);
    shows(&two, "[1 P~> bobby]", "the second");
    pair.anna.has_draft("bobby", Some("the second"));
    // Erased is forgotten.
    two.key("\x15");
    pair.anna.has_draft("bobby", None);
}

#[test]
fn what_is_begun_in_a_session_that_ends_is_not_said_in_the_lobby() {
    let pair = Pair::new();
    let screen = pair.in_session("");
    screen.type_text("between us: ");
    pair.bobby.ctl().ok(&["leave", "anna"]);
    screen.wait_for("What you had begun was not sent; it is kept with its session");
    screen.wait_for_prompt("[0 lobby]");
    screen.enter();
    pair.bobby.ctl().ok(&["fork", "anna"]);
    pair.anna.connected_to("bobby");
    screen.type_line("\\sw 1");
    shows(&screen, "[1 P~> bobby]", "between us:");
    assert_eq!(pair.bobby.ctl().texts("lobby"), Vec::<String>::new());
}
