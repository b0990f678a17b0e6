//! What clients ask, one function a call.

use proto::ids::{Key, Mid, SessionNo, WallMs};
use proto::ipc::{Call, CallError, ErrorCode, LobbyState, Reader, Reply, SessionRef, UserRow};
use proto::limits::PAGE_MEMBERS;
use proto::name::Name;
use proto::text::Text;
use tokio::sync::oneshot;

use super::core::cx;
use super::looks::Looks;
use super::setback::{NOT_DONE, NOT_SENT};
use super::{Core, Effect, Place};
use crate::identity::fingerprint;
use crate::peer::{MAX_QUEUED, PeerSession};
use crate::store::{LogId, StoreError};

/// Longest name of a script's cursor, in bytes.
const MAX_READER_NAME: usize = 64;

/// A call either is answered, or the person's fault is told, or the store failed.
pub(super) type Answer = Result<Result<Reply, CallError>, StoreError>;

#[expect(clippy::unnecessary_wraps, reason = "stands where an answer is returned")]
pub(super) fn refuse(code: ErrorCode, message: impl Into<String>) -> Answer {
    Ok(Err(CallError { code, message: message.into() }))
}

pub(super) fn no_session(session: &SessionRef) -> CallError {
    let message = match session {
        SessionRef::Number(number) => format!("There is no session {number}, see them all with: \\ss"),
        SessionRef::Peer(name) => format!("There is no session with {name}, open one with: \\fork {name}"),
        SessionRef::Key(key) => format!("There is no session with {}", fingerprint(key)),
    };
    CallError { code: ErrorCode::NoSession, message }
}

impl Core {
    pub(super) fn on_call(&mut self, call: Call, reply: oneshot::Sender<Reply>) -> Result<(), StoreError> {
        let begin = if matches!(call, Call::Send { .. }) { NOT_SENT } else { NOT_DONE };
        match call {
            Call::Fork { name } => self.fork(name, reply),
            Call::Accept { name } => self.accept(&name, reply),
            call => {
                let answer = self.call(call);
                self.reply(reply, begin, answer)
            }
        }
    }

    /// Does what is asked. A fork and an accept may have to wait: they do not come here.
    pub(super) fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Send { session, mid, text, draft } => self.send(&session, mid, text, draft.as_ref()),
            Call::Leave { session } => self.leave(&session),
            Call::State => Ok(Ok(Reply::State(Box::new(self.changes(0))))),
            Call::Users { after } => Ok(self.users(after.as_ref())),
            Call::Mark { reader, session, seq } => self.mark(&reader, &session, seq),
            Call::Cursor { reader, session } => self.cursor(&reader, &session),
            Call::Draft { session } => self.draft(&session),
            Call::KeepDraft { session, text } => self.keep_draft(&session, &text),
            Call::DropDraft { session, text } => self.drop_draft(&session, &text),
            Call::Decline { name } => self.decline(&name),
            Call::Block { name } => self.block(&name),
            Call::Unblock { name } => self.unblock(&name),
            Call::Blocks { after } => Ok(Ok(self.blocks(after))),
            Call::Forget { name } => self.forget(&name),
            Call::Peers { after } => Ok(Ok(self.peers(after))),
            Call::Import { records } => self.import(&records),
            Call::Verified { name } => self.verified(&name),
            Call::Trust { who } => self.trust(&who),
            Call::Suspend => {
                self.suspend();
                Ok(Ok(Reply::Done))
            }
            Call::Quit => self.quit().map(|()| Ok(Reply::Done)),
            // These need no core: the client's own task answers them.
            Call::Watch
            | Call::Read { .. }
            | Call::Search { .. }
            | Call::Verify { .. }
            | Call::Export { .. }
            | Call::Fork { .. }
            | Call::Accept { .. }
            | Call::Unknown => refuse(
                ErrorCode::Unsupported,
                "This chatd does not know what was asked: it is older than your chatctl. Restart it with: chatctl quit",
            ),
        }
    }

    pub(super) fn on_place(
        &mut self,
        session: &SessionRef,
        reply: oneshot::Sender<Result<Place, CallError>>,
    ) {
        let found = self.find(session).map(|log| self.place(log));
        self.effects.push(Effect::Place(reply, found.ok_or_else(|| no_session(session))));
    }

    fn send(&mut self, session: &SessionRef, mid: Mid, text: Text, draft: Option<&Text>) -> Answer {
        let Some(log) = self.find(session) else {
            return Ok(Err(no_session(session)));
        };
        let at = self.now.wall;
        let answer = match log {
            LogId::LOBBY => self.post(mid, at, text),
            log => self.say(log, mid, at, text),
        }?;
        // In the commit of the message: nobody sees both, or neither.
        if let Some(draft) = draft.filter(|_| answer.is_ok()) {
            self.store.drop_draft(log, draft)?;
        }
        Ok(answer)
    }

    fn post(&mut self, mid: Mid, at: WallMs, text: Text) -> Answer {
        let known = self.store.find(LogId::LOBBY, &self.me.key, mid)?.is_some();
        if self.room.queued() >= MAX_QUEUED && !known {
            return refuse(
                ErrorCode::Busy,
                "Too many lines wait for the lobby already; try again when it is back",
            );
        }
        let (seq, pos) = self.room.post(&mut self.store, &self.me, mid, at, text)?;
        Ok(Ok(Reply::Sent { session: SessionNo::LOBBY, seq, pos }))
    }

    fn say(&mut self, log: LogId, mid: Mid, at: WallMs, text: Text) -> Answer {
        let Some(session) = self.sessions.get_mut(&log) else {
            return refuse(ErrorCode::NoSession, "There is no such session");
        };
        let name = session.name().clone();
        if session.is_held() {
            let message = format!("{name} waits for your answer: \\accept {name} or \\decline {name}");
            return refuse(ErrorCode::Invalid, message);
        }
        let known = self.store.find(log, &self.me.key, mid)?.is_some();
        if !session.is_open() && !known {
            let message = format!("The session with {name} has ended, open it again with: \\fork {name}");
            return refuse(ErrorCode::Ended, message);
        }
        if session.queued() >= MAX_QUEUED && !known {
            let message = format!("Too many lines wait for {name} already; try again when {name} is back");
            return refuse(ErrorCode::Busy, message);
        }
        let (seq, pos) = session.say(&mut cx!(self), mid, at, text.into())?;
        let session = session.log.row.number.unwrap_or_default();
        Ok(Ok(Reply::Sent { session, seq, pos }))
    }

    /// Opens a session. Somebody of whom this daemon was not told yet is asked for at the lobby first.
    fn fork(&mut self, name: Name, reply: oneshot::Sender<Reply>) -> Result<(), StoreError> {
        let known = self.find(&SessionRef::Peer(name.clone())).and_then(|log| self.sessions.get(&log));
        let is_open = known.is_some_and(PeerSession::is_open);
        let held = known.is_some_and(PeerSession::is_held);
        let member = self.room.member(&name);
        let changed = member.as_ref().is_some_and(|(key, _)| self.pins.against(&name, key).is_some());
        // Who asks is accepted by this, unless the lobby means somebody else by the name.
        let request = known.filter(|session| session.is_request());
        let request = request.filter(|session| member.as_ref().is_none_or(|(key, _)| *key == session.peer()));
        let request = request.map(|session| session.log.id());
        let answer = if name.folded() == self.me.name.folded() {
            refuse(ErrorCode::SelfFork, "Unable to fork a session with self")
        } else if let Some(log) = request {
            self.accept_log(log)
        } else if is_open && !changed && !held {
            refuse(ErrorCode::Duplicate, "Unable to fork a duplicate session with same peer!")
        } else if let Some(member) = member {
            self.fork_with(&name, Some(member))
        } else {
            self.ask_lobby(name, reply);
            return Ok(());
        };
        self.reply(reply, NOT_DONE, answer)
    }

    /// Opens a session with a member. `None`: the lobby does not know the name, or is away and cannot tell; then
    /// whoever was reached under it before is tried.
    pub(super) fn fork_with(&mut self, name: &Name, member: Option<(Key, Name)>) -> Answer {
        let away = self.room.state != LobbyState::Connected;
        let known = self.find(&SessionRef::Peer(name.clone())).and_then(|log| self.sessions.get(&log));
        let known = known.filter(|session| away && !session.log.row.addrs.is_empty());
        let known = known.map(|session| (session.peer(), session.name().clone()));
        let Some((key, name)) = member.or(known) else {
            let message = format!("Unable to fork into private session as peer {name} unavailable");
            return refuse(ErrorCode::NoPeer, message);
        };
        if key == self.me.key {
            return refuse(ErrorCode::SelfFork, "Unable to fork a session with self");
        }
        // Before anything else: nothing is opened, queued or sent for a key that is not the known one.
        if self.pins.against(&name, &key).is_some() {
            return Ok(Err(self.key_changed(&name, key)));
        }
        if self.is_blocked(&key) {
            let message = format!("{name} is blocked, to undo that: \\unblock {name}");
            return refuse(ErrorCode::Invalid, message);
        }
        if self.is_full() {
            return refuse(ErrorCode::Busy, "Too many sessions are open: leave some with \\leave first");
        }
        let log = self.session_with(key, &name)?;
        if self.sessions.get(&log).is_some_and(PeerSession::is_open) {
            return refuse(ErrorCode::Duplicate, "Unable to fork a duplicate session with same peer!");
        }
        self.with_session(log, |session, cx| {
            session.release(cx);
            session.open(cx)
        })?;
        self.pin_new(log)?;
        self.renumber()?;
        let session = self.sessions.get(&log).and_then(|session| session.log.row.number).unwrap_or_default();
        Ok(Ok(Reply::Forked { session }))
    }

    fn leave(&mut self, session: &SessionRef) -> Answer {
        let Some(log) = self.find(session) else {
            return Ok(Err(no_session(session)));
        };
        if log == LogId::LOBBY {
            return refuse(ErrorCode::Invalid, "The lobby is always there; to sign off do: \\quit");
        }
        if !self.sessions.get(&log).is_some_and(PeerSession::is_open) {
            self.mark_all_read(log)?;
            return refuse(ErrorCode::Ended, "The session has ended already");
        }
        self.with_session(log, PeerSession::close)?;
        self.mark_all_read(log)?;
        Ok(Ok(Reply::Done))
    }

    fn users(&self, after: Option<&Name>) -> Result<Reply, CallError> {
        if self.room.state != LobbyState::Connected {
            let reason = self.room.trouble.as_deref().unwrap_or("no answer yet");
            let message = format!("The lobby is not reachable ({reason}); private sessions go on");
            return Err(CallError { code: ErrorCode::NoPeer, message });
        }
        let mut members = self.room.members_after(after);
        let looks = self.known_looks();
        let user = |(name, key)| self.user(&looks, name, key);
        let users = members.by_ref().take(PAGE_MEMBERS).map(user).collect();
        Ok(Reply::Users { users, more: members.next().is_some() })
    }

    fn user(&self, known: &Looks, name: &Name, key: Key) -> UserRow {
        UserRow {
            name: name.clone(),
            key,
            fingerprint: fingerprint(&key),
            trust: self.pins.trust(name, &key),
            is_self: key == self.me.key,
            lookalike: self.lookalike(known, key, name),
        }
    }

    fn mark(&mut self, reader: &Reader, session: &SessionRef, seq: proto::ids::Seq) -> Answer {
        if let Err(error) = check_reader(reader) {
            return Ok(Err(error));
        }
        let Some(log) = self.find(session) else {
            return Ok(Err(no_session(session)));
        };
        let marked = match self.sessions.get_mut(&log) {
            Some(session) => &mut session.log,
            None => &mut self.room.log,
        };
        marked.mark(&mut self.store, reader, seq)?;
        Ok(Ok(Reply::Done))
    }

    fn cursor(&self, reader: &Reader, session: &SessionRef) -> Answer {
        if let Err(error) = check_reader(reader) {
            return Ok(Err(error));
        }
        match self.find(session) {
            Some(log) => Ok(Ok(Reply::Cursor { seq: self.store.cursor(reader, log)? })),
            None => Ok(Err(no_session(session))),
        }
    }
}

fn check_reader(reader: &Reader) -> Result<(), CallError> {
    match reader {
        Reader::Named(name) if name.is_empty() || name.len() > MAX_READER_NAME => {
            let message = format!("The name of a cursor has 1 to {MAX_READER_NAME} bytes");
            Err(CallError { code: ErrorCode::Invalid, message })
        }
        Reader::Named(_) | Reader::Person => Ok(()),
    }
}
