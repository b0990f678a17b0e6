//! Private sessions: the state machine of one session, and the sockets that feed it.
//!
//! [`PeerSession`] is plain data in, plain data out: it is handed the store, the clock and the randomness ([`Cx`]) and
//! answers with [`Output`]s, which the caller carries out after the commit. It never touches a socket. The sockets are
//! in [`net`], which knows nothing of sessions.
//!
//! The rules are those of `proto/PROTOCOL.md`, "Between two daemons".

pub mod chain;
mod consent;
mod instances;
mod links;
pub mod net;
mod receive;
mod row;
mod send;
mod session;

use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::{Instance, Key, WallMs};
use proto::name::Name;
use proto::peer::PeerMessage;
use rand::rngs::StdRng;

use crate::store::{LogId, Store};

pub use session::{MAX_QUEUED, PeerSession};

/// One connection to a peer, by a number that no other connection of this run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// The clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the start of the daemon; never goes back. What every timer counts in.
    pub mono: Duration,
    /// For show only.
    pub wall: WallMs,
}

/// This daemon, as it introduces itself.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its key.
    pub key: Key,
    /// The name it goes by.
    pub name: Name,
    /// Its present run.
    pub instance: Instance,
    /// Where it accepts peers; 0: nowhere.
    pub port: u16,
}

/// What a state machine is handed for one step.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Where everything durable goes.
    pub store: &'a mut Store,
    /// The time of the step.
    pub now: Now,
    /// The only source of chance.
    pub rng: &'a mut StdRng,
    /// Who we are.
    pub me: &'a Me,
    /// What is to be done after the commit, in order.
    pub outputs: &'a mut Vec<Output>,
}

/// What is to be done once the step is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Put a message on a connection.
    Send(ConnId, PeerMessage),
    /// End a connection, after what was sent on it.
    Close(ConnId),
    /// Open a connection, trying the addresses in turn; answered by [`PeerSession::on_dialed`] or
    /// [`PeerSession::on_dial_failed`].
    Dial {
        /// For which session.
        log: LogId,
        /// Who must answer.
        key: Key,
        /// Number of this dial.
        dial_no: u64,
        /// Where it was reached before, best first; may be empty.
        addrs: Vec<SocketAddr>,
    },
}

#[cfg(test)]
mod simulation;
