//! The room behind its lock, the wake-up of all connections, and the clock.

use std::collections::HashMap;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::ids::{Generation, Key, WallMs};
use proto::invitation::Token;
use proto::lobby::{FromLobby, MemberHello};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::config::LobbyConfig;
use super::doors::{Doors, Pass, TokenHash, TooMany};
use super::keep::{Kept, Ledger};
use super::log::{Archive, Denied, Group, Job, Page, Post, Start, Waiting};
use super::rendezvous::Rendezvous;
use super::room::{Batch, Cut, Entered, Missing, Reader, Room};
use super::roster::{LinkNo, Refusal};
use super::wards::{Kind, Subject, Wards};

/// Least time between two wake-ups for new entries: what a busy room says meanwhile goes out in one write.
/// An idle room is woken at once.
const ENTRY_PACE: Duration = Duration::from_millis(2);

/// Least time between two wake-ups for presence alone, so that a thousand who return at once are a few changes.
const PRESENCE_PACE: Duration = Duration::from_millis(50);

/// Time between two looks at what has become too old in a log in which nobody writes.
const TIDY: Duration = Duration::from_mins(10);

/// Time between two notes of who is present, and that their names are in use: a lobby that crashes frees none too early.
const REFRESH: Duration = Duration::from_mins(5);

/// A lobby that was down for longer expects nobody back: who was present then has left since.
const SHORT_ABSENCE: Duration = Duration::from_mins(10);

/// The log, as the room has it.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) start: Start,
    /// For readers behind the ring; `None`: there is nothing but the ring.
    pub(super) archive: Option<Archive>,
    /// What is to be written.
    pub(super) jobs: mpsc::Sender<Job>,
}

impl Log {
    /// The log of a lobby in which nobody speaks.
    pub(super) fn none() -> Self {
        let start = Start::empty(Generation(rand::random()));
        Self { start, archive: None, jobs: mpsc::channel(1).0 }
    }
}

/// What all connections of a lobby share.
pub(super) struct Hub {
    pub(super) config: LobbyConfig,
    /// A `std` lock, held for lookups and pushes only: an owner task would need a queue and a reply for each read.
    state: Mutex<State>,
    /// Wakes every connection that waits for news.
    moved: watch::Sender<()>,
    /// Where that goes which outlives the lobby.
    ledger: Ledger,
    archive: Option<Archive>,
    /// Where the lobby can be reached, `host:port`.
    address: Option<String>,
    /// Wakes [`Hub::keep_time`] where there is something new to wait for.
    schedule: Notify,
}

/// How the hub reaches a link: ends it, or calls it for what is told to it alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Tether {
    token: CancellationToken,
    why: Arc<OnceLock<Cut>>,
    bell: Arc<Notify>,
}

impl Tether {
    fn end(&self, why: Cut) {
        self.why.get_or_init(|| why);
        self.token.cancel();
    }

    /// Returns where there is something to read for this link alone.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }

    /// Returns once the link is to end.
    pub(super) async fn ended(&self) -> Cut {
        self.token.cancelled().await;
        self.why.get().copied().unwrap_or(Cut::Superseded)
    }
}

/// A link of a member.
struct Seat {
    tether: Tether,
    from: IpAddr,
}

impl Seat {
    fn end(&self, why: Cut) {
        self.tether.end(why);
    }
}

struct State {
    room: Room,
    doors: Doors,
    wards: Wards,
    rendezvous: Rendezvous,
    links: HashMap<LinkNo, Seat>,
    /// `None`: nothing more is taken into the log; all that is in it can still be told to everybody.
    jobs: Option<mpsc::Sender<Job>>,
    woken: Option<Instant>,
    /// When the connections are to be woken for what they were not woken for yet.
    due: Option<Instant>,
    /// When the names of those present are next noted as in use.
    refresh: Instant,
    /// When the log is next looked through.
    tidy: Instant,
}

impl Hub {
    pub(super) fn new(config: LobbyConfig, kept: Kept, ledger: Ledger, log: Log) -> Self {
        let Log { start, archive, jobs } = log;
        let mut room = Room::new(&start, archive.is_some(), &config);
        room.restore(kept.names);
        let doors = Doors::new(config.entry, kept.guests, kept.passes);
        let now = Instant::now();
        let short = u64::try_from(SHORT_ABSENCE.as_millis()).unwrap_or(u64::MAX);
        let lately = |noted: WallMs| wall().0.saturating_sub(noted.0) <= short;
        let back = kept.present.into_iter().filter(|(_, noted)| lately(*noted));
        room.expect_back(back.map(|(key, _)| key), now + config.restart_grace);
        let state = State {
            room,
            doors,
            wards: Wards::new(kept.rules),
            rendezvous: Rendezvous::default(),
            links: HashMap::new(),
            jobs: Some(jobs),
            woken: None,
            due: None,
            refresh: now + REFRESH,
            tidy: now + TIDY,
        };
        let (moved, schedule) = (watch::Sender::new(()), Notify::new());
        Self { config, state: Mutex::new(state), moved, ledger, archive, address: kept.address, schedule }
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
        self.ledger.put_down(format!(
            "invite {} for {} keys{}",
            TokenHash::of(token).id(),
            pass.uses,
            orders::until(pass.expires)
        ));
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

    /// Lets a caller in; the tether ends when a newer link of the same key takes over.
    pub(super) fn enter(
        &self,
        key: Key,
        from: SocketAddr,
        version: u16,
        hello: &MemberHello,
        tether: Tether,
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
        state.links.insert(entered.link, Seat { tether, from: from.ip() });
        if let Some(older) = entered.older.and_then(|older| state.links.remove(&older)) {
            older.end(Cut::Superseded);
        }
        self.keep(&mut state);
        self.announce_presence(state, before);
        Ok(entered)
    }

    /// Hands a message to the log, once there is room. `answer` is sent what becomes of it, in the order of the
    /// messages. Never returns in a lobby that stops: the other half of the link ends it.
    pub(super) async fn publish(
        &self,
        link: LinkNo,
        mut post: Post,
        answer: OwnedPermit<FromLobby>,
    ) -> Result<(), Cut> {
        let Some(jobs) = self.look_over(link, &mut post)? else { return pending().await };
        jobs.send(Job::Post(Box::new(Waiting { post, answer }))).await.map_err(|_| Cut::Stopping)
    }

    fn look_over(&self, link: LinkNo, post: &mut Post) -> Result<Option<mpsc::Sender<Job>>, Cut> {
        let state = self.state();
        let key = post.entry.from.key;
        state.room.check(key, link)?;
        let muted = state.wards.holds(Kind::Mute, Subject::Key(key), wall());
        post.denied = post.denied.or(muted.then_some(Denied::Muted));
        Ok(state.jobs.clone())
    }

    /// What was written is in the log: everybody may read it.
    pub(super) fn show(&self, group: &Group) {
        let mut state = self.state();
        state.room.show(group);
        if !group.fresh.is_empty() {
            self.announce(state, ENTRY_PACE);
        }
    }

    /// Reads what the ring does not hold.
    pub(super) async fn page(&self, missing: Missing) -> Result<Page, Cut> {
        let Missing { after, check, until } = missing;
        let archive = self.archive.as_ref().ok_or(Cut::Unreadable)?;
        archive.page(after, check, until).await.map_err(|error| {
            error!(%error, "the lobby's log cannot be read");
            Cut::Unreadable
        })
    }

    /// Takes nothing more into the log.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.jobs = None;
        state.room.refresh();
        self.keep(&mut state);
    }

    /// What a link has to write.
    pub(super) fn read(&self, key: Key, reader: &mut Reader) -> Result<Batch, Cut> {
        let mut state = self.state();
        let told = state.rendezvous.take(key);
        Ok(Batch { told, ..state.room.read(reader)? })
    }

    pub(super) fn bye(&self, key: Key, link: LinkNo) {
        let mut state = self.state();
        let before = state.room.changed();
        state.forget(key, link);
        state.room.bye(key, link);
        self.keep(&mut state);
        self.announce_presence(state, before);
    }

    pub(super) fn dropped(&self, key: Key, link: LinkNo) {
        let mut state = self.state();
        state.forget(key, link);
        state.room.dropped(Instant::now(), key, link);
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
        if state.tidy <= now {
            state.tidy = now + TIDY;
            // Where the queue is full the thread tidies with what it writes.
            state.jobs.as_ref().map(|jobs| jobs.try_send(Job::Tidy));
        }
        self.keep(&mut state);
        let expiry = state.room.next_expiry().into_iter().chain([state.refresh, state.tidy]).min();
        if state.room.changed() != before || state.due.is_some_and(|due| due <= now) {
            self.wake(state, now);
            return expiry;
        }
        [expiry, state.due].into_iter().flatten().min()
    }
}

#[path = "hub_meet.rs"]
mod meet;
#[path = "hub_orders.rs"]
mod orders;
pub(super) use orders::OrderError;

/// The wall clock.
pub(super) fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or_default())
}
