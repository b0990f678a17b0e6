//! The local socket: clients of the same user attach here.

mod client;
mod history;
mod listen;

use tokio::sync::{mpsc, watch};

use crate::daemon::{Event, Seen};
use proto::ids::Key;

pub use history::History;
pub use listen::{ListenError, Server};
pub(crate) use listen::{bind, is_same_user};

/// What every client's task needs of the daemon.
#[derive(Debug, Clone)]
pub struct Context {
    /// The core's queue.
    pub events: mpsc::Sender<Event>,
    /// Changes and the end.
    pub seen: watch::Receiver<Seen>,
    /// Pages for clients.
    pub history: History,
    /// The daemon's key.
    pub me: Key,
}
