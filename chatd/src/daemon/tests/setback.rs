//! A full disk: memory is what is on it, everybody who waited is told, and all goes on when there is room.

use std::time::Duration;

use proto::ids::{Key, Seq};
use proto::ipc::{Call, ErrorCode, LobbyState, Reader, Reply, SessionRef};
use proto::peer::{ByeCode, PeerMessage};

use super::bench::{Bench, Caller, key, load, name};
use crate::daemon::{Core, Effect};

const LOBBY: Key = Key([200; 32]);

/// All that comes from the disk.
fn state_of(core: &Core) -> String {
    let pins = [1, 3].map(|id| core.pins.get(&key(id)));
    let state = format!("{:?} {:?} {pins:?}", core.sessions, core.room.log);
    // Whether clients were told of it is no matter of the disk.
    state.replace("changed: false", "changed: true")
}

/// What the person and a peer do. Each answer is looked at by `answered`.
fn live(bench: &mut Bench, mut answered: impl FnMut(&mut Bench, Reply)) {
    let bobby = || SessionRef::Peer(name("bobby"));
    let mut carol = Caller::new(3, "carol");
    bench.lobby(LOBBY, &[(1, "bobby"), (3, "carol")]);
    let reply = bench.call(Call::Fork { name: name("bobby") });
    answered(bench, reply);
    for text in ["one", "two"] {
        let reply = bench.send("bobby", text);
        answered(bench, reply);
    }
    carol.dial(bench);
    carol.entry(bench, proto::peer::Content::Open);
    carol.text(bench, "hello");
    let seq = Seq(u64::MAX);
    let carol = SessionRef::Peer(name("carol"));
    for call in [
        Call::Mark { reader: Reader::Person, session: carol, seq },
        Call::Block { name: name("carol") },
        Call::Leave { session: bobby() },
    ] {
        let reply = bench.call(call);
        answered(bench, reply);
    }
}

#[test]
fn wherever_a_write_fails_memory_is_what_is_on_the_disk_and_whoever_waited_is_told() {
    let mut failures = 0;
    for room in 0.. {
        let mut bench = Bench::new();
        bench.core.store.room = Some(room);
        let (mut refused, mut done) = (0, 0);
        live(&mut bench, |bench, reply| {
            match &reply {
                Reply::Error(error) if error.message.contains("the disk of your daemon is full") => {
                    refused += 1;
                }
                _ => done += 1,
            }
            if bench.core.pauses() {
                let disk = load(&bench.setup, bench.core.store.copy().expect("a copy"));
                assert_eq!(state_of(&bench.core), state_of(&disk), "room for {room}");
            }
        });
        assert_eq!(refused + done, 6, "room for {room}: every call is answered");
        if !bench.core.pauses() {
            break;
        }
        failures += 1;
        // No room yet, then some.
        bench.now += Duration::from_secs(5);
        bench.commit();
        assert!(bench.core.pauses());
        bench.core.store.room = None;
        bench.now += Duration::from_secs(5);
        bench.commit();
        assert!(!bench.core.pauses());
        live(&mut bench, |_, reply| {
            let words = if let Reply::Error(error) = reply { error.message } else { String::new() };
            assert!(!words.contains("full"), "room for {room}: {words}");
        });
    }
    assert!(failures > 30, "only {failures} writes");
}

#[test]
fn while_the_disk_is_full_nothing_comes_in_and_what_is_there_is_read() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    let mut bobby = Caller::new(1, "bobby");
    let conn = bobby.dial(&mut bench);
    let sent = bench.send("bobby", "kept");
    bench.core.store.room = Some(0);
    let Reply::Error(error) = bench.send("bobby", "lost") else { panic!("sent") };
    assert_eq!((error.code, error.message.starts_with("not sent: ")), (ErrorCode::Busy, true), "{error:?}");
    assert_eq!(bench.bye(conn), Some(ByeCode::Busy));
    assert!(bench.sent(conn).contains(&&PeerMessage::Bye { code: ByeCode::Busy, retry_after_ms: 30_000 }));
    assert!(bench.effects.iter().any(|effect| matches!(effect, Effect::LobbyClose(_))));
    let state = bench.state();
    let lobby = state.daemon.expect("a row").lobby;
    assert_eq!(lobby.state, LobbyState::Reconnecting);
    assert!(lobby.trouble.expect("words").contains("full"));
    let Reply::Sent { seq, .. } = sent else { panic!("not sent: {sent:?}") };
    assert_eq!(bench.row("bobby").expect("a row").head, seq);
    // The same message again has the same place.
    assert_eq!(bench.repeat("bobby", 1), sent);
    let conn = bobby.dial(&mut bench);
    assert_eq!(bench.bye(conn), Some(ByeCode::Busy));
    assert!(bench.refused(Call::Quit).message.starts_with("not done: "));
    bench.core.store.room = None;
    bench.now += Duration::from_secs(5);
    bench.commit();
    assert!(bench.effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "it calls by itself");
    let Reply::Sent { seq: next, .. } = bench.send("bobby", "room again") else { panic!("not sent") };
    assert_eq!(next, seq.next());
}
