//! A stranger who wants to reach us by the lobby waits at the door for the person's word.

use std::time::Duration;

use proto::ids::{Key, SessionNo};
use proto::ipc::{Call, Reply, SessionState};
use proto::lobby::{Contact, FromLobby, Member, ToLobby};
use proto::peer::Content;
use tokio::sync::oneshot;

use super::bench::{Bench, Caller, key, name};
use crate::daemon::{Accept, Effect, Event};
use crate::peer::ConnId;

const LOBBY: Key = Key([200; 32]);

fn wanted(bench: &mut Bench, id: u8, who: &str) {
    bench.step(Event::Lobby(FromLobby::Wanted { by: Member { key: key(id), name: name(who) } }));
}

/// What was said to the lobby about reaching people, newest last.
fn answers(bench: &Bench) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Lobby(_, ToLobby::Reach { key }) => Some(format!("reach {}", key.0[0])),
        Effect::Lobby(_, ToLobby::Decline { key }) => Some(format!("decline {}", key.0[0])),
        _ => None,
    };
    bench.effects.iter().filter_map(word).collect()
}

#[test]
fn a_stranger_who_knocks_learns_where_we_are_only_after_the_persons_word() {
    let mut bench = Bench::accepting(Accept::Ask);
    bench.lobby(LOBBY, &[(1, "eve")]);
    wanted(&mut bench, 1, "eve");
    assert_eq!(answers(&bench), [] as [String; 0]);
    let requests = bench.state().daemon.expect("a row").requests;
    assert_eq!(requests.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(), ["eve"]);

    let (reply, mut answer) = oneshot::channel();
    bench.step(Event::Call(Call::Accept { name: name("eve") }, reply));
    assert_eq!(answers(&bench), ["reach 1"]);
    assert!(answer.try_recv().is_err(), "the session opens when eve comes");
    let mut eve = Caller::new(1, "eve");
    eve.dial(&mut bench);
    eve.entry(&mut bench, Content::Open);
    assert_eq!(answer.try_recv(), Ok(Reply::Forked { session: SessionNo(1) }));
    let state = bench.state();
    assert!(state.daemon.expect("a row").requests.is_empty());
    assert_eq!(bench.row("eve").expect("open").state, SessionState::Connected);
}

#[test]
fn whoever_is_declined_at_the_door_hears_it_and_whoever_is_blocked_always() {
    let mut bench = Bench::accepting(Accept::Ask);
    bench.lobby(LOBBY, &[(1, "eve"), (2, "mallory")]);
    wanted(&mut bench, 1, "eve");
    assert!(matches!(bench.call(Call::Decline { name: name("eve") }), Reply::Done));
    assert_eq!(answers(&bench), ["decline 1"]);
    wanted(&mut bench, 2, "mallory");
    assert!(matches!(bench.call(Call::Block { name: name("mallory") }), Reply::Done));
    wanted(&mut bench, 2, "mallory");
    assert_eq!(answers(&bench), ["decline 1", "decline 2", "decline 2"]);
    assert!(bench.state().daemon.expect("a row").requests.is_empty());
}

#[test]
fn known_people_pass_and_with_anyone_everybody_does() {
    for (accept, stranger) in [(Accept::Anyone, "reach 2"), (Accept::Known, "decline 2")] {
        let mut bench = Bench::accepting(accept);
        bench.lobby(LOBBY, &[(1, "bobby"), (2, "eve")]);
        bench.fork("bobby");
        wanted(&mut bench, 1, "bobby");
        wanted(&mut bench, 2, "eve");
        assert_eq!(answers(&bench), ["reach 1", "reach 1", stranger], "the first is our own dial");
    }
}

#[test]
fn strangers_at_the_door_are_bounded_and_forgotten_in_time() {
    let mut bench = Bench::accepting(Accept::Ask);
    bench.lobby(LOBBY, &[]);
    for id in 1..=150 {
        wanted(&mut bench, id, &format!("n{id}"));
    }
    assert_eq!(bench.state().daemon.expect("a row").requests.len(), 100);
    bench.now += Duration::from_mins(6);
    assert!(bench.core.deadline().is_some_and(|at| at < bench.now));
    bench.state(); // the step that is due
    assert!(bench.state().daemon.expect("a row").requests.is_empty());
}

#[test]
fn a_lobby_cannot_end_a_session_by_saying_that_the_peer_declines() {
    let mut bench = Bench::accepting(Accept::Anyone);
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    let addr = "127.0.0.1:1".parse().expect("address");
    bench.step(Event::Lobby(FromLobby::Contact(Contact { key: key(1), addrs: vec![addr] })));
    let log = bench.core.find_key(&key(1)).expect("a session");
    bench.step(Event::PeerDialed { log, dial_no: 1, conn: ConnId(7), addr });
    bench.step(Event::PeerLost(ConnId(7)));
    bench.step(Event::Lobby(FromLobby::Declined { by: key(1) }));
    assert!(bench.core.sessions[&log].deadline().is_some(), "is dialled again where it was");
}

#[test]
fn regression_a_no_from_the_lobby_while_a_known_peer_is_dialled_does_not_end_the_dialling() {
    let mut bench = Bench::accepting(Accept::Anyone);
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    let addr = "127.0.0.1:1".parse().expect("address");
    bench.step(Event::Lobby(FromLobby::Contact(Contact { key: key(1), addrs: vec![addr] })));
    let log = bench.core.find_key(&key(1)).expect("a session");
    bench.step(Event::PeerDialed { log, dial_no: 1, conn: ConnId(7), addr });
    bench.step(Event::PeerLost(ConnId(7)));
    bench.now = bench.core.deadline().expect("the next dial");
    bench.state(); // the step that is due asks the lobby
    assert_eq!(answers(&bench), ["reach 1", "reach 1"]);
    bench.step(Event::Lobby(FromLobby::Declined { by: key(1) }));
    let dialled =
        |effect: &Effect| matches!(effect, Effect::Dial { dial_no: 2, addrs, .. } if *addrs == [addr]);
    assert!(bench.effects.iter().any(dialled), "where it was reached before");
}

#[test]
fn regression_whom_the_person_forks_with_knocks_no_more() {
    let mut bench = Bench::accepting(Accept::Ask);
    bench.lobby(LOBBY, &[(1, "eve")]);
    wanted(&mut bench, 1, "eve");
    bench.fork("eve");
    assert!(bench.state().daemon.expect("a row").requests.is_empty());
}
