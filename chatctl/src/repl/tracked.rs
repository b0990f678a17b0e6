//! One session, as one terminal knows it: what was told of it, and what is still to be told.

use std::collections::HashSet;

use proto::ids::{Mid, Seq};
use proto::ipc::{Entry, EntryKind, SessionRef, SessionRow, SessionState};

use super::announce;
use super::step::{Log, Step};
use crate::render::{Style, View};

/// One session, as this terminal knows it.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) row: SessionRow,
    pub(super) presence: Presence,
    /// It was told that something is unread.
    pub(super) hinted: bool,
    pub(super) end: End,
    /// The daemon has given its number back; the row is kept until the log is read to its end.
    pub(super) gone: bool,
    /// Who ended it, once its last entry was read: this side or the other.
    pub(super) closed_by_me: Option<bool>,
    /// How far the read mark was moved from here.
    pub(super) marked: Seq,
}

/// What was told of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing yet.
    Untold,
    /// Ready to chat, or back.
    Here,
    /// Away.
    Away,
    /// There, but its person has not said yes yet.
    Asked,
}

/// Whether the end of a session was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has not ended.
    Open,
    /// It has ended, to be told once its log was read to its end.
    Due,
    /// Told.
    Told,
}

impl Tracked {
    /// A session that is seen for the first time: nothing of it is news but what comes.
    pub(super) fn new(row: SessionRow) -> Self {
        let (presence, end) = match row.state {
            SessionState::Connected => (Presence::Here, End::Open),
            SessionState::Waiting => (Presence::Away, End::Open),
            SessionState::Ended => (Presence::Untold, End::Told),
        };
        Self { presence, hinted: false, end, gone: false, closed_by_me: None, marked: Seq::START, row }
    }

    /// It is new in the daemon, too.
    pub(super) fn welcome(&mut self, style: Style, steps: &mut Vec<Step>) {
        match self.presence {
            Presence::Here if self.row.peer.is_some() => {
                steps.push(Step::Print(View::of(&self.row).ready(style)));
            }
            Presence::Away if is_asked(&self.row) => {
                self.presence = Presence::Asked;
                steps.push(Step::Print(announce::asked(&self.row, style)));
            }
            // Not there yet: it is told once that happens.
            Presence::Away => self.presence = Presence::Untold,
            _ => {}
        }
    }

    /// Takes the newer row and tells what is different.
    pub(super) fn turn(&mut self, row: SessionRow, style: Style, steps: &mut Vec<Step>) {
        let before = std::mem::replace(&mut self.row, row);
        // A page may have shown more of the log than the row that was on its way.
        self.row.head = self.row.head.max(before.head);
        let row = &self.row;
        if row.peer.is_none() {
            return;
        }
        if row.state == SessionState::Ended {
            if self.end == End::Open {
                self.end = End::Due;
            }
            self.presence = Presence::Untold;
            return;
        }
        if self.end != End::Open {
            self.end = End::Open;
            self.closed_by_me = None;
        }
        let (news, presence) = match (row.state, self.presence) {
            (SessionState::Connected, Presence::Untold | Presence::Asked) => {
                (View::of(row).ready(style), Presence::Here)
            }
            (SessionState::Connected, Presence::Away) => (announce::back(row, style), Presence::Here),
            (SessionState::Waiting, Presence::Untold | Presence::Away) if is_asked(row) => {
                (announce::asked(row, style), Presence::Asked)
            }
            (SessionState::Waiting, Presence::Here) => (announce::away(row, style), Presence::Away),
            _ => return,
        };
        self.presence = presence;
        steps.push(Step::Print(news));
    }

    /// An entry as it is shown live; `None`: it is told otherwise, or stands on this screen already.
    pub(super) fn show(
        &mut self,
        view: &View,
        entry: &Entry,
        own: &mut HashSet<Mid>,
        style: Style,
    ) -> Option<String> {
        match entry.kind {
            // It is older than what stands on the screen.
            _ if entry.imported => None,
            EntryKind::Text if own.remove(&entry.mid) => None,
            EntryKind::Joined | EntryKind::Left if entry.mine => None,
            EntryKind::Text | EntryKind::Notice | EntryKind::Joined | EntryKind::Left => {
                Some(view.entry(entry, style))
            }
            EntryKind::Opened => {
                self.closed_by_me = None;
                None
            }
            EntryKind::Closed => {
                self.closed_by_me = Some(entry.mine);
                None
            }
        }
    }

    /// By the peer's name: the number may be given back while a page is asked for.
    pub(super) fn reference(&self) -> SessionRef {
        match &self.row.peer {
            Some(peer) => SessionRef::Peer(peer.name.clone()),
            None => SessionRef::Number(self.row.session),
        }
    }
}

/// Not away: the other side's person has not said yes.
fn is_asked(row: &SessionRow) -> bool {
    row.state == SessionState::Waiting && row.asked
}

/// The log of a session.
pub(super) fn log_of(row: &SessionRow) -> Log {
    row.peer.as_ref().map(|peer| peer.key)
}
