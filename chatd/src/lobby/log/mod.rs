//! The room's log on disk: what was said, for as long as the lobby keeps it.
//!
//! | module | holds |
//! | --- | --- |
//! | `file` | the database: groups of posts in, each in one transaction; the oldest go |
//! | `archive` | pages of it for readers who are behind the ring |
//! | `writer` | the thread around the file: one flush for all that waits |
//!
//! A post is shown, and answered, only after the commit that holds it. The file knows no clock and no thread: a test
//! can end it before a commit or after.

mod archive;
mod file;
#[cfg(test)]
mod tests;
mod writer;

use proto::frame::Encoded;
use proto::ids::{Generation, LobbySeq, Mid};
use proto::lobby::RoomEntry;

pub(super) use archive::{Archive, Page};
pub(super) use file::{LogFile, Retention};
pub(super) use writer::{Job, QUEUE, Waiting, Writer, start};

/// Most bytes that one read gives: four TLS records. A longer entry comes alone.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// Most entries that one read gives.
pub(super) const READ_ENTRIES: usize = 256;

/// Something that somebody wants to say.
#[derive(Debug)]
pub(super) struct Post {
    /// Its `seq` is set when it gets its place.
    pub(super) entry: RoomEntry,
    /// Why it gets no place, if it does not stand in the log already.
    pub(super) denied: Option<Denied>,
}

/// Why a post gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// An operator has decided that its author may not speak.
    Muted,
    /// It is not signed by its author's key.
    Unsigned,
    /// It does not fit into a frame.
    TooLong,
}

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stands in the log.
    Stands(LobbySeq),
    /// It does not and will not.
    Denied(Denied),
}

/// An entry that was not in the log before.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) mid: Mid,
    pub(super) frame: Encoded,
}

/// What one commit makes true.
#[derive(Debug)]
pub(super) struct Group {
    /// One for each post, in the order of the posts.
    pub(super) decisions: Vec<Decision>,
    /// Follow the last entry of the log, in order.
    pub(super) fresh: Vec<Fresh>,
    /// The last entry that is no longer kept.
    pub(super) floor: LobbySeq,
    /// More is to go than one step takes.
    pub(super) more_to_go: bool,
}

/// Where the log stands when the lobby opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) generation: Generation,
    pub(super) head: LobbySeq,
    /// Identity of the entry at `head`; `None` where there never was one.
    pub(super) mid: Option<Mid>,
}

impl Start {
    /// A log in which nothing was said.
    pub(super) fn empty(generation: Generation) -> Self {
        Self { generation, head: LobbySeq::START, mid: None }
    }
}
