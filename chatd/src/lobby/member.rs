//! One connection: the hello, then requests in and the log out, side by side, until one of them ends.

mod greet;
mod listen;
mod speak;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::ids::Key;
use proto::lobby::{FromLobby, ToLobby};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, info};

use super::hub::Hub;
use super::room::Cut;
use super::roster::LinkNo;
use crate::identity::{Identity, fingerprint};
use crate::link::gate::Place;
use crate::link::{Incoming, LinkError, Outgoing};
use greet::{Greeted, Guest, Refused};

/// Answers that wait to be written. Full: no further request of this connection is read until there is room.
const ANSWERS: usize = 32;

/// Time for the last words to a connection that ends.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// Time that the other side has, after the last words, to close its end.
const LINGER: Duration = Duration::from_millis(300);

/// How long a link that was cut for its own good is asked to wait, in milliseconds.
const CUT_RETRY_MS: u64 = 1_000;

/// How long somebody who broke the rules, or whose key is in use elsewhere, is asked to wait, in milliseconds.
const LONG_RETRY_MS: u64 = 30_000;

/// Somebody who was accepted.
pub(super) struct Caller {
    pub(super) stream: TcpStream,
    pub(super) addr: SocketAddr,
    pub(super) place: Place,
}

/// Why a member's connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The member said goodbye.
    #[error("goodbye")]
    Bye,
    /// The room no longer serves this link.
    #[error(transparent)]
    Cut(#[from] Cut),
    /// A message came that has no place there.
    #[error("a second hello")]
    Protocol,
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Serves one connection from accept to its end.
pub(super) async fn serve(
    hub: Arc<Hub>,
    identity: Arc<Identity>,
    caller: Caller,
    closing: CancellationToken,
) {
    let Caller { stream, addr, place } = caller;
    let greeted = tokio::select! {
        biased;
        () = closing.cancelled() => return,
        () = place.evicted() => return debug!("evicted from a full doorstep"),
        greeted = timeout(hub.config.handshake_timeout, greet::greet(&hub, &identity, stream, addr)) => greeted,
    };
    drop(place);
    match greeted {
        Ok(Greeted::Guest(guest)) => stay(&hub, identity.key(), *guest, &closing).await,
        Ok(Greeted::Refused(refused)) => {
            let Refused { refusal, incoming, outgoing } = *refused;
            farewell(incoming, outgoing, Some(refusal)).await;
        }
        Ok(Greeted::Failed(error)) => debug!(%error, "no hello"),
        Err(_) => debug!("no hello in time"),
    }
}

/// Serves a member that was let in.
async fn stay(hub: &Arc<Hub>, lobby: Key, guest: Guest, closing: &CancellationToken) {
    let Guest { key, entered, cut, mut incoming, mut outgoing } = guest;
    let name = entered.welcome.name.clone();
    Span::current().record("name", name.as_str()).record("key", fingerprint(&key));
    info!("entered");
    let mut seat = Seat { hub: hub.clone(), lobby, key, link: entered.link, bye: false };
    let (answer, answers) = mpsc::channel(ANSWERS);
    let end = tokio::select! {
        biased;
        why = cut.ended() => End::Cut(why),
        end = until(closing, listen::listen(&seat, &mut incoming, &answer)) => end,
        end = speak::speak(hub, entered, &mut outgoing, answers, closing) => end,
    };
    info!(reason = %reason(&end), "ended");
    seat.bye = matches!(end, End::Bye);
    // Before the last words: the room hears of it whether or not this one listens.
    drop(seat);
    match end {
        // Nobody is there to hear it.
        End::Link(LinkError::Silent | LinkError::Stalled | LinkError::Io(_)) => {}
        end => farewell(incoming, outgoing, goodbye(hub, &end)).await,
    }
}

/// The outcome of `act`; when the lobby closes `act` stops without one, and what is still to be said is said.
async fn until(closing: &CancellationToken, act: impl Future<Output = End>) -> End {
    tokio::select! {
        biased;
        () = closing.cancelled() => pending().await,
        end = act => end,
    }
}

/// A member's place in the room, given back whatever ends its connection.
struct Seat {
    hub: Arc<Hub>,
    /// The lobby's own key.
    lobby: Key,
    key: Key,
    link: LinkNo,
    bye: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.bye {
            self.hub.bye(self.key, self.link);
        } else {
            self.hub.dropped(self.key, self.link);
        }
    }
}

/// Without what the frame held: the error of a malformed one quotes it.
fn reason(end: &End) -> String {
    match end {
        End::Link(LinkError::Frame(_)) => "a frame broke the rules of this link".to_owned(),
        end => end.to_string(),
    }
}

fn goodbye(hub: &Hub, end: &End) -> Option<FromLobby> {
    let retry_after_ms = match end {
        End::Bye | End::Link(LinkError::Closed) => return None,
        End::Cut(Cut::Stopping) => u64::try_from(hub.config.restart_retry.as_millis()).unwrap_or(u64::MAX),
        End::Cut(Cut::TooSlow) => CUT_RETRY_MS,
        End::Cut(Cut::Superseded | Cut::Removed | Cut::Banned) | End::Protocol | End::Link(_) => {
            LONG_RETRY_MS
        }
    };
    Some(FromLobby::GoAway { reason: reason(end), retry_after_ms })
}

/// Says the last words and closes, if the other side takes it.
async fn farewell(mut incoming: Incoming<ToLobby>, mut outgoing: Outgoing, words: Option<FromLobby>) {
    let say = async {
        if let Some(words) = words {
            outgoing.send(&words).await?;
        }
        outgoing.close().await
    };
    match timeout(FAREWELL, say).await {
        Ok(Ok(())) => timeout(LINGER, incoming.drain()).await.unwrap_or(()),
        Ok(Err(error)) => debug!(%error, "the goodbye was not taken"),
        Err(_) => debug!("the goodbye was not taken in time"),
    }
}
