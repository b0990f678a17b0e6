//! Waits for a state of a daemon. The daemon tells each change, so nothing is polled.

use std::collections::BTreeMap;
use std::path::Path;

use chatctl::client::{Client, Event};
use proto::ids::SessionNo;
use proto::ipc::{Call, Changes, DaemonRow, LobbyState, Reply, SessionRef, SessionRow, SessionState};
use proto::name::Name;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::DEADLINE;

/// What a daemon has said of itself, newest rows only.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The daemon and its lobby.
    pub daemon: Option<DaemonRow>,
    /// Every session that has a number.
    pub sessions: BTreeMap<SessionNo, SessionRow>,
}

impl State {
    /// The link to the lobby is up.
    pub fn is_in_lobby(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.lobby.state == LobbyState::Connected)
    }

    /// The name that the lobby granted.
    pub fn name(&self) -> &str {
        self.daemon.as_ref().map_or("", |daemon| daemon.name.as_str())
    }

    /// The session with that peer, also one that has ended.
    pub fn session(&self, peer: &str) -> Option<&SessionRow> {
        let with = |row: &&SessionRow| row.peer.as_ref().is_some_and(|found| found.name.as_str() == peer);
        self.sessions.values().find(with)
    }

    /// The number of the session with that peer, if the peer is connected.
    pub fn connected(&self, peer: &str) -> Option<u32> {
        let row = self.session(peer).filter(|row| row.state == SessionState::Connected)?;
        Some(row.session.0)
    }

    /// The lobby's row.
    pub fn lobby(&self) -> Option<&SessionRow> {
        self.sessions.get(&SessionNo::LOBBY)
    }

    /// Own lines that wait, over all sessions.
    pub fn queued(&self) -> u64 {
        self.sessions.values().map(|row| row.queued).sum()
    }

    fn take(&mut self, changes: Changes) {
        if changes.daemon.is_some() {
            self.daemon = changes.daemon;
        }
        self.sessions.extend(changes.sessions.into_iter().map(|row| (row.session, row)));
        for number in changes.closed {
            self.sessions.remove(&number);
        }
    }
}

/// Waits until `wanted` finds what it looks for in the state of the daemon behind `socket`.
pub fn until<T>(socket: &Path, what: &str, mut wanted: impl FnMut(&State) -> Option<T>) -> T {
    let mut state = State::default();
    let looking = async {
        let mut client = Client::connect(socket).await.expect("the daemon answers");
        client.call(Call::Watch).await.expect("the daemon tells what changes");
        loop {
            match client.next().await.expect("the daemon stays") {
                Event::Changed(changes) => state.take(*changes),
                event => panic!("{what}: the daemon said {event:?}"),
            }
            if let Some(found) = wanted(&state) {
                return found;
            }
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async { timeout(DEADLINE, looking).await.ok() });
    outcome.unwrap_or_else(|| panic!("{what}: not within {DEADLINE:?}; the daemon is at {state:#?}"))
}

/// The line that was begun in the session with `peer`.
pub fn draft(socket: &Path, peer: &str) -> Option<String> {
    let session = SessionRef::Peer(Name::new(peer).expect("a name"));
    let asking = async {
        let mut client = Client::connect(socket).await.expect("the daemon answers");
        match client.call(Call::Draft { session }).await.expect("the daemon knows the session") {
            Reply::Draft { text } => text.map(String::from),
            reply => panic!("not a draft: {reply:?}"),
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(DEADLINE, asking).await.expect("an answer") })
}
