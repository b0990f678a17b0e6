//! Consent: what a stranger sends waits, within narrow bounds, for the person's word.

use std::time::Duration;

use proto::peer::{ByeCode, Content, PeerMessage};

use super::{ConnId, Cx, Output, PeerSession};
use crate::store::{Store, StoreError};

/// Most entries of a stranger that are kept.
const MAX_ENTRIES: u64 = 32;
/// Most bytes of a stranger's texts that are kept.
const MAX_BYTES: usize = 64 * 1024;
/// A stranger who has said that much may try again after this.
const TURNED_AWAY: Duration = Duration::from_secs(30);

/// Who has said yes to whom.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Consent {
    /// What is kept of a peer who is a stranger; `None` once the person has said yes.
    held: Option<Held>,
    /// The other side's person has not said yes yet.
    pub(super) asked: bool,
    /// The person does not want to hear of the other side.
    pub(super) blocked: bool,
}

/// What is kept of a stranger.
#[derive(Debug, Clone, Copy)]
struct Held {
    entries: u64,
    bytes: usize,
}

impl PeerSession {
    /// The other side is a stranger from now on, until [`PeerSession::release`].
    pub fn hold(&mut self, store: &Store) -> Result<(), StoreError> {
        let (entries, bytes) = store.weight(self.log.id(), &self.peer)?;
        self.consent.held = Some(Held { entries, bytes });
        self.log.changed = true;
        Ok(())
    }

    /// The person has not said yes to this peer.
    pub fn is_held(&self) -> bool {
        self.consent.held.is_some()
    }

    /// The other side has opened the session and waits for the person's word.
    pub fn is_request(&self) -> bool {
        self.is_held() && self.is_open()
    }

    /// The person says yes. The other side is told, now or by the next hello.
    pub fn release(&mut self, cx: &mut Cx<'_>) {
        if self.consent.held.take().is_some() {
            self.log.changed = true;
            let told = self.links.iter().filter(|(_, link)| link.instance.is_some());
            cx.outputs.extend(told.map(|(conn, _)| Output::Send(*conn, PeerMessage::Accepted)));
        }
    }

    /// Counts one more entry of a stranger. `false`: there is no room for it. The end of the session always has some,
    /// since after it nothing more is taken.
    pub(super) fn has_room_for(&mut self, content: &Content) -> bool {
        let open = self.is_open();
        let Some(held) = &mut self.consent.held else { return true };
        let bytes = held.bytes + if let Content::Text { text } = content { text.as_str().len() } else { 0 };
        let leaves = open && matches!(content, Content::Close { .. });
        if !leaves && (held.entries >= MAX_ENTRIES || bytes > MAX_BYTES) {
            return false;
        }
        *held = Held { entries: held.entries + 1, bytes };
        true
    }

    /// Ends the connection of a stranger who has said enough.
    pub(super) fn turn_away(&mut self, cx: &mut Cx<'_>, conn: ConnId) {
        let retry_after_ms = u64::try_from(TURNED_AWAY.as_millis()).unwrap_or(u64::MAX);
        let bye = PeerMessage::Bye { code: ByeCode::Busy, retry_after_ms };
        cx.outputs.extend([Output::Send(conn, bye), Output::Close(conn)]);
        self.forget(cx, conn);
    }

    /// The other side's person has said yes, or is still asked.
    pub fn told_of_consent(&mut self, asked: bool) {
        self.log.changed |= self.consent.asked != asked;
        self.consent.asked = asked;
    }

    /// The person has blocked the other side, or does so no more: nothing goes to it and nothing comes from it.
    pub fn block(&mut self, cx: &mut Cx<'_>, blocked: bool) {
        self.consent.blocked = blocked;
        if blocked {
            self.drop_others(cx, None, ByeCode::Refused);
        }
    }
}
