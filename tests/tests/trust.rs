//! Whom to trust, with the real programs: strangers ask, keys are compared, names stay with their keys.
#![cfg(unix)]

use chat_tests::{Daemon, World};
use proto::ipc::SessionState;

#[test]
fn a_stranger_asks_and_is_accepted_declined_or_blocked() {
    let world = World::new();
    let mut bobby = Daemon::asking(&world, "bobby");
    bobby.in_lobby();
    let anna = Daemon::start(&world, "anna");
    anna.in_lobby();
    let (at_anna, at_bobby) = (anna.screen(), bobby.screen());
    at_anna.command("\\fork bobby", "Session 1 waits for bobby to accept");
    at_anna.type_line("are you there?");
    at_bobby.wait_for("wants to talk with you: \\accept anna,");
    anna.until("waits", |state| {
        let row = state.session("bobby")?;
        (row.state == SessionState::Waiting && row.asked && row.queued == 1).then_some(row.delivered)
    });
    assert_eq!(bobby.ctl().rows(&["sessions"]).len(), 1, "a request has no number");

    // Somebody who still wants to come knocks again after a restart, and still has no number.
    assert!(bobby.terminate().success());
    bobby.start_again();
    bobby.in_lobby();
    bobby.until("the request", |state| state.daemon.as_ref()?.requests.first().map(|peer| peer.name.clone()));
    assert_eq!(bobby.ctl().rows(&["status"])[0]["requests"][0], "anna");
    assert_eq!(bobby.ctl().rows(&["sessions"]).len(), 1);

    assert_eq!(bobby.ctl().ok(&["accept", "anna"]), "1\n");
    assert_eq!(bobby.ctl().received("anna"), ["are you there?"]);
    anna.connected_to("bobby");
    at_anna.wait_for("< Peer bobby is ready to chat >");

    // Whoever is known is not asked about again; whoever is blocked is not heard.
    anna.ctl().ok(&["leave", "bobby"]);
    bobby.until("has ended", |state| {
        state.session("anna").is_none_or(|row| row.state == SessionState::Ended).then_some(())
    });
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    bobby.ctl().ok(&["block", "anna"]);
    anna.until("is refused", |state| {
        let trouble = state.session("bobby")?.trouble.clone()?;
        trouble.contains("does not take this session").then_some(())
    });
}

#[test]
fn both_sides_compare_the_same_digits() {
    let world = World::new();
    let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    anna.fork(&bobby);
    let code = |daemon: &Daemon, peer: &str| daemon.ctl().rows(&["verify", peer])[0]["code"].clone();
    assert_eq!(code(&anna, "bobby"), code(&bobby, "anna"));
    let screen = anna.screen();
    screen.command("\\verify bobby", "then: \\verify bobby ok");
    assert!(screen.rows().iter().any(|row| row.contains('\u{2588}')), "the picture: {:?}", screen.rows());
    screen.command("\\verify bobby ok", "bobby is verified");
    assert_eq!(anna.ctl().rows(&["sessions"])[1]["trust"], "verified");
    assert_eq!(bobby.ctl().rows(&["sessions"])[1]["trust"], "pinned");
}

#[test]
fn a_name_that_changes_hands_is_refused_until_it_is_trusted() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    let mut bobby = Daemon::start_in(&world, "first", "bobby");
    anna.in_lobby();
    bobby.in_lobby();
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    bobby.terminate();
    anna.ctl().ok(&["send", "bobby", "for the first one"]);
    // Another lobby on the same address, and somebody with another key is the first bobby there.
    anna.terminate();
    let other = Daemon::start_in(&world, "second", "bobby");
    other.in_lobby();
    anna.start_again();
    anna.in_lobby();
    anna.sees_users(2);
    let told = anna.ctl().fails(&["fork", "bobby"], 1);
    assert!(
        told.contains("WARNING: the key of bobby HAS CHANGED.") && told.contains("1 line waits"),
        "{told}"
    );
    assert_eq!(anna.ctl().rows(&["users"])[1]["trust"], "changed");
    assert!(other.ctl().rows(&["sessions"]).len() == 1, "nothing was sent");
    let told = anna.ctl().ok(&["trust", "bobby"]);
    assert!(told.contains("bobby_2"), "{told}");
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    assert_eq!(other.ctl().received("anna"), Vec::<String>::new());
    assert_eq!(anna.until("the line", |state| Some(state.session("bobby_2")?.queued)), 1);
}
