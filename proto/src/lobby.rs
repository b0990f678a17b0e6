//! The link between a daemon and the lobby.
//!
//! The lobby's log is what was said in the room. A member names the place it has read to; the lobby goes on from
//! there, live or not. Who is present is not part of the log: it is a state, sent whole once and as changes after.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::hello::Versions;
use crate::ids::{Generation, Instance, Key, LobbySeq, Mid, Signature, WallMs};
use crate::invitation::Token;
use crate::name::Name;
use crate::text::Text;

/// ALPN of this link in TLS.
pub const ALPN: &[u8] = b"chat-lobby/1";

/// From a daemon to the lobby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToLobby {
    /// First, once.
    Hello(Box<MemberHello>),
    /// Puts a message into the log. Answered by [`FromLobby::Published`] or [`FromLobby::NotPublished`].
    ///
    /// Safe to repeat: the lobby keeps one entry for each author and `mid`.
    Publish {
        /// Identity of the message.
        mid: Mid,
        /// When its author made it, for show.
        at: WallMs,
        /// As it was written.
        text: Text,
        /// The author's, over [`signed_bytes`].
        sig: Signature,
    },
    /// Where is this person? Answered by [`FromLobby::Found`].
    Lookup {
        /// Comes back in the answer.
        request: u64,
        /// Who is looked for; case does not count.
        name: Name,
    },
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        nonce: u64,
    },
    /// I am.
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// The member leaves for good: the room is told at once.
    Bye,
    /// A message of a later version: skipped.
    #[serde(other)]
    Unknown,
}

/// How a member introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHello {
    /// Versions spoken. This field never changes its form.
    pub versions: Versions,
    /// Features spoken beyond the version.
    #[serde(default)]
    pub features: Vec<String>,
    /// The name wished: the one granted before, if any.
    pub name: Name,
    /// The member's present run.
    pub instance: Instance,
    /// TCP port on which the member accepts peers, at the address the lobby sees it come from. 0: none.
    pub port: u16,
    /// How far the member has read the room; `None` for a newcomer, who begins at the head.
    pub room: Option<RoomCursor>,
    /// What opens a lobby that wants an invitation; `None` once the member's key was let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Token>,
}

/// How far a member has read the lobby's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomCursor {
    /// Which log.
    pub generation: Generation,
    /// The last entry read.
    pub seq: LobbySeq,
}

/// From the lobby to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromLobby {
    /// First: the member is in.
    Welcome(Box<Welcome>),
    /// Instead of a welcome: the member is not let in, and the link ends.
    Refused {
        /// For a program.
        code: RefusedCode,
        /// For a person.
        reason: String,
        /// How long to wait before trying again, in milliseconds; 0 where it does not matter.
        retry_after_ms: u64,
    },
    /// One page of who is present, sent after the welcome and before any [`FromLobby::Presence`].
    Members {
        /// Up to [`PAGE_MEMBERS`](crate::limits::PAGE_MEMBERS) members, the receiver included, in no order.
        members: Vec<Member>,
        /// More pages follow.
        more: bool,
    },
    /// Who came and who left since the last word on it.
    Presence {
        /// Present now.
        joined: Vec<Member>,
        /// Gone now.
        left: Vec<Member>,
    },
    /// One entry of the log. `seq` follows the one before, or a [`FromLobby::Gap`].
    Entry(Box<RoomEntry>),
    /// Entries after the reader's cursor are no longer held; the next entry is `next`.
    Gap {
        /// First entry that follows.
        next: LobbySeq,
    },
    /// The message is in the log.
    Published {
        /// From the publish.
        mid: Mid,
        /// Where it stands.
        seq: LobbySeq,
    },
    /// The message is not in the log and will not be.
    NotPublished {
        /// From the publish.
        mid: Mid,
        /// For a person.
        reason: String,
    },
    /// Answer to [`ToLobby::Lookup`].
    Found {
        /// From the lookup.
        request: u64,
        /// The person, `None` where nobody of that name is present.
        contact: Option<Contact>,
    },
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        nonce: u64,
    },
    /// I am.
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// The lobby ends this link on purpose.
    GoAway {
        /// For a person.
        reason: String,
        /// How long to wait before coming back, in milliseconds.
        retry_after_ms: u64,
    },
    /// A message of a later version: skipped.
    #[serde(other)]
    Unknown,
}

/// What the lobby grants a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that this link speaks.
    pub version: u16,
    /// Features of the lobby beyond the version.
    #[serde(default)]
    pub features: Vec<String>,
    /// The name granted: the one wished, or with a suffix where another key has that one.
    pub name: Name,
    /// Which log this is.
    pub generation: Generation,
    /// Its last entry.
    pub head: LobbySeq,
    /// The member's own address, as the lobby sees it.
    pub seen_as: SocketAddr,
}

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As the lobby granted it.
    pub name: Name,
    /// The key that owns it.
    pub key: Key,
}

/// One entry of the lobby's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomEntry {
    /// Where it stands.
    pub seq: LobbySeq,
    /// Who said it.
    pub from: Member,
    /// Identity of the message.
    pub mid: Mid,
    /// When its author made it, for show.
    pub at: WallMs,
    /// As it was written.
    pub text: Text,
    /// The author's, over [`signed_bytes`]: every reader checks it.
    pub sig: Signature,
}

/// What the author of a post signs, so that no lobby can put words into anybody's mouth, change them, or carry them into
/// another lobby.
///
/// The first bytes keep it apart from everything else that the key signs; all parts but the last have a fixed length.
pub fn signed_bytes(lobby: &Key, mid: Mid, at: WallMs, text: &Text) -> Vec<u8> {
    [&b"chat/post/1"[..], &lobby.0, &mid.0, &at.0.to_be_bytes(), text.as_str().as_bytes()].concat()
}

/// Where somebody can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub member: Member,
    /// Where to dial, best first, at most [`MAX_ADDRS`](crate::limits::MAX_ADDRS).
    pub addrs: Vec<SocketAddr>,
}

/// Why the lobby does not let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// No version in common.
    Version,
    /// Too many members or connections.
    Busy,
    /// The lobby is stopping.
    Stopping,
    /// The hello broke the rules of this link.
    Protocol,
    /// An operator of the lobby has banned the key or the address.
    Banned,
    /// The lobby wants an invitation; the one that came is none, has expired or is used up.
    Invitation,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}
