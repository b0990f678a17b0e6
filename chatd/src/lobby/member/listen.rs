//! A member's requests, one at a time; the next one is read when the answer to this one has its place.

use std::convert::Infallible;

use proto::ids::{Mid, WallMs};
use proto::lobby::{FromLobby, ToLobby};
use proto::text::Text;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout_at;

use super::{End, Seat};
use crate::link::{Incoming, LinkError, PING_AFTER};
use crate::lobby::room::{Cut, Outcome};

/// Serves requests until the connection ends.
pub(super) async fn listen(seat: &Seat, incoming: &mut Incoming<ToLobby>, answer: &Sender<FromLobby>) -> End {
    match serve(seat, incoming, answer).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn serve(
    seat: &Seat,
    incoming: &mut Incoming<ToLobby>,
    answer: &Sender<FromLobby>,
) -> Result<Infallible, End> {
    loop {
        let reply = match next(incoming, answer).await? {
            ToLobby::Publish { mid, at, text } => publish(seat, mid, at, text)?,
            ToLobby::Lookup { request, name } => {
                FromLobby::Found { request, contact: seat.hub.contact(&name) }
            }
            ToLobby::Ping { nonce } => FromLobby::Pong { nonce },
            ToLobby::Pong { .. } | ToLobby::Unknown => continue,
            ToLobby::Bye => return Err(End::Bye),
            ToLobby::Hello(_) => return Err(End::Protocol),
        };
        if answer.send(reply).await.is_err() {
            return Err(LinkError::Closed.into());
        }
    }
}

/// The next message; asks a silent member whether it is there.
async fn next(incoming: &mut Incoming<ToLobby>, answer: &Sender<FromLobby>) -> Result<ToLobby, LinkError> {
    if let Ok(message) = timeout_at(incoming.heard() + PING_AFTER, incoming.next()).await {
        return message;
    }
    // No room: the member has enough to answer for as it is.
    answer.try_send(FromLobby::Ping { nonce: rand::random() }).ok();
    incoming.next().await
}

fn publish(seat: &Seat, mid: Mid, at: WallMs, text: Text) -> Result<FromLobby, Cut> {
    Ok(match seat.hub.publish(seat.key, seat.link, mid, at, text)? {
        Outcome::Stands { seq, .. } => FromLobby::Published { mid, seq },
        Outcome::Muted => {
            FromLobby::NotPublished { mid, reason: "an operator of the lobby has muted you".to_owned() }
        }
        Outcome::TooLong => {
            FromLobby::NotPublished { mid, reason: "the message does not fit into a frame".to_owned() }
        }
    })
}
