//! The place in each lobby's log, and what a lobby has lost.

use std::time::Duration;

use proto::ids::{Generation, Key, LobbySeq, Mid, SessionNo, Signature, WallMs};
use proto::ipc::{Call, SessionRef};
use proto::lobby::{FromLobby, Member, RoomCursor, RoomEntry, ToLobby};
use proto::text::Text;

use super::bench::{Bench, ME, key, name};
use crate::daemon::{Effect, Event};
use crate::store::LogId;

const LOBBY: Key = Key([200; 32]);
const LOG: Generation = Generation([1; 16]);

fn mid(id: u8) -> Mid {
    Mid([id; 16])
}

/// Somebody's entry, told by its mid.
fn entry(bench: &mut Bench, seq: u64, from: Key, id: u8) {
    bench.step(Event::Lobby(FromLobby::Entry(Box::new(RoomEntry {
        seq: LobbySeq(seq),
        from: Member { key: from, name: name("somebody") },
        mid: mid(id),
        at: WallMs(0),
        text: Text::new(format!("text {id}")).expect("a text"),
        sig: Signature([0; 64]),
    }))));
}

fn say(bench: &mut Bench, id: u8) {
    let text = Text::new(format!("text {id}")).expect("a text");
    bench.call(Call::Send { session: SessionRef::Number(SessionNo::LOBBY), mid: mid(id), text, draft: None });
}

/// Says something that then stands in the lobby's log.
fn publish(bench: &mut Bench, seq: u64, id: u8) {
    say(bench, id);
    bench.step(Event::Lobby(FromLobby::Published { mid: mid(id), seq: LobbySeq(seq) }));
    entry(bench, seq, ME, id);
}

/// What was put on the link since it stands.
fn posts(bench: &Bench) -> Vec<u8> {
    let said = bench.effects.iter().rev().map_while(|effect| match effect {
        Effect::Lobby(_, ToLobby::Hello(_)) => None,
        Effect::Post(_, post) => Some(Some(post.mid.0[0])),
        _ => Some(None),
    });
    let mut posts: Vec<u8> = said.flatten().collect();
    posts.reverse();
    posts
}

fn texts(bench: &Bench) -> Vec<String> {
    let texts = bench.core.store.all_texts(LogId::LOBBY).expect("texts");
    texts.into_iter().map(|(_, text)| text).collect()
}

fn place(seq: u64, id: u8) -> RoomCursor {
    RoomCursor { generation: LOG, seq: LobbySeq(seq), mid: Some(mid(id)) }
}

fn lost_link(bench: &mut Bench) {
    bench.step(Event::LobbyDown { reason: "gone".to_owned() });
}

#[test]
fn each_lobby_has_its_place_by_its_key() {
    let mut bench = Bench::at_home();
    assert_eq!(bench.welcome(LOBBY, LOG, 3), None, "a newcomer");
    entry(&mut bench, 4, key(1), 4);
    // Another one that nobody here was in: it is told that we are no newcomer.
    let other = Generation([2; 16]);
    assert_eq!(bench.welcome(key(201), other, 9), Some(place(4, 4)));
    bench.step(Event::Lobby(FromLobby::Gap { next: LobbySeq(8) }));
    assert_eq!(bench.notices(LogId::LOBBY), [""; 0], "what was said there before is no loss");
    entry(&mut bench, 8, key(1), 8);
    let mut bench = bench.restart();
    assert_eq!(bench.welcome(LOBBY, LOG, 4), Some(place(4, 4)));
    let there = RoomCursor { generation: other, ..place(8, 8) };
    assert_eq!(bench.welcome(key(201), other, 9), Some(there));
}

#[test]
fn a_lobby_that_somebody_chose_and_that_is_new_is_entered_as_a_newcomer() {
    let mut bench = Bench::new();
    bench.welcome(LOBBY, LOG, 3);
    entry(&mut bench, 4, key(1), 4);
    bench.setup.lobby = "another.example.org:1".to_owned();
    let mut bench = bench.restart();
    assert_eq!(bench.welcome(key(201), LOG, 9), None);
}

#[test]
fn the_ninth_lobby_pushes_out_the_first() {
    let mut bench = Bench::at_home();
    for lobby in 1..=9 {
        bench.welcome(key(lobby), LOG, 3);
        entry(&mut bench, 4, key(99), lobby);
    }
    assert_eq!(bench.welcome(key(2), LOG, 4), Some(place(4, 2)));
    assert_eq!(bench.welcome(key(1), LOG, 4), Some(place(4, 2)), "forgotten: the place in the last one");
}

#[test]
fn the_place_of_an_older_version_of_the_program_is_taken_up() {
    let mut bench = Bench::new();
    let old = format!(r#"{{"generation":"{LOG}","seq":7}}"#);
    bench.core.store.set_meta("room", &old).expect("set");
    let mut bench = bench.restart();
    assert_eq!(
        bench.welcome(LOBBY, LOG, 7),
        Some(RoomCursor { generation: LOG, seq: LobbySeq(7), mid: None })
    );
}

#[test]
fn what_a_restored_lobby_has_lost_is_published_again_once_it_was_read() {
    let mut bench = Bench::new();
    bench.welcome(LOBBY, LOG, 0);
    entry(&mut bench, 1, key(1), 1);
    publish(&mut bench, 2, 2);
    publish(&mut bench, 3, 3);
    publish(&mut bench, 4, 4);
    let before = texts(&bench);
    lost_link(&mut bench);
    say(&mut bench, 5);
    assert_eq!(bench.welcome(LOBBY, LOG, 2), Some(place(4, 4)), "its log ends at 2 now");
    assert_eq!(posts(&bench), [5], "what was lost is not known yet");
    entry(&mut bench, 1, key(1), 1);
    // A crash in the middle of it.
    let mut bench = bench.restart();
    assert_eq!(bench.welcome(LOBBY, LOG, 2), Some(place(1, 1)));
    assert_eq!(posts(&bench), [5]);
    entry(&mut bench, 2, ME, 2);
    assert_eq!(posts(&bench), [5, 3, 4], "not 2, which came");
    for (seq, id) in [(3, 5), (4, 3), (5, 4)] {
        bench.step(Event::Lobby(FromLobby::Published { mid: mid(id), seq: LobbySeq(seq) }));
        entry(&mut bench, seq, ME, id);
    }
    assert_eq!(texts(&bench), [before, vec!["text 5".to_owned()]].concat(), "nothing twice");
    lost_link(&mut bench);
    assert_eq!(bench.welcome(LOBBY, LOG, 5), Some(place(5, 4)));
    assert_eq!(posts(&bench), [0; 0]);
}

#[test]
fn a_log_that_went_another_way_is_noticed_by_what_comes() {
    let mut bench = Bench::new();
    bench.welcome(LOBBY, LOG, 0);
    for id in 1..=4 {
        publish(&mut bench, u64::from(id), id);
    }
    lost_link(&mut bench);
    bench.welcome(LOBBY, LOG, 4);
    // The lobby deleted the first one, and had others say the last two.
    bench.step(Event::Lobby(FromLobby::Gap { next: LobbySeq(2) }));
    entry(&mut bench, 2, ME, 2);
    entry(&mut bench, 3, key(1), 33);
    assert_eq!(posts(&bench), [0; 0]);
    entry(&mut bench, 4, key(1), 44);
    assert_eq!(posts(&bench), [3, 4], "not 1, which was deleted");
    assert_eq!(bench.notices(LogId::LOBBY), [""; 0], "all of it was read once");
}

#[test]
fn another_log_gets_nothing_again_and_a_gap_in_ones_own_is_told() {
    let mut bench = Bench::new();
    bench.welcome(LOBBY, LOG, 0);
    publish(&mut bench, 1, 1);
    lost_link(&mut bench);
    bench.welcome(LOBBY, Generation([2; 16]), 0);
    assert_eq!(posts(&bench), [0; 0]);
    entry(&mut bench, 1, key(1), 9);
    lost_link(&mut bench);
    bench.welcome(LOBBY, Generation([2; 16]), 20);
    bench.step(Event::Lobby(FromLobby::Gap { next: LobbySeq(11) }));
    assert_eq!(bench.notices(LogId::LOBBY), ["The lobby no longer holds all that was said meanwhile"]);
}

#[test]
fn after_restarts_of_the_lobby_who_is_back_in_time_never_left_and_who_is_not_left_once() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby"), (2, "carol"), (3, "dave")]);
    lost_link(&mut bench);
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.now += Duration::from_secs(25);
    lost_link(&mut bench);
    bench.now += Duration::from_secs(25);
    bench.step(Event::Attached); // anything: the clock is looked at
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.now += Duration::from_secs(29);
    bench.members(&[(1, "bobby"), (2, "carol")]);
    assert_eq!(bench.moves(), ["left"; 0]);
    bench.now += Duration::from_secs(31);
    bench.step(Event::Attached);
    bench.now += Duration::from_secs(31);
    bench.step(Event::Attached);
    assert_eq!(bench.moves(), ["left dave"]);
}
