//! `history SESSION`: older lines, oldest first.

use std::collections::VecDeque;

use proto::ids::Seq;
use proto::ipc::{Call, Entry, EntryKind, Range, Reply, SessionRef};
use proto::limits::PAGE_ENTRIES;

use crate::cli::Global;
use crate::client::{Client, unexpected};
use crate::failure::Failure;
use crate::json::Message;
use crate::locate;
use crate::output::Output;
use crate::render::View;

/// Lines that are printed where nobody says how many.
const DEFAULT_LIMIT: usize = 50;

pub(super) async fn run(
    global: &Global,
    session: SessionRef,
    limit: Option<usize>,
    after: Option<Seq>,
) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let view = view(&mut client, &session).await?;
    if let Some(after) = after {
        forward(&mut client, &session, after, limit.unwrap_or(usize::MAX), |entry| {
            print(&output, &view, entry)
        })
        .await
    } else {
        let entries = last(&mut client, &session, limit.unwrap_or(DEFAULT_LIMIT)).await?;
        entries.iter().try_for_each(|entry| print(&output, &view, entry))
    }
}

/// Writes an entry; as an object only if it is a message, for the other kinds have no fields in the contract.
pub(super) fn print(output: &Output, view: &View, entry: &Entry) -> Result<(), Failure> {
    match (output.json, entry.kind) {
        (true, EntryKind::Text) => output.object(&Message::of(Some(view.session), entry)),
        (true, _) => Ok(()),
        (false, _) => output.line(&view.entry(entry, output.style)),
    }
}

/// What the lines of the session need to know of it. A session without a number is read by its peer's name.
async fn view(client: &mut Client, session: &SessionRef) -> Result<View, Failure> {
    let state = client.state().await?;
    let row = state.sessions.iter().find(|row| super::tail::is_meant(session, row));
    if let Some(row) = row {
        return Ok(View::of(row));
    }
    let call = Call::Read { session: session.clone(), range: Range::Before(Seq::END), limit: 1 };
    match (client.call(call).await?, session) {
        (Reply::Entries { session, .. }, SessionRef::Peer(name)) => {
            Ok(View { session, mode: Some(proto::ipc::Mode::A), peer: Some(name.clone()) })
        }
        (Reply::Entries { session, .. }, SessionRef::Number(_) | SessionRef::Key(_)) => {
            Ok(View { session, mode: None, peer: None })
        }
        (reply, _) => Err(unexpected(&reply)),
    }
}

async fn read(
    client: &mut Client,
    session: &SessionRef,
    range: Range,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let limit = u32::try_from(limit.min(PAGE_ENTRIES)).unwrap_or(1);
    match client.call(Call::Read { session: session.clone(), range, limit }).await? {
        Reply::Entries { entries, .. } => Ok(entries),
        reply => Err(unexpected(&reply)),
    }
}

/// Page by page from `after` on; only one page is ever held.
async fn forward(
    client: &mut Client,
    session: &SessionRef,
    mut after: Seq,
    mut limit: usize,
    mut print: impl FnMut(&Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while limit > 0 {
        let entries = read(client, session, Range::After(after), limit).await?;
        let Some(newest) = entries.last() else { return Ok(()) };
        after = newest.seq;
        entries.iter().take(limit).try_for_each(&mut print)?;
        limit = limit.saturating_sub(entries.len());
    }
    Ok(())
}

/// The last `limit` entries, oldest first.
async fn last(client: &mut Client, session: &SessionRef, limit: usize) -> Result<VecDeque<Entry>, Failure> {
    let mut found = VecDeque::new();
    let mut before = Seq::END;
    while found.len() < limit {
        let entries = read(client, session, Range::Before(before), limit - found.len()).await?;
        let Some(oldest) = entries.first() else { break };
        before = oldest.seq;
        for entry in entries.into_iter().rev() {
            found.push_front(entry);
        }
    }
    Ok(found)
}
