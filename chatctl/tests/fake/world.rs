//! What the fake daemon knows.

use std::collections::BTreeMap;

use proto::ids::{Key, Mid, Pos, Seq, SessionNo, WallMs};
use proto::ipc::{
    Call, CallError, Changes, DaemonRow, Entry, EntryKind, EntryState, ErrorCode, Hit, LobbyRow, LobbyState,
    Mode, Path, Peer, Range, Reader, Reply, SessionRef, SessionRow, SessionState, Trust, UserRow,
};
use proto::limits::PAGE_ENTRIES;
use proto::name::Name;

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) daemon: Option<DaemonRow>,
    pub(crate) sessions: BTreeMap<u32, Session>,
    pub(crate) users: Vec<Name>,
    pub(crate) verified: Vec<Name>,
    pub(crate) cursors: BTreeMap<(Reader, u32), Seq>,
    /// Own messages count as delivered at once.
    pub(crate) delivers: bool,
    /// Entries of one page.
    pub(crate) page: usize,
    /// The user has signed off.
    pub(crate) quit: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) row: SessionRow,
    pub(crate) log: Vec<Entry>,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn key(text: &str) -> Key {
    let mut key = [7; 32];
    key[..text.len()].copy_from_slice(text.as_bytes());
    Key(key)
}

fn error(code: ErrorCode, message: &str) -> Reply {
    Reply::Error(CallError { code, message: message.to_owned() })
}

impl World {
    pub(crate) fn new(who: &str) -> Self {
        let lobby = LobbyRow {
            addr: "127.0.0.1:43210".into(),
            state: LobbyState::Connected,
            hosted: true,
            trouble: None,
        };
        let daemon = DaemonRow {
            name: name(who),
            wished: name(who),
            key: key(who),
            fingerprint: format!("SHA256:{who}"),
            version: "0.1.0".into(),
            pid: 1,
            lobby,
            attached: 1,
            listening: None,
            requests: Vec::new(),
        };
        let mut world = Self { daemon: Some(daemon), ..Self::nothing() };
        world.users = vec![name(who), name("bobby")];
        world.open(0, None);
        world
    }

    /// What a client knows that was told nothing.
    pub(crate) fn nothing() -> Self {
        let (sessions, cursors) = (BTreeMap::new(), BTreeMap::new());
        Self {
            daemon: None,
            sessions,
            users: Vec::new(),
            verified: Vec::new(),
            cursors,
            delivers: true,
            page: PAGE_ENTRIES,
            quit: false,
        }
    }

    fn open(&mut self, number: u32, with: Option<(&str, Mode)>) {
        let row = SessionRow {
            session: SessionNo(number),
            mode: with.map(|(_, mode)| mode),
            peer: with.map(|(who, _)| Peer {
                name: name(who),
                key: key(who),
                fingerprint: format!("SHA256:{who}"),
                trust: Trust::Pinned,
                lookalike: None,
            }),
            state: SessionState::Connected,
            path: Path::Direct,
            head: Seq::START,
            read: Seq::START,
            unread: 0,
            queued: 0,
            sent: Pos::START,
            delivered: Pos::START,
            trouble: None,
            asked: false,
        };
        self.sessions.insert(number, Session { row, log: Vec::new() });
    }

    /// Opens a private session.
    pub(crate) fn forked(&mut self, who: &str, mode: Mode) -> u32 {
        let number = self.sessions.keys().max().map_or(0, |last| last + 1);
        self.open(number, Some((who, mode)));
        self.push(number, EntryKind::Opened, who, "");
        number
    }

    /// Somebody else does something in a session.
    pub(crate) fn push(&mut self, number: u32, kind: EntryKind, who: &str, text: &str) {
        self.put(number, kind, (who, mid(number, self.sessions[&number].log.len())), text);
    }

    /// Somebody else says something.
    pub(crate) fn says(&mut self, number: u32, who: &str, text: &str) {
        self.push(number, EntryKind::Text, who, text);
    }

    /// The peer leaves.
    pub(crate) fn peer_leaves(&mut self, number: u32, who: &str) {
        self.push(number, EntryKind::Closed, who, "");
        self.row(number).state = SessionState::Ended;
    }

    pub(crate) fn row(&mut self, number: u32) -> &mut SessionRow {
        &mut self.sessions.get_mut(&number).expect("the session").row
    }

    /// The texts of a log.
    pub(crate) fn texts(&self, number: u32) -> Vec<&str> {
        let log = self.sessions.get(&number).map_or(&[][..], |session| &session.log);
        log.iter().filter(|entry| entry.kind == EntryKind::Text).map(|entry| entry.text.as_str()).collect()
    }

    fn put(&mut self, number: u32, kind: EntryKind, (who, mid): (&str, Mid), text: &str) -> (Seq, Pos) {
        let own = self.daemon.as_ref().is_some_and(|daemon| daemon.name.as_str() == who);
        let delivers = self.delivers;
        let session = self.sessions.get_mut(&number).expect("the session");
        let seq = Seq(session.log.len() as u64 + 1);
        let pos = Pos(session.log.iter().filter(|entry| entry.mine).count() as u64 + 1);
        session.log.push(Entry {
            seq,
            kind,
            from: (kind != EntryKind::Notice).then(|| name(who)),
            mine: own,
            mid,
            pos: own.then_some(pos),
            at: WallMs(1_795_341_600_123),
            state: if own { EntryState::Queued } else { EntryState::Received },
            text: text.into(),
            imported: false,
        });
        session.row.head = seq;
        if own {
            session.row.sent = pos;
            session.row.delivered = if delivers { pos } else { Pos::START };
        } else if kind == EntryKind::Text {
            session.row.unread += 1;
        }
        (seq, pos)
    }

    /// Rows that differ; `None`: none does.
    pub(crate) fn since(&self, before: &Self) -> Option<Changes> {
        let daemon = self.daemon.clone().filter(|now| before.daemon.as_ref() != Some(now));
        let old = |number| before.sessions.get(number).map(|session| &session.row);
        let rows = self.sessions.iter().filter(|(number, session)| old(number) != Some(&session.row));
        let sessions: Vec<_> = rows.map(|(_, session)| session.row.clone()).collect();
        let gone = before.sessions.keys().filter(|number| !self.sessions.contains_key(number));
        let closed: Vec<_> = gone.copied().map(SessionNo).collect();
        let nothing = daemon.is_none() && sessions.is_empty() && closed.is_empty();
        (!nothing).then_some(Changes { daemon, sessions, closed })
    }

    fn find(&self, session: &SessionRef) -> Result<u32, Reply> {
        let found = match session {
            SessionRef::Number(number) => self.sessions.contains_key(&number.0).then_some(number.0),
            SessionRef::Peer(name) => self
                .sessions
                .iter()
                .find(|(_, session)| session.row.peer.as_ref().is_some_and(|peer| peer.name == *name))
                .map(|(number, _)| *number),
            SessionRef::Key(key) => self
                .sessions
                .iter()
                .find(|(_, session)| session.row.peer.as_ref().is_some_and(|peer| peer.key == *key))
                .map(|(number, _)| *number),
        };
        found.ok_or_else(|| error(ErrorCode::NoSession, "There is no such session"))
    }

    /// Calls that change nothing.
    pub(crate) fn look(&self, call: &Call) -> Reply {
        self.try_look(call).unwrap_or_else(|reply| reply)
    }

    fn try_look(&self, call: &Call) -> Result<Reply, Reply> {
        Ok(match call {
            Call::State => match self.since(&Self::nothing()) {
                Some(state) => Reply::State(Box::new(state)),
                None => error(ErrorCode::Internal, "nothing is known"),
            },
            Call::Users { .. } => {
                let row = |user: &Name| UserRow {
                    name: user.clone(),
                    key: key(user.as_str()),
                    fingerprint: format!("SHA256:{user}"),
                    trust: if self.verified.contains(user) { Trust::Verified } else { Trust::Pinned },
                    is_self: self.daemon.as_ref().is_some_and(|daemon| daemon.name == *user),
                    lookalike: None,
                };
                Reply::Users { users: self.users.iter().map(row).collect(), more: false }
            }
            Call::Read { session, range, limit } => {
                let session = &self.sessions[&self.find(session)?];
                Reply::Entries {
                    session: session.row.session,
                    entries: page(&session.log, *range, self.page.min(*limit as usize)),
                    head: session.row.head,
                }
            }
            Call::Search { words, .. } => Reply::Found { hits: self.search(&words.0), partial: false },
            Call::Draft { .. } => Reply::Draft { text: None },
            Call::Cursor { reader, session } => {
                let number = self.find(session)?;
                let seq = self.cursors.get(&(reader.clone(), number)).copied().unwrap_or_default();
                Reply::Cursor { seq }
            }
            _ => error(ErrorCode::Unsupported, "not a look"),
        })
    }

    fn search(&self, words: &str) -> Vec<Hit> {
        let all = self.sessions.values().flat_map(|session| {
            session.log.iter().rev().filter(|entry| entry.text.contains(words)).map(|entry| Hit {
                session: Some(session.row.session),
                peer: session.row.peer.as_ref().map(|peer| peer.name.clone()),
                entry: entry.clone(),
            })
        });
        all.collect()
    }

    /// Calls that change something.
    pub(crate) fn act(&mut self, call: Call) -> Reply {
        self.try_act(call).unwrap_or_else(|reply| reply)
    }

    fn try_act(&mut self, call: Call) -> Result<Reply, Reply> {
        let own = self.daemon.as_ref().map_or(String::new(), |daemon| daemon.name.to_string());
        Ok(match call {
            Call::Send { session, mid, text, .. } => {
                let number = self.find(&session)?;
                if self.row(number).state == SessionState::Ended {
                    return Err(error(ErrorCode::Ended, "That session has ended"));
                }
                let known = self.sessions[&number].log.iter().find(|entry| entry.mid == mid);
                let (seq, pos) = match known {
                    Some(entry) => (entry.seq, entry.pos.unwrap_or_default()),
                    None => self.put(number, EntryKind::Text, (&own, mid), text.as_str()),
                };
                Reply::Sent { session: SessionNo(number), seq, pos }
            }
            Call::Fork { name } if name.as_str() == own => {
                error(ErrorCode::SelfFork, "Unable to fork a session with self")
            }
            Call::Fork { name } if name.as_str() == "mallory" => error(
                ErrorCode::Changed,
                "WARNING: the key of mallory HAS CHANGED.\nNothing was sent.\nAsk mallory, then  \\trust mallory",
            ),
            Call::Fork { name } if !self.users.contains(&name) => error(
                ErrorCode::NoPeer,
                &format!("Unable to fork into private session as peer {name} unavailable"),
            ),
            Call::Fork { name } if self.find(&SessionRef::Peer(name.clone())).is_ok() => {
                error(ErrorCode::Duplicate, "Unable to fork a duplicate session with same peer!")
            }
            Call::Fork { name } => Reply::Forked { session: SessionNo(self.forked(name.as_str(), Mode::A)) },
            Call::Leave { session } => {
                let number = self.find(&session)?;
                self.push(number, EntryKind::Closed, &own, "");
                self.row(number).state = SessionState::Ended;
                Reply::Done
            }
            Call::Quit => {
                self.quit = true;
                Reply::Done
            }
            Call::Mark { reader: Reader::Person, session, seq } => {
                let number = self.find(&session)?;
                let row = self.row(number);
                row.read = row.read.max(seq);
                row.unread = if row.read >= row.head { 0 } else { row.unread };
                if row.state == SessionState::Ended && row.read >= row.head {
                    self.sessions.remove(&number);
                }
                Reply::Done
            }
            Call::Mark { reader, session, seq } => {
                let number = self.find(&session)?;
                self.cursors.insert((reader, number), seq);
                Reply::Done
            }
            call => self.judge(call),
        })
    }

    /// Calls about whom to trust.
    fn judge(&mut self, call: Call) -> Reply {
        match call {
            Call::Accept { name } => {
                Reply::Forked { session: SessionNo(self.forked(name.as_str(), Mode::B)) }
            }
            Call::Decline { .. } | Call::Block { .. } | Call::Unblock { .. } => Reply::Done,
            Call::Verify { name } => Reply::Code {
                fingerprint: format!("SHA256:{name}"),
                trust: Trust::Pinned,
                code: "0123456789".repeat(6),
                name,
            },
            Call::Verified { name } => {
                self.verified.push(name);
                Reply::Done
            }
            Call::Trust { who: SessionRef::Peer(name) } => {
                Reply::Trusted { fingerprint: format!("SHA256:{name}"), former: Some(name.with_suffix(2)) }
            }
            _ => error(ErrorCode::Unsupported, "The daemon does not know this call"),
        }
    }
}

fn mid(session: u32, index: usize) -> Mid {
    let mut mid = [1; 16];
    mid[..4].copy_from_slice(&session.to_be_bytes());
    mid[8..].copy_from_slice(&(index as u64).to_be_bytes());
    Mid(mid)
}

fn page(log: &[Entry], range: Range, limit: usize) -> Vec<Entry> {
    match range {
        Range::After(seq) => log.iter().filter(|entry| entry.seq > seq).take(limit).cloned().collect(),
        Range::Before(seq) => {
            let before: Vec<_> = log.iter().filter(|entry| entry.seq < seq).cloned().collect();
            before[before.len().saturating_sub(limit)..].to_vec()
        }
    }
}
