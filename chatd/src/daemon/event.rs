//! What comes into the core, and what goes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::ids::{Key, Mid, Seq, SessionNo, WallMs};
use proto::ipc::{Call, CallError, Changes, Reply, SessionRef};
use proto::lobby::{FromLobby, RoomEntry, ToLobby};
use proto::name::Name;
use proto::peer::{Hello, PeerMessage};
use proto::text::Text;
use tokio::sync::oneshot;

use super::Known;
use crate::peer::ConnId;
use crate::store::{LogId, Progress};

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A client asks something that the core answers.
    Call(Call, oneshot::Sender<Reply>),
    /// A client wants to read a session's log.
    Place(SessionRef, oneshot::Sender<Result<Place, CallError>>),
    /// A client wants to read all logs.
    Places(oneshot::Sender<Vec<Place>>),
    /// A client wants the code with somebody.
    Known(Name, oneshot::Sender<Result<Known, CallError>>),
    /// A client wants the rows that changed after a version; 0 gives all rows.
    Changes(u64, oneshot::Sender<(u64, Changes)>),
    /// A client began to watch.
    Attached,
    /// A client that watched is gone.
    Detached,
    /// Somebody dialled us, proved a key and said hello.
    PeerAccepted {
        /// The new connection.
        conn: ConnId,
        /// Whose key it is.
        key: Key,
        /// Where it comes from.
        from: IpAddr,
        /// What it said.
        hello: Box<Hello>,
    },
    /// Our dial was answered by the right key.
    PeerDialed {
        /// For which session.
        log: LogId,
        /// The dial's number.
        dial_no: u64,
        /// The new connection.
        conn: ConnId,
        /// Where the peer was.
        addr: SocketAddr,
    },
    /// Our dial came to nothing.
    PeerDialFailed {
        /// For which session.
        log: LogId,
        /// Why, for a person.
        reason: String,
    },
    /// A message came from a peer.
    Peer(ConnId, PeerMessage),
    /// A connection to a peer is gone.
    PeerLost(ConnId),
    /// A link to the lobby stands; nothing was said on it yet.
    LobbyUp {
        /// Its number: what is meant for it goes to no later one.
        link: u64,
        /// This daemon hosts the lobby.
        hosted: bool,
        /// The key that the lobby has proven.
        key: Key,
    },
    /// A message came from the lobby. What an entry says is signed by its author: that was checked.
    Lobby(FromLobby),
    /// An entry came from the lobby that its author has not signed.
    Forged(Box<RoomEntry>),
    /// The link to the lobby is gone, or a try to make one failed.
    LobbyDown {
        /// Why, for a person.
        reason: String,
    },
    /// The daemon is told to stop and to come back later (SIGTERM): no session ends.
    Suspend,
}

/// Where a client's session is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its log.
    pub log: LogId,
    /// Its number; `None` once it was given back.
    pub number: Option<SessionNo>,
    /// The peer; `None` for the lobby.
    pub peer: Option<Name>,
    /// Its last entry.
    pub head: Seq,
    /// How far its own entries have come.
    pub progress: Progress,
}

/// How the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The person signed off; the sessions have ended.
    Quit,
    /// It will be back with everything.
    Suspend,
}

/// What this daemon's person says in the lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Identity of the message.
    pub mid: Mid,
    /// When it was written.
    pub at: WallMs,
    /// As it was written.
    pub text: Text,
}

/// To be done once the step is on the disk.
#[derive(Debug)]
pub enum Effect {
    /// Answer a client.
    Reply(oneshot::Sender<Reply>, Reply),
    /// Tell a client where a session is.
    Place(oneshot::Sender<Result<Place, CallError>>, Result<Place, CallError>),
    /// Tell a client where all sessions are.
    Places(oneshot::Sender<Vec<Place>>, Vec<Place>),
    /// Tell a client whose key a name stands for.
    Known(oneshot::Sender<Result<Known, CallError>>, Result<Known, CallError>),
    /// Tell a client what changed.
    Changes(oneshot::Sender<(u64, Changes)>, u64, Box<Changes>),
    /// Put a message on a peer's connection.
    Peer(ConnId, PeerMessage),
    /// End a peer's connection, after what was put on it.
    PeerClose(ConnId),
    /// Dial a peer.
    Dial {
        /// For which session.
        log: LogId,
        /// Who must answer.
        key: Key,
        /// Number of the dial.
        dial_no: u64,
        /// Where to try, in turn; at least one.
        addrs: Vec<SocketAddr>,
    },
    /// Put a message on the link to the lobby of that number.
    Lobby(u64, ToLobby),
    /// Say something in the lobby, signed, on the link of that number.
    Post(u64, Post),
    /// End the link to the lobby and make a new one, not before so much time has passed.
    LobbyClose(Duration),
    /// Something that clients can see has changed; this is its version.
    Version(u64),
    /// The daemon is done.
    Stop(Stop),
}
