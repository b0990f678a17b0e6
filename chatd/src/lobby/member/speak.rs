//! What a member is told: the welcome, who is here, then answers, presence and log as they come.

use std::convert::Infallible;
use std::sync::Arc;

use proto::limits::PAGE_MEMBERS;
use proto::lobby::{FromLobby, Member};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::{End, Seat};
use crate::link::{LinkError, Outgoing};
use crate::lobby::ring::Read;
use crate::lobby::room::{Batch, Cut, Entered, Next};
use crate::lobby::roster::Delta;

/// Writes until the connection ends.
pub(super) async fn speak(
    seat: &Seat,
    entered: Entered,
    outgoing: &mut Outgoing,
    answers: Receiver<FromLobby>,
    closing: &CancellationToken,
) -> End {
    match write(seat, entered, outgoing, answers, closing).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn write(
    seat: &Seat,
    entered: Entered,
    outgoing: &mut Outgoing,
    mut answers: Receiver<FromLobby>,
    closing: &CancellationToken,
) -> Result<Infallible, End> {
    let Seat { hub, member, tether, .. } = seat;
    let Entered { welcome, members, gap, mut reader, .. } = entered;
    outgoing.feed(&FromLobby::Welcome(Box::new(welcome))).await?;
    feed_members(outgoing, members).await?;
    if let Some(next) = gap {
        outgoing.feed(&FromLobby::Gap { next }).await?;
    }
    let mut news = hub.news();
    let mut first = None;
    loop {
        // Before the room is read: what comes after this line wakes the wait below.
        news.mark_unchanged();
        // Once this is so the log grows no more, and the read below is the last one that is needed.
        let closed = closing.is_cancelled();
        let Batch { told, presence, entries } = hub.read(member.key, &mut reader)?;
        let entries = match entries {
            Next::Here(entries) => entries,
            Next::Behind(missing) => reader.turn(hub.page(missing).await?),
        };
        feed_presence(outgoing, &presence).await?;
        for message in &told {
            outgoing.feed(message).await?;
        }
        feed_entries(outgoing, &entries).await?;
        let more = entries.more;
        // After what the room had before: who asks a question can tell by the answer what it was told already.
        while let Some(answer) = first.take().or_else(|| answers.try_recv().ok()) {
            outgoing.feed(&answer).await?;
        }
        outgoing.flush().await?;
        if more {
            continue;
        }
        if closed {
            return Err(Cut::Stopping.into());
        }
        tokio::select! {
            // The hub is there for as long as this is.
            _ = news.changed() => {}
            () = tether.called() => {}
            () = closing.cancelled() => {}
            answer = answers.recv() => first = Some(answer.ok_or(LinkError::Closed)?),
        }
    }
}

/// Who is here, in pages; at least one, and the last says so.
async fn feed_members(outgoing: &mut Outgoing, members: Vec<Arc<Member>>) -> Result<(), LinkError> {
    let pages = members.len().div_ceil(PAGE_MEMBERS);
    for (index, page) in members.chunks(PAGE_MEMBERS).enumerate() {
        let members = owned(page);
        outgoing.feed(&FromLobby::Members { members, more: index + 1 < pages }).await?;
    }
    Ok(())
}

async fn feed_entries(outgoing: &mut Outgoing, entries: &Read) -> Result<(), LinkError> {
    if let Some(next) = entries.gap {
        outgoing.feed(&FromLobby::Gap { next }).await?;
    }
    for frame in &entries.frames {
        outgoing.feed_encoded(frame).await?;
    }
    Ok(())
}

/// Who left goes first: a name may have passed to another key.
async fn feed_presence(outgoing: &mut Outgoing, delta: &Delta) -> Result<(), LinkError> {
    for page in delta.left.chunks(PAGE_MEMBERS) {
        outgoing.feed(&FromLobby::Presence { joined: Vec::new(), left: owned(page) }).await?;
    }
    for page in delta.joined.chunks(PAGE_MEMBERS) {
        outgoing.feed(&FromLobby::Presence { joined: owned(page), left: Vec::new() }).await?;
    }
    Ok(())
}

fn owned(members: &[Arc<Member>]) -> Vec<Member> {
    members.iter().map(|member| Member::clone(member)).collect()
}
