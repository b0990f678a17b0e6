//! A member's requests, one at a time; the next one is read when the answer to this one has its place.

use std::convert::Infallible;

use proto::ids::{Mid, WallMs};
use proto::lobby::{FromLobby, ToLobby};
use proto::text::Text;
use tokio::sync::mpsc::Sender;

use super::{End, Seat};
use crate::link::{Incoming, LinkError};
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
    // No room for the question: the member has enough to answer for as it is.
    let ask = || drop(answer.try_send(FromLobby::Ping { nonce: rand::random() }));
    loop {
        let reply = match incoming.next_or_ask(ask).await? {
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
