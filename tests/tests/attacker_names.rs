//! The attacker says that they are somebody else, or have been invited.
#![cfg(unix)]

use chat_tests::forger::{self, Caller};
use chat_tests::liar::Liar;
use chat_tests::{Ctl, Daemon, Lobbyd, World};
use chatd::identity::Identity;
use proto::hello::Versions;
use proto::ids::Instance;
use proto::invitation::{Invitation, Token};
use proto::ipc::SessionState;
use proto::lobby::{self, FromLobby, MemberHello, RefusedCode, ToLobby};
use proto::name::Name;
use proto::peer;

#[test]
fn who_comes_under_the_name_of_somebody_known_is_called_otherwise_and_hears_nothing_meant_for_them() {
    let world = World::new();
    // A lobby that grants every name to everybody.
    let liar = Liar::open();
    let anna = Daemon::in_lobby_at(&world, "anna", liar.addr, "anna");
    let mut bobby = Daemon::in_lobby_at(&world, "bobby", liar.addr, "bobby");
    anna.sees_users(2);
    anna.ctl().ok(&["fork", "bobby"]);
    anna.ctl().ok(&["send", "bobby", "first", "--wait", "delivered"]);
    bobby.terminate();
    let bobbys = liar.scene().contact("bobby").member.key;
    liar.scene().present.remove(&bobbys);
    let eve = Daemon::in_lobby_at(&world, "eve", liar.addr, "bobby");
    eve.sees_users(2);
    eve.ctl().ok(&["fork", "anna"]);
    eve.ctl().ok(&["send", "anna", "it is me, bobby", "--wait", "delivered"]);
    anna.until("a session with somebody else", |state| state.connected("bobby_2"));
    let shown = anna.ctl().ok(&["--plain", "history", "bobby_2"]);
    assert!(
        shown.contains("does not have the key of the bobby you know") && shown.contains("<bobby_2> it is me"),
        "{shown}"
    );
    anna.ctl().ok(&["send", "bobby", "for bobby only"]);
    assert_eq!(anna.ctl().received("bobby"), Vec::<String>::new());
    anna.ctl().ok(&["send", "bobby_2", "who are you?", "--wait", "delivered"]);
    assert_eq!(eve.ctl().received("anna"), ["who are you?"]);
    bobby.start_again();
    bobby.in_lobby();
    anna.connected_to("bobby");
    anna.ctl().ok(&["send", "bobby", "last", "--wait", "delivered"]);
    assert_eq!(bobby.ctl().received("anna"), ["first", "for bobby only", "last"]);
}

#[test]
fn who_shows_a_key_without_its_secret_half_is_nobody() {
    let world = World::new();
    let lobby = Lobbyd::start(&world);
    let [anna, bobby] = ["anna", "bobby"].map(|name| Daemon::in_lobby_at(&world, name, world.lobby(), name));
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    let [at_anna, bobbys] = [&anna, &bobby].map(|daemon| {
        daemon.until("itself", |state| {
            let row = state.daemon.as_ref()?;
            Some((row.listening?, row.key))
        })
    });
    for (door, alpn) in [(at_anna.0, peer::ALPN), (world.lobby(), lobby::ALPN)] {
        let hello = br#"{"type":"hello"}"#;
        assert!(forger::call(door, Some(bobbys.1), &[alpn], hello).is_err());
        assert!(forger::call(door, Some(at_anna.1), &[alpn], hello).is_err(), "as themselves");
    }
    assert_eq!(
        anna.until("goes on", |state| state.session("bobby").map(|row| row.state)),
        SessionState::Connected
    );
    anna.ctl().ok(&["send", "bobby", "still there?", "--wait", "delivered"]);
    assert!(lobby.order(&["list"]).lines().count() == 2, "both are still in the lobby");
}

fn hello(invitation: Option<Token>) -> ToLobby {
    ToLobby::Hello(Box::new(MemberHello {
        versions: Versions::OURS,
        features: Vec::new(),
        name: Name::new("eve").expect("a name"),
        instance: Instance([1; 16]),
        port: 0,
        room: None,
        invitation,
    }))
}

/// What the lobby says to somebody new who comes with that.
fn knock(invitation: &Invitation, token: Option<Token>) -> FromLobby {
    let addr = invitation.addr.parse().expect("an address");
    let eve = Identity::ephemeral().expect("a key");
    let mut caller = Caller::<FromLobby>::call(addr, &eve, lobby::ALPN, invitation.lobby).expect("a link");
    caller.say(&hello(token)).expect("said");
    caller.hear().expect("an answer")
}

fn refused(answer: &FromLobby) -> &str {
    match answer {
        FromLobby::Refused { code: RefusedCode::Invitation, reason, .. } => reason,
        other => panic!("not refused, but {other:?}"),
    }
}

#[test]
fn stolen_used_expired_and_guessed_tokens_open_nothing() {
    let world = World::new();
    let mut lobby = Lobbyd::start_closed(&world);
    let addr = world.lobby().to_string();
    let line: Invitation = lobby.invite().parse().expect("an invitation");
    let short: Invitation =
        lobby.order(&["invite", "--address", &addr, "--expires", "1ms"]).parse().expect("an invitation");
    assert!(refused(&knock(&line, None)).contains("invitation"));
    assert!(refused(&knock(&short, Some(short.token))).contains("expired"));
    for guess in 0..128_u8 {
        let mut token = line.token.0;
        // Near misses: one bit each.
        token[usize::from(guess / 8)] ^= 1 << (guess % 8);
        let answer = knock(&line, Some(Token(token)));
        assert!(!refused(&answer).contains("used"), "a guess tells nothing of it");
    }
    // It is stolen, but its owner was faster.
    let anna = Daemon::with("anna", world.house("anna"), &["--lobby", &line.line()]);
    anna.in_lobby();
    assert!(refused(&knock(&line, Some(line.token))).contains("used up"));
    // It stays used up, expired, wrong over a restart, and anna stays in.
    lobby.kill();
    lobby.start_again();
    anna.in_lobby();
    assert!(refused(&knock(&line, Some(line.token))).contains("used up"));
    assert!(refused(&knock(&short, Some(short.token))).contains("expired"));
    assert_eq!(anna.ctl().rows(&["users"]).len(), 1);
}

#[test]
fn a_line_with_another_key_for_the_lobby_gives_the_lobby_no_token_and_the_guest_a_warning() {
    let world = World::new();
    let lobby = Lobbyd::start_closed(&world);
    let line: Invitation = lobby.invite().parse().expect("an invitation");
    let bent = Invitation { lobby: Identity::ephemeral().expect("a key").key(), ..line.clone() };
    let ctl = Ctl::new(&world.house("eve"), "eve");
    let joined = ctl.run(&["join"], bent.line().as_bytes());
    let status = ctl.run(&["--json", "status"], b"");
    ctl.run(&["quit"], b"");
    assert!(joined.code != 0 && joined.err.contains("HAS CHANGED"), "{joined:?}, {status:?}");
    let token = bent.line();
    let token = token.rsplit_once('.').expect("a token").1;
    for said in [joined.out, joined.err, status.out, status.err] {
        assert!(!said.contains(token), "{said}");
    }
    // Nothing of it was used: whom it was made for gets in.
    assert!(matches!(knock(&line, Some(line.token)), FromLobby::Welcome(_)));
}
