//! The room behind its lock, the wake-up of all connections, and the clock.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::ids::{Generation, Key, WallMs};
use proto::invitation::Token;
use proto::lobby::{Contact, MemberHello};
use proto::name::Name;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::LobbyConfig;
use super::doors::{Doors, Pass, TooMany};
use super::keep::{Kept, Ledger};
use super::room::{Batch, Cut, Entered, Outcome, Post, Reader, Room};
use super::roster::{LinkNo, Refusal};
use super::wards::{Kind, Subject, Wards};

/// Least time between two wake-ups for new entries: what a busy room says meanwhile goes out in one write.
/// An idle room is woken at once.
const ENTRY_PACE: Duration = Duration::from_millis(2);

/// Least time between two wake-ups for presence alone, so that a thousand who return at once are a few changes.
const PRESENCE_PACE: Duration = Duration::from_millis(50);

/// Time between two notes that the names of those present are in use: a lobby that crashes frees none too early.
const REFRESH: Duration = Duration::from_hours(24);

/// What all connections of a lobby share.
pub(super) struct Hub {
    pub(super) config: LobbyConfig,
    /// A `std` lock, held for lookups and pushes only: an owner task would need a queue and a reply for each read.
    state: Mutex<State>,
    /// Wakes every connection that waits for news.
    moved: watch::Sender<()>,
    /// Where that goes which outlives the lobby.
    ledger: Ledger,
    /// Where the lobby can be reached, `host:port`.
    address: Option<String>,
    /// Wakes [`Hub::keep_time`] where there is something new to wait for.
    schedule: Notify,
}

/// How the end of a link reaches it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    token: CancellationToken,
    why: Arc<OnceLock<Cut>>,
}

impl Ending {
    fn end(&self, why: Cut) {
        self.why.get_or_init(|| why);
        self.token.cancel();
    }

    /// Returns once the link is to end.
    pub(super) async fn ended(&self) -> Cut {
        self.token.cancelled().await;
        self.why.get().copied().unwrap_or(Cut::Superseded)
    }
}

/// A link of a member.
struct Seat {
    ending: Ending,
    from: IpAddr,
}

impl Seat {
    fn end(&self, why: Cut) {
        self.ending.end(why);
    }
}

struct State {
    room: Room,
    doors: Doors,
    wards: Wards,
    links: HashMap<LinkNo, Seat>,
    /// Nothing more is taken into the log: all that is in it can still be told to everybody.
    closed: bool,
    woken: Option<Instant>,
    /// When the connections are to be woken for what they were not woken for yet.
    due: Option<Instant>,
    /// When the names of those present are next noted as in use.
    refresh: Instant,
}

impl Hub {
    pub(super) fn new(config: LobbyConfig, kept: Kept, ledger: Ledger) -> Self {
        let mut room = Room::new(Generation(rand::random()), &config);
        room.restore(kept.names);
        let doors = Doors::new(config.entry, kept.guests, kept.passes);
        let refresh = Instant::now() + REFRESH;
        let state = State {
            room,
            doors,
            wards: Wards::new(kept.rules),
            links: HashMap::new(),
            closed: false,
            woken: None,
            due: None,
            refresh,
        };
        let (moved, schedule) = (watch::Sender::new(()), Notify::new());
        Self { config, state: Mutex::new(state), moved, ledger, address: kept.address, schedule }
    }

    /// No state is left half changed by a panic: each change is one call of the room.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.room.set_wall(wall());
        state
    }

    /// Has kept what has changed. Under the lock, so that an older state of a row never follows a newer one.
    fn keep(&self, state: &mut State) {
        let doors = state.doors.take_changes();
        let wards = state.wards.take_changes();
        self.ledger.note(state.room.take_changes().into_iter().chain(doors).chain(wards));
    }

    /// Makes an invitation.
    pub(super) fn invite(&self, token: &Token, pass: Pass) -> Result<(), TooMany> {
        let mut state = self.state();
        state.doors.invite(token, pass, wall())?;
        self.keep(&mut state);
        self.ledger.put_down(format!("invite for {} keys", pass.uses));
        Ok(())
    }

    /// Where the lobby can be reached.
    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Comes true once all that has changed is on the disk; fails at once where nothing is kept.
    pub(super) fn written(&self) -> oneshot::Receiver<()> {
        self.ledger.written()
    }

    /// Wakes its holder for all that comes after its last look.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Lets a caller in; `cut` is ended when a newer link of the same key takes over.
    pub(super) fn enter(
        &self,
        key: Key,
        from: SocketAddr,
        version: u16,
        hello: &MemberHello,
        cut: Ending,
    ) -> Result<Entered, Refusal> {
        let mut state = self.state();
        let banned = |subject| state.wards.holds(Kind::Ban, subject, wall());
        if banned(Subject::Key(key)) || banned(Subject::Addr(from.ip())) {
            return Err(Refusal::Banned);
        }
        let admission = state.doors.admit(key, hello.invitation.as_ref(), wall())?;
        let before = state.room.changed();
        let entered = state.room.enter(key, from, version, hello)?;
        state.doors.let_in(key, admission);
        state.links.insert(entered.link, Seat { ending: cut, from: from.ip() });
        if let Some(older) = entered.older.and_then(|older| state.links.remove(&older)) {
            older.end(Cut::Superseded);
        }
        self.keep(&mut state);
        self.announce_presence(state, before);
        Ok(entered)
    }

    /// The signature of the post was checked.
    pub(super) fn publish(&self, key: Key, link: LinkNo, post: Post) -> Result<Outcome, Cut> {
        let mut state = self.state();
        if state.closed {
            return Err(Cut::Stopping);
        }
        // What stands in the log stands there, whoever asks again.
        let muted = state.wards.holds(Kind::Mute, Subject::Key(key), wall());
        if muted && !state.room.has(key, post.mid) {
            return Ok(Outcome::Muted);
        }
        let outcome = state.room.publish(key, link, post)?;
        if let Outcome::Stands { fresh: true, .. } = outcome {
            self.announce(state, ENTRY_PACE);
        }
        Ok(outcome)
    }

    /// Takes nothing more into the log.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.room.refresh();
        self.keep(&mut state);
    }

    pub(super) fn contact(&self, name: &Name) -> Option<Contact> {
        self.state().room.contact(name)
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<Batch, Cut> {
        self.state().room.read(reader)
    }

    pub(super) fn bye(&self, key: Key, link: LinkNo) {
        let mut state = self.state();
        let before = state.room.changed();
        state.room.bye(key, link);
        state.links.remove(&link);
        self.keep(&mut state);
        self.announce_presence(state, before);
    }

    pub(super) fn dropped(&self, key: Key, link: LinkNo) {
        let mut state = self.state();
        state.room.dropped(Instant::now(), key, link);
        state.links.remove(&link);
        drop(state);
        self.schedule.notify_one();
    }

    fn announce_presence(&self, state: MutexGuard<'_, State>, before: u64) {
        if state.room.changed() != before {
            self.announce(state, PRESENCE_PACE);
        }
    }

    /// Wakes the connections now, or by [`Hub::keep_time`] where they were woken less than `pace` ago.
    fn announce(&self, mut state: MutexGuard<'_, State>, pace: Duration) {
        let now = Instant::now();
        let at = state.woken.map_or(now, |woken| woken + pace);
        if at > now {
            let sooner = state.due.is_none_or(|due| at < due);
            state.due = state.due.map(|due| due.min(at)).or(Some(at));
            drop(state);
            if sooner {
                self.schedule.notify_one();
            }
        } else {
            self.wake(state, now);
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        state.woken = Some(now);
        state.due = None;
        drop(state);
        self.moved.send_replace(());
    }

    /// Ends the grace of those who stay away and gives the wake-ups that were put off. Never returns.
    pub(super) async fn keep_time(&self) {
        loop {
            // Registered before the state is read: what is scheduled meanwhile is not missed.
            let rescheduled = self.schedule.notified();
            match self.tick(Instant::now()) {
                Some(next) => tokio::select! {
                    () = rescheduled => {}
                    () = sleep_until(next) => {}
                },
                None => rescheduled.await,
            }
        }
    }

    /// Does what is due and tells when there is more to do.
    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let before = state.room.changed();
        state.room.expire(now);
        if state.refresh <= now {
            state.room.refresh();
            state.refresh = now + REFRESH;
        }
        self.keep(&mut state);
        let expiry = state.room.next_expiry().into_iter().chain([state.refresh]).min();
        if state.room.changed() != before || state.due.is_some_and(|due| due <= now) {
            self.wake(state, now);
            return expiry;
        }
        [expiry, state.due].into_iter().flatten().min()
    }
}

#[path = "hub_orders.rs"]
mod orders;
pub(super) use orders::OrderError;

fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or_default())
}
