//! Two people fork each other at the same instant: they are in one session, not in two.
#![cfg(unix)]

use std::sync::Barrier;
use std::thread;

use chat_tests::{Daemon, World};
use serde_json::Value;

const ROUNDS: usize = 40;

/// The only private session that is open.
fn only_session(daemon: &Daemon) -> Value {
    let mut rows = daemon.ctl().rows(&["sessions"]);
    rows.retain(|row| row["kind"] == "peer");
    assert_eq!(rows.len(), 1, "{}: {rows:?}", daemon.name());
    rows.remove(0)
}

#[test]
fn mutual_forks_at_the_same_instant_make_one_session() {
    let world = World::new();
    let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
    let (mut by_anna, mut by_bobby) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            for (daemon, peer) in [(&anna, "bobby"), (&bobby, "anna")] {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let ran = daemon.ctl().run(&["fork", peer], b"");
                    // Who is a moment later may find it open already.
                    assert!(ran.code == 0 || ran.err.contains("duplicate session"), "{ran:?}");
                    let text = format!("{} {round}", daemon.name());
                    daemon.ctl().ok(&["send", peer, &text, "--wait", "delivered"]);
                });
            }
        });
        by_anna.push(format!("anna {round}"));
        by_bobby.push(format!("bobby {round}"));
        anna.connected_to("bobby");
        bobby.connected_to("anna");
        let (at_anna, at_bobby) = (only_session(&anna), only_session(&bobby));
        let modes = [&at_anna["mode"], &at_bobby["mode"]];
        assert!(modes == ["A", "B"] || modes == ["B", "A"], "round {round}: {modes:?}");
        assert_eq!(anna.ctl().received("bobby"), by_bobby, "round {round}");
        assert_eq!(bobby.ctl().received("anna"), by_anna, "round {round}");
        leave(&anna, &bobby, round);
    }
}

/// Each of them leaves in turn.
fn leave(anna: &Daemon, bobby: &Daemon, round: usize) {
    let (leaver, peer) = if round.is_multiple_of(2) { (anna, "bobby") } else { (bobby, "anna") };
    leaver.ctl().ok(&["leave", peer]);
    for daemon in [anna, bobby] {
        daemon.until("no open session", |state| {
            let open = |row: &&proto::ipc::SessionRow| {
                row.peer.is_some() && row.state != proto::ipc::SessionState::Ended
            };
            (state.sessions.values().filter(open).count() == 0).then_some(())
        });
    }
}
