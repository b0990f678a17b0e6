//! The attacker runs the lobby: it lies about keys, addresses and names, and achieves a warning.
#![cfg(unix)]

use std::net::{SocketAddr, TcpListener};

use chat_tests::liar::{Liar, Somebody, entry, member};
use chat_tests::tap::Tap;
use chat_tests::{Daemon, World, forger};
use chatd::identity::Identity;
use proto::ids::{Key, LobbySeq, Mid, WallMs};
use proto::ipc::SessionState;
use proto::lobby::{FromLobby, RoomEntry, ToLobby};
use proto::peer;
use proto::text::Text;

/// In a line that nobody but its reader may see.
const CANARY: &str = "canary-for-bobby-4127";

/// Two daemons who have talked; what bobby has heard.
fn acquainted(world: &World, liar: &Liar) -> [Daemon; 2] {
    let [anna, bobby] = ["anna", "bobby"].map(|name| Daemon::in_lobby_at(world, name, liar.addr, name));
    anna.sees_users(2);
    anna.ctl().ok(&["fork", "bobby"]);
    anna.ctl().ok(&["send", "bobby", "first", "--wait", "delivered"]);
    [anna, bobby]
}

/// The peer is away, and its person is told why.
fn waits(daemon: &Daemon, peer: &str, why: &str) {
    daemon.until(&format!("waits: {why}"), |state| {
        let row = state.session(peer).filter(|row| row.state == SessionState::Waiting)?;
        row.trouble.as_ref().filter(|trouble| trouble.contains(why)).map(drop)
    });
}

/// The person sees in the lobby that a name they know has another key.
fn is_warned_of(daemon: &Daemon, name: &str) {
    let warning = format!("does not have the key of the {name} you know");
    daemon.until(&warning, |_| {
        let lines = daemon.ctl().ok(&["--plain", "history", "lobby"]);
        lines.contains(&warning).then_some(())
    });
}

/// Has a daemon dial somebody now: the lobby says that they have come.
fn dials(liar: &Liar, who: Key, peer: &Somebody) {
    let name = peer.member.name.as_str();
    let before = liar.lookups(name);
    liar.tell(who, FromLobby::Presence { joined: vec![peer.member.clone()], left: Vec::new() });
    liar.until("a dial", |scene| (scene.lookups(name) > before).then_some(()));
}

#[test]
fn another_key_for_a_known_name_gets_no_byte_and_the_person_a_warning() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, mut bobby] = acquainted(&world, &liar);
    let (at_anna, true_key) = (anna.key(), bobby.key());
    bobby.terminate();
    anna.ctl().ok(&["send", "bobby", CANARY]);
    let trap = TcpListener::bind("127.0.0.1:0").expect("binds");
    trap.set_nonblocking(true).expect("an option");
    let eve = member("bobby", Identity::ephemeral().expect("a key").key());
    let contact = Somebody { member: eve.clone(), addrs: vec![trap.local_addr().expect("bound")] };
    liar.scene().contacts.insert("bobby".into(), Some(contact));
    liar.tell(at_anna, FromLobby::Presence { left: vec![member("bobby", true_key)], joined: vec![eve] });
    is_warned_of(&anna, "bobby");
    let told = anna.ctl().fails(&["fork", "bobby"], 1);
    assert!(told.contains("HAS CHANGED") && told.contains("Nothing was sent"), "{told}");
    anna.ctl().ok(&["send", "bobby", CANARY]);
    // The daemon looks for bobby again, and is lied to.
    let before = liar.lookups("bobby");
    liar.until("another dial", |scene| (scene.lookups("bobby") > before).then_some(()));
    let called = trap.accept().expect_err("nobody calls the attacker");
    assert_eq!(called.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(anna.until("both lines wait", |state| Some(state.session("bobby")?.queued)), 2);
    // The right key at the right place gets all of it, once.
    liar.scene().contacts.clear();
    bobby.start_again();
    bobby.in_lobby();
    anna.connected_to("bobby");
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), ["first", CANARY, CANARY, "last"]);
}

#[test]
fn an_attackers_address_for_the_right_key_learns_nothing_and_holds_nobody_up() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, bobby] = ["anna", "bobby"].map(|name| Daemon::in_lobby_at(&world, name, liar.addr, name));
    anna.sees_users(2);
    let truth = liar.scene().contact("bobby");
    // One has a key of its own, one shows bobby's and cannot sign for it.
    let other = Identity::ephemeral().expect("a key").key();
    let traps = [other, truth.member.key].map(|shown| forger::pose(shown, peer::ALPN));
    for (trap, heard) in &traps {
        let tap = Tap::on(*trap);
        let lie = Somebody { addrs: vec![tap.addr], ..truth.clone() };
        liar.scene().contacts.insert("bobby".into(), Some(lie));
        if anna.ctl().rows(&["sessions"]).len() == 1 {
            anna.ctl().ok(&["fork", "bobby"]);
            anna.ctl().ok(&["send", "bobby", CANARY]);
        }
        assert_eq!(heard.recv_timeout(chat_tests::DEADLINE).expect("a call"), b"", "not a byte");
        waits(&anna, "bobby", &tap.addr.to_string());
        assert!(!tap.heard(b"hello") && !tap.heard(CANARY.as_bytes()) && !tap.heard(b"anna"));
    }
    assert_eq!(anna.until("it waits", |state| Some(state.session("bobby")?.queued)), 1);
    // Behind the attacker's address stands the right one.
    let addrs = vec![traps[0].0, truth.addrs[0]];
    liar.scene().contacts.insert("bobby".into(), Some(Somebody { addrs, ..truth.clone() }));
    dials(&liar, anna.key(), &truth);
    anna.connected_to("bobby");
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), [CANARY, "last"]);
}

#[test]
fn a_list_of_addresses_that_lead_nowhere_harms_nobody() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, bobby] = ["anna", "bobby"].map(|name| Daemon::in_lobby_at(&world, name, liar.addr, name));
    anna.sees_users(2);
    let at_anna = anna.key();
    let own = anna.until("listens", |state| state.daemon.as_ref()?.listening);
    let truth = liar.scene().contact("bobby");
    let endless = vec!["127.0.0.1:1"; 5_000];
    let lists: [&[&str]; 5] = [
        &[],
        &["0.0.0.0:0", "[::]:0"],
        &["255.255.255.255:1", "224.0.0.1:9"],
        &[&own.to_string(), &liar.addr.to_string()],
        &endless,
    ];
    for (tried, list) in lists.into_iter().enumerate() {
        let addrs: Vec<SocketAddr> = list.iter().map(|addr| addr.parse().expect("an address")).collect();
        liar.scene().contacts.insert("bobby".into(), Some(Somebody { addrs, ..truth.clone() }));
        if tried == 0 {
            anna.ctl().ok(&["fork", "bobby"]);
            anna.ctl().ok(&["send", "bobby", CANARY]);
        }
        dials(&liar, at_anna, &truth);
        waits(&anna, "bobby", "");
    }
    liar.scene().contacts.clear();
    dials(&liar, at_anna, &truth);
    anna.connected_to("bobby");
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), [CANARY, "last"]);
}

#[test]
fn names_that_are_swapped_do_not_swap_what_is_said() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, bobby, carol] =
        ["anna", "bobby", "carol"].map(|name| Daemon::in_lobby_at(&world, name, liar.addr, name));
    anna.sees_users(3);
    for peer in ["bobby", "carol"] {
        anna.ctl().ok(&["fork", peer]);
        anna.ctl().ok(&["send", peer, "first", "--wait", "delivered"]);
    }
    let swapped = vec![member("bobby", carol.key()), member("carol", bobby.key())];
    let contacts = [("bobby", &carol), ("carol", &bobby)].map(|(name, whose)| {
        let truth = liar.scene().contact(whose.name());
        (name.to_owned(), Some(Somebody { member: member(name, whose.key()), ..truth }))
    });
    liar.scene().contacts.extend(contacts);
    liar.tell(anna.key(), FromLobby::Presence { joined: swapped, left: Vec::new() });
    is_warned_of(&anna, "bobby");
    is_warned_of(&anna, "carol");
    anna.ctl().ok(&["send", "bobby", CANARY, "--wait", "delivered"]);
    assert!(anna.ctl().fails(&["fork", "carol"], 1).contains("HAS CHANGED"));
    anna.ctl().ok(&["leave", "bobby"]);
    assert!(anna.ctl().fails(&["fork", "bobby"], 1).contains("HAS CHANGED"));
    assert_eq!(bobby.ctl().received("anna"), ["first", CANARY]);
    assert_eq!(carol.ctl().received("anna"), ["first"]);
}

#[test]
fn a_lobby_that_names_more_people_than_can_be_is_left_and_the_private_session_goes_on() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, _bobby] = acquainted(&world, &liar);
    let at_anna = anna.key();
    for page in 0..110_u8 {
        let somebody = |n: u16| {
            let [high, low] = n.to_be_bytes();
            let mut key = [page; 32];
            key[..2].copy_from_slice(&[high, low]);
            member(&format!("somebody{page}x{n}"), Key(key))
        };
        let members = (0..512).map(somebody).collect();
        if !liar.still_tells(at_anna, FromLobby::Members { members, more: true }) {
            break; // the last pages are over what it takes
        }
    }
    anna.until("has left", |state| {
        let trouble = state.daemon.as_ref()?.lobby.trouble.clone()?;
        trouble.contains("more members than can be").then_some(())
    });
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    anna.in_lobby();
}

/// What somebody has said to the lobby, as the lobby would pass it on.
fn said(liar: &Liar, from: &Daemon, text: &str) -> RoomEntry {
    from.ctl().ok(&["send", "lobby", text, "--wait", "sent"]);
    let (name, of) = (from.name(), from.key());
    let entry = |(by, said): &(Key, ToLobby)| match said {
        ToLobby::Publish { mid, at, text: words, sig } if *by == of && words.as_str() == text => {
            let (mid, at, text, sig) = (*mid, *at, words.clone(), *sig);
            Some(RoomEntry { seq: LobbySeq(0), from: member(name, of), mid, at, text, sig })
        }
        _ => None,
    };
    liar.until("it is said", |scene| scene.heard.iter().find_map(entry))
}

/// Something new, signed by that key for that lobby.
fn signed(author: &Identity, name: &str, lobby: Key, text: &str) -> RoomEntry {
    let (mid, at, text) = (Mid(*b"0123456789abcdef"), WallMs(7), Text::new(text).expect("a text"));
    let sig = author.sign_post(&lobby, mid, at, &text);
    RoomEntry { seq: LobbySeq(0), from: member(name, author.key()), mid, at, text, sig }
}

#[test]
fn what_its_author_has_not_said_in_this_lobby_is_not_shown_and_told_of_once() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, bobby] = acquainted(&world, &liar);
    let (genuine, last) = (said(&liar, &bobby, "genuine"), said(&liar, &bobby, "last"));
    let carol = Identity::ephemeral().expect("a key");
    let other_lobby = Identity::ephemeral().expect("a key").key();
    let text = |text: &str| Text::new(text).expect("a text");
    let entries = [
        genuine.clone(),
        RoomEntry { text: text("edited"), mid: Mid([1; 16]), ..genuine.clone() },
        RoomEntry { text: text("edited in place"), ..last.clone() },
        RoomEntry { at: WallMs(1), mid: Mid([2; 16]), text: text("invented"), ..genuine.clone() },
        RoomEntry { sig: last.sig, mid: Mid([3; 16]), ..genuine.clone() },
        RoomEntry { from: member("bobby", anna.key()), ..genuine.clone() },
        signed(&carol, "carol", other_lobby, "transplanted"),
        genuine.clone(),
        signed(&carol, "carol", liar.key, "carol's own"),
        last,
    ];
    // Twice as many places as entries: in order, then all of it over again from behind.
    let order: Vec<&RoomEntry> = entries.iter().chain(entries.iter().rev()).collect();
    let head = liar.scene().next();
    for (place, found) in order.into_iter().enumerate() {
        let seq = LobbySeq(head + u64::try_from(place).expect("few"));
        liar.tell(anna.key(), entry(RoomEntry { seq, ..found.clone() }));
    }
    let shown = ["genuine", "carol's own", "last"];
    anna.until("all of it", |_| (anna.ctl().texts("lobby").last()? == "last").then_some(()));
    anna.ctl().ok(&["send", "lobby", "a barrier", "--wait", "sent"]);
    assert_eq!(anna.ctl().received("lobby"), shown);
    let lines = anna.ctl().ok(&["--plain", "history", "lobby"]);
    let told = |name: &str| lines.matches(&format!("as said by {name} what the key of")).count();
    assert_eq!((told("bobby"), told("carol"), told("anna")), (1, 1, 1), "{lines}");
}

#[test]
fn regression_a_lobby_that_signs_with_a_key_of_its_own_does_not_speak_under_a_known_name() {
    let world = World::new();
    let liar = Liar::open();
    let [anna, bobby] = acquainted(&world, &liar);
    let puppet = Identity::ephemeral().expect("a key");
    let mut posts = vec![
        signed(&puppet, "bobby", liar.key, "pay at once"),
        signed(&puppet, "anna", liar.key, "yes I will"),
        said(&liar, &bobby, "genuine"),
    ];
    posts[1].mid = Mid([1; 16]);
    posts[1].sig = puppet.sign_post(&liar.key, posts[1].mid, posts[1].at, &posts[1].text);
    let head = liar.scene().next();
    for (seq, post) in (head..).zip(posts) {
        liar.tell(anna.key(), entry(RoomEntry { seq: LobbySeq(seq), ..post }));
    }
    anna.until("all of it", |_| (anna.ctl().texts("lobby").last()? == "genuine").then_some(()));
    let lines = anna.ctl().ok(&["--plain", "history", "lobby"]);
    assert!(lines.contains("> bobby_2: pay at once") && lines.contains("> anna_2: yes I will"), "{lines}");
    assert!(!lines.contains("> bobby: pay") && !lines.contains("> anna: yes"), "{lines}");
    assert_eq!(lines.matches("does not have the key of the bobby you know").count(), 1, "{lines}");
}
