//! A member's requests, one at a time; the next one is read when the answer to this one has its place.

use std::convert::Infallible;
use std::future::Future;

use proto::ids::LobbySeq;
use proto::lobby::{FromLobby, RoomEntry, ToLobby};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::{End, Seat};
use crate::identity::is_genuine;
use crate::link::{Incoming, LinkError, PING_AFTER};
use crate::lobby::log::{Denied, Post};

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
            ToLobby::Publish { mid, at, text, sig } => {
                let from = seat.member.clone();
                let entry = RoomEntry { seq: LobbySeq::START, from, mid, at, text, sig };
                patient(publish(seat, entry, answer), ask).await?;
                continue;
            }
            ToLobby::Lookup { request, name } => FromLobby::Found { request, member: seat.hub.find(&name) },
            ToLobby::Reach { key } => {
                seat.hub.reach(seat.member.key, key);
                continue;
            }
            ToLobby::Decline { key } => {
                seat.hub.decline(seat.member.key, key);
                continue;
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

/// A message goes to the log as soon as there is room for its answer and for it. What becomes of it is answered later:
/// meanwhile the next one is read.
async fn publish(seat: &Seat, entry: RoomEntry, answer: &Sender<FromLobby>) -> Result<(), End> {
    let place = answer.clone().reserve_owned().await.map_err(|_| LinkError::Closed)?;
    // Every reader would take it for a forgery of the lobby's.
    let denied = (!is_genuine(&entry, &seat.lobby)).then_some(Denied::Unsigned);
    Ok(seat.hub.publish(seat.link, Post { entry, denied }, place).await?)
}

/// Waits for `act`, however long the disk takes: the member is asked whether it is there, and so knows that we are.
async fn patient<T>(act: impl Future<Output = T>, ask: impl Fn()) -> T {
    let mut act = std::pin::pin!(act);
    loop {
        match timeout(PING_AFTER, &mut act).await {
            Ok(done) => return done,
            Err(_) => ask(),
        }
    }
}
