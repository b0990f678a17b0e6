//! Rows and entries for tests.

use proto::ids::{Key, Mid, Pos, Seq, SessionNo, WallMs};
use proto::ipc::{
    DaemonRow, Entry, EntryKind, EntryState, LobbyRow, LobbyState, Mode, Path, Peer, SessionRow,
    SessionState, Trust,
};
use proto::name::Name;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn daemon_row(who: &str) -> DaemonRow {
    DaemonRow {
        name: name(who),
        wished: name(who),
        key: Key([0; 32]),
        fingerprint: format!("SHA256:{who}"),
        version: "0.1.0".into(),
        pid: 1,
        lobby: LobbyRow {
            addr: "127.0.0.1:43210".into(),
            state: LobbyState::Connected,
            hosted: false,
            trouble: None,
        },
        attached: 1,
        listening: None,
        requests: Vec::new(),
    }
}

pub(crate) fn lobby_row() -> SessionRow {
    SessionRow {
        session: SessionNo::LOBBY,
        mode: None,
        peer: None,
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
    }
}

/// A session with `who`, whose key is made of the name.
pub(crate) fn peer_row(session: u32, who: &str, mode: Mode) -> SessionRow {
    let mut key = [7; 32];
    key[..who.len()].copy_from_slice(who.as_bytes());
    let peer = Peer {
        name: name(who),
        key: Key(key),
        fingerprint: format!("SHA256:{who}"),
        trust: Trust::Pinned,
        lookalike: None,
    };
    SessionRow { session: SessionNo(session), mode: Some(mode), peer: Some(peer), ..lobby_row() }
}

/// An entry whose identity is made of its place and its author.
pub(crate) fn entry(seq: u64, kind: EntryKind, from: &str, text: &str) -> Entry {
    let mut mid = [0; 16];
    mid[..8].copy_from_slice(&seq.to_be_bytes());
    for (slot, byte) in mid[8..].iter_mut().zip(from.bytes()) {
        *slot = byte;
    }
    Entry {
        seq: Seq(seq),
        kind,
        from: (kind != EntryKind::Notice).then(|| name(from)),
        mine: false,
        mid: Mid(mid),
        pos: None,
        at: WallMs(1_795_341_600_000),
        state: EntryState::Received,
        text: text.into(),
        imported: false,
    }
}
