//! What clients are told: rows with versions, so that each client asks for what it has not seen.

use std::collections::{BTreeMap, VecDeque};

use proto::archive::Party;
use proto::ids::SessionNo;
use proto::ipc::{Changes, DaemonRow, LobbyRow, SessionRow};
use tokio::sync::oneshot;

use super::{Core, Effect, Place};
use crate::identity::fingerprint;
use crate::peer::PeerSession;
use crate::store::LogId;

/// Sessions that gave their number back and whose end is still told; a client that lags further learns only that their
/// numbers are free.
const MAX_RETIRED: usize = 256;

/// When each row changed last.
#[derive(Debug, Default)]
pub(super) struct Versions {
    now: u64,
    daemon: u64,
    pub(super) daemon_changed: bool,
    logs: BTreeMap<LogId, u64>,
    /// Last rows of sessions that gave their number back.
    retired: VecDeque<(u64, SessionRow)>,
    retired_changed: bool,
    /// Greatest number that was ever given back, and the version at which the oldest end was forgotten.
    greatest: u32,
    forgotten: u64,
}

impl Versions {
    /// A session gives its number back; this is how it ended.
    pub(super) fn retire(&mut self, row: SessionRow) {
        if self.retired.len() == MAX_RETIRED {
            self.forgotten = self.retired.pop_front().map_or(0, |(at, _)| at);
        }
        self.greatest = self.greatest.max(row.session.0);
        self.retired.push_back((self.now + 1, row));
        self.retired_changed = true;
    }

    /// Forgets the ends that nobody was told of: they did not happen. Everything else may have changed.
    pub(super) fn take_back(&mut self) {
        self.retired.retain(|(at, _)| *at <= self.now);
        self.daemon_changed = true;
    }
}

impl Core {
    /// Counts what changed in this step; `None` where nothing did that a client could see.
    pub(super) fn new_version(&mut self) -> Option<u64> {
        let next = self.versions.now + 1;
        let mut any = std::mem::take(&mut self.versions.retired_changed);
        if std::mem::take(&mut self.versions.daemon_changed) {
            self.versions.daemon = next;
            any = true;
        }
        let sessions = self.sessions.values_mut().map(|session| &mut session.log);
        for log in sessions.chain([&mut self.room.log]) {
            if std::mem::take(&mut log.changed) {
                self.versions.logs.insert(log.id(), next);
                any = true;
            }
        }
        any.then(|| {
            self.versions.now = next;
            next
        })
    }

    pub(super) fn on_changes(&mut self, since: u64, reply: oneshot::Sender<(u64, Changes)>) {
        let changes = self.changes(since);
        self.effects.push(Effect::Changes(reply, self.versions.now, Box::new(changes)));
    }

    /// The rows that changed after a version.
    pub(super) fn changes(&self, since: u64) -> Changes {
        let changed = |log: LogId| self.versions.logs.get(&log).copied().unwrap_or(u64::MAX) > since;
        let retired = self.versions.retired.iter().filter(|(at, _)| since > 0 && *at > since);
        let retired: Vec<&SessionRow> = retired.map(|(_, row)| row).collect();
        let mut sessions: Vec<SessionRow> = Vec::new();
        if changed(LogId::LOBBY) {
            sessions.push(self.room.row());
        }
        let live = self.sessions.values().filter(|session| changed(session.log.id()));
        sessions.extend(live.filter_map(|session| session.row(self.pins.trust_in(&session.peer()))));
        sessions.sort_by_key(|row| row.session);
        let in_use = |number| self.sessions.values().any(|session| session.log.row.number == Some(number));
        let told: Vec<SessionNo> = if since > 0 && since < self.versions.forgotten {
            (1..=self.versions.greatest).map(SessionNo).collect()
        } else {
            retired.iter().map(|row| row.session).collect()
        };
        let closed = told.into_iter().filter(|number| !in_use(*number)).collect();
        // How a session ended comes before what its number stands for now.
        let mut rows: Vec<SessionRow> = retired.into_iter().cloned().collect();
        rows.append(&mut sessions);
        let daemon = (self.versions.daemon > since || since == 0).then(|| self.daemon_row());
        Changes { daemon, sessions: rows, closed }
    }

    fn daemon_row(&self) -> DaemonRow {
        DaemonRow {
            name: self.me.name.clone(),
            wished: self.setup.name.clone(),
            key: self.me.key,
            fingerprint: fingerprint(&self.me.key),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            lobby: LobbyRow {
                addr: self.setup.lobby.clone(),
                state: self.room.state,
                hosted: self.room.hosted,
                trouble: self.room.trouble.clone(),
            },
            attached: self.attached,
            listening: self.setup.listening,
            requests: self.request_rows(),
        }
    }

    pub(super) fn on_attached(&mut self, attached: u32) {
        self.attached = attached;
        self.versions.daemon_changed = true;
    }

    /// Where a log is; an unknown one is the lobby's.
    pub(super) fn place(&self, log: LogId) -> Place {
        self.sessions.get(&log).map_or_else(|| self.room.place(), place_of)
    }

    /// Where every log is, the lobby's first.
    pub(super) fn places(&self) -> Vec<Place> {
        [self.room.place()].into_iter().chain(self.sessions.values().map(place_of)).collect()
    }
}

fn place_of(session: &PeerSession) -> Place {
    Place {
        log: session.log.id(),
        number: session.log.row.number,
        peer: Some(Party { name: session.name().clone(), key: session.peer() }),
        head: session.log.head(),
        progress: session.progress(),
        held: session.is_held(),
    }
}
