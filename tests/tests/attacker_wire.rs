//! The attacker is on the wire: stands in the middle, plays recordings, bends handshakes, wants older ones. No link comes
//! about that is not the right one, and nothing is said before.
#![cfg(unix)]

use chat_tests::forger::{self, Caller};
use chat_tests::liar::Liar;
use chat_tests::tap::{Bend, Side, Tap};
use chat_tests::{Daemon, Lobbyd, World};
use chatd::identity::Identity;
use proto::hello::Versions;
use proto::ids::{Epoch, EpochTag, Instance, Key, Pos};
use proto::lobby::{self, FromLobby, MemberHello, RefusedCode, ToLobby};
use proto::name::Name;
use proto::peer::{self, ByeCode, DialId, Hello, OutState, PeerMessage};

const CANARY: &str = "canary-on-the-wire-5038";

fn lobby_key(world: &World) -> Key {
    Identity::load_or_create(&world.house("lobby").data).expect("its key").key()
}

/// Why the daemon is not in the lobby, once that is so.
fn troubled(daemon: &Daemon, why: &str) -> String {
    daemon.until(why, |state| {
        let lobby = &state.daemon.as_ref()?.lobby;
        lobby.trouble.clone().filter(|trouble| trouble.contains(why))
    })
}

#[test]
fn a_middleman_before_a_known_lobby_hears_nothing_and_is_told_of() {
    let world = World::new();
    let _lobby = Lobbyd::start(&world);
    let tap = Tap::on(world.lobby());
    let anna = Daemon::in_lobby_at(&world, "anna", tap.addr, "anna");
    let middle = Liar::open();
    tap.turn_to(middle.addr);
    tap.drop_all();
    let told = troubled(&anna, "HAS CHANGED");
    assert!(told.contains("Nothing was sent") && told.contains("chatctl trust lobby"), "{told}");
    anna.ctl().ok(&["send", "lobby", CANARY]);
    middle.until("calls again and again", |scene| (scene.speechless > 1).then_some(()));
    assert!(middle.scene().heard.is_empty(), "not a message");
    assert!(!tap.heard(b"anna") && !tap.heard(CANARY.as_bytes()));
    // The middleman gives up: what was said meanwhile is said to the right one.
    tap.turn_to(world.lobby());
    anna.until("is said", |state| (state.is_in_lobby() && state.queued() == 0).then_some(()));
}

#[test]
fn a_middleman_at_the_first_contact_by_an_invitation_gets_neither_name_nor_token() {
    let world = World::new();
    let lobby = Lobbyd::start_closed(&world);
    let middle = Liar::open();
    let line = lobby.order(&["invite", "--address", &middle.addr.to_string()]);
    let anna = Daemon::with("anna", world.house("anna"), &["--lobby", &line]);
    let told = troubled(&anna, "HAS CHANGED");
    assert!(told.contains("Nothing was sent"), "{told}");
    middle.until("calls again", |scene| (scene.speechless > 1).then_some(()));
    assert!(middle.scene().heard.is_empty(), "not a message");
    // Not even when the person takes the middleman for the lobby: the secret is for the lobby of the invitation.
    anna.ctl().ok(&["trust", "lobby"]);
    let hello = middle.until("a hello", |scene| scene.heard.first().cloned());
    let ToLobby::Hello(hello) = hello.1 else { panic!("{hello:?}") };
    assert_eq!(hello.invitation, None);
}

#[test]
fn recordings_of_both_links_are_worth_nothing() {
    let world = World::new();
    let liar = Liar::open();
    let at_lobby = Tap::on(liar.addr);
    let [anna, bobby] = ["anna", "bobby"].map(|name| Daemon::in_lobby_at(&world, name, at_lobby.addr, name));
    anna.sees_users(2);
    let mut contact = liar.scene().contact("bobby");
    let between = Tap::on(contact.addrs[0]);
    contact.addrs = vec![between.addr];
    liar.scene().contacts.insert("bobby".into(), Some(contact));
    anna.ctl().ok(&["fork", "bobby"]);
    anna.ctl().ok(&["send", "bobby", CANARY, "--wait", "delivered"]);
    anna.ctl().ok(&["send", "lobby", CANARY, "--wait", "sent"]);
    let flights = (at_lobby.flights()[0].clone(), between.flights()[0].clone());
    let lengths = (flights.1.caller.len(), flights.1.called.len());
    assert!(lengths.0 > 800 && lengths.1 > 800, "it went that way: {lengths:?}");

    // What the callers have said is said again, to the same ones.
    let before = liar.scene().heard.len();
    forger::call_plain(liar.addr, &flights.0.caller);
    forger::call_plain(bobby.listening(), &flights.1.caller);
    forger::call_plain(bobby.listening(), &[&flights.1.caller[..], &flights.1.caller].concat());
    let news = |scene: &chat_tests::liar::Scene| scene.heard[before..].to_vec();
    let heard = news(&liar.scene());
    assert!(
        heard.iter().all(|(_, said)| !matches!(said, ToLobby::Hello(_) | ToLobby::Publish { .. })),
        "{heard:?}"
    );

    // What the called ones have said is said to the callers.
    at_lobby.bend(Bend::Answer(flights.0.called));
    between.bend(Bend::Answer(flights.1.called));
    at_lobby.drop_all();
    between.drop_all();
    troubled(&anna, "handshake failed");
    anna.ctl().ok(&["send", "bobby", "late"]);
    assert_eq!(anna.ctl().texts("bobby"), [CANARY, "late"]);
    for tap in [&at_lobby, &between] {
        tap.bend(Bend::Nothing);
    }
    anna.in_lobby();
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), [CANARY, "late", "last"]);
    anna.lives();
    bobby.lives();
}

/// A hello of TLS 1.2: no `supported_versions`, a cipher suite and a curve of that time.
fn hello_of_tls_1_2() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3, 0, 11, 0, 2, 1, 0];
    hello.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    hello.extend(extensions);
    let handshake = [&[1, 0], &u16::try_from(hello.len()).expect("short").to_be_bytes()[..], &hello].concat();
    [&[0x16, 3, 1], &u16::try_from(handshake.len()).expect("short").to_be_bytes()[..], &handshake].concat()
}

fn frame(json: &str) -> Vec<u8> {
    [&u32::try_from(json.len()).expect("short").to_be_bytes()[..], json.as_bytes()].concat()
}

#[test]
fn nothing_older_and_nothing_in_the_clear_is_spoken_anywhere() {
    let world = World::new();
    let _lobby = Lobbyd::start(&world);
    let anna = Daemon::in_lobby_at(&world, "anna", world.lobby(), "anna");
    let doors = [(world.lobby(), lobby::ALPN, peer::ALPN), (anna.listening(), peer::ALPN, lobby::ALPN)];
    let hello = serde_json::to_string(&ToLobby::Hello(Box::new(member_hello(Versions::OURS)))).expect("JSON");
    for (door, own, other) in doors {
        for words in [b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n".to_vec(), frame(&hello), hello_of_tls_1_2()] {
            let heard = forger::call_plain(door, &words);
            // An alert at most: of 7 bytes, and it says nothing.
            assert!(heard.len() <= 7 && heard.first().is_none_or(|first| *first == 0x15), "{heard:?}");
        }
        let somebody = Some(Identity::ephemeral().expect("a key").key());
        let refused = |key, alpn: &[&[u8]]| forger::call(door, key, alpn, &frame(&hello)).is_err();
        for alpn in [&[][..], &[other], &[b"h2", b"http/1.1"], &[b"chat-lobby/0", b"chat-peer/2"]] {
            assert!(refused(somebody, alpn), "{alpn:?}");
        }
        assert!(refused(None, &[own]), "a caller without a key");
        assert!(refused(somebody, &[own]), "a caller with a key of somebody else");
        // Nor may they say that they are anna, or the lobby, without the secret halves of those keys.
        assert!(refused(Some(anna.key()), &[own]) && refused(Some(lobby_key(&world)), &[own]));
    }
    anna.lives();
    assert_eq!(anna.ctl().rows(&["users"]).len(), 1, "nobody came in");
}

fn member_hello(versions: Versions) -> MemberHello {
    MemberHello {
        versions,
        features: Vec::new(),
        name: Name::new("eve").expect("a name"),
        instance: Instance([1; 16]),
        port: 0,
        room: None,
        invitation: None,
    }
}

#[test]
fn versions_that_nobody_speaks_are_refused_with_words() {
    let world = World::new();
    let _lobby = Lobbyd::start(&world);
    let anna = Daemon::in_lobby_at(&world, "anna", world.lobby(), "anna");
    let eve = Identity::ephemeral().expect("a key");
    for (min, max) in [(0, 0), (2, 9), (9, 2), (u16::MAX, u16::MAX)] {
        let versions = Versions { min, max };
        let mut caller =
            Caller::<FromLobby>::call(world.lobby(), &eve, lobby::ALPN, lobby_key(&world)).expect("a link");
        caller.say(&ToLobby::Hello(Box::new(member_hello(versions)))).expect("said");
        let FromLobby::Refused { code, reason, .. } = caller.hear().expect("an answer") else {
            panic!("not refused")
        };
        assert!(code == RefusedCode::Version && reason.contains("update"), "{reason}");
        assert!(caller.hear().is_err(), "and the link has ended");

        let mut caller =
            Caller::<PeerMessage>::call(anna.listening(), &eve, peer::ALPN, anna.key()).expect("a link");
        caller.say(&PeerMessage::Hello(Box::new(peer_hello(versions)))).expect("said");
        let PeerMessage::Bye { code, .. } = caller.hear().expect("an answer") else { panic!("not refused") };
        assert_eq!(code, ByeCode::Version);
        assert!(caller.hear().is_err(), "and the link has ended");
    }
    anna.lives();
    assert_eq!(anna.ctl().rows(&["sessions"]).len(), 1);
    assert_eq!(anna.ctl().rows(&["users"]).len(), 1);
}

fn peer_hello(versions: Versions) -> Hello {
    let out = OutState {
        epoch: Epoch { n: 1, r: EpochTag([1; 8]) },
        head: Pos::START,
        chain: proto::ids::Chain([0; 32]),
    };
    Hello {
        versions,
        features: Vec::new(),
        name: Name::new("eve").expect("a name"),
        instance: Instance([1; 16]),
        port: 0,
        dial_no: 1,
        last_dialed: 1,
        seen_dial: 0,
        open: vec![DialId { mine: true, dial_no: 1 }],
        hello_no: 1,
        held: false,
        out,
        inbound: None,
    }
}

/// Places within the records of a handshake whose bytes count: not in their heads, whose version TLS 1.3 does not look at,
/// and not in the `change_cipher_spec` of old, which it throws away.
fn places(said: &[u8], records: usize) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    for _ in 0..records {
        let Some(head) = said.get(at..at + 5) else { break };
        let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if head[0] != 0x14 {
            let step = (len / 7).max(1);
            places.extend((at + 5..at + 5 + len).step_by(step));
        }
        at += 5 + len;
    }
    places
}

#[test]
fn a_handshake_that_was_bent_or_cut_anywhere_ends_and_falls_back_to_nothing() {
    let world = World::new();
    let _lobby = Lobbyd::start(&world);
    let tap = Tap::on(world.lobby());
    let (eve, expect) = (Identity::ephemeral().expect("a key"), lobby_key(&world));
    let enter = || {
        let mut caller = Caller::<FromLobby>::call(tap.addr, &eve, lobby::ALPN, expect)?;
        caller.say(&ToLobby::Hello(Box::new(member_hello(Versions::OURS))))?;
        caller.hear()
    };
    assert!(matches!(enter(), Ok(FromLobby::Welcome(_))), "as it should be");
    let flight = tap.flights()[0].clone();
    // Until its hello the caller says: hello of TLS, (change), certificate to finish, hello. The lobby: hello of TLS,
    // (change), extensions to finish.
    let sides = [(Side::Caller, places(&flight.caller, 4)), (Side::Called, places(&flight.called, 4))];
    for (side, places) in sides {
        assert!(places.len() > 14, "{side:?}: {places:?}");
        for at in places {
            for bend in [Bend::Flip(side, at), Bend::Cut(side, at)] {
                tap.bend(bend.clone());
                assert!(enter().is_err(), "{bend:?}");
            }
        }
    }
    tap.bend(Bend::Nothing);
    assert!(matches!(enter(), Ok(FromLobby::Welcome(_))), "the lobby is as it was");
}
