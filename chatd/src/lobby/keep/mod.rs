//! What a lobby keeps on disk, and how it gets there without anybody waiting for the disk.
//!
//! The room notes which rows have changed ([`Ledger`]); a thread of its own takes all that was noted since its last
//! commit and writes it in one transaction ([`Keeper`]). A row that changes often is written once. Nothing is queued:
//! what waits is at most one state of each row.

mod book;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proto::ids::{Key, WallMs};
use proto::name::Name;
use tokio::sync::oneshot;
use tracing::error;

use super::doors::{Pass, TokenHash};
use super::wards::Rule;
use crate::store::StoreError;
use book::Book;

/// Wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Which row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum RowId {
    /// The name of a key.
    Name(Key),
    /// A key that an invitation has let in.
    Guest(Key),
    /// An invitation.
    Invitation(TokenHash),
    /// A decision of an operator.
    Rule(Rule),
    /// Where the lobby can be reached: there is one.
    Address,
}

/// A row as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    /// The name of a key, when it was last in use, and whether its owner is present.
    Name { name: Name, used: WallMs, here: bool },
    /// It was let in.
    Guest,
    /// What is left of an invitation.
    Invitation(Pass),
    /// When a decision ends; `None`: never.
    Rule(Option<WallMs>),
    /// Where the lobby can be reached, `host:port`.
    Address(String),
}

/// What became of a row; `None`: it is gone.
pub(super) type RowChange = (RowId, Option<Row>);

/// All that was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Names, longest unused first.
    pub(super) names: Vec<(Key, Name, WallMs)>,
    /// Who was present when that was last noted.
    pub(super) present: Vec<(Key, WallMs)>,
    /// Keys that invitations have let in.
    pub(super) guests: HashSet<Key>,
    /// Invitations.
    pub(super) passes: HashMap<TokenHash, Pass>,
    /// Decisions of operators, and when they end.
    pub(super) rules: HashMap<Rule, Option<WallMs>>,
    /// Where the lobby can be reached.
    pub(super) address: Option<String>,
}

/// Takes note of what has changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Option<Notes>);

#[derive(Debug, Clone)]
struct Notes {
    waiting: Arc<Waiting>,
    /// Room for one: that something waits need not be said twice.
    wake: SyncSender<()>,
}

#[derive(Debug, Default)]
struct Waiting(Mutex<Unwritten>);

#[derive(Debug, Default)]
struct Unwritten {
    rows: HashMap<RowId, Option<Row>>,
    /// Lines for the audit log.
    lines: Vec<String>,
    /// Who is told once the rows are on the disk: operators, of whom there are few.
    told: Vec<oneshot::Sender<()>>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Unwritten> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Notes changes; a later state of a row replaces an earlier one that was not written yet. Never blocks.
    pub(super) fn note(&self, changes: impl IntoIterator<Item = RowChange>) {
        let Some(notes) = &self.0 else { return };
        let mut waiting = notes.waiting.lock();
        waiting.rows.extend(changes);
        let nothing = waiting.rows.is_empty() && waiting.told.is_empty() && waiting.lines.is_empty();
        drop(waiting);
        if !nothing && let Err(TrySendError::Disconnected(())) = notes.wake.try_send(()) {
            error!("the thread that keeps names is gone: nothing is kept any more");
        }
    }
}

impl Ledger {
    /// Puts an order down in the audit log: what was done, to which keys and addresses.
    pub(super) fn put_down(&self, line: String) {
        let Some(notes) = &self.0 else { return };
        // One for each order, which waits for the disk: there are never more than a few.
        notes.waiting.lock().lines.push(line);
        self.note([]);
    }

    /// Comes true once all that was noted until now is on the disk; at once where nothing is kept.
    pub(super) fn written(&self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        match &self.0 {
            Some(notes) => notes.waiting.lock().told.push(tell),
            None => drop(tell),
        }
        self.note([]);
        told
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Keeper {
    thread: JoinHandle<()>,
}

/// Opens what is kept in `dir`; the folder is there and belongs to one lobby at a time. Changes that the ledger notes
/// are written until its last copy is dropped.
pub(super) fn open(dir: &Path) -> Result<(Kept, Ledger, Keeper), StoreError> {
    let book = Book::open(dir)?;
    let kept = book.load()?;
    let waiting = Arc::new(Waiting::default());
    let (wake, woken) = sync_channel(1);
    let notes = Notes { waiting: Arc::clone(&waiting), wake };
    let thread = thread::Builder::new().name("keeper".into()).spawn(move || write(book, &waiting, &woken));
    let thread = thread.map_err(|_| StoreError::Broken("thread"))?;
    Ok((kept, Ledger(Some(notes)), Keeper { thread }))
}

impl Keeper {
    /// Waits until all is on the disk. The ledger's copies must be gone, or will be soon.
    pub(super) fn finish(self) {
        if self.thread.join().is_err() {
            error!("the thread that keeps names has failed");
        }
    }
}

fn write(mut book: Book, waiting: &Waiting, woken: &Receiver<()>) {
    let mut patience = None;
    loop {
        let ended = match patience {
            None => woken.recv().is_err(),
            Some(time) => woken.recv_timeout(time) == Err(RecvTimeoutError::Disconnected),
        };
        let Unwritten { rows, lines, told } = mem::take(&mut *waiting.lock());
        patience = match book.write(&rows, &lines) {
            Ok(()) => {
                for tell in told {
                    tell.send(()).ok(); // who does not wait any more need not know
                }
                None
            }
            Err(error) => {
                error!(%error, rows = rows.len(), "what the lobby keeps could not be written");
                let mut waiting = waiting.lock();
                for (id, row) in rows {
                    waiting.rows.entry(id).or_insert(row); // unless it has changed again
                }
                waiting.lines.splice(0..0, lines);
                waiting.told.extend(told);
                Some(RETRY)
            }
        };
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(n: u8, name: &str, used: u64) -> RowChange {
        let name = Name::new(name).expect("name");
        (RowId::Name(Key([n; 32])), Some(Row::Name { name, used: WallMs(used), here: false }))
    }

    fn names(dir: &Path) -> Vec<(u8, String, u64)> {
        let kept = Book::open(dir).expect("opens").load().expect("loads");
        kept.names.into_iter().map(|(key, name, used)| (key.0[0], name.into(), used.0)).collect()
    }

    #[test]
    fn what_was_noted_last_is_kept() {
        let dir = tempfile::tempdir().expect("folder");
        let (kept, ledger, keeper) = open(dir.path()).expect("opens");
        assert!(kept.names.is_empty());
        ledger.note([named(1, "anna", 5), named(2, "bobby", 4), named(3, "carl", 3)]);
        ledger.note([named(1, "anna_2", 6), (RowId::Name(Key([3; 32])), None)]);
        drop(ledger);
        keeper.finish();
        assert_eq!(names(dir.path()), [(2, "bobby".into(), 4), (1, "anna_2".into(), 6)]);
    }

    #[test]
    fn two_keys_may_swap_their_names() {
        let dir = tempfile::tempdir().expect("folder");
        for (one, other) in [("anna", "bobby"), ("bobby", "anna")] {
            let (_, ledger, keeper) = open(dir.path()).expect("opens");
            ledger.note([named(1, one, 1), named(2, other, 2)]);
            drop(ledger);
            keeper.finish();
        }
        assert_eq!(names(dir.path()), [(1, "bobby".into(), 1), (2, "anna".into(), 2)]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_gets_at_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("folder");
        let (_, ledger, keeper) = open(dir.path()).expect("opens");
        ledger.note([named(1, "anna", 1)]);
        for file in std::fs::read_dir(dir.path()).expect("folder") {
            let file = file.expect("file");
            let mode = file.metadata().expect("metadata").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
        }
        drop(ledger);
        keeper.finish();
    }
}
