//! A name stands for the key of the first contact.

use proto::ids::{Key, LobbySeq, Mid, Signature, WallMs};
use proto::invitation::Token;
use proto::ipc::{Call, ErrorCode, LobbyState, Reply, SessionRef, Trust};
use proto::lobby::{FromLobby, Member, RoomEntry, ToLobby};
use proto::peer::Content;
use proto::text::Text;

use super::bench::{Bench, Caller, key, name};
use crate::daemon::{Effect, Event};
use crate::identity::fingerprint;
use crate::joined::Joined;
use crate::store::LogId;

const LOBBY: Key = Key([200; 32]);

fn trust_of(bench: &mut Bench, who: &str) -> Trust {
    bench.users().into_iter().find(|user| user.name.as_str() == who).expect("is there").trust
}

fn trust(who: &str) -> Call {
    Call::Trust { who: SessionRef::Peer(name(who)) }
}

fn dialed(bench: &Bench) -> Vec<Key> {
    let dials = bench.effects.iter().filter_map(|effect| match effect {
        Effect::Dial { key, .. } => Some(*key),
        _ => None,
    });
    dials.collect()
}

#[test]
fn an_opened_session_pins_the_key_and_a_call_that_opens_none_does_not() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby"), (2, "carol")]);
    assert_eq!(trust_of(&mut bench, "bobby"), Trust::New);
    bench.fork("bobby");
    Caller::new(2, "carol").dial(&mut bench);
    assert_eq!((trust_of(&mut bench, "bobby"), trust_of(&mut bench, "carol")), (Trust::Pinned, Trust::New));
}

#[test]
fn a_lobby_that_gives_a_known_name_another_key_achieves_a_warning_and_nothing_else() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    bench.send("bobby", "for key 1");
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(2, "Bobby")]);
    assert_eq!(trust_of(&mut bench, "Bobby"), Trust::Changed);
    let warned = bench.notices(LogId::LOBBY);
    assert!(warned.iter().any(|text| text.contains(&fingerprint(&key(2)))), "{warned:?}");

    for left in [false, true] {
        if left {
            bench.call(Call::Leave { session: SessionRef::Peer(name("bobby")) });
        }
        let error = bench.refused(Call::Fork { name: name("bobby") });
        assert_eq!(error.code, ErrorCode::Changed, "{error}");
        let rows: Vec<&str> = error.message.lines().collect();
        assert!(rows[0].starts_with("WARNING: the key of bobby HAS CHANGED."), "{error}");
        assert!(rows[1].starts_with("Nothing was sent. 1 line waits"), "{error}");
        assert!(rows[1].ends_with(&fingerprint(&key(2))) && rows[2].contains("\\trust bobby"), "{error}");
    }
    assert!(bench.core.find_key(&key(2)).is_none(), "nothing is there that could be sent to the other key");
    assert!(!dialed(&bench).contains(&key(2)));
}

#[test]
fn trust_accepts_the_key_that_was_shown_and_the_queue_stays_with_the_old_one() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    bench.send("bobby", "for key 1");
    bench.members(&[(2, "bobby")]);
    // The first word on it shows the key; a lobby that changes it afterwards changes nothing.
    assert_eq!(bench.refused(trust("bobby")).code, ErrorCode::Changed);
    bench.members(&[(3, "bobby")]);
    let Reply::Trusted { fingerprint: accepted, former } = bench.call(trust("bobby")) else {
        panic!("not accepted")
    };
    assert_eq!((accepted, former), (fingerprint(&key(2)), Some(name("bobby_2"))));

    // The name is taken before any session is opened under it.
    bench.members(&[]);
    Caller::new(4, "bobby").dial(&mut bench);
    let log = bench.core.find_key(&key(4)).expect("a session");
    assert_eq!(bench.core.sessions[&log].name().as_str(), "bobby_3");

    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(2, "bobby")]);
    assert_eq!(trust_of(&mut bench, "bobby"), Trust::Pinned);
    let old = bench.row("bobby_2").expect("keeps its number");
    assert_eq!((old.queued, old.peer.expect("a peer").key), (1, key(1)));
    bench.fork("bobby");
    let new = bench.row("bobby").expect("is open");
    assert_eq!((new.queued, new.peer.expect("a peer").key), (0, key(2)));
}

#[test]
fn trust_without_a_change_does_nothing() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    assert_eq!(bench.refused(trust("bobby")).code, ErrorCode::NoPeer);
    bench.fork("bobby");
    assert_eq!(bench.refused(trust("bobby")).code, ErrorCode::Invalid);
}

#[test]
fn who_comes_under_a_known_name_with_another_key_is_shown_under_another_one() {
    for in_the_lobby in [false, true] {
        let mut bench = Bench::new();
        bench.lobby(LOBBY, &[(1, "bobby")]);
        bench.fork("bobby");
        if in_the_lobby {
            bench.members(&[(2, "bobby")]);
        }
        let mut impostor = Caller::new(2, "bobby");
        impostor.dial(&mut bench);
        impostor.entry(&mut bench, Content::Open);
        impostor.text(&mut bench, "it is me");
        assert_eq!(bench.row("bobby").expect("open").peer.expect("a peer").key, key(1));
        let log = bench.core.find_key(&key(2)).expect("a session");
        assert_eq!(bench.core.sessions[&log].name().as_str(), "bobby_2");
        let warned = bench.notices(log);
        assert!(warned[0].starts_with("WARNING: bobby_2 comes as bobby,"), "{warned:?}");
    }
}

#[test]
fn a_caller_who_opened_nothing_holds_no_name_against_the_lobby() {
    let mut bench = Bench::new();
    Caller::new(2, "bobby").dial(&mut bench);
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    assert_eq!(bench.row("bobby").expect("open").peer.expect("a peer").key, key(1));
}

#[test]
fn a_lobby_with_another_key_is_told_nothing_until_the_person_accepts_it() {
    let hellos = |bench: &Bench| {
        bench.effects.iter().filter(|effect| matches!(effect, Effect::Lobby(_, ToLobby::Hello(_)))).count()
    };
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[]);
    let mut bench = bench.restart();
    let trust = || Call::Trust { who: SessionRef::Number(proto::ids::SessionNo::LOBBY) };
    assert_eq!(bench.refused(trust()).code, ErrorCode::Invalid);
    bench.step(Event::LobbyUp { link: 1, hosted: false, key: key(201) });
    assert_eq!(hellos(&bench), 0);
    assert!(bench.effects.iter().any(|effect| matches!(effect, Effect::LobbyClose(_))));
    bench.step(Event::LobbyDown { reason: "closed".to_owned() });
    let lobby = bench.state().daemon.expect("a row").lobby;
    let trouble = lobby.trouble.expect("is told");
    assert_eq!(lobby.state, LobbyState::Changed);
    assert!(
        trouble.contains(&fingerprint(&key(201))) && trouble.contains("chatctl trust lobby"),
        "{trouble}"
    );

    assert!(matches!(bench.call(trust()), Reply::Trusted { former: None, .. }));
    bench.lobby(key(201), &[]);
    assert_eq!(bench.state().daemon.expect("a row").lobby.state, LobbyState::Connected);
    let mut bench = bench.restart();
    bench.step(Event::LobbyUp { link: 1, hosted: false, key: LOBBY });
    assert_eq!(hellos(&bench), 0, "the former key is the strange one now");
}

#[test]
fn the_lobby_of_the_machine_changes_hands_without_a_word() {
    // Somebody once named it by its address: that does not count where nobody did.
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[]);
    bench.setup.named = false;
    let mut bench = bench.restart();
    bench.lobby(key(201), &[]);
    assert!(!bench.effects.iter().any(|effect| matches!(effect, Effect::LobbyClose(_))));
    assert_eq!(bench.state().daemon.expect("a row").lobby.state, LobbyState::Connected);
}

#[test]
fn a_known_key_is_verified_for_good_and_a_new_key_is_not() {
    let verified = || Call::Verified { name: name("Bobby") };
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    let known = bench.known("bobby").expect("is in the lobby");
    assert_eq!((known.key, known.trust), (key(1), Trust::New));
    assert_eq!(bench.refused(verified()).code, ErrorCode::NoPeer, "its key is the lobby's word only");
    assert_eq!(bench.known("carol").expect_err("nobody").code, ErrorCode::NoPeer);
    assert_eq!(bench.known("anna").expect_err("oneself").code, ErrorCode::NoPeer);

    bench.fork("bobby");
    assert_eq!(bench.call(verified()), Reply::Done);
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    assert_eq!(trust_of(&mut bench, "bobby"), Trust::Verified);
    assert_eq!(bench.row("bobby").expect("open").peer.expect("a peer").trust, Trust::Verified);

    bench.members(&[(2, "bobby")]);
    assert_eq!(bench.known("bobby").expect("pinned").key, key(1), "the code is that of the known key");
    bench.refused(Call::Fork { name: name("bobby") });
    bench.call(trust("bobby"));
    assert_eq!(trust_of(&mut bench, "bobby"), Trust::Pinned);
    assert_eq!(bench.row("bobby_2").expect("open").peer.expect("a peer").trust, Trust::Verified);
}

#[test]
fn a_newcomer_is_told_once_with_the_way_to_check() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    bench.call(Call::Leave { session: SessionRef::Peer(name("bobby")) });
    bench.fork("bobby");
    let log = bench.core.find_key(&key(1)).expect("a session");
    let told = bench.notices(log);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&fingerprint(&key(1))) && told[0].ends_with("\\verify bobby"), "{told:?}");
}

#[test]
fn the_secret_of_an_invitation_goes_to_its_own_lobby_and_only_until_it_has_opened_it() {
    let shown = |bench: &Bench| -> Vec<Option<Token>> {
        let hellos = bench.effects.iter().filter_map(|effect| match effect {
            Effect::Lobby(_, ToLobby::Hello(hello)) => Some(hello.invitation),
            _ => None,
        });
        hellos.collect()
    };
    let token = Token([7; 16]);
    let mut bench = Bench::joined(Joined { addr: "h:1".to_owned(), lobby: LOBBY, token: Some(token) });
    bench.step(Event::LobbyUp { link: 1, hosted: false, key: key(201) });
    assert_eq!(shown(&bench), [None], "another lobby, even one that was accepted");
    bench.step(Event::LobbyUp { link: 2, hosted: false, key: LOBBY });
    assert_eq!(shown(&bench), [None, Some(token)]);
    bench.lobby(LOBBY, &[]);
    bench.step(Event::LobbyUp { link: 3, hosted: false, key: LOBBY });
    assert_eq!(shown(&bench), [None, Some(token), Some(token), None], "let in: the key is enough");
}

#[test]
fn what_a_lobby_forges_is_not_shown_and_told_of_once() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    let forged = |seq: u64| RoomEntry {
        seq: LobbySeq(seq),
        from: Member { key: key(1), name: name("bobby") },
        mid: Mid([u8::try_from(seq).expect("small"); 16]),
        at: WallMs(0),
        text: Text::new("forged").expect("a text"),
        sig: Signature([0; 64]),
    };
    for seq in [1, 2, 2] {
        bench.step(Event::Forged(Box::new(forged(seq))));
    }
    let genuine = RoomEntry { text: Text::new("genuine").expect("a text"), ..forged(3) };
    bench.step(Event::Lobby(FromLobby::Entry(Box::new(genuine))));
    let notices = bench.core.store.all_notices(LogId::LOBBY).expect("notices");
    let warnings = notices.iter().filter(|text| text.contains("what the key of bobby has not signed"));
    assert_eq!(warnings.count(), 1, "{notices:?}");
    let texts = bench.core.store.all_texts(LogId::LOBBY).expect("texts");
    assert_eq!(texts, [(key(1).0.to_vec(), "genuine".to_owned())]);
}
