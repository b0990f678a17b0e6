//! A stranger who opens a session waits for the person's word.

use proto::ids::{Key, Pos};
use proto::ipc::{Call, ErrorCode, Peer, Reply, SessionRef, SessionState, Trust};
use proto::peer::{ByeCode, Content, PeerMessage};

use super::bench::{Bench, Caller, key, name};
use crate::daemon::{Accept, Effect};

const LOBBY: Key = Key([200; 32]);

fn asking() -> Bench {
    let mut bench = Bench::new();
    bench.setup.accept = Accept::Ask;
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(1, "bobby"), (3, "carol")]);
    bench
}

fn requests(bench: &mut Bench) -> Vec<Peer> {
    bench.state().daemon.expect("a row").requests
}

fn carol_asks(bench: &mut Bench) -> (Caller, u64) {
    let mut carol = Caller::new(3, "carol");
    let conn = carol.dial(bench);
    carol.entry(bench, Content::Open);
    carol.text(bench, "psst");
    (carol, conn)
}

fn hello_holds(bench: &Bench, conn: u64) -> bool {
    match bench.sent(conn)[0] {
        PeerMessage::Hello(hello) => hello.held,
        other => panic!("{other:?}"),
    }
}

fn dials(bench: &Bench) -> usize {
    bench.effects.iter().filter(|effect| matches!(effect, Effect::Dial { .. })).count()
}

#[test]
fn a_stranger_is_a_request_without_a_number_until_accepted() {
    let mut bench = asking();
    let (version, _) = bench.changes(0);
    let (_, conn) = carol_asks(&mut bench);
    let (_, news) = bench.changes(version);
    assert_eq!(news.daemon.expect("who watches is told").requests.len(), 1);
    assert!(hello_holds(&bench, conn), "the stranger is told that it waits");
    assert_eq!(bench.row("carol"), None);
    let asked = requests(&mut bench);
    assert_eq!((asked.len(), asked[0].name.as_str(), asked[0].trust), (1, "carol", Trust::New));
    let Reply::Error(error) = bench.send("carol", "who are you?") else { panic!("sent") };
    assert!(error.message.contains("\\accept carol"), "{error}");

    let accepted = bench.call(Call::Accept { name: name("Carol") });
    let row = bench.row("carol").expect("has a number");
    assert_eq!(accepted, Reply::Forked { session: row.session });
    assert_eq!((row.state, row.unread), (SessionState::Connected, 1));
    assert_eq!(row.peer.expect("a peer").trust, Trust::Pinned);
    assert!(bench.sent(conn).contains(&&PeerMessage::Accepted));
    assert!(requests(&mut bench).is_empty());
    assert_eq!(bench.refused(Call::Accept { name: name("carol") }).code, ErrorCode::NoPeer);
}

#[test]
fn a_request_survives_a_restart_and_a_quit_and_nobody_calls_back() {
    let mut bench = asking();
    carol_asks(&mut bench);
    bench.call(Call::Quit);
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(3, "carol")]);
    assert_eq!(requests(&mut bench).len(), 1);
    assert_eq!(dials(&bench), 0, "a stranger is not shown where we are");
    bench.call(Call::Accept { name: name("carol") });
    assert_eq!(bench.row("carol").expect("has a number").unread, 1);
    bench.now += std::time::Duration::from_secs(10);
    bench.state();
    assert_eq!(dials(&bench), 1, "somebody accepted is called");
}

#[test]
fn the_known_pass_and_so_does_whom_the_person_calls() {
    let mut bench = asking();
    bench.fork("bobby");
    bench.call(Call::Leave { session: SessionRef::Peer(name("bobby")) });
    let mut bobby = Caller::new(1, "bobby");
    let conn = bobby.dial(&mut bench);
    bobby.entry(&mut bench, Content::Open);
    assert!(!hello_holds(&bench, conn) && bench.row("bobby").is_some());

    let (_, conn) = carol_asks(&mut bench);
    let session = bench.fork("carol");
    assert_eq!(bench.row("carol").expect("accepted").session, session);
    assert!(bench.sent(conn).contains(&&PeerMessage::Accepted));
}

#[test]
fn a_fork_means_the_one_in_the_lobby_not_a_stranger_of_the_same_name() {
    let mut bench = asking();
    bench.members(&[]);
    carol_asks(&mut bench);
    bench.members(&[(4, "carol")]);
    bench.fork("carol");
    assert_eq!(bench.row("carol").expect("open").peer.expect("a peer").key, key(4));
    assert_eq!(requests(&mut bench)[0].name.as_str(), "carol_2");
}

#[test]
fn who_is_declined_learns_it_and_takes_no_number() {
    let mut bench = asking();
    let (mut carol, conn) = carol_asks(&mut bench);
    assert_eq!(bench.call(Call::Decline { name: name("carol") }), Reply::Done);
    let ended =
        |message: &&PeerMessage| matches!(message, PeerMessage::Data { content: Content::Close { .. }, .. });
    assert!(bench.sent(conn).iter().any(ended));
    assert!(requests(&mut bench).is_empty() && bench.row("carol").is_none());
    carol.entry(&mut bench, Content::Open);
    assert_eq!(requests(&mut bench).len(), 1, "asking again is allowed");
    carol.entry(&mut bench, Content::Close { seen: Pos(1) });
    assert!(requests(&mut bench).is_empty(), "who leaves asks no more");
    carol.entry(&mut bench, Content::Open);
    bench.call(Call::Accept { name: name("carol") });
    assert_eq!(bench.row("carol").expect("open").unread, 0, "what was declined is not news");
}

#[test]
fn what_is_held_of_a_stranger_has_a_bound_also_over_a_restart() {
    let mut bench = asking();
    let (mut carol, conn) = carol_asks(&mut bench);
    for _ in 2..32 {
        carol.text(&mut bench, "more");
    }
    assert_eq!(bench.bye(conn), None);
    let mut bench = bench.restart();
    let conn = carol.dial(&mut bench);
    let (at, chain) = carol.place();
    carol.text(&mut bench, "one too many");
    assert_eq!(bench.bye(conn), Some(ByeCode::Busy));
    carol.back_to(at, chain);
    let conn = carol.dial(&mut bench);
    carol.entry(&mut bench, Content::Close { seen: Pos::START });
    assert_eq!((bench.bye(conn), requests(&mut bench).len()), (None, 0), "leaving is always heard");
}

#[test]
fn long_texts_of_a_stranger_are_counted_in_bytes() {
    let mut bench = asking();
    let (mut carol, conn) = carol_asks(&mut bench);
    carol.text(&mut bench, &"x".repeat(40_000));
    assert_eq!(bench.bye(conn), None);
    carol.text(&mut bench, &"x".repeat(40_000));
    assert_eq!(bench.bye(conn), Some(ByeCode::Busy));
}

#[test]
fn a_hundred_strangers_can_wait() {
    let mut bench = asking();
    for id in 10..110 {
        let mut stranger = Caller::new(id, &format!("s{id}"));
        stranger.dial(&mut bench);
        stranger.entry(&mut bench, Content::Open);
    }
    assert_eq!(requests(&mut bench).len(), 100);
    let conn = Caller::new(110, "late").dial(&mut bench);
    assert_eq!(bench.bye(conn), Some(ByeCode::Busy));
    let conn = Caller::new(10, "s10").dial(&mut bench);
    assert_eq!(bench.bye(conn), None, "who waits may come back");
}

#[test]
fn who_is_blocked_is_refused_until_unblocked() {
    let mut bench = asking();
    let (mut carol, conn) = carol_asks(&mut bench);
    assert_eq!(bench.call(Call::Block { name: name("carol") }), Reply::Done);
    assert_eq!(bench.bye(conn), Some(ByeCode::Refused));
    assert!(requests(&mut bench).is_empty());
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(3, "carol")]);
    let conn = carol.dial(&mut bench);
    assert_eq!((bench.bye(conn), dials(&bench)), (Some(ByeCode::Refused), 0));
    let error = bench.refused(Call::Fork { name: name("carol") });
    assert!(error.message.contains("\\unblock carol"), "{error}");

    let error = bench.refused(Call::Unblock { name: name("dave") });
    assert!(error.message.ends_with("blocked: carol"), "{error}");
    bench.call(Call::Unblock { name: name("carol") });
    let conn = carol.dial(&mut bench);
    assert_eq!(bench.bye(conn), None);
}

#[test]
fn an_open_session_ends_with_a_block_and_the_other_side_is_not_called() {
    let mut bench = asking();
    bench.fork("bobby");
    let conn = Caller::new(1, "bobby").dial(&mut bench);
    bench.call(Call::Block { name: name("bobby") });
    assert_eq!((bench.bye(conn), bench.row("bobby")), (Some(ByeCode::Refused), None));
    let before = dials(&bench);
    for _ in 0..3 {
        // The lobby is asked first, and gets its time to answer.
        bench.now += std::time::Duration::from_secs(100);
        bench.state();
    }
    assert_eq!(dials(&bench), before);
}

#[test]
fn only_the_known_are_taken_where_that_was_said() {
    let mut bench = asking();
    bench.fork("bobby");
    bench.setup.accept = Accept::Known;
    let mut bench = bench.restart();
    let bobby = Caller::new(1, "bobby").dial(&mut bench);
    let carol = Caller::new(3, "carol").dial(&mut bench);
    assert_eq!((bench.bye(bobby), bench.bye(carol)), (None, Some(ByeCode::Refused)));
}

#[test]
fn whoever_waits_under_a_known_name_is_marked() {
    let mut bench = asking();
    bench.fork("bobby");
    let mut impostor = Caller::new(4, "bobby");
    impostor.dial(&mut bench);
    impostor.entry(&mut bench, Content::Open);
    let asked = requests(&mut bench);
    assert_eq!((asked[0].name.as_str(), asked[0].trust), ("bobby_2", Trust::Changed));
}

#[test]
fn who_opens_a_session_sees_that_the_other_person_is_asked() {
    let mut bench = asking();
    bench.fork("bobby");
    let mut bobby = Caller::new(1, "bobby");
    bobby.held = true;
    bobby.dial(&mut bench);
    let row = bench.row("bobby").expect("open");
    assert_eq!(row.state, SessionState::Waiting);
    assert_eq!(row.trouble.as_deref(), Some("waits for bobby to accept"));
    bobby.say(&mut bench, PeerMessage::Accepted);
    let row = bench.row("bobby").expect("open");
    assert_eq!((row.state, row.trouble), (SessionState::Connected, None));
}

#[test]
fn a_stranger_whose_name_looks_like_a_known_one_is_marked_and_told_of_before_its_first_word() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby")]);
    bench.fork("bobby");
    bench.call(Call::Leave { session: SessionRef::Peer(name("bobby")) });
    bench.setup.accept = Accept::Ask;
    let mut bench = bench.restart();
    // Nobody of that name is there, and no session is open with the one who is known.
    bench.lobby(LOBBY, &[]);
    let mut eve = Caller::new(4, "bоbby");
    eve.dial(&mut bench);
    eve.entry(&mut bench, Content::Open);
    eve.text(&mut bench, "it is me");
    let asked = requests(&mut bench);
    assert_eq!((asked.len(), asked[0].lookalike.clone()), (1, Some(name("bobby"))));
    let log = crate::store::LogId(2);
    let told = bench.notices(log);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("easily taken for bobby") && told[1].contains("is new to you"), "{told:?}");
    bench.call(Call::Accept { name: name("bоbby") });
    assert_eq!(bench.notices(log), told, "once");
    // The mark stands beside the newcomer, not beside the one who was known first.
    let mut bobby = Caller::new(1, "bobby");
    bobby.dial(&mut bench);
    bobby.entry(&mut bench, Content::Open);
    assert_eq!(bench.notices(crate::store::LogId(1)).len(), 1);
}

#[test]
fn whom_the_person_forgets_is_somebody_new() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby"), (3, "carol")]);
    let (mut bobby, forget) = (Caller::new(1, "bobby"), || Call::Forget { name: name("Bobby") });
    bobby.dial(&mut bench);
    bobby.entry(&mut bench, Content::Open);
    bobby.text(&mut bench, "remember me");
    bench.known("bobby").expect("a code");
    assert_eq!(bench.call(Call::Verified { name: name("bobby") }), Reply::Done);
    assert_eq!(bench.refused(forget()).code, ErrorCode::Invalid, "it is open");
    bench.call(Call::Leave { session: SessionRef::Peer(name("bobby")) });
    assert_eq!(bench.call(forget()), Reply::Done);
    assert_eq!(bench.refused(forget()).code, ErrorCode::NoPeer);
    let mut bench = bench.restart();
    bench.lobby(LOBBY, &[(2, "bobby")]);
    let trust = bench.users().into_iter().find(|user| user.name.as_str() == "bobby").map(|user| user.trust);
    assert_eq!(trust, Some(Trust::New), "another key may have the name now");
    bench.fork("bobby");
    assert_eq!(bench.row("bobby").expect("a row").peer.expect("a peer").key, key(2));
    // Whom one has forgotten can still be heard again.
    bobby.dial(&mut bench);
    assert_eq!(bench.refused(Call::Forget { name: name("nobody") }).code, ErrorCode::NoPeer);
}

#[test]
fn the_blocked_are_listed_page_by_page() {
    let mut bench = Bench::new();
    bench.lobby(LOBBY, &[(1, "bobby"), (3, "carol")]);
    for who in ["carol", "bobby"] {
        bench.call(Call::Block { name: name(who) });
    }
    let names = |reply| match reply {
        Reply::Peers { peers, more } => {
            (peers.into_iter().map(|peer| peer.name.to_string()).collect::<Vec<_>>(), more)
        }
        other => panic!("{other:?}"),
    };
    let first = names(bench.call(Call::Blocks { after: None }));
    assert_eq!(first, (vec!["bobby".to_owned(), "carol".to_owned()], false));
    assert_eq!(names(bench.call(Call::Blocks { after: Some(key(1)) })).0, ["carol"]);
}
