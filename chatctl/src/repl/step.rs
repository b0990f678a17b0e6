//! What has to be done for the screen.

use proto::ids::{Key, Seq};
use proto::ipc::SessionRef;

use crate::render::View;

/// Which log: of the session with the owner of that key; `None`: of the lobby.
pub type Log = Option<Key>;

/// Something to do for whoever drives this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Print this, rows parted by `\n`, none at the end.
    Print(String),
    /// Read a page, then call [`Follow::page`](super::follow::Follow::page).
    Read(PageAsk),
    /// Look for the last entry of the kind `Closed`, then print how the session ended.
    WhoLeft(View),
    /// Move the person's read mark, then call [`Follow::marked`](super::follow::Follow::marked).
    Mark(SessionRef, Seq),
}

/// A page that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAsk {
    /// Which session.
    pub session: SessionRef,
    /// The entries after this one.
    pub after: Seq,
    pub(super) log: Log,
    /// Tells this question from one that was asked before a switch or on an older link.
    pub(super) number: u64,
}
