//! Whatever happens to the link, the sessions and the active session: nothing is printed twice, nothing is left out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::ids::{Seq, SessionNo};
use proto::ipc::{Changes, Entry, EntryKind, Mode, Path, SessionRef, SessionRow, SessionState};

use super::follow::Follow;
use super::step::{PageAsk, Step};
use super::testing::{daemon_row, entry, lobby_row, peer_row};
use crate::render::Style;

/// A daemon with the lobby and two peers; what it says is delivered when the test wants it.
struct Bench {
    rows: BTreeMap<u32, SessionRow>,
    logs: BTreeMap<u32, Vec<Entry>>,
    follow: Follow,
    asked: Vec<PageAsk>,
    printed: Vec<String>,
    /// What has to be printed once, in each session in this order.
    expected: BTreeMap<u32, Vec<String>>,
}

impl Bench {
    fn new() -> Self {
        let rows = [lobby_row(), peer_row(1, "bobby", Mode::A), peer_row(2, "carol", Mode::B)];
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.session.0, row)).collect();
        let logs = rows.keys().map(|number| (*number, Vec::new())).collect();
        let follow = Follow::new(Style::plain(), None);
        let mut bench =
            Self { rows, logs, follow, asked: Vec::new(), printed: Vec::new(), expected: BTreeMap::new() };
        bench.deliver();
        bench
    }

    fn do_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Print(line) => self.printed.push(line),
                Step::Read(ask) => self.asked.push(ask),
                Step::Mark(SessionRef::Number(number), seq) => {
                    let row = self.rows.get_mut(&number.0).expect("the session");
                    row.read = row.read.max(seq);
                    row.unread = if row.read == row.head { 0 } else { row.unread };
                    let mut steps = Vec::new();
                    self.follow.marked(&mut steps);
                    self.do_steps(steps);
                }
                Step::Mark(..) | Step::WhoLeft(_) => {}
            }
        }
    }

    /// Somebody says something; `typed`: it was typed on this very screen.
    fn say(&mut self, number: u32, who: &str, typed: bool) {
        let log = self.logs.get_mut(&number).expect("the log");
        let seq = log.len() as u64 + 1;
        let text = format!("{number}.{seq}");
        let mut said = entry(seq, EntryKind::Text, who, &text);
        said.mid.0[15] = u8::try_from(number).expect("a small number");
        if typed {
            self.follow.typed(said.mid);
        } else {
            self.expected.entry(number).or_default().push(text);
        }
        log.push(said);
        let row = self.rows.get_mut(&number).expect("the session");
        row.head = Seq(seq);
        row.unread += 1;
    }

    fn deliver(&mut self) {
        let changes = Changes {
            daemon: Some(daemon_row("anna")),
            sessions: self.rows.values().cloned().collect(),
            closed: Vec::new(),
        };
        let mut steps = Vec::new();
        self.follow.changes(changes, &mut steps);
        self.do_steps(steps);
    }

    /// Answers the oldest question, also one that nobody waits for any more.
    fn answer(&mut self, limit: usize) {
        if self.asked.is_empty() {
            return;
        }
        let ask = self.asked.remove(0);
        let named = |name: &proto::name::Name| {
            let is_peer = |row: &&SessionRow| row.peer.as_ref().is_some_and(|peer| peer.name == *name);
            self.rows.values().find(is_peer).expect("the session").session
        };
        let number = match &ask.session {
            SessionRef::Number(number) => *number,
            SessionRef::Peer(name) => named(name),
            SessionRef::Key(_) => unreachable!("never asked for by key"),
        };
        let log = &self.logs[&number.0];
        let entries = log.iter().filter(|entry| entry.seq > ask.after).take(limit).cloned().collect();
        let mut steps = Vec::new();
        self.follow.page(&ask, Some((entries, Seq(log.len() as u64))), &mut steps);
        self.do_steps(steps);
    }

    fn switch(&mut self, number: u32) {
        let mut steps = Vec::new();
        assert!(self.follow.switch(SessionNo(number), &mut steps));
        self.do_steps(steps);
    }

    fn settle(&mut self) {
        self.deliver();
        while !self.asked.is_empty() {
            self.answer(3);
        }
    }

    fn texts(&self, number: u32) -> Vec<String> {
        let mark = format!(" {number}.");
        let said = self.printed.iter().filter(|line| line.contains(&mark));
        said.filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Say(u32),
    Type(u32),
    Deliver,
    Answer(usize),
    Switch(u32),
    LinkLost,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u32..3).prop_map(Act::Say),
        2 => (0u32..3).prop_map(Act::Type),
        3 => Just(Act::Deliver),
        3 => (1usize..4).prop_map(Act::Answer),
        2 => (0u32..3).prop_map(Act::Switch),
        1 => Just(Act::LinkLost),
    ]
}

proptest! {
    #[test]
    fn every_line_is_printed_once_and_in_order(acts in proptest::collection::vec(act(), 0..120)) {
        let mut bench = Bench::new();
        for act in acts {
            match act {
                Act::Say(number) => bench.say(number, "dave", false),
                Act::Type(number) => bench.say(number, "anna", true),
                Act::Deliver => bench.deliver(),
                Act::Answer(limit) => bench.answer(limit),
                Act::Switch(number) => bench.switch(number),
                // An answer of the old link can never come: a new one begins with all rows.
                Act::LinkLost => {
                    bench.asked.clear();
                    bench.follow.link_up();
                    bench.deliver();
                }
            }
        }
        for number in [0, 1, 2] {
            bench.settle();
            bench.switch(number);
            bench.settle();
            let expected = bench.expected.get(&number).cloned().unwrap_or_default();
            prop_assert_eq!(bench.texts(number), expected);
        }
    }
}

#[test]
fn what_was_said_last_is_shown_before_the_end_and_the_lobby_is_active_after() {
    let mut bench = Bench::new();
    bench.switch(1);
    bench.say(1, "bobby", false);
    let closed = entry(2, EntryKind::Closed, "bobby", "");
    bench.logs.get_mut(&1).expect("the log").push(closed);
    let row = bench.rows.get_mut(&1).expect("the session");
    (row.head, row.state) = (Seq(2), SessionState::Ended);
    bench.printed.clear();
    bench.settle();
    let lines =
        ["P-> <bobby> 1.1", "< Session terminated, Peer bobby has left >", ">>> Auto switched to session 0"];
    assert_eq!(bench.printed, lines);
    assert_eq!(bench.follow.active(), SessionNo::LOBBY);
}

#[test]
fn unread_lines_elsewhere_are_told_once_until_they_are_read() {
    let mut bench = Bench::new();
    let hints =
        |bench: &Bench| bench.printed.iter().filter(|line| line.contains("wrote in session 1")).count();
    bench.say(1, "bobby", false);
    bench.settle();
    bench.say(1, "bobby", false);
    bench.settle();
    assert_eq!(hints(&bench), 1);
    bench.switch(1);
    bench.settle();
    bench.switch(0);
    bench.settle();
    assert_eq!(hints(&bench), 1);
    bench.say(1, "bobby", false);
    bench.settle();
    assert_eq!(hints(&bench), 2);
}

#[test]
fn a_peer_who_goes_and_comes_is_told_of() {
    let mut bench = Bench::new();
    bench.printed.clear();
    let row = bench.rows.get_mut(&1).expect("the session");
    row.state = SessionState::Waiting;
    row.trouble = Some("no route\u{7}".into());
    bench.deliver();
    bench.rows.get_mut(&1).expect("the session").state = SessionState::Connected;
    bench.deliver();
    bench.deliver();
    assert_eq!(bench.printed, [">>> bobby is away, lines are queued (no route\\x07)", ">>> bobby is back"]);
}

#[test]
fn numbers_that_change_while_the_daemon_restarts_keep_the_screen_where_it_was() {
    let mut bench = Bench::new();
    bench.switch(2);
    bench.rows.remove(&1);
    let mut carol = bench.rows.remove(&2).expect("the session");
    carol.session = SessionNo(1);
    bench.rows.insert(1, carol);
    bench.follow.link_up();
    bench.printed.clear();
    bench.deliver();
    assert_eq!(bench.follow.active(), SessionNo(1));
    assert_eq!(bench.follow.row(SessionNo(1)).and_then(|row| row.mode), Some(Mode::B));
    assert!(!bench.printed.iter().any(|line| line.contains("Auto switched")), "{:?}", bench.printed);
}

#[test]
fn a_session_that_is_new_is_announced_and_takes_no_focus() {
    let mut bench = Bench::new();
    bench.printed.clear();
    bench.rows.insert(3, peer_row(3, "dave", Mode::B));
    bench.deliver();
    let line = "< Peer dave is ready to chat, to chat with: \\sw 3, for lobby: \\lob >";
    assert_eq!(bench.printed, [line]);
    assert_eq!(bench.follow.active(), SessionNo::LOBBY);
}

#[test]
fn regression_a_session_whose_number_is_given_back_with_its_last_row_is_listed_no_more() {
    for active in [0, 1] {
        let mut bench = Bench::new();
        let mut steps = Vec::new();
        bench.follow.switch(SessionNo(active), &mut steps);
        let mut row = peer_row(1, "bobby", Mode::A);
        row.state = SessionState::Ended;
        let changes = Changes { daemon: None, sessions: vec![row], closed: vec![SessionNo(1)] };
        bench.follow.changes(changes, &mut steps);
        // Where it is active the screen looks once more for what was said last, and finds nothing.
        let asks =
            steps.iter().filter_map(|step| if let Step::Read(ask) = step { Some(ask.clone()) } else { None });
        for ask in asks.collect::<Vec<_>>() {
            bench.follow.page(&ask, None, &mut Vec::new());
        }
        assert_eq!(bench.follow.active(), SessionNo::LOBBY);
        assert!(bench.follow.sessions().all(|row| row.session != SessionNo(1)), "active: {active}");
    }
}

#[test]
fn a_peer_who_is_still_asked_is_told_of_once_and_is_ready_after() {
    let mut bench = Bench::new();
    let waiting = |asked| {
        let mut row = peer_row(3, "dave", Mode::A);
        (row.state, row.path, row.asked) = (SessionState::Waiting, Path::None, asked);
        row
    };
    bench.rows.insert(3, waiting(false));
    bench.deliver();
    bench.printed.clear();
    for asked in [true, true, false, true] {
        bench.rows.insert(3, waiting(asked));
        bench.deliver();
    }
    bench.rows.insert(3, peer_row(3, "dave", Mode::A));
    bench.deliver();
    let asked = ">>> Session 3 waits for dave to accept; what you write is queued";
    assert_eq!(bench.printed, [asked, "< Peer dave is ready to chat >"]);
}
