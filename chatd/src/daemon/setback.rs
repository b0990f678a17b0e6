//! A disk that is full, or a database that another program has locked: what was to be written is taken back, everybody
//! who waited for it is told, and the daemon goes on as a reader until it can write again.
//!
//! Meanwhile it has no connections: what came by them could not be kept, and would be lost at the other side if it were
//! acknowledged. Peers are asked to come back later, and keep what they have for us.

use std::time::Duration;

use proto::ids::Instance;
use proto::ipc::{Call, CallError, ErrorCode, Reply, SessionRef};
use proto::peer::{ByeCode, PeerMessage};
use rand::RngExt;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::calls::Answer;
use super::lobby_pin::LobbyKey;
use super::questions::is_question;
use super::room::Room;
use super::{Core, Effect, Event, Stop};
use crate::joined::Joined;
use crate::peer::{ConnId, Now};
use crate::store::{Setback, StoreError};

/// How often it is tried whether writing is possible again.
const PROBE: Duration = Duration::from_secs(5);
/// When peers shall try again, in milliseconds.
const RETRY_AFTER_MS: u64 = 30_000;
/// Why a message was refused, at its beginning.
pub(super) const NOT_SENT: &str = "not sent: ";
/// The same for everything else.
pub(super) const NOT_DONE: &str = "not done: ";

/// Nothing can be written for now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    why: Setback,
    /// When that is looked at again.
    pub(super) probe_at: Duration,
}

fn refusal(begin: &str, why: Setback) -> CallError {
    CallError { code: ErrorCode::Busy, message: format!("{begin}{}", why.words()) }
}

impl Core {
    /// Answers a client. Where the store has failed the answer says that nothing was done, in words after `begin`.
    pub(super) fn reply(
        &mut self,
        reply: oneshot::Sender<Reply>,
        begin: &str,
        answer: Answer,
    ) -> Result<(), StoreError> {
        let (answer, outcome) = match answer {
            Ok(answer) => (answer.unwrap_or_else(Reply::Error), Ok(())),
            Err(error) => {
                let refused = error.setback().map_or_else(
                    || CallError { code: ErrorCode::Internal, message: format!("{begin}{error}") },
                    |why| refusal(begin, why),
                );
                (Reply::Error(refused), Err(error))
            }
        };
        self.effects.push(Effect::Reply(reply, answer));
        outcome
    }

    /// The step has failed. Takes it back, so that memory is what is on the disk, and tells everybody who waited. The
    /// effects are to be carried out instead of those of the step.
    ///
    /// # Errors
    ///
    /// The error itself, where only a new start from the disk helps.
    pub fn set_back(&mut self, now: Now, error: StoreError) -> Result<Vec<Effect>, StoreError> {
        let Some(why) = error.setback() else { return Err(error) };
        warn!(%error, "nothing can be written for now");
        self.now = now;
        self.store.roll_back()?;
        let effects = std::mem::take(&mut self.effects);
        let conns: Vec<ConnId> = std::mem::take(&mut self.conns).into_keys().collect();
        for conn in conns {
            self.turn_away(conn);
        }
        for effect in effects {
            match effect {
                Effect::Reply(to, answer) => {
                    let begin = if matches!(answer, Reply::Sent { .. }) { NOT_SENT } else { NOT_DONE };
                    let answer = match answer {
                        Reply::Error(refused) => refused,
                        _ => refusal(begin, why),
                    };
                    self.effects.push(Effect::Reply(to, Reply::Error(answer)));
                }
                Effect::PeerClose(conn) => self.effects.push(Effect::PeerClose(conn)),
                // Nobody has seen the rest, and nobody shall.
                _ => {}
            }
        }
        for (_, asked) in std::mem::take(&mut self.room.asked) {
            self.effects.push(Effect::Reply(asked.reply, Reply::Error(refusal(NOT_DONE, why))));
        }
        for reply in self.consent.knocks.take_accepts() {
            self.effects.push(Effect::Reply(reply, Reply::Error(refusal(NOT_DONE, why))));
        }
        self.effects.push(Effect::LobbyClose(PROBE));
        self.reload(why)?;
        self.paused = Some(Pause { why, probe_at: now.mono + PROBE });
        self.commit(now)
    }

    /// Makes memory what is on the disk, as a new start does.
    fn reload(&mut self, why: Setback) -> Result<(), StoreError> {
        self.outputs.clear();
        let (sessions, room) = Self::load_logs(self.me.key, &self.store)?;
        self.sessions = sessions;
        if let Some(room) = room {
            let before = std::mem::replace(&mut self.room, room);
            self.room.take_over(before);
        }
        self.room.lost(why.words().to_owned());
        self.pins.reload(&self.store)?;
        self.consent.reload(&self.store)?;
        self.lobby_key = LobbyKey::default();
        if self.setup.joined.is_some() {
            self.setup.joined = Joined::load(&self.store)?;
        }
        // A warning that was taken back is given again; one too many is better than none.
        self.impostors.clear();
        self.forged.clear();
        // Counters of the connections begin anew, as they do in a new process.
        self.me.instance = Instance(self.rng.random());
        self.unindexed = self.store.has_unindexed()?;
        if self.stopping.is_some_and(|(stop, _)| stop == Stop::Quit) {
            self.stopping = self.sealed;
        }
        self.versions.take_back();
        self.hold_strangers()?;
        // What the sessions say to nobody.
        self.outputs.clear();
        Ok(())
    }

    fn turn_away(&mut self, conn: ConnId) {
        let bye = PeerMessage::Bye { code: ByeCode::Busy, retry_after_ms: RETRY_AFTER_MS };
        self.effects.extend([Effect::Peer(conn, bye), Effect::PeerClose(conn)]);
    }

    /// An event while nothing can be written. `None`: it was dealt with.
    pub(super) fn pass(&mut self, event: Event) -> Result<Option<Event>, StoreError> {
        let Some(Pause { why, .. }) = self.paused else { return Ok(Some(event)) };
        match event {
            Event::Call(call, reply) if !is_question(&call) => {
                let answer = self.refuse_call(&call, why)?;
                self.effects.push(Effect::Reply(reply, answer));
            }
            Event::PeerAccepted { conn, .. } => self.turn_away(conn),
            Event::PeerDialed { conn, log, .. } => {
                self.turn_away(conn);
                self.on_dial_failed(log, why.words())?;
            }
            Event::LobbyUp { .. } => self.effects.push(Effect::LobbyClose(PROBE)),
            Event::Lobby(_)
            | Event::Forged(_)
            | Event::LobbyDown { .. }
            | Event::Peer(..)
            | Event::PeerLost(_) => {}
            event => return Ok(Some(event)),
        }
        Ok(None)
    }

    /// A message that is on the disk already is answered as before; all else has to wait.
    fn refuse_call(&self, call: &Call, why: Setback) -> Result<Reply, StoreError> {
        let Call::Send { session, mid, .. } = call else {
            return Ok(Reply::Error(refusal(NOT_DONE, why)));
        };
        Ok(self.repeated(session, *mid)?.unwrap_or_else(|| Reply::Error(refusal(NOT_SENT, why))))
    }

    fn repeated(&self, session: &SessionRef, mid: proto::ids::Mid) -> Result<Option<Reply>, StoreError> {
        let Some(log) = self.find(session) else { return Ok(None) };
        let Some(seq) = self.store.find(log, &self.me.key, mid)? else { return Ok(None) };
        let session = self.place(log).number.unwrap_or_default();
        let pos = self.store.out_pos(log, seq)?.unwrap_or_default();
        Ok(Some(Reply::Sent { session, seq, pos }))
    }

    /// Looks whether there is room again. `true`: nothing can be written for now.
    pub(super) fn is_paused(&mut self) -> Result<bool, StoreError> {
        let Some(pause) = &mut self.paused else { return Ok(false) };
        if pause.probe_at > self.now.mono {
            return Ok(true);
        }
        pause.probe_at = self.now.mono + PROBE;
        match self.store.probe() {
            Ok(()) => {
                info!("writing is possible again");
                self.paused = None;
                Ok(false)
            }
            Err(error) => match error.setback() {
                Some(why) => {
                    pause.why = why;
                    Ok(true)
                }
                None => Err(error),
            },
        }
    }
}

impl Room {
    /// Takes over what is no matter of the disk.
    fn take_over(&mut self, before: Self) {
        self.link = before.link;
        self.next_request = before.next_request;
        self.presence = before.presence;
    }
}

#[cfg(test)]
impl Core {
    /// Nothing can be written at the moment.
    pub(super) fn pauses(&self) -> bool {
        self.paused.is_some()
    }
}
