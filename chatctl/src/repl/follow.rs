//! What one terminal has seen, and what it has to be shown next. Pure: changes and pages in, steps out.
//!
//! A terminal has a cursor in each log and never prints at or before it. The cursor begins at the person's read mark
//! when the log is first seen, moves only when a line was printed, and belongs to the log, not to the number of a
//! session, which may be given to another. So nothing is shown twice and nothing is left out, whatever happens to
//! the link, the numbers or the active session in between.

use std::collections::{BTreeMap, HashMap, HashSet};

use proto::ids::{Mid, Seq, SessionNo};
use proto::ipc::{Changes, DaemonRow, Entry, EntryKind, SessionRef, SessionRow, SessionState};

use super::announce;
use super::step::{Log, PageAsk, Step};
use super::tracked::{End, Tracked, log_of};
use crate::render::{Style, View};

/// Which rows the next change holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// All, for the first time.
    First,
    /// All, on a link that came back.
    All,
    /// Those that changed.
    Changed,
}

/// See the module.
#[derive(Debug)]
pub struct Follow {
    /// How lines look. The width may change at any time.
    pub style: Style,
    daemon: Option<DaemonRow>,
    lobby: announce::Lobby,
    rows: BTreeMap<SessionNo, Tracked>,
    /// The last entry printed in each log.
    shown: HashMap<Log, Seq>,
    /// Messages typed here that were not seen in a log yet: they stand on this screen already.
    own: HashSet<Mid>,
    active: SessionNo,
    /// The session to begin with, until the first rows are there.
    wished: Option<SessionRef>,
    rows_to_come: Rows,
    reading: Option<PageAsk>,
    marking: bool,
    asked: u64,
    /// Somebody came or went since this was last taken.
    roster_changed: bool,
}

impl Follow {
    /// A terminal that begins in `wished`, or in the lobby.
    pub fn new(style: Style, wished: Option<SessionRef>) -> Self {
        Self {
            style,
            daemon: None,
            lobby: announce::Lobby::default(),
            rows: BTreeMap::new(),
            shown: HashMap::new(),
            own: HashSet::new(),
            active: SessionNo::LOBBY,
            wished,
            rows_to_come: Rows::First,
            reading: None,
            marking: false,
            asked: 0,
            roster_changed: false,
        }
    }

    /// There is a new link: what was asked on the old one is not answered, and all rows come first.
    pub fn link_up(&mut self) {
        if self.is_primed() {
            self.rows_to_come = Rows::All;
        }
        self.reading = None;
        self.marking = false;
        for tracked in self.rows.values_mut() {
            tracked.marked = Seq::START;
        }
    }

    /// The first rows were seen.
    pub fn is_primed(&self) -> bool {
        self.rows_to_come != Rows::First
    }

    /// Nothing is on its way to this screen.
    pub fn is_idle(&self) -> bool {
        self.is_primed() && self.reading.is_none()
    }

    /// The active session has ended and what was said last is still being read.
    pub fn is_ending(&self) -> bool {
        self.rows.get(&self.active).is_some_and(|tracked| tracked.end == End::Due)
    }

    /// The session to begin with, where it does not exist.
    pub fn missing(&mut self) -> Option<SessionRef> {
        if self.is_primed() { self.wished.take() } else { None }
    }

    /// Whether somebody came or went since the last time this was asked.
    pub fn take_roster_changed(&mut self) -> bool {
        std::mem::take(&mut self.roster_changed)
    }

    /// The daemon and its lobby.
    pub fn daemon(&self) -> Option<&DaemonRow> {
        self.daemon.as_ref()
    }

    /// The active session.
    pub fn active(&self) -> SessionNo {
        self.active
    }

    /// Every session that has a number, in order.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRow> {
        self.rows.values().filter(|tracked| !tracked.gone).map(|tracked| &tracked.row)
    }

    /// A session's row.
    pub fn row(&self, session: SessionNo) -> Option<&SessionRow> {
        self.rows.get(&session).map(|tracked| &tracked.row)
    }

    /// A message was typed here: when it comes back from the log it is not printed.
    pub fn typed(&mut self, mid: Mid) {
        self.own.insert(mid);
    }

    /// A message that was typed here will not be in any log.
    pub fn refused(&mut self, mid: &Mid) {
        self.own.remove(mid);
    }

    /// Rows have changed.
    pub fn changes(&mut self, changes: Changes, steps: &mut Vec<Step>) {
        let rows_to_come = self.rows_to_come;
        let full = rows_to_come != Rows::Changed;
        if let Some(daemon) = changes.daemon {
            self.lobby.changed(&daemon, self.style, steps);
            self.daemon = Some(daemon);
        }
        if full {
            self.renumber(&changes.sessions);
        }
        let listed = |number: &SessionNo| changes.sessions.iter().any(|row| row.session == *number);
        let lost = self.rows.keys().copied().filter(|number| full && !listed(number));
        let gone: Vec<_> = changes.closed.iter().copied().chain(lost.collect::<Vec<_>>()).collect();
        for row in changes.sessions {
            self.changed(row, steps);
        }
        // After the rows: one of them may say how a session ended whose number is free now.
        for number in gone {
            self.gone(number, steps);
        }
        self.rows_to_come = Rows::Changed;
        if rows_to_come == Rows::First {
            self.prime(steps);
        }
        self.pump(steps);
    }

    /// After a restart the daemon may count its sessions anew: the screen stays with the log, not with the number.
    fn renumber(&mut self, rows: &[SessionRow]) {
        let active = self.rows.get(&self.active).map(|tracked| log_of(&tracked.row));
        let numbers: HashMap<Log, SessionNo> = rows.iter().map(|row| (log_of(row), row.session)).collect();
        let old = std::mem::take(&mut self.rows);
        let (moved, kept): (Vec<_>, Vec<_>) = old.into_iter().partition(|(number, tracked)| {
            numbers.get(&log_of(&tracked.row)).is_some_and(|new| new != number)
        });
        self.rows.extend(kept);
        for (_, mut tracked) in moved {
            if let Some(number) = numbers.get(&log_of(&tracked.row)) {
                tracked.row.session = *number;
                self.rows.insert(*number, tracked);
            }
        }
        if let Some(number) = active.and_then(|log| numbers.get(&log)) {
            self.active = *number;
        }
    }

    /// The first rows: where the screen begins, and what there is besides.
    fn prime(&mut self, steps: &mut Vec<Step>) {
        let found = self.wished.as_ref().and_then(|wished| self.find(wished));
        if let Some(number) = found {
            self.active = number;
            self.wished = None;
        }
        steps.extend(announce::summary(self.sessions(), self.style).map(Step::Print));
    }

    /// The number of the session that is meant.
    pub fn find(&self, session: &SessionRef) -> Option<SessionNo> {
        let meant = |row: &&SessionRow| match session {
            SessionRef::Number(number) => row.session == *number,
            SessionRef::Peer(name) => {
                row.peer.as_ref().is_some_and(|peer| peer.name.folded() == name.folded())
            }
            SessionRef::Key(key) => row.peer.as_ref().is_some_and(|peer| peer.key == *key),
        };
        self.sessions().find(meant).map(|row| row.session)
    }

    fn changed(&mut self, row: SessionRow, steps: &mut Vec<Step>) {
        let (number, log) = (row.session, log_of(&row));
        if self.rows.get(&number).is_some_and(|tracked| log_of(&tracked.row) != log) {
            self.displace(number, steps);
        }
        self.shown.entry(log).or_insert(row.read);
        let primed = self.is_primed();
        let active = primed && number == self.active;
        let Some(tracked) = self.rows.get_mut(&number) else {
            let mut tracked = Tracked::new(row);
            if primed {
                tracked.welcome(self.style, steps);
            }
            self.rows.insert(number, tracked);
            self.hint(number, steps);
            return;
        };
        tracked.gone = false;
        tracked.turn(row, self.style, steps);
        if tracked.end == End::Due && !active {
            tracked.end = End::Told;
            steps.push(Step::WhoLeft(View::of(&tracked.row)));
        }
        self.hint(number, steps);
    }

    /// Says once that something is unread in a session that is not active.
    fn hint(&mut self, number: SessionNo, steps: &mut Vec<Step>) {
        let (primed, active) = (self.is_primed(), number == self.active);
        let Some(tracked) = self.rows.get_mut(&number) else { return };
        let row = &tracked.row;
        if row.unread == 0 || active {
            tracked.hinted = false;
            return;
        }
        let shown = self.shown.get(&log_of(row)).copied().unwrap_or_default();
        if primed && !tracked.hinted && row.head > shown && row.peer.is_some() {
            steps.push(Step::Print(announce::unread(row, self.style)));
        }
        tracked.hinted = true;
    }

    /// A number is free again.
    fn gone(&mut self, number: SessionNo, steps: &mut Vec<Step>) {
        // The lobby stays, whatever a daemon says.
        if number == SessionNo::LOBBY {
            return;
        }
        let active = number == self.active;
        let Some(tracked) = self.rows.get_mut(&number) else { return };
        tracked.gone = true;
        tracked.row.state = SessionState::Ended;
        if tracked.end == End::Open {
            tracked.end = End::Due;
            // What was said last is not counted in the row that is known: one more page finds it.
            tracked.row.head = tracked.row.head.next();
        }
        if !active {
            if tracked.end == End::Due {
                steps.push(Step::WhoLeft(View::of(&tracked.row)));
            }
            self.rows.remove(&number);
        }
    }

    /// Another session has taken the number.
    fn displace(&mut self, number: SessionNo, steps: &mut Vec<Step>) {
        if number == self.active {
            self.leave_screen(steps);
        }
        self.gone(number, steps);
        self.rows.remove(&number);
    }

    /// Makes a session active. `false`: there is none with that number.
    pub fn switch(&mut self, number: SessionNo, steps: &mut Vec<Step>) -> bool {
        let Some(tracked) = self.rows.get_mut(&number).filter(|tracked| !tracked.gone) else { return false };
        tracked.hinted = false;
        if number != self.active {
            self.active = number;
            self.reading = None;
            self.settle(steps);
        }
        self.pump(steps);
        true
    }

    /// Sessions that end while they are active are told at their end; one that was left before is told now.
    fn settle(&mut self, steps: &mut Vec<Step>) {
        let active = self.active;
        for (_, tracked) in self.rows.iter_mut().filter(|(number, _)| **number != active) {
            if tracked.end == End::Due {
                tracked.end = End::Told;
                steps.push(Step::WhoLeft(View::of(&tracked.row)));
            }
        }
        self.rows.retain(|number, tracked| *number == active || !tracked.gone);
    }

    /// A page has come; `None`: it could not be read.
    pub fn page(&mut self, ask: &PageAsk, page: Option<(Vec<Entry>, Seq)>, steps: &mut Vec<Step>) {
        if self.reading.as_ref() != Some(ask) {
            return;
        }
        self.reading = None;
        let active = self.rows.get_mut(&self.active).filter(|tracked| log_of(&tracked.row) == ask.log);
        let Some(tracked) = active else { return self.pump(steps) };
        let shown = self.shown.entry(ask.log).or_default();
        match page {
            Some((entries, head)) if !entries.is_empty() => {
                let view = View::of(&tracked.row);
                for entry in entries.iter().filter(|entry| entry.seq > ask.after) {
                    if entry.seq > *shown {
                        *shown = entry.seq;
                        steps.extend(tracked.show(&view, entry, &mut self.own, self.style).map(Step::Print));
                        self.roster_changed |= matches!(entry.kind, EntryKind::Joined | EntryKind::Left);
                    }
                }
                tracked.row.head = tracked.row.head.max(head);
                if tracked.gone {
                    tracked.row.head = head;
                }
            }
            // There is no more than that, whatever the row says.
            _ => tracked.row.head = *shown,
        }
        self.pump(steps);
    }

    /// The read mark was moved (or could not be).
    pub fn marked(&mut self, steps: &mut Vec<Step>) {
        self.marking = false;
        self.pump(steps);
    }

    /// Asks for what the screen lacks, and moves the read mark behind what it has.
    fn pump(&mut self, steps: &mut Vec<Step>) {
        if !self.is_primed() {
            return;
        }
        let Some(tracked) = self.rows.get_mut(&self.active) else {
            if self.active != SessionNo::LOBBY {
                self.leave_screen(steps);
                self.pump(steps);
            }
            return;
        };
        let log = log_of(&tracked.row);
        let shown = self.shown.get(&log).copied().unwrap_or_default();
        if !self.marking && !tracked.gone && shown > tracked.row.read.max(tracked.marked) {
            tracked.marked = shown;
            self.marking = true;
            steps.push(Step::Mark(SessionRef::Number(self.active), shown));
        }
        if self.reading.is_some() {
            return;
        }
        if tracked.row.head > shown {
            self.asked += 1;
            let ask = PageAsk { session: tracked.reference(), after: shown, log, number: self.asked };
            self.reading = Some(ask.clone());
            steps.push(Step::Read(ask));
        } else if tracked.end == End::Due || tracked.gone {
            self.finish(steps);
            self.pump(steps);
        }
    }

    /// The active session has ended and was shown to its end.
    fn finish(&mut self, steps: &mut Vec<Step>) {
        if let Some(tracked) = self.rows.get_mut(&self.active)
            && tracked.end == End::Due
        {
            tracked.end = End::Told;
            let view = View::of(&tracked.row);
            steps.push(match tracked.closed_by_me {
                Some(mine) => Step::Print(view.terminated(mine, self.style)),
                None => Step::WhoLeft(view),
            });
        }
        self.leave_screen(steps);
    }

    /// Back to the lobby, because the active session is no more.
    fn leave_screen(&mut self, steps: &mut Vec<Step>) {
        self.active = SessionNo::LOBBY;
        self.reading = None;
        steps.push(Step::Print(self.style.notice("Auto switched to session 0")));
        self.settle(steps);
    }
}
