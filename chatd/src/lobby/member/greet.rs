//! From TLS to the welcome, or to a refusal with its reason.

use std::net::SocketAddr;

use proto::frame::FrameError;
use proto::hello::Versions;
use proto::ids::Key;
use proto::lobby::{ALPN, FromLobby, MemberHello, RefusedCode, ToLobby};
use tokio::net::TcpStream;

use crate::identity::Identity;
use crate::link::{Incoming, LinkError, Outgoing, accept, split};
use crate::lobby::hub::{Hub, Tether};
use crate::lobby::room::Entered;
use crate::lobby::roster::Refusal;

/// How long somebody who found no room is asked to wait, in milliseconds.
const BUSY_RETRY_MS: u64 = 5_000;

/// How long somebody without a good invitation is asked to wait, in milliseconds: only another one helps.
const UNINVITED_RETRY_MS: u64 = 60_000;

/// What came of a caller.
pub(super) enum Greeted {
    /// Let in.
    Guest(Box<Guest>),
    /// Not let in, with words for it.
    Refused(Box<Refused>),
    /// Nothing to talk to.
    Failed(LinkError),
}

/// Somebody who was not let in.
pub(super) struct Refused {
    pub(super) refusal: FromLobby,
    pub(super) incoming: Incoming<ToLobby>,
    pub(super) outgoing: Outgoing,
}

/// Somebody who was let in.
pub(super) struct Guest {
    pub(super) key: Key,
    pub(super) entered: Entered,
    /// Ended when a newer link of the same key takes over, or by an operator.
    pub(super) tether: Tether,
    pub(super) incoming: Incoming<ToLobby>,
    pub(super) outgoing: Outgoing,
}

/// Greets a caller. The caller of this function sets the time for it.
pub(super) async fn greet(hub: &Hub, identity: &Identity, stream: TcpStream, addr: SocketAddr) -> Greeted {
    let (stream, key) = match accept(stream, identity, ALPN).await {
        Ok(accepted) => accepted,
        Err(error) => return Greeted::Failed(error),
    };
    let (mut incoming, outgoing) = split(stream);
    let hello = match incoming.next().await {
        Ok(ToLobby::Hello(hello)) => hello,
        Ok(_) => return protocol(incoming, outgoing, "the first message must be a hello"),
        Err(LinkError::Frame(FrameError::TooLong { .. })) => {
            return protocol(incoming, outgoing, "the hello is too long");
        }
        Err(LinkError::Frame(FrameError::Payload(_))) => {
            return protocol(incoming, outgoing, "the hello is not one of this link");
        }
        Err(error) => return Greeted::Failed(error),
    };
    let tether = Tether::default();
    match enter(hub, key, canonical(addr), &hello, &tether) {
        Ok(entered) => {
            incoming.accept_hello();
            Greeted::Guest(Box::new(Guest { key, entered, tether, incoming, outgoing }))
        }
        Err(refusal) => Greeted::Refused(Box::new(Refused { refusal, incoming, outgoing })),
    }
}

fn enter(
    hub: &Hub,
    key: Key,
    addr: SocketAddr,
    hello: &MemberHello,
    tether: &Tether,
) -> Result<Entered, FromLobby> {
    let version = Versions::OURS
        .agree(hello.versions)
        .map_err(|error| refused(RefusedCode::Version, error.to_string(), 0))?;
    hub.enter(key, addr, version, hello, tether.clone()).map_err(|refusal| {
        let (code, retry_after_ms) = match refusal {
            Refusal::Full => (RefusedCode::Busy, BUSY_RETRY_MS),
            Refusal::NameTaken => (RefusedCode::Other, BUSY_RETRY_MS),
            Refusal::Banned => (RefusedCode::Banned, UNINVITED_RETRY_MS),
            Refusal::Uninvited
            | Refusal::UnknownInvitation
            | Refusal::ExpiredInvitation
            | Refusal::UsedInvitation => (RefusedCode::Invitation, UNINVITED_RETRY_MS),
        };
        refused(code, refusal.to_string(), retry_after_ms)
    })
}

/// An IPv4 address as such, also where the listener speaks both.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn protocol(incoming: Incoming<ToLobby>, outgoing: Outgoing, reason: &str) -> Greeted {
    let refusal = refused(RefusedCode::Protocol, reason.to_owned(), 0);
    Greeted::Refused(Box::new(Refused { refusal, incoming, outgoing }))
}

fn refused(code: RefusedCode, reason: String, retry_after_ms: u64) -> FromLobby {
    FromLobby::Refused { code, reason, retry_after_ms }
}
