//! A session as clients see it.

use proto::ipc::{Path, Peer, SessionRow, SessionState, Trust};

use super::PeerSession;
use crate::identity::fingerprint;

impl PeerSession {
    /// The session as clients see it, with what is known of the peer's key; `None` while it has no number.
    pub fn row(&self, trust: Trust) -> Option<SessionRow> {
        let row = &self.log.row;
        let connected = self.is_connected();
        // Whoever is still asked does not read what is written.
        let state = match (row.is_open(), connected && !self.consent.asked) {
            (false, _) => SessionState::Ended,
            (true, true) => SessionState::Connected,
            (true, false) => SessionState::Waiting,
        };
        let trouble = match state {
            SessionState::Waiting if self.consent.asked => {
                Some(format!("waits for {} to accept", self.name()))
            }
            SessionState::Waiting => self.trouble.clone(),
            SessionState::Connected | SessionState::Ended => None,
        };
        Some(SessionRow {
            session: row.number?,
            mode: row.mode,
            peer: Some(Peer {
                name: self.name().clone(),
                key: self.peer,
                fingerprint: fingerprint(&self.peer),
                trust,
                lookalike: None,
            }),
            state,
            path: if connected { Path::Direct } else { Path::None },
            head: self.log.head(),
            read: self.log.read(),
            unread: self.log.unread(),
            queued: self.queued_texts(),
            sent: self.sent_to(),
            delivered: row.acked,
            trouble,
            asked: state == SessionState::Waiting && self.consent.asked,
        })
    }
}
