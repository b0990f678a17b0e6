//! The link between a client (a terminal, a script) and its daemon, on one machine.
//!
//! A client asks, the daemon answers ([`Call`], [`Reply`]). After [`Call::Watch`] the daemon also says when something
//! has changed: a [`Changes`] holds the rows that changed since the last one, newest state only, so that a client that
//! does not read costs nothing. Entries are never pushed: a client sees from a row that a log has grown and reads the
//! page after its own place ([`Call::Read`]). Live lines and history are one and the same read.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::archive::Record;
use crate::hello::Versions;
use crate::ids::{Key, Mid, Pos, Seq, SessionNo, WallMs};
use crate::name::Name;
use crate::text::{Text, Words};

/// From a client to its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToDaemon {
    /// First, once.
    Hello {
        /// Versions spoken. This field never changes its form.
        versions: Versions,
        /// Features spoken beyond the version.
        #[serde(default)]
        features: Vec<String>,
        /// Program and version, for the log: `chatctl 0.1.0`.
        client: String,
    },
    /// A question. Answers may come in another order than the questions.
    Request {
        /// Comes back in the answer.
        id: u64,
        /// What is asked.
        call: Call,
    },
}

/// From a daemon to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToClient {
    /// First: the client is attached.
    Welcome {
        /// The version that this link speaks.
        version: u16,
        /// Features of the daemon beyond the version.
        #[serde(default)]
        features: Vec<String>,
    },
    /// Instead of a welcome: the link ends.
    Refused {
        /// For a person: what happened and what to do.
        reason: String,
    },
    /// Answer to a request.
    Reply {
        /// From the request.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// Something changed; only after [`Call::Watch`].
    Changed(Box<Changes>),
    /// The daemon stops; the link ends.
    Goodbye {
        /// `true`: the user asked for it (`quit`). `false`: it was stopped and will come back with everything.
        quit: bool,
    },
}

/// Which session is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionRef {
    /// By its number; 0 is the lobby.
    Number(SessionNo),
    /// By the name of the peer; case does not count. Finds sessions that have ended too.
    Peer(Name),
    /// By the key of the peer. Finds sessions that have ended too.
    Key(Key),
}

/// What a client can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Call {
    /// Puts a message into a session. Answered by [`Reply::Sent`] once it is on the daemon's disk.
    ///
    /// Safe to repeat: the same `mid` gets the same answer.
    Send {
        /// Where to.
        session: SessionRef,
        /// Identity of the message, made by the client.
        mid: Mid,
        /// As it was written.
        text: Text,
        /// The draft that it was until now: gone together with it, if it is still the session's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<Text>,
    },
    /// Opens a private session. Answered by [`Reply::Forked`].
    Fork {
        /// With whom.
        name: Name,
    },
    /// Ends a private session for both. Answered by [`Reply::Done`].
    Leave {
        /// Which.
        session: SessionRef,
    },
    /// Begins to report changes, all rows first. Answered by [`Reply::Done`].
    Watch,
    /// The state of the daemon, of the lobby and of every session. Answered by [`Reply::State`].
    State,
    /// One page of who is in the lobby, in order of name. Answered by [`Reply::Users`].
    Users {
        /// Last name of the page before; `None` for the first page.
        after: Option<Name>,
    },
    /// One page of a session's log. Answered by [`Reply::Entries`].
    Read {
        /// Which.
        session: SessionRef,
        /// From where.
        range: Range,
        /// At most so many entries; the daemon may give fewer ([`PAGE_ENTRIES`](crate::limits::PAGE_ENTRIES)).
        limit: u32,
    },
    /// Finds messages that hold all the words, newest first. Answered by [`Reply::Found`].
    ///
    /// A word stands for each that begins with it. Lines of strangers who wait for the person's word are not found.
    Search {
        /// Parted by white space; case and accents do not count.
        words: Words,
        /// At most so many.
        limit: u32,
    },
    /// Moves a cursor forward; never back. Answered by [`Reply::Done`].
    Mark {
        /// Whose cursor.
        reader: Reader,
        /// In which session.
        session: SessionRef,
        /// The last entry read.
        seq: Seq,
    },
    /// Where a cursor stands. Answered by [`Reply::Cursor`].
    Cursor {
        /// Whose cursor.
        reader: Reader,
        /// In which session.
        session: SessionRef,
    },
    /// The line that was begun in a session and not sent. Answered by [`Reply::Draft`].
    Draft {
        /// Which.
        session: SessionRef,
    },
    /// Keeps a line that was begun and not sent, in place of the one before. Answered by [`Reply::Done`].
    KeepDraft {
        /// In which session.
        session: SessionRef,
        /// As it was typed.
        text: Text,
    },
    /// Forgets a draft, if it is still this one: another terminal may have kept a newer one. Answered by
    /// [`Reply::Done`].
    DropDraft {
        /// Of which session.
        session: SessionRef,
        /// As it was kept.
        text: Text,
    },
    /// Says yes to a stranger who has opened a session. Answered by [`Reply::Forked`].
    Accept {
        /// Who.
        name: Name,
    },
    /// Says no to a stranger, who may ask again. Answered by [`Reply::Done`].
    Decline {
        /// Who.
        name: Name,
    },
    /// Ends what there is with somebody, and takes no connection of that key any more. Answered by [`Reply::Done`].
    Block {
        /// Who: a stranger who asks, somebody known, or somebody in the lobby.
        name: Name,
    },
    /// Takes connections of somebody again. Answered by [`Reply::Done`].
    Unblock {
        /// Who, by the name of that time.
        name: Name,
    },
    /// One page of who is blocked, in order of key. Answered by [`Reply::Peers`].
    Blocks {
        /// Last key of the page before; `None` for the first page.
        after: Option<Key>,
    },
    /// Forgets somebody: the key that the name stands for, and the history with them. Answered by [`Reply::Done`].
    Forget {
        /// Who; a session with them must have ended.
        name: Name,
    },
    /// The digits to compare with somebody who is known or present. Answered by [`Reply::Code`].
    Verify {
        /// With whom.
        name: Name,
    },
    /// The person has compared them. Answered by [`Reply::Done`].
    Verified {
        /// With whom: somebody whose key is pinned.
        name: Name,
    },
    /// Accepts the new key of somebody who is known, or of the lobby. Answered by [`Reply::Trusted`].
    ///
    /// Only a key that the person was shown is accepted: by an [`ErrorCode::Changed`], or for the lobby by its row.
    Trust {
        /// Whose key; number 0 is the lobby's.
        who: SessionRef,
    },
    /// One page of the peers of all private sessions, ended ones too, in order of key. Answered by [`Reply::Peers`].
    Peers {
        /// Last key of the page before; `None` for the first page.
        after: Option<Key>,
    },
    /// One page of a session's log with all that an import needs. Answered by [`Reply::Records`].
    Export {
        /// Which.
        session: SessionRef,
        /// The entries right after this one.
        after: Seq,
    },
    /// Puts entries that were exported behind the logs of their sessions. Answered by [`Reply::Imported`].
    ///
    /// Safe to repeat: an entry whose author and `mid` are in the log already is not put there again.
    Import {
        /// At most [`PAGE_RECORDS`](crate::limits::PAGE_RECORDS).
        records: Vec<Record>,
    },
    /// Stops the daemon, which comes back with everything: no session ends. Answered by [`Reply::Done`].
    Suspend,
    /// Signs off: ends the private sessions, leaves the lobby, stops the daemon. Answered by [`Reply::Done`].
    Quit,
    /// A call of a later version. Answered by [`Reply::Error`].
    #[serde(other)]
    Unknown,
}

/// Part of a log. Entries always come oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// The entries right after this one.
    After(Seq),
    /// The entries right before this one; [`Seq::END`] gives the last ones.
    Before(Seq),
}

/// A cursor that the daemon keeps: the person's own read mark, shared by all terminals, or a script's by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// The person.
    Person,
    /// A script. The name has 1 to 64 bytes.
    Named(String),
}

/// What a daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// Done, nothing more to say.
    Done,
    /// The message is on the daemon's disk.
    Sent {
        /// Which session it is in.
        session: SessionNo,
        /// Where it stands in the session's log.
        seq: Seq,
        /// Where it stands among one's own entries; compare with [`SessionRow::sent`] and [`SessionRow::delivered`].
        pos: Pos,
    },
    /// The session is open.
    Forked {
        /// Its number.
        session: SessionNo,
    },
    /// Everything, as it is now.
    State(Box<Changes>),
    /// One page of members.
    Users {
        /// In order of name.
        users: Vec<UserRow>,
        /// More pages follow.
        more: bool,
    },
    /// One page of a log.
    Entries {
        /// Which session.
        session: SessionNo,
        /// Oldest first.
        entries: Vec<Entry>,
        /// The last entry of the log at this moment.
        head: Seq,
    },
    /// Messages that were searched for.
    Found {
        /// Newest first.
        hits: Vec<Hit>,
        /// Older messages may hold the words as well: the search has ended before it had seen all.
        #[serde(default)]
        partial: bool,
    },
    /// Where a cursor stands: the last entry read.
    Cursor {
        /// [`Seq::START`] where nothing was read yet.
        seq: Seq,
    },
    /// The line that was begun and not sent.
    Draft {
        /// `None` where there is none.
        text: Option<Text>,
    },
    /// One page of people.
    Peers {
        /// In order of key.
        peers: Vec<Peer>,
        /// More pages follow.
        more: bool,
    },
    /// One page of a log, to be kept elsewhere.
    Records {
        /// Oldest first; empty at the end of the log.
        records: Vec<Record>,
    },
    /// Entries were taken in.
    Imported {
        /// How many are new.
        added: u64,
        /// How many were there already.
        known: u64,
    },
    /// What two people compare to know that nobody stands between them.
    Code {
        /// With whom.
        name: Name,
        /// The short form of the key that it is made of.
        fingerprint: String,
        /// What is known of that key.
        trust: Trust,
        /// 60 digits.
        code: String,
    },
    /// The key is accepted.
    Trusted {
        /// Its short form.
        fingerprint: String,
        /// What the owner of the key before is called from now on; `None` for the lobby.
        former: Option<Name>,
    },
    /// Not done.
    Error(CallError),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// For a program.
    pub code: ErrorCode,
    /// For a person: what happened, to what, and what to do next.
    pub message: String,
}

/// Kinds of [`CallError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No such session.
    NoSession,
    /// Nobody of that name can be reached.
    NoPeer,
    /// A fork with oneself.
    SelfFork,
    /// A session with that peer is open already.
    Duplicate,
    /// The session has ended.
    Ended,
    /// The call makes no sense for this session, or at all.
    Invalid,
    /// The name is known with another key. Each row of the message is a warning of its own.
    Changed,
    /// A limit is reached; try again later.
    Busy,
    /// The daemon does not know this call: it is older than the client.
    Unsupported,
    /// The daemon failed; its log says more.
    Internal,
    /// A kind of a later version.
    #[serde(other)]
    Other,
}

/// Rows that changed, each in its newest state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The daemon itself and its lobby, if changed.
    pub daemon: Option<DaemonRow>,
    /// Sessions that changed, the lobby's too, in order of number.
    pub sessions: Vec<SessionRow>,
    /// Numbers that are free again: their sessions have ended and were read to the end.
    pub closed: Vec<SessionNo>,
}

/// The daemon and its lobby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonRow {
    /// The name that the lobby granted, or the one wished while it has not.
    pub name: Name,
    /// The name that was asked for at the start of the daemon.
    pub wished: Name,
    /// The daemon's key.
    pub key: Key,
    /// The key's short form: `SHA256:…`.
    pub fingerprint: String,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Where the lobby is.
    pub lobby: LobbyRow,
    /// Clients attached that watch, this one included.
    pub attached: u32,
    /// Where peers can dial this daemon, as far as it knows.
    pub listening: Option<SocketAddr>,
    /// Strangers who wait for the person's word, at most 100. [`Trust::Changed`]: one who comes under a known name.
    #[serde(default)]
    pub requests: Vec<Peer>,
}

/// The lobby, seen from the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LobbyRow {
    /// `host:port`.
    pub addr: String,
    /// Whether the link is up.
    pub state: LobbyState,
    /// This daemon hosts it.
    pub hosted: bool,
    /// Why it is not connected, for a person; `None` while it is.
    pub trouble: Option<String>,
}

/// The link to the lobby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LobbyState {
    /// Up.
    Connected,
    /// Down; the daemon keeps trying.
    Reconnecting,
    /// Another key answers at its address than before: nothing is said to it until the person accepts the key.
    Changed,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its number; 0 is the lobby.
    pub session: SessionNo,
    /// Who opened it; `None` for the lobby.
    pub mode: Option<Mode>,
    /// With whom; `None` for the lobby.
    pub peer: Option<Peer>,
    /// How it stands.
    pub state: SessionState,
    /// Which way the bytes go.
    pub path: Path,
    /// Last entry of its log.
    pub head: Seq,
    /// The person's read mark.
    pub read: Seq,
    /// Messages from others after the read mark.
    pub unread: u64,
    /// Own messages that the other side (the lobby) does not have yet.
    pub queued: u64,
    /// Own entries up to here have left this daemon (lobby: are in its log).
    pub sent: Pos,
    /// Own entries up to here are on the peer's disk. Stays [`Pos::START`] in the lobby.
    pub delivered: Pos,
    /// Why it is waiting, for a person; `None` while connected or ended.
    pub trouble: Option<String>,
    /// The other side's person has not said yes to the session yet.
    #[serde(default)]
    pub asked: bool,
}

/// The other side of a private session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Name.
    pub name: Name,
    /// Key.
    pub key: Key,
    /// The key's short form.
    pub fingerprint: String,
    /// What is known of the key.
    pub trust: Trust,
    /// Of a stranger who waits: somebody better known, with another key, whose name this one is easily taken for.
    #[serde(default)]
    pub lookalike: Option<Name>,
}

/// Who opened a private session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// This side: `P->`.
    A,
    /// The other side: `P~>`.
    B,
}

impl Mode {
    /// The mark before the lines of a session.
    pub fn mark(self) -> &'static str {
        match self {
            Self::A => "P->",
            Self::B => "P~>",
        }
    }
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// The other side is connected.
    Connected,
    /// It is not; lines are queued, the daemon keeps trying.
    Waiting,
    /// One side has left.
    Ended,
}

/// Which way the bytes of a session go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// Straight to the peer.
    Direct,
    /// Through a relay that cannot read them.
    Relay,
    /// No way at the moment.
    None,
}

/// Somebody in the lobby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Name.
    pub name: Name,
    /// Key.
    pub key: Key,
    /// The key's short form.
    pub fingerprint: String,
    /// What is known of the key.
    pub trust: Trust,
    /// It is the daemon itself.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// Somebody better known, with another key, whose name this one is easily taken for.
    #[serde(default)]
    pub lookalike: Option<Name>,
}

/// What this daemon knows of a key under that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Never spoken with.
    New,
    /// The same key as before.
    Pinned,
    /// Checked by the person.
    Verified,
    /// The name was known with another key.
    Changed,
}

/// One entry of a session's log, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub seq: Seq,
    /// What it is.
    pub kind: EntryKind,
    /// Whom it is from or about; `None` for a notice of the daemon.
    pub from: Option<Name>,
    /// This side wrote it.
    pub mine: bool,
    /// Identity of the entry.
    pub mid: Mid,
    /// Position among one's own entries; `None` for others' entries and notices.
    pub pos: Option<Pos>,
    /// When its author made it.
    pub at: WallMs,
    /// How far it has come.
    pub state: EntryState,
    /// The text of a message or a notice, raw; of a `joined` the name that the new one is easily taken for, if any;
    /// empty for the other kinds.
    pub text: Words,
    /// It was put here by an import: no news, and nothing that is sent to anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
}

/// Kinds of [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A message.
    Text,
    /// Somebody came into the lobby.
    Joined,
    /// Somebody left the lobby.
    Left,
    /// The session was opened.
    Opened,
    /// The session was ended.
    Closed,
    /// The daemon has to say something about this log.
    Notice,
}

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// On this daemon's disk.
    Queued,
    /// On its way (lobby: in the lobby's log).
    Sent,
    /// On the peer's disk.
    Delivered,
    /// From somebody else, or a notice.
    Received,
}

/// A message that was searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Number of its session; `None` where it has ended and gave its number back.
    pub session: Option<SessionNo>,
    /// The peer of its session; `None` for the lobby.
    pub peer: Option<Name>,
    /// The message.
    pub entry: Entry,
}
