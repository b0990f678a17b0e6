//! Where the lobby takes orders: a local socket in its folder, for the user that it runs as, and root.
//!
//! One order, one answer, and the link ends. An answer is given once what was ordered is on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, tokio::Stream as LocalStream};
use proto::frame::Codec;
use proto::ids::WallMs;
use proto::invitation::Token;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, FramedWrite};
use tracing::{debug, warn};

use super::doors::Pass;
use super::hub::{Hub, OrderError};
use super::wards::Kind;
use crate::ipc::{self, ListenError};

/// Name of the socket in the lobby's folder.
const SOCKET: &str = "lobbyd.sock";

/// Time for one order. They are served one after the other: all come from one person.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the lobby is told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Order {
    /// Make an invitation.
    Invite { uses: u32, expires: Option<WallMs> },
    /// Say which invitations are open.
    Invitations,
    /// Let nobody in by an invitation any more.
    Revoke { id: String },
    /// End somebody's link.
    Kick { whom: String },
    /// Let nobody in with that key or from that address.
    Ban { whom: String, until: Option<WallMs>, with_address: bool },
    /// Let them in again.
    Unban { whom: String },
    /// Take no message from that key.
    Mute { whom: String, until: Option<WallMs> },
    /// Take them again.
    Unmute { whom: String },
    /// Say who is here and what is decided.
    List,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Answer {
    /// The invitation is made; `address` is where the lobby was said to be.
    Invited { token: Token, address: Option<String> },
    /// It was done, or this is so; a line each.
    Told { lines: Vec<String> },
    /// It was not done.
    Failed { reason: String },
}

/// The socket, bound.
#[derive(Debug)]
pub(super) struct Desk {
    listener: Listener,
}

/// Where the socket is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(SOCKET)
}

impl Desk {
    /// Opens the desk of the lobby in `dir`. The caller holds the folder's lock.
    pub(super) async fn open(dir: &Path) -> Result<Self, ListenError> {
        Ok(Self { listener: ipc::bind(&path(dir)).await? })
    }

    /// Takes orders. Never returns.
    pub(super) async fn serve(&self, hub: &Hub) {
        loop {
            match self.listener.accept().await {
                Ok(stream) if ipc::is_same_user(&stream) || is_root(&stream) => {
                    let served = timeout(TIMEOUT, take_order(stream, hub)).await;
                    debug!(?served, "an order");
                }
                Ok(_) => warn!("refused an order of another user"),
                Err(error) => {
                    warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Root gives orders to a lobby that runs as a user of its own, as the system's unit has it.
#[cfg(unix)]
fn is_root(stream: &Stream) -> bool {
    stream.peer_creds().is_ok_and(|creds| creds.euid() == Some(0))
}

#[cfg(not(unix))]
fn is_root(_: &Stream) -> bool {
    false
}

async fn take_order(stream: Stream, hub: &Hub) -> io::Result<()> {
    let (read, write) = tokio::io::split(stream);
    let mut orders = FramedRead::new(read, Codec::<Order>::new());
    let mut answers = FramedWrite::new(write, Codec::<()>::new());
    let answer = match orders.next().await {
        Some(Ok(order)) => carry_out(hub, order).await,
        Some(Err(_)) => Answer::Failed { reason: "the running lobbyd is another version: restart it".into() },
        None => return Ok(()),
    };
    answers.send(&answer).await.map_err(io::Error::other)
}

/// Does what is ordered; returns once it is on the disk.
pub(super) async fn carry_out(hub: &Hub, order: Order) -> Answer {
    let answer = match order {
        Order::Invite { uses, expires } => {
            let token = Token(rand::random());
            match hub.invite(&token, Pass { uses, expires }) {
                Ok(()) => Answer::Invited { token, address: hub.address().map(str::to_owned) },
                Err(error) => Answer::Failed { reason: error.to_string() },
            }
        }
        Order::Invitations => Answer::Told { lines: hub.invitations() },
        Order::Revoke { id } => told(hub.revoke(&id)),
        Order::Kick { whom } => told(hub.kick(&whom)),
        Order::Ban { whom, until, with_address } => told(hub.forbid(Kind::Ban, &whom, until, with_address)),
        Order::Unban { whom } => told(hub.allow(Kind::Ban, &whom)),
        Order::Mute { whom, until } => told(hub.forbid(Kind::Mute, &whom, until, false)),
        Order::Unmute { whom } => told(hub.allow(Kind::Mute, &whom)),
        Order::List => Answer::Told { lines: hub.list() },
    };
    hub.written().await.ok(); // an error: nothing is kept
    answer
}

fn told(outcome: Result<Vec<String>, OrderError>) -> Answer {
    match outcome {
        Ok(lines) => Answer::Told { lines },
        Err(error) => Answer::Failed { reason: error.to_string() },
    }
}

/// Gives an order to the lobby that runs in `dir`; `None`: none runs.
pub(super) async fn order(dir: &Path, order: &Order) -> io::Result<Option<Answer>> {
    let name = path(dir);
    let name = name.as_path().to_fs_name::<GenericFilePath>()?;
    let stream = match LocalStream::connect(name).await {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        stream => stream?,
    };
    let ask = async {
        let (read, write) = tokio::io::split(stream);
        FramedWrite::new(write, Codec::<()>::new()).send(order).await.map_err(io::Error::other)?;
        let mut codec = Codec::<Answer>::new();
        codec.accept();
        let answer = FramedRead::new(read, codec).next().await;
        answer.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)
    };
    timeout(2 * TIMEOUT, ask).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map(Some)
}
