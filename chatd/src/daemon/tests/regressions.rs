//! Ways around a pin or a block that were open once.

use proto::ids::{Key, LobbySeq, Mid, Signature, WallMs};
use proto::ipc::{Call, ErrorCode, LobbyState, Reply};
use proto::lobby::{Contact, FromLobby, Member, RoomEntry, ToLobby};
use proto::text::Text;
use tokio::sync::oneshot;

use super::bench::{Bench, key, name};
use crate::daemon::{Effect, Event};
use crate::peer::ConnId;
use crate::store::LogId;

const LOBBY: Key = Key([200; 32]);

/// The number of the last lookup.
fn looked_up(bench: &Bench) -> u64 {
    let request = |effect: &Effect| match effect {
        Effect::Lobby(_, ToLobby::Lookup { request, .. }) => Some(*request),
        _ => None,
    };
    bench.effects.iter().rev().find_map(request).expect("a lookup")
}

#[test]
fn regression_a_lobby_cannot_answer_a_fork_with_somebody_of_another_name() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[]);
    let (reply, mut answer) = oneshot::channel();
    bench.step(Event::Call(Call::Fork { name: name("bobby") }, reply));
    let member = Member { key: key(2), name: name("mallory") };
    let contact = Some(Contact { member, addrs: vec!["127.0.0.1:1".parse().expect("address")] });
    let request = looked_up(&bench);
    bench.step(Event::Lobby(FromLobby::Found { request, contact }));
    let Ok(Reply::Error(error)) = answer.try_recv() else { panic!("forked with somebody else") };
    assert_eq!(error.code, ErrorCode::NoPeer);
    assert!(bench.core.find_key(&key(2)).is_none());
}

#[test]
fn regression_what_a_strange_lobby_says_is_not_heard() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    let mut bench = bench.restart();
    bench.lobby(key(201), &[(2, "mallory")]);
    let entry = RoomEntry {
        seq: LobbySeq(1),
        from: Member { key: key(1), name: name("bobby") },
        mid: Mid([1; 16]),
        at: WallMs(0),
        text: Text::new("forged").expect("a text"),
        sig: Signature([0; 64]),
    };
    bench.step(Event::Lobby(FromLobby::Entry(Box::new(entry))));
    assert_eq!(bench.state().daemon.expect("a row").lobby.state, LobbyState::Changed);
    assert!(bench.core.store.all_texts(LogId::LOBBY).expect("texts").is_empty());
}

#[test]
fn regression_a_dial_that_was_under_way_ends_with_the_block() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    let request = looked_up(&bench);
    let log = bench.core.find_key(&key(1)).expect("a session");
    assert!(matches!(bench.call(Call::Block { name: name("bobby") }), Reply::Done));
    let addr = "127.0.0.1:1".parse().expect("address");
    let member = Member { key: key(1), name: name("bobby") };
    bench.step(Event::Lobby(FromLobby::Found {
        request,
        contact: Some(Contact { member, addrs: vec![addr] }),
    }));
    assert!(!bench.effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "nobody is dialled");
    bench.step(Event::PeerDialed { log, dial_no: 1, conn: ConnId(7), addr });
    assert!(bench.sent(7).is_empty(), "not even a hello");
    assert!(bench.effects.iter().any(|effect| matches!(effect, Effect::PeerClose(ConnId(7)))));
}

#[test]
fn regression_only_a_key_whose_code_was_shown_can_be_declared_the_same() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.known("bobby").expect("the lobby's word");
    bench.members(&[(2, "bobby")]);
    bench.fork("bobby");
    let verified = || Call::Verified { name: name("bobby") };
    assert_eq!(
        bench.refused(verified()).code,
        ErrorCode::Invalid,
        "another key than the one that was compared"
    );
    bench.known("bobby").expect("pinned");
    assert!(matches!(bench.call(verified()), Reply::Done));
}
