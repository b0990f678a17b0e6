//! `tail`: new lines as they come.

use std::collections::BTreeMap;

use proto::ids::{Key, Seq};
use proto::ipc::{Call, Changes, Range, Reader, Reply, SessionRef, SessionRow};
use proto::limits::PAGE_ENTRIES;

use super::history;
use crate::cli::Global;
use crate::client::{Client, Event, unexpected};
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;
use crate::render::View;
use crate::repl::link;

pub(super) async fn run(
    global: &Global,
    sessions: &[SessionRef],
    cursor: Option<String>,
) -> Result<(), Failure> {
    let base = locate::base(global)?;
    let socket = base.socket(&locate::running(global, &base).await?);
    let mut client = Client::connect(&socket).await?;
    let mut tail = Tail {
        output: Output::new(global),
        sessions,
        reader: cursor.map(Reader::Named),
        places: BTreeMap::new(),
        begun: false,
    };
    tail.check(&mut client).await?;
    loop {
        match tail.follow(&mut client).await {
            Ok(()) => return Ok(()),
            // The goodbye came while an answer was awaited.
            Err(Failure::NoDaemon(_)) if client.is_signed_off() => return Ok(()),
            Err(Failure::NoDaemon(_)) => {
                eprintln!("chatctl: daemon went away, trying again");
                client = link::again(&socket).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Which log: a peer's key, or `None` for the lobby. Numbers come and go, keys stay.
type Log = Option<Key>;

struct Tail<'a> {
    output: Output,
    /// Empty: all.
    sessions: &'a [SessionRef],
    /// `None`: the place is kept here only.
    reader: Option<Reader>,
    places: BTreeMap<Log, Seq>,
    /// The rows of the first change were seen: what is new after them is read from its read mark.
    begun: bool,
}

impl Tail<'_> {
    /// A session that does not exist is told at once and not awaited.
    async fn check(&self, client: &mut Client) -> Result<(), Failure> {
        for session in self.sessions {
            let range = Range::Before(Seq::END);
            client.call(Call::Read { session: session.clone(), range, limit: 1 }).await?;
        }
        Ok(())
    }

    /// Until the user quits the daemon.
    async fn follow(&mut self, client: &mut Client) -> Result<(), Failure> {
        match client.call(Call::Watch).await? {
            Reply::Done => {}
            reply => return Err(unexpected(&reply)),
        }
        loop {
            match client.next().await? {
                Event::Changed(changes) => self.changed(client, &changes).await?,
                Event::Goodbye { quit: true } => return Ok(()),
                Event::Goodbye { quit: false } => {
                    return Err(Failure::NoDaemon("the daemon was stopped".into()));
                }
                Event::Reply(..) => {}
            }
        }
    }

    async fn changed(&mut self, client: &mut Client, changes: &Changes) -> Result<(), Failure> {
        for row in &changes.sessions {
            let wanted =
                self.sessions.is_empty() || self.sessions.iter().any(|session| is_meant(session, row));
            if wanted {
                self.catch_up(client, row).await?;
            }
        }
        self.begun = true;
        Ok(())
    }

    async fn catch_up(&mut self, client: &mut Client, row: &SessionRow) -> Result<(), Failure> {
        let log = row.peer.as_ref().map(|peer| peer.key);
        let mut place = match self.places.get(&log) {
            Some(place) => *place,
            None => self.first_place(client, row).await?,
        };
        self.places.insert(log, place);
        let view = View::of(row);
        while place < row.head {
            let session = reference(row);
            let limit = u32::try_from(PAGE_ENTRIES).unwrap_or(1);
            let call = Call::Read { session, range: Range::After(place), limit };
            let entries = match client.call(call).await? {
                Reply::Entries { entries, .. } => entries,
                reply => return Err(unexpected(&reply)),
            };
            let Some(newest) = entries.last() else { return Ok(()) };
            place = newest.seq;
            for entry in &entries {
                if entry.imported {
                    continue; // older than what was printed before
                }
                history::print(&self.output, &view, entry)?;
                self.places.insert(log, entry.seq);
            }
            self.mark(client, row, place).await?;
        }
        Ok(())
    }

    async fn first_place(&self, client: &mut Client, row: &SessionRow) -> Result<Seq, Failure> {
        match &self.reader {
            Some(reader) => {
                let call = Call::Cursor { reader: reader.clone(), session: reference(row) };
                match client.call(call).await? {
                    Reply::Cursor { seq } => Ok(seq),
                    reply => Err(unexpected(&reply)),
                }
            }
            None if self.begun => Ok(row.read),
            None => Ok(row.head),
        }
    }

    /// Only after the lines were handed to the system: a bot that is killed sees a line again rather than never.
    async fn mark(&self, client: &mut Client, row: &SessionRow, seq: Seq) -> Result<(), Failure> {
        let Some(reader) = &self.reader else { return Ok(()) };
        client.call(Call::Mark { reader: reader.clone(), session: reference(row), seq }).await.map(drop)
    }
}

/// By the peer's name, which stays when the session ends and its number is given back.
fn reference(row: &SessionRow) -> SessionRef {
    match &row.peer {
        Some(peer) => SessionRef::Peer(peer.name.clone()),
        None => SessionRef::Number(row.session),
    }
}

/// Whether the row is of the session that is meant.
pub(super) fn is_meant(session: &SessionRef, row: &SessionRow) -> bool {
    match session {
        SessionRef::Number(number) => *number == row.session,
        SessionRef::Peer(name) => row.peer.as_ref().is_some_and(|peer| peer.name.folded() == name.folded()),
        SessionRef::Key(key) => row.peer.as_ref().is_some_and(|peer| peer.key == *key),
    }
}
