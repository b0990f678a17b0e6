//! An invitation brings somebody into a lobby, by the real programs.
#![cfg(unix)]

use chat_tests::world::House;
use chat_tests::{Ctl, Lobbyd, World};

/// Joins by a line on standard input; the daemon that this starts is signed off when dropped.
struct Guest(Ctl);

impl Guest {
    fn new(house: &House, name: &str) -> Self {
        Self(Ctl::new(house, name))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.run(&["quit"], b"");
    }
}

#[test]
fn who_has_an_invitation_joins_by_it_and_the_next_one_is_told_that_it_is_used_up() {
    let world = World::new();
    let lobby = Lobbyd::start_closed(&world);
    let line = lobby.invite();
    let anna = Guest::new(&world.house("home"), "anna");
    let joined = anna.0.run(&["join"], line.as_bytes());
    assert!(
        joined.code == 0 && joined.out.contains("Joined the lobby") && joined.out.contains("anna"),
        "{joined:?}"
    );
    assert_eq!(anna.0.rows(&["users"]).len(), 1);
    let again = anna.0.run(&["join", &line], b"");
    assert!(again.code == 0 && again.out.contains("runs already, in the lobby"), "{again:?}");
    let eve = Guest::new(&world.house("other"), "eve");
    let refused = eve.0.run(&["join", &line], b"");
    assert!(refused.code == 1 && refused.err.contains("used up"), "{refused:?}");
    assert_eq!(anna.0.rows(&["users"]).len(), 1);
    // The daemon that was started for nothing is not in the way of the next line.
    assert_eq!(eve.0.run(&["status"], b"").code, 3);
    let joined = eve.0.run(&["join", &lobby.invite()], b"");
    assert!(joined.code == 0 && joined.out.contains("as eve"), "{joined:?}");
    let broken = eve.0.run(&["join", &line[..line.len() - 1]], b"");
    assert!(broken.code == 2 && broken.err.contains("copy the line again"), "{broken:?}");
    assert!(
        !broken.err.contains(line.rsplit_once('.').expect("a token").1.get(..8).expect("long")),
        "{broken:?}"
    );
}
