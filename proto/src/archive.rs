//! History outside of a daemon: what an export writes and an import reads, one JSON object a line.
//!
//! The first line is a [`Head`], each further one a [`Record`].

use serde::{Deserialize, Serialize};

use crate::ids::{Key, Mid, Seq, WallMs};
use crate::ipc::{EntryKind, EntryState};
use crate::name::Name;
use crate::text::Words;

/// What the first line calls itself.
pub const FORMAT: &str = "chat-history";

/// The version of the lines that this program writes, and the last one that it reads.
pub const VERSION: u16 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u16,
    /// Whose history it is.
    pub name: Name,
    /// That person's key.
    pub key: Key,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// With whom the session was; `None`: the lobby.
    pub peer: Option<Party>,
    /// Where it stood in the log of its session.
    pub seq: Seq,
    /// What it is.
    pub kind: EntryKind,
    /// The name of its author, or of whom it is about; `None` for a notice.
    pub from: Option<Name>,
    /// The key of its author; `None` where the daemon itself wrote it.
    pub author: Option<Key>,
    /// It was written by whose history it is.
    pub mine: bool,
    /// Its identity: an author has used it once.
    pub mid: Mid,
    /// When its author made it.
    pub at: WallMs,
    /// How far it had come.
    pub state: EntryState,
    /// As in an entry, raw.
    pub text: Words,
}

/// The other side of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Name.
    pub name: Name,
    /// Key.
    pub key: Key,
}
