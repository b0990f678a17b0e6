//! A member's requests, one at a time; the next one is read when the answer to this one has its place.

use std::convert::Infallible;

use proto::lobby::{FromLobby, ToLobby};
use tokio::sync::mpsc::Sender;

use super::{End, Seat};
use crate::identity::is_signed;
use crate::link::{Incoming, LinkError};
use crate::lobby::room::{Cut, Outcome, Post};

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
            ToLobby::Publish { mid, at, text, sig } => publish(seat, Post { mid, at, text, sig })?,
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

fn publish(seat: &Seat, post: Post) -> Result<FromLobby, Cut> {
    let mid = post.mid;
    let refused = |reason: &str| Ok(FromLobby::NotPublished { mid, reason: reason.to_owned() });
    // Here and not in the room: every reader would take it for a forgery of the lobby's.
    if !is_signed(&seat.key, &seat.lobby, mid, post.at, &post.text, &post.sig) {
        return refused("it is not signed by your key");
    }
    match seat.hub.publish(seat.key, seat.link, post)? {
        Outcome::Stands { seq, .. } => Ok(FromLobby::Published { mid, seq }),
        Outcome::Muted => refused("an operator of the lobby has muted you"),
        Outcome::TooLong => refused("the message does not fit into a frame"),
    }
}
