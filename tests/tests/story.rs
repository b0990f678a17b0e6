//! The story that the project is for: three people on one machine talk in the lobby and in private, go away and come
//! back.
#![cfg(unix)]

use std::time::Instant;

use chat_tests::{DEADLINE, Daemon, Screen, World};

const LOBBY: &str = "[0 lobby";
const SESSIONS: &str = "< Active Sessions (type \\sw (session id) to switch over) >";

/// The list of sessions becomes exactly `wanted`: what was read a moment ago may still be counted as unread.
fn assert_sessions(screen: &Screen, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        screen.command("\\ss", SESSIONS);
        screen.wait_for_prompt("[");
        let rows = screen.rows();
        let head = rows.iter().rposition(|row| row == SESSIONS).expect("a list");
        // The prompt stands right behind the list: nothing more and nothing less was listed.
        let (_prompt, list) = rows[head + 1..].split_last().expect("a prompt");
        if list == wanted {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "not {wanted:#?}, but {rows:#?}");
    }
}

struct Cast {
    anna: Daemon,
    bobby: Daemon,
    carol: Daemon,
    _world: World,
}

impl Cast {
    /// Three daemons, all in the lobby and each known to the others.
    fn new() -> Self {
        let world = World::new();
        let [anna, bobby, carol] = Daemon::meet(&world, ["anna", "bobby", "carol"]);
        for daemon in [&anna, &bobby, &carol] {
            daemon.sees_users(3);
        }
        Self { anna, bobby, carol, _world: world }
    }

    /// Their terminals.
    fn screens(&self) -> [Screen; 3] {
        [&self.anna, &self.bobby, &self.carol].map(Daemon::screen)
    }
}

#[test]
fn three_people_talk_in_the_lobby_and_in_private() {
    let cast = Cast::new();
    let [anna, bobby, carol] = cast.screens();
    anna.wait_for_row(">>> Registered as name: anna, switch id is 0");
    bobby.wait_for_row(">>> Registered as name: bobby, switch id is 0");

    lobby_talk(&anna, &bobby, &carol);
    forks_in_each_direction(&anna, &bobby, &carol);
    refusals(&anna);
    private_talk(&anna, &bobby, &carol);
    leave_ends_it_for_both(&anna, &bobby, &carol);
    quit_is_told_to_the_others(cast, [anna, bobby, carol]);
}

fn lobby_talk(anna: &Screen, bobby: &Screen, carol: &Screen) {
    anna.command("\\users", "< Users in the lobby >");
    for row in [" anna (you)", " bobby (new)", " carol (new)"] {
        anna.wait_for_row(row);
    }
    bobby.type_line("hello friends");
    for screen in [anna, carol] {
        screen.wait_for("> bobby: hello friends");
    }
    carol.type_line("hello bobby");
    for screen in [anna, bobby] {
        screen.wait_for("> carol: hello bobby");
        assert_eq!(screen.count("> carol: hello bobby"), 1);
    }
    assert_eq!(bobby.count("> bobby: hello friends"), 0, "nobody is told what they typed");
    assert_sessions(anna, &["*0, broadcast chat in main lobby"]);
}

/// A forks B, B forks C, C forks A: everybody has forked once and was forked once.
fn forks_in_each_direction(anna: &Screen, bobby: &Screen, carol: &Screen) {
    let ring =
        [(anna, "anna", bobby, "bobby"), (bobby, "bobby", carol, "carol"), (carol, "carol", anna, "anna")];
    for (forker, forker_name, forked, forked_name) in ring {
        forker.type_line(&format!("\\fork {forked_name}"));
        forker.wait_for(&format!("< Peer {forked_name} is ready to chat >"));
        forked.wait_for(&format!("< Peer {forker_name} is ready to chat, to chat with: \\sw "));
        forked.wait_for_prompt(LOBBY);
        forker.wait_for(">>> Auto switched to session ");
        forker.wait_for_prompt(&format!("[{} P-> {forked_name}", if forker_name == "anna" { 1 } else { 2 }));
        forker.type_line("\\lob");
        forker.wait_for_prompt(LOBBY);
    }
    assert_sessions(
        anna,
        &["*0, broadcast chat in main lobby", " 1, peer chat --> bobby", " 2, peer chat --> carol"],
    );
    assert_sessions(
        bobby,
        &["*0, broadcast chat in main lobby", " 1, peer chat --> anna", " 2, peer chat --> carol"],
    );
    assert_sessions(
        carol,
        &["*0, broadcast chat in main lobby", " 1, peer chat --> bobby", " 2, peer chat --> anna"],
    );
    anna.type_line("\\sw 2");
    anna.wait_for_prompt("[2 P~> carol");
    assert_sessions(
        anna,
        &[" 0, broadcast chat in main lobby", " 1, peer chat --> bobby", "*2, peer chat --> carol"],
    );
}

/// From a private session and from the lobby.
fn refusals(anna: &Screen) {
    anna.command("\\users", ">>> \\users works in the lobby only, go there with: \\lob");
    anna.command("\\fork bobby", ">>> \\fork works in the lobby only, go there with: \\lob");
    anna.type_line("\\lob");
    anna.wait_for_prompt(LOBBY);
    anna.command("\\fork anna", ">>> Unable to fork a session with self");
    anna.command("\\fork bobby", ">>> Unable to fork a duplicate session with same peer!");
    anna.command("\\fork carol", ">>> Unable to fork a duplicate session with same peer!");
    anna.command("\\fork dave", ">>> Unable to fork into private session as peer dave unavailable");
    anna.command("\\sw 7", ">>> There is no session 7, see: \\ss");
    anna.wait_for_prompt(LOBBY);
}

fn private_talk(anna: &Screen, bobby: &Screen, carol: &Screen) {
    anna.type_line("\\sw bobby");
    anna.wait_for_prompt("[1 P-> bobby");
    anna.type_line("only for you");
    bobby.wait_for_row(">>> anna wrote in session 1, to read: \\sw 1");
    bobby.type_line("\\sw 1");
    bobby.wait_for_prompt("[1 P~> anna");
    bobby.wait_for("P~> <anna> only for you");
    bobby.type_line("and for you");
    anna.wait_for("P-> <bobby> and for you");
    // Somebody else's line in the lobby, and nothing private in it.
    carol.type_line("anybody there?");
    anna.next_prompt("[1 P-> bobby | 0:1]");
    bobby.next_prompt("[1 P~> anna | 0:1]");
    assert_sessions(
        anna,
        &[
            " 0, broadcast chat in main lobby (1 unread)",
            "*1, peer chat --> bobby",
            " 2, peer chat --> carol",
        ],
    );
    assert_eq!((carol.count("only for you"), carol.count("and for you")), (0, 0));
    assert_eq!((anna.count("P-> <bobby> and for you"), bobby.count("P~> <anna> only for you")), (1, 1));
}

fn leave_ends_it_for_both(anna: &Screen, bobby: &Screen, carol: &Screen) {
    bobby.type_line("\\leave");
    bobby.wait_for("< Session terminated, you have left anna >");
    anna.wait_for("< Session terminated, Peer bobby has left >");
    for screen in [anna, bobby] {
        screen.wait_for_prompt(LOBBY);
        screen.wait_for("> carol: anybody there?");
    }
    assert_sessions(anna, &["*0, broadcast chat in main lobby", " 2, peer chat --> carol"]);
    assert_sessions(bobby, &["*0, broadcast chat in main lobby", " 2, peer chat --> carol"]);
    assert_sessions(
        carol,
        &["*0, broadcast chat in main lobby", " 1, peer chat --> bobby", " 2, peer chat --> anna"],
    );
    assert_eq!(anna.count("Peer bobby has left >"), 1);
}

fn quit_is_told_to_the_others(mut cast: Cast, [anna, bobby, mut carol]: [Screen; 3]) {
    carol.type_line("\\quit");
    carol.wait_for(">>> signed off");
    assert_eq!(carol.ended(), 0);
    assert!(cast.carol.ended().success());
    for screen in [&anna, &bobby] {
        screen.wait_for(">>> User carol has left");
        screen.wait_for("< Session terminated, Peer carol has left >");
        assert_eq!(screen.count("Peer carol has left"), 1);
        assert_eq!(screen.count("User carol has left"), 1);
    }
    assert_eq!(cast.anna.ctl().fails(&["send", "carol", "still there?"], 1).matches("has ended").count(), 1);
}

/// Each of these lines was printed exactly once, in this order, and nothing else of that form was.
fn assert_once_in_order(screen: &Screen, form: &str, lines: &[&str]) {
    screen.wait_for(&format!("{form}{}", lines.last().expect("a line")));
    let rows = screen.rows();
    let found: Vec<&str> = rows.iter().filter_map(|row| row.split_once(form)).map(|(_, text)| text).collect();
    assert_eq!(found, lines, "{rows:#?}");
}

#[test]
fn who_detaches_and_comes_back_sees_what_was_missed_once() {
    let cast = Cast::new();
    let mut anna = cast.anna.screen();
    let bobby = cast.bobby.screen();
    bobby.type_line("one");
    anna.wait_for("> bobby: one");
    anna.type_line("\\detach");
    anna.wait_for(">>> Detached, everything goes on; come back with: chatctl attach");
    assert_eq!(anna.ended(), 0);
    bobby.type_line("two");
    bobby.type_line("three");
    cast.anna.until("three lines", |state| (state.lobby()?.unread == 2).then_some(()));

    let mut anna = cast.anna.screen();
    assert_once_in_order(&anna, "> bobby: ", &["two", "three"]);
    bobby.type_line("four");
    assert_once_in_order(&anna, "> bobby: ", &["two", "three", "four"]);
    // Ctrl-D leaves the screen just the same.
    anna.wait_for_prompt(LOBBY);
    cast.anna.until("all read", |state| (state.lobby()?.unread == 0).then_some(()));
    anna.key("\x04");
    assert_eq!(anna.ended(), 0);
    let anna = cast.anna.screen();
    bobby.type_line("five");
    assert_once_in_order(&anna, "> bobby: ", &["five"]);
}

#[test]
fn a_terminal_that_is_killed_costs_nothing() {
    let cast = Cast::new();
    let anna = cast.anna.screen();
    let bobby = cast.bobby.screen();
    bobby.type_line("\\fork anna");
    anna.wait_for("< Peer bobby is ready to chat, to chat with: \\sw 1, for lobby: \\lob >");
    anna.type_line("\\sw 1");
    bobby.type_line("one");
    anna.wait_for("P~> <bobby> one");
    anna.type_line("mine");
    bobby.wait_for("P-> <anna> mine");
    cast.anna.until("one read", |state| (state.session("bobby")?.unread == 0).then_some(()));
    anna.kill();
    bobby.type_line("two");
    cast.anna.until("two", |state| (state.session("bobby")?.unread == 1).then_some(()));

    let anna = Screen::open(&cast.anna.ctl().pty(&["attach", "bobby"]));
    anna.wait_for_prompt("[1 P~> bobby");
    assert_once_in_order(&anna, "P~> <bobby> ", &["two"]);
    anna.type_line("still here");
    bobby.wait_for("P-> <anna> still here");
    assert_eq!(bobby.count("anna is away"), 0, "a daemon goes on without its terminal");
    assert_eq!(cast.anna.ctl().texts("bobby"), ["one", "mine", "two", "still here"]);
}

#[test]
fn two_terminals_of_one_daemon_have_each_their_own_active_session() {
    let cast = Cast::new();
    let [desk, bobby, _carol] = cast.screens();
    let couch = cast.anna.screen();
    desk.type_line("\\fork bobby");
    desk.wait_for_prompt("[1 P-> bobby");
    couch.wait_for("< Peer bobby is ready to chat >");
    couch.next_prompt(LOBBY);
    assert_sessions(&desk, &[" 0, broadcast chat in main lobby", "*1, peer chat --> bobby"]);
    assert_sessions(&couch, &["*0, broadcast chat in main lobby", " 1, peer chat --> bobby"]);

    // What one types stands on the other once, under the own name.
    couch.type_line("from the couch");
    desk.type_line("from the desk");
    bobby.wait_for("> anna: from the couch");
    bobby.type_line("\\sw 1");
    bobby.wait_for("P~> <anna> from the desk");
    couch.type_line("\\sw 1");
    assert_once_in_order(&couch, "P-> <anna> ", &["from the desk"]);
    bobby.type_line("to both");
    for screen in [&desk, &couch] {
        assert_once_in_order(screen, "P-> <bobby> ", &["to both"]);
    }
    desk.type_line("\\leave");
    for screen in [&desk, &couch] {
        screen.wait_for("< Session terminated, you have left bobby >");
        screen.wait_for_prompt(LOBBY);
    }
    bobby.wait_for("< Session terminated, Peer anna has left >");
    assert_sessions(&couch, &["*0, broadcast chat in main lobby"]);
    for screen in [&desk, &couch] {
        assert_eq!(screen.count("Session terminated"), 1);
    }
}
