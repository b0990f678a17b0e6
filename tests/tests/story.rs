//! The story that the project is for: three people on one machine talk in the lobby and in private, go away and come
//! back.

use chat_tests::{Daemon, Screen, World};

const LOBBY: &str = "[0 lobby";
const SESSIONS: &str = "< Active Sessions (type \\sw (session id) to switch over) >";

/// The rows behind the last list of sessions, as many as `wanted` has.
fn assert_sessions(screen: &Screen, wanted: &[&str]) {
    screen.command("\\ss", SESSIONS);
    screen.wait_for_prompt("[");
    let rows = screen.rows();
    let head = rows.iter().rposition(|row| row == SESSIONS).expect("a list");
    let list: Vec<&str> = rows[head + 1..].iter().map(String::as_str).collect();
    // The prompt stands right behind the list: nothing more and nothing less was listed.
    assert_eq!(&list[..list.len() - 1], wanted, "{rows:#?}");
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
        let [anna, bobby, carol] = ["anna", "bobby", "carol"].map(|name| {
            let daemon = Daemon::start(&world, name);
            daemon.in_lobby();
            daemon
        });
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
    for row in [" anna (you)", " bobby", " carol"] {
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
