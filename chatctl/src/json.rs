//! The rows of `--json`: field names are a contract with scripts.

use jiff::Timestamp;
use proto::ids::{SessionNo, WallMs};
use proto::ipc::{
    Changes, DaemonRow, Entry, EntryState, Hit, LobbyState, Mode, Path, SessionRow, SessionState, Trust,
    UserRow,
};
use serde::Serialize;

/// A row of `sessions`. The lobby has fewer fields than a private session.
#[derive(Debug, Serialize)]
pub struct Session<'a> {
    #[serde(rename = "session")]
    number: SessionNo,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<Trust>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Path>,
    unread: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<u64>,
    /// Lines go through at this moment or once the other side is back: it has not ended.
    active: bool,
}

impl<'a> Session<'a> {
    /// Of a row.
    pub fn of(row: &'a SessionRow) -> Self {
        let peer = row.peer.as_ref();
        Self {
            number: row.session,
            kind: if peer.is_some() { "peer" } else { "lobby" },
            mode: row.mode,
            peer: peer.map(|peer| peer.name.as_str()),
            fingerprint: peer.map(|peer| peer.fingerprint.as_str()),
            trust: peer.map(|peer| peer.trust),
            state: match row.state {
                SessionState::Connected => "connected",
                SessionState::Waiting if peer.is_none() => "reconnecting",
                SessionState::Waiting => "waiting",
                SessionState::Ended => "ended",
            },
            path: peer.map(|_| row.path),
            unread: row.unread,
            queued: peer.map(|_| row.queued),
            active: match row.state {
                SessionState::Connected => true,
                SessionState::Waiting => peer.is_some(),
                SessionState::Ended => false,
            },
        }
    }
}

/// A row of `users`.
#[derive(Debug, Serialize)]
pub struct User<'a> {
    name: &'a str,
    fingerprint: &'a str,
    trust: Trust,
    #[serde(rename = "self")]
    is_self: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookalike: Option<&'a str>,
}

impl<'a> User<'a> {
    /// Of a row.
    pub fn of(row: &'a UserRow) -> Self {
        let UserRow { name, fingerprint, trust, is_self, lookalike, .. } = row;
        let lookalike = lookalike.as_ref().map(proto::name::Name::as_str);
        Self { name: name.as_str(), fingerprint, trust: *trust, is_self: *is_self, lookalike }
    }
}

/// A row of `history`, `tail` and `search`: one message, raw.
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// `null` where a found message is in a session that has given its number back.
    session: Option<SessionNo>,
    seq: u64,
    from: Option<&'a str>,
    mine: bool,
    at: String,
    state: EntryState,
    text: &'a str,
}

impl<'a> Message<'a> {
    /// Of an entry of that session.
    pub fn of(session: Option<SessionNo>, entry: &'a Entry) -> Self {
        Self {
            session,
            seq: entry.seq.0,
            from: entry.from.as_ref().map(proto::name::Name::as_str),
            mine: entry.mine,
            at: rfc3339(entry.at),
            state: entry.state,
            text: &entry.text,
        }
    }

    /// Of a message that was searched for.
    pub fn of_hit(hit: &'a Hit) -> Self {
        Self::of(hit.session, &hit.entry)
    }
}

/// The row of `status`.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    name: &'a str,
    fingerprint: &'a str,
    version: &'a str,
    pid: u32,
    lobby: Lobby<'a>,
    sessions: usize,
    attached: u32,
    queued: u64,
}

#[derive(Debug, Serialize)]
struct Lobby<'a> {
    addr: &'a str,
    state: LobbyState,
    hosted: bool,
}

impl<'a> Status<'a> {
    /// Of the daemon's row and all sessions; the private ones that are open are counted.
    pub fn of(daemon: &'a DaemonRow, all: &Changes) -> Self {
        let DaemonRow { name, fingerprint, version, pid, lobby, attached, .. } = daemon;
        Self {
            name: name.as_str(),
            fingerprint,
            version,
            pid: *pid,
            lobby: Lobby { addr: &lobby.addr, state: lobby.state, hosted: lobby.hosted },
            sessions: open_sessions(all),
            attached: *attached,
            queued: queued(all),
        }
    }
}

/// Private sessions that have not ended.
pub fn open_sessions(all: &Changes) -> usize {
    all.sessions.iter().filter(|row| row.peer.is_some() && row.state != SessionState::Ended).count()
}

/// Own messages that have not arrived, over all sessions.
pub fn queued(all: &Changes) -> u64 {
    all.sessions.iter().map(|row| row.queued).sum()
}

/// UTC with milliseconds; a time out of all bounds becomes the last one that can be written.
fn rfc3339(at: WallMs) -> String {
    let time = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use proto::ipc::EntryKind;

    use super::*;
    use crate::repl::testing::{daemon_row, entry, lobby_row, peer_row};

    fn json(row: &impl Serialize) -> String {
        serde_json::to_string(row).expect("serializes")
    }

    #[test]
    fn the_fields_of_sessions() {
        assert_eq!(
            json(&Session::of(&peer_row(1, "bobby", Mode::A))),
            r#"{"session":1,"kind":"peer","mode":"A","peer":"bobby","fingerprint":"SHA256:bobby","trust":"pinned","state":"connected","path":"direct","unread":0,"queued":0,"active":true}"#
        );
        let mut lobby = lobby_row();
        lobby.state = SessionState::Waiting;
        lobby.unread = 3;
        assert_eq!(
            json(&Session::of(&lobby)),
            r#"{"session":0,"kind":"lobby","state":"reconnecting","unread":3,"active":false}"#
        );
    }

    #[test]
    fn the_fields_of_messages() {
        let mut said = entry(17, EntryKind::Text, "bobby", "a\n\u{1b}[2J");
        said.at = WallMs(1_795_341_600_123);
        assert_eq!(
            json(&Message::of(Some(SessionNo(1)), &said)),
            r#"{"session":1,"seq":17,"from":"bobby","mine":false,"at":"2026-11-22T10:00:00.123Z","state":"received","text":"a\n\u001b[2J"}"#
        );
        said.at = WallMs(u64::MAX);
        assert!(json(&Message::of(None, &said)).contains("\"at\":\"9999-12-30T"));
    }

    #[test]
    fn the_fields_of_status() {
        let daemon = daemon_row("anna");
        let all = Changes {
            daemon: None,
            sessions: vec![lobby_row(), peer_row(1, "bobby", Mode::B)],
            closed: Vec::new(),
        };
        assert_eq!(
            json(&Status::of(&daemon, &all)),
            r#"{"name":"anna","fingerprint":"SHA256:anna","version":"0.1.0","pid":1,"lobby":{"addr":"127.0.0.1:43210","state":"connected","hosted":false},"sessions":1,"attached":1,"queued":0}"#
        );
    }
}
