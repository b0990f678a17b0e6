//! The link between two daemons: one private session, both directions.
//!
//! Each side keeps its own entries as a list that only grows, numbered by [`Pos`] within an [`Epoch`]. A connection
//! says where it stands ([`Hello`]), the sender goes on from there ([`PeerMessage::Start`], [`PeerMessage::Data`]) and
//! the receiver acknowledges what is on its disk ([`PeerMessage::Ack`]). The rules are in `PROTOCOL.md`.

use serde::{Deserialize, Serialize};

use crate::hello::Versions;
use crate::ids::{Chain, Epoch, Instance, Mid, Pos, WallMs};
use crate::name::Name;
use crate::text::Text;

/// ALPN of this link in TLS.
pub const ALPN: &[u8] = b"chat-peer/1";

/// Everything that one daemon says to another. Both directions speak the same messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PeerMessage {
    /// First, once per direction; the side that accepted answers after reading the other's.
    Hello(Box<Hello>),
    /// Where do our histories part? Sent when the receiver's numbering is older and its chain is not mine.
    Locate {
        /// At most [`MAX_PROBES`](crate::limits::MAX_PROBES) positions with their chains, highest first.
        probes: Vec<Probe>,
    },
    /// The answer: the highest probe that the receiver has too, [`Pos::START`] where there is none.
    Located {
        /// A position of the probes, or [`Pos::START`].
        pos: Pos,
    },
    /// Comes before the first [`PeerMessage::Data`]: what follows is numbered in `epoch`, beginning at `from`.
    Start {
        /// Numbering of all that follows on this connection.
        epoch: Epoch,
        /// Position of the first entry to come.
        from: Pos,
        /// Chain at the position before `from`.
        chain: Chain,
    },
    /// One entry. Positions follow each other without a hole.
    Data {
        /// Position in the sender's list.
        pos: Pos,
        /// Identity of the entry.
        mid: Mid,
        /// When its author made it, for show.
        at: WallMs,
        /// What it is.
        content: Content,
    },
    /// Everything before `next` is on the receiver's disk.
    Ack {
        /// First position that the receiver lacks.
        next: Pos,
        /// Chain at the position before `next`, as the receiver has it.
        chain: Chain,
    },
    /// The sender's person has accepted this peer: what the hello said of being held is over.
    Accepted,
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
    /// Last message of a connection that ends on purpose.
    Bye {
        /// Why.
        code: ByeCode,
        /// How long to wait before dialling again, in milliseconds; 0 where it does not matter.
        retry_after_ms: u64,
    },
    /// A message of a later version: skipped.
    #[serde(other)]
    Unknown,
}

/// How a side stands when a connection opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions spoken. This field never changes its form.
    pub versions: Versions,
    /// Features spoken beyond the version.
    #[serde(default)]
    pub features: Vec<String>,
    /// The name that the sender goes by. A claim: who it is says the key of the link.
    pub name: Name,
    /// The sender's present run.
    pub instance: Instance,
    /// TCP port on which the sender accepts peers, to be remembered with the address it comes from. 0: none.
    pub port: u16,
    /// Number of this dial among the dialler's dials to this peer; 0 in the acceptor's hello.
    pub dial_no: u64,
    /// Highest `dial_no` that the sender has used towards this peer.
    pub last_dialed: u64,
    /// Highest `dial_no` of the peer's that the sender has seen.
    pub seen_dial: u64,
    /// Every connection that the sender holds open for this session, this one included.
    pub open: Vec<DialId>,
    /// Counts the sender's hellos to this peer, upwards.
    pub hello_no: u64,
    /// The sender's person has not accepted this peer: what it sends waits, and an open counts only once it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The sender's own list.
    pub out: OutState,
    /// What the sender has of the other's list; `None` where it has nothing.
    #[serde(rename = "in")]
    pub inbound: Option<InState>,
}

/// One connection, named by who dialled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DialId {
    /// The sender of the hello dialled it.
    pub mine: bool,
    /// The dialler's number for it.
    pub dial_no: u64,
}

/// A sender's own list of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutState {
    /// Its numbering.
    pub epoch: Epoch,
    /// Position of the last entry; [`Pos::START`] where there is none.
    pub head: Pos,
    /// Chain at `head`.
    pub chain: Chain,
}

/// What a receiver has of the other's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InState {
    /// The numbering it was received under.
    pub epoch: Epoch,
    /// First position that is lacking.
    pub next: Pos,
    /// Chain at the position before `next`.
    pub chain: Chain,
}

/// A position and the chain there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// A position of the sender's list.
    pub pos: Pos,
    /// The chain at `pos`.
    pub chain: Chain,
}

/// What an entry of a private session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// The author opened the session.
    Open,
    /// A message.
    Text {
        /// As it was written.
        text: Text,
    },
    /// The author left; the session has ended for both.
    Close {
        /// The author had read the other side's entries up to here: an `open` after it is not covered.
        seen: Pos,
    },
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByeCode {
    /// Another connection of the same session stays.
    Superseded,
    /// The numbering changed; dial again.
    Conflict,
    /// Not now; see `retry_after_ms`.
    Busy,
    /// The daemon stops.
    Quit,
    /// The session has ended and everything is delivered.
    Done,
    /// No version in common.
    Version,
    /// The sender does not want this peer.
    Refused,
    /// The other side broke the rules of this link.
    Protocol,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}
