//! One private session: what the person does with it, and what follows from both lists.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto::ids::{Key, Mid, Pos, Seq, WallMs};
use proto::ipc::{EntryKind, Mode};
use proto::limits::MAX_ADDRS;
use proto::name::Name;
use proto::text::Words;
use rand::RngExt;

use super::consent::Consent;
use super::instances::Instances;
use super::links::{Latest, Link};
use super::{ConnId, Cx, Output};
use crate::link::Backoff;
use crate::session::Log;
use crate::store::{Author, InRow, LogRow, NewEntry, Progress, Store, StoreError};

/// Why nothing comes of a session that the other side does not want, for a person.
pub(super) const REFUSED: &str = "the other daemon does not take this session";
/// First wait after a lost connection is drawn below this: both sides redial, and need not do so at the same instant.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// Shortest wait after a failed dial.
const RETRY_BASE: Duration = Duration::from_millis(500);
/// Longest wait after a failed dial.
const RETRY_CAP: Duration = Duration::from_secs(30);
/// A connection that held so long was good.
const HEALTHY: Duration = Duration::from_secs(30);
/// Longest wait that the other side can ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// Longest reason shown, in characters.
const MAX_TROUBLE: usize = 160;
/// Own entries that may wait for a peer who is away.
pub const MAX_QUEUED: u64 = 100_000;

/// A private session with one peer, whether open, waiting or ended.
#[derive(Debug)]
pub struct PeerSession {
    /// The log and its durable row.
    pub log: Log,
    pub(super) peer: Key,
    name: Name,
    /// What the other side calls itself on its newest connection.
    pub(super) claim: Option<Name>,
    pub(super) consent: Consent,
    /// Positions of my OPENs and CLOSEs that may be unacknowledged: a person counts only messages as queued.
    notes: Vec<Pos>,
    pub(super) inbound: Option<InRow>,
    pub(super) links: BTreeMap<ConnId, Link>,
    pub(super) active: Option<ConnId>,
    /// The newest thing that the peer said of its connections.
    pub(super) latest: Option<Latest>,
    pub(super) hello_no: u64,
    pub(super) seen_dial: u64,
    /// A connection on which an acknowledgement is due.
    pub(super) ack_due: Option<ConnId>,
    pub(super) instances: Instances,
    retry: Backoff,
    retry_at: Duration,
    dialing: bool,
    /// Since when a connection carries the session.
    up_since: Option<Duration>,
    /// The other side does not want the session: no dial until the person does something about it.
    refused: bool,
    pub(super) trouble: Option<String>,
}

impl PeerSession {
    /// Takes up a session where the store has it. `None` for a row that is not a session's.
    pub fn load(row: LogRow, me: Key, store: &Store) -> Result<Option<Self>, StoreError> {
        let Some((peer, name)) = row.peer.clone() else {
            return Ok(None);
        };
        let notes = store.out_notes(row.id, row.acked.next())?;
        let inbound = store.in_head(row.id)?;
        Ok(Some(Self {
            log: Log::load(row, me, store)?,
            peer,
            name,
            claim: None,
            consent: Consent::default(),
            notes,
            inbound,
            links: BTreeMap::new(),
            active: None,
            latest: None,
            hello_no: 0,
            seen_dial: 0,
            ack_due: None,
            retry: Backoff::new(RETRY_BASE, RETRY_CAP),
            instances: Instances::default(),
            retry_at: Duration::ZERO,
            dialing: false,
            up_since: None,
            refused: false,
            trouble: None,
        }))
    }

    /// The key of the other side.
    pub fn peer(&self) -> Key {
        self.peer
    }

    /// The name of the other side.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What the other side calls itself; `None` before it has said anything in this run.
    pub fn claim(&self) -> Option<&Name> {
        self.claim.as_ref()
    }

    /// Calls the other side something else from now on.
    pub fn rename(&mut self, store: &mut Store, name: Name) -> Result<(), StoreError> {
        self.log.row.peer = Some((self.peer, name.clone()));
        self.name = name;
        self.log.save(store)
    }

    /// An OPEN stands that no CLOSE covers.
    pub fn is_open(&self) -> bool {
        self.log.row.is_open()
    }

    /// A connection carries the session now.
    pub fn is_connected(&self) -> bool {
        self.active.is_some()
    }

    /// Everything of mine is on the other side's disk.
    pub fn is_flushed(&self) -> bool {
        self.queued() == 0
    }

    /// Own entries that are not on the other side's disk.
    pub fn queued(&self) -> u64 {
        self.log.out().0.0.saturating_sub(self.log.row.acked.0)
    }

    /// Own messages that are not on the other side's disk.
    pub fn queued_texts(&self) -> u64 {
        let notes = self.notes.iter().filter(|pos| **pos > self.log.row.acked).count() as u64;
        self.queued().saturating_sub(notes)
    }

    /// How far own entries have come.
    pub fn progress(&self) -> Progress {
        Progress { sent: self.sent_to(), delivered: self.log.row.acked }
    }

    /// Nothing was ever said in it, and nobody is connected.
    pub fn is_blank(&self) -> bool {
        self.log.head() == Seq::START && self.links.is_empty() && !self.dialing
    }

    /// It has ended, nobody is connected, and this side never said anything.
    pub fn is_left(&self) -> bool {
        !self.is_open() && self.log.out().0 == Pos::START && self.links.is_empty() && !self.dialing
    }

    /// The person opens the session.
    pub fn open(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        let entry = own_entry(cx, EntryKind::Opened, None);
        let (_, pos) = self.log.append_own(cx.store, &entry)?;
        self.note_own(pos);
        self.log.row.my_open = Some(pos);
        self.refused = false;
        self.folded(cx)?;
        self.poke(cx);
        Ok(())
    }

    /// The person leaves the session, for both.
    pub fn close(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        let seen = self.in_pos();
        let entry = own_entry(cx, EntryKind::Closed, Some(seen));
        let (_, pos) = self.log.append_own(cx.store, &entry)?;
        self.note_own(pos);
        self.log.row.my_open = None;
        self.log.row.their_open = None;
        self.folded(cx)?;
        self.poke(cx);
        Ok(())
    }

    fn note_own(&mut self, pos: Pos) {
        let acked = self.log.row.acked;
        self.notes.retain(|pos| *pos > acked);
        self.notes.push(pos);
    }

    /// The person says something; the same `mid` again gives the same place.
    pub fn say(
        &mut self,
        cx: &mut Cx<'_>,
        mid: Mid,
        at: WallMs,
        text: Words,
    ) -> Result<(Seq, Pos), StoreError> {
        if let Some(seq) = cx.store.find(self.log.id(), &cx.me.key, mid)? {
            let pos = cx.store.out_pos(self.log.id(), seq)?.unwrap_or(Pos::START);
            return Ok((seq, pos));
        }
        let author = Author::Person(cx.me.key, cx.me.name.clone());
        let entry = NewEntry { author, mid, kind: EntryKind::Text, at, text, seen: None };
        let place = self.log.append_own(cx.store, &entry)?;
        self.refused = false;
        self.poke(cx);
        Ok(place)
    }

    /// Their OPEN or CLOSE came, as entry `pos` of their list.
    ///
    /// Both sides may open and leave at the same time. A CLOSE covers its author's own OPENs before it and those of
    /// the other side that its author had seen, so both sides come to the same state in whatever order they read.
    pub(super) fn fold_theirs(
        &mut self,
        cx: &mut Cx<'_>,
        kind: EntryKind,
        pos: Pos,
        seen: Pos,
    ) -> Result<(), StoreError> {
        let row = &mut self.log.row;
        match kind {
            EntryKind::Opened => row.their_open = Some(pos),
            EntryKind::Closed => {
                row.their_open = None;
                row.my_open = row.my_open.filter(|open| *open > seen);
            }
            _ => return Ok(()),
        }
        self.folded(cx)
    }

    /// Who opened it follows from the OPENs that stand; if both did, the side with the greater key.
    fn folded(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        let row = &mut self.log.row;
        row.mode = match (row.my_open, row.their_open) {
            (Some(_), None) => Some(Mode::A),
            (Some(_), Some(_)) if cx.me.key > self.peer => Some(Mode::A),
            (_, Some(_)) => Some(Mode::B),
            (None, None) => row.mode,
        };
        self.log.save(cx.store)
    }

    /// Something gives hope to reach the peer: do not wait for the next try.
    pub fn poke(&mut self, cx: &mut Cx<'_>) {
        if self.active.is_none() && !self.instances.is_torn(cx.now.mono) {
            self.retry_at = self.retry_at.min(cx.now.mono);
        }
    }

    /// The peer may also be reached at these addresses; the first is the best.
    pub fn learn(&mut self, cx: &mut Cx<'_>, addrs: &[SocketAddr]) -> Result<(), StoreError> {
        let known = &self.log.row.addrs;
        let mut all = addrs.to_vec();
        all.extend(known.iter().filter(|addr| !addrs.contains(addr)));
        all.truncate(MAX_ADDRS);
        if all != *known {
            self.log.row.addrs = all;
            self.log.save(cx.store)?;
        }
        Ok(())
    }

    /// A dial came to nothing.
    pub fn on_dial_failed(&mut self, cx: &mut Cx<'_>, reason: &str) {
        self.dialing = false;
        self.hold_off(cx, reason, Duration::ZERO);
    }

    /// The other side, which was never reached, does not want to be.
    pub fn on_declined(&mut self, cx: &mut Cx<'_>) {
        if self.links.is_empty() && self.log.row.addrs.is_empty() {
            self.dialing = false;
            self.told_of_consent(false);
            self.hold_off(cx, REFUSED, Duration::ZERO);
            self.was_refused();
        }
    }

    /// The dial is over: a connection stands.
    pub(super) fn dial_done(&mut self) {
        self.dialing = false;
    }

    /// A connection carries the session from now on.
    pub(super) fn came_up(&mut self, cx: &Cx<'_>) {
        self.trouble = None;
        self.refused = false;
        self.log.changed = true;
        self.up_since.get_or_insert(cx.now.mono);
    }

    /// No connection is left. One that held was lost, and the other side is probably still there; after one that did not
    /// hold the waits go on growing.
    pub(super) fn went_down(&mut self, cx: &mut Cx<'_>) {
        self.log.changed = true;
        let held = self.up_since.take().is_some_and(|since| cx.now.mono >= since + HEALTHY);
        let wait = if held {
            self.retry.reset();
            FIRST_RETRY.mul_f64(cx.rng.random::<f64>())
        } else {
            self.retry.next(cx.rng)
        };
        self.retry_at = cx.now.mono + wait;
    }

    /// A try has failed: wait, at least as long as the other side asks for.
    pub(super) fn hold_off(&mut self, cx: &mut Cx<'_>, reason: &str, at_least: Duration) {
        let wait = self.retry.next(cx.rng).max(at_least.min(LONGEST_WAIT));
        self.retry_at = cx.now.mono + wait;
        self.trouble = Some(reason.chars().take(MAX_TROUBLE).collect());
        self.log.changed = true;
    }

    /// The other side does not want the session.
    pub(super) fn was_refused(&mut self) {
        self.refused = true;
    }

    fn wants_link(&self) -> bool {
        // A stranger's words are no reason to call, nor to show where one is.
        !self.consent.blocked && !self.is_held() && (self.is_open() || !self.is_flushed())
    }

    /// When [`PeerSession::tick`] has something to do; `None` while it has not.
    pub fn deadline(&self) -> Option<Duration> {
        let idle = self.links.is_empty() && !self.dialing && !self.refused;
        (idle && self.wants_link()).then_some(self.retry_at)
    }

    /// Dials if it is time to.
    pub fn tick(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        if self.deadline().is_none_or(|at| at > cx.now.mono) {
            return Ok(());
        }
        self.dialing = true;
        // On disk before it is on the wire: a dial number is never used twice.
        self.log.row.last_dialed += 1;
        self.log.save(cx.store)?;
        cx.outputs.push(Output::Dial {
            log: self.log.id(),
            key: self.peer,
            dial_no: self.log.row.last_dialed,
            addrs: self.log.row.addrs.clone(),
        });
        Ok(())
    }

    /// Ends a step: what has gathered goes out, acknowledgements too. Call once before each commit.
    pub fn finish(&mut self, cx: &mut Cx<'_>) -> Result<(), StoreError> {
        self.acknowledge(cx);
        self.pump(cx)?;
        self.close_when_done(cx);
        Ok(())
    }

    pub(super) fn in_pos(&self) -> Pos {
        self.inbound.map_or(Pos::START, |row| row.pos)
    }
}

/// An entry that the daemon makes for its person.
fn own_entry(cx: &mut Cx<'_>, kind: EntryKind, seen: Option<Pos>) -> NewEntry {
    NewEntry {
        author: Author::Person(cx.me.key, cx.me.name.clone()),
        mid: Mid::from_parts(cx.now.wall, cx.rng.random()),
        kind,
        at: cx.now.wall,
        text: Words::default(),
        seen,
    }
}
