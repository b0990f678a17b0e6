//! Links to the lobby and to peers: TLS 1.3 between two keys, and typed messages on it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`tls`] | [`connect`] and [`accept`]: an encrypted stream whose both ends are known by their keys |
//! | [`framed`] | [`split`], [`Incoming`] and [`Outgoing`]: messages on any stream, with the link's timers |
//! | [`Backoff`] | when to try again |
//! | `gate` | how many callers may be between accept and a good hello, at the lobby and at a daemon |
//! | [`socket`] | TCP listeners and streams as these links need them |

use std::io;
use std::time::Duration;

use proto::frame::FrameError;
use proto::ids::Key;

mod backoff;
pub mod framed;
pub(crate) mod gate;
pub mod socket;
pub mod tls;

pub use backoff::Backoff;
pub use framed::{Incoming, Outgoing, split};
pub use tls::{TlsStream, accept, connect};

/// Time for the TLS handshake, on either side. A server counts the hello in: see who calls.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which the other side is asked whether it is there.
pub const PING_AFTER: Duration = Duration::from_secs(10);

/// Silence after which the other side is given up. With the next look at the clock a half-open link is found
/// within 30 s.
pub const DEAD_AFTER: Duration = Duration::from_secs(25);

/// Time that the other side has to take some of what is written to it.
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// Why a link did not come about or came to its end.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The handshake failed; the other end may not be one of ours at all.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    /// The handshake was not over in [`HANDSHAKE_TIMEOUT`].
    #[error("the handshake took longer than {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    /// The other side has another key than the one that was asked for.
    #[error(
        "the other side has the key {}, not the expected {}",
        crate::identity::fingerprint(found),
        crate::identity::fingerprint(expected)
    )]
    WrongKey {
        /// The key asked for.
        expected: Key,
        /// The key that answered.
        found: Key,
    },
    /// The other side speaks TLS and nothing that is spoken here.
    #[error("the other side does not speak this protocol")]
    Alpn,
    /// The other side ended the link between two messages, in order.
    #[error("the other side closed the link")]
    Closed,
    /// Nothing came for [`DEAD_AFTER`].
    #[error("the other side has been silent for {} s", DEAD_AFTER.as_secs())]
    Silent,
    /// The other side took nothing for [`WRITE_STALL`].
    #[error("the other side has taken nothing for {} s", WRITE_STALL.as_secs())]
    Stalled,
    /// What came is not a message of this link, or what was to be sent does not fit.
    #[error(transparent)]
    Frame(FrameError),
    /// The stream ended without the end of TLS: the other side crashed, or somebody in between cut it.
    #[error("the connection was cut")]
    Cut,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Cut,
            FrameError::Io(error) => Self::Io(error),
            error => Self::Frame(error),
        }
    }
}
