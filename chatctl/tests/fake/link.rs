//! One client's link.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use interprocess::local_socket::tokio::Stream;
use proto::frame::Codec;
use proto::ipc::{Call, Reply, ToClient, ToDaemon};
use tokio_util::codec::Framed;

use super::Shared;
use super::world::World;

pub(super) async fn serve(stream: Stream, shared: Arc<Shared>) {
    let mut link = Framed::new(stream, Codec::<ToDaemon>::new());
    let Some(Ok(ToDaemon::Hello { .. })) = link.next().await else { return };
    link.codec_mut().accept();
    // A client that only looks who is there is gone already.
    if link.send(&ToClient::Welcome { version: 1, features: Vec::new() }).await.is_err() {
        return;
    }
    let mut version = shared.version.subscribe();
    let mut told: Option<World> = None;
    loop {
        let outgoing = tokio::select! {
            message = link.next() => match message {
                Some(Ok(ToDaemon::Request { id, call })) => {
                    Some(ToClient::Reply { id, reply: answer(&shared, call, &mut told) })
                }
                _ => return,
            },
            changed = version.changed(), if told.is_some() => {
                if changed.is_err() {
                    return;
                }
                None
            }
        };
        if let Some(message) = &outgoing
            && link.send(message).await.is_err()
        {
            return;
        }
        if shared.peek(|world| world.quit) {
            // Whoever is gone already needs no goodbye.
            drop(link.send(&ToClient::Goodbye { quit: true }).await);
            return;
        }
        let now = shared.peek(World::clone);
        if let Some(before) = &mut told
            && let Some(changes) = now.since(before)
        {
            *before = now;
            if link.send(&ToClient::Changed(Box::new(changes))).await.is_err() {
                return;
            }
        }
    }
}

fn answer(shared: &Shared, call: Call, told: &mut Option<World>) -> Reply {
    match call {
        Call::Watch => {
            *told = Some(World::nothing());
            Reply::Done
        }
        call @ (Call::Read { .. }
        | Call::State
        | Call::Users { .. }
        | Call::Search { .. }
        | Call::Cursor { .. }) => shared.peek(|world| world.look(&call)),
        call => shared.with(|world| world.act(call)),
    }
}
