//! Any message of any link, for property tests.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proto::archive::{Party, Record};
use proto::hello::Versions;
use proto::ids::{
    Chain, Epoch, EpochTag, Generation, Instance, Key, LobbySeq, Mid, Pos, Seq, SessionNo, Signature, WallMs,
};
use proto::invitation::Token;
use proto::ipc::{
    Call, CallError, Changes, DaemonRow, Entry, EntryKind, EntryState, ErrorCode, Hit, LobbyRow, LobbyState,
    Mode, Path, Peer, Range, Reader, Reply, SessionRef, SessionRow, SessionState, ToClient, ToDaemon, Trust,
    UserRow,
};
use proto::lobby::{
    Contact, FromLobby, Member, MemberHello, RefusedCode, RoomCursor, RoomEntry, ToLobby, Welcome,
};
use proto::name::Name;
use proto::peer::{ByeCode, Content, DialId, Hello, InState, OutState, PeerMessage, Probe};
use proto::text::{Text, Words};

/// Largest position and time on a wire.
const MAX: u64 = i64::MAX as u64;

pub(crate) fn name() -> impl Strategy<Value = Name> {
    let mixed = "[a-zäÄпП李][a-zA-Z0-9äпП李_.-]{0,31}";
    let marked = "(हि|न्दी|ที่|क)[कน0-9_]{0,6}";
    prop_oneof![4 => mixed, 1 => marked].prop_filter_map("a reserved word", |text| Name::new(text).ok())
}

pub(crate) fn text() -> impl Strategy<Value = Text> {
    let strange = "[\u{0}\u{1b}\u{7f}\"\\\\\n\u{2028}\u{10ffff}a👩]{1,40}";
    prop_oneof![any::<String>(), strange]
        .prop_filter_map("an empty or over-long text", |text| Text::new(text).ok())
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 32]>().prop_map(Key)
}

fn chain() -> impl Strategy<Value = Chain> {
    any::<[u8; 32]>().prop_map(Chain)
}

fn mid() -> impl Strategy<Value = Mid> {
    any::<[u8; 16]>().prop_map(Mid)
}

fn instance() -> impl Strategy<Value = Instance> {
    any::<[u8; 16]>().prop_map(Instance)
}

fn generation() -> impl Strategy<Value = Generation> {
    any::<[u8; 16]>().prop_map(Generation)
}

fn seq() -> impl Strategy<Value = Seq> {
    (0..=MAX).prop_map(Seq)
}

fn pos() -> impl Strategy<Value = Pos> {
    (0..=MAX).prop_map(Pos)
}

fn lobby_seq() -> impl Strategy<Value = LobbySeq> {
    (0..=MAX).prop_map(LobbySeq)
}

fn at() -> impl Strategy<Value = WallMs> {
    (0..=MAX).prop_map(WallMs)
}

fn session_no() -> impl Strategy<Value = SessionNo> {
    any::<u32>().prop_map(SessionNo)
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    // An IPv6 address that `SocketAddr` writes with a scope or a flow label does not occur on a wire.
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn sig() -> impl Strategy<Value = Signature> {
    any::<[u8; 32]>().prop_map(|half| {
        let mut bytes = [0; Signature::LEN];
        bytes[..32].copy_from_slice(&half);
        bytes[32..].copy_from_slice(&half);
        Signature(bytes)
    })
}

fn versions() -> impl Strategy<Value = Versions> {
    (any::<u16>(), any::<u16>()).prop_map(|(min, max)| Versions { min, max })
}

fn features() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..3)
}

pub(crate) fn to_lobby() -> impl Strategy<Value = ToLobby> {
    prop_oneof![
        member_hello().prop_map(|hello| ToLobby::Hello(Box::new(hello))),
        (mid(), at(), text(), sig()).prop_map(|(mid, at, text, sig)| ToLobby::Publish { mid, at, text, sig }),
        (any::<u64>(), name()).prop_map(|(request, name)| ToLobby::Lookup { request, name }),
        key().prop_map(|key| ToLobby::Reach { key }),
        key().prop_map(|key| ToLobby::Decline { key }),
        any::<u64>().prop_map(|nonce| ToLobby::Ping { nonce }),
        any::<u64>().prop_map(|nonce| ToLobby::Pong { nonce }),
        Just(ToLobby::Bye),
    ]
}

fn member_hello() -> impl Strategy<Value = MemberHello> {
    let room = (generation(), lobby_seq(), option::of(mid())).prop_map(|(generation, seq, mid)| RoomCursor {
        generation,
        seq,
        mid,
    });
    let token = option::of(any::<[u8; 16]>().prop_map(Token));
    (versions(), features(), name(), instance(), any::<u16>(), option::of(room), token).prop_map(
        |(versions, features, name, instance, port, room, invitation)| MemberHello {
            versions,
            features,
            name,
            instance,
            port,
            room,
            invitation,
        },
    )
}

pub(crate) fn from_lobby() -> impl Strategy<Value = FromLobby> {
    prop_oneof![
        welcome().prop_map(|welcome| FromLobby::Welcome(Box::new(welcome))),
        (refused_code(), any::<String>(), any::<u64>()).prop_map(|(code, reason, retry_after_ms)| {
            FromLobby::Refused { code, reason, retry_after_ms }
        }),
        (vec(member(), 0..4), any::<bool>()).prop_map(|(members, more)| FromLobby::Members { members, more }),
        (vec(member(), 0..4), vec(member(), 0..4))
            .prop_map(|(joined, left)| FromLobby::Presence { joined, left }),
        (lobby_seq(), member(), mid(), at(), text(), sig()).prop_map(|(seq, from, mid, at, text, sig)| {
            FromLobby::Entry(Box::new(RoomEntry { seq, from, mid, at, text, sig }))
        }),
        lobby_seq().prop_map(|next| FromLobby::Gap { next }),
        (mid(), lobby_seq()).prop_map(|(mid, seq)| FromLobby::Published { mid, seq }),
        (mid(), any::<String>()).prop_map(|(mid, reason)| FromLobby::NotPublished { mid, reason }),
        (any::<u64>(), option::of(member()))
            .prop_map(|(request, member)| FromLobby::Found { request, member }),
        member().prop_map(|by| FromLobby::Wanted { by }),
        contact().prop_map(FromLobby::Contact),
        key().prop_map(|by| FromLobby::Declined { by }),
        any::<u64>().prop_map(|nonce| FromLobby::Ping { nonce }),
        any::<u64>().prop_map(|nonce| FromLobby::Pong { nonce }),
        (any::<String>(), any::<u64>())
            .prop_map(|(reason, retry_after_ms)| FromLobby::GoAway { reason, retry_after_ms }),
    ]
}

fn welcome() -> impl Strategy<Value = Welcome> {
    (any::<u16>(), features(), name(), generation(), lobby_seq(), addr()).prop_map(
        |(version, features, name, generation, head, seen_as)| Welcome {
            version,
            features,
            name,
            generation,
            head,
            seen_as,
        },
    )
}

fn member() -> impl Strategy<Value = Member> {
    (name(), key()).prop_map(|(name, key)| Member { name, key })
}

fn contact() -> impl Strategy<Value = Contact> {
    (key(), vec(addr(), 0..5)).prop_map(|(key, addrs)| Contact { key, addrs })
}

fn refused_code() -> impl Strategy<Value = RefusedCode> {
    use RefusedCode::{Banned, Busy, Invitation, Other, Protocol, Stopping, Version};
    prop::sample::select(vec![Version, Busy, Stopping, Protocol, Banned, Invitation, Other])
}

pub(crate) fn peer_message() -> impl Strategy<Value = PeerMessage> {
    prop_oneof![
        hello().prop_map(|hello| PeerMessage::Hello(Box::new(hello))),
        vec((pos(), chain()).prop_map(|(pos, chain)| Probe { pos, chain }), 0..5)
            .prop_map(|probes| PeerMessage::Locate { probes }),
        pos().prop_map(|pos| PeerMessage::Located { pos }),
        (epoch(), pos(), chain()).prop_map(|(epoch, from, chain)| PeerMessage::Start { epoch, from, chain }),
        (pos(), mid(), at(), content()).prop_map(|(pos, mid, at, content)| PeerMessage::Data {
            pos,
            mid,
            at,
            content
        }),
        (pos(), chain()).prop_map(|(next, chain)| PeerMessage::Ack { next, chain }),
        Just(PeerMessage::Accepted),
        any::<u64>().prop_map(|nonce| PeerMessage::Ping { nonce }),
        any::<u64>().prop_map(|nonce| PeerMessage::Pong { nonce }),
        (bye_code(), any::<u64>())
            .prop_map(|(code, retry_after_ms)| PeerMessage::Bye { code, retry_after_ms }),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    let who = (versions(), features(), name(), instance(), any::<u16>());
    let dials = (any::<[u64; 4]>(), vec(dial(), 0..4), any::<bool>());
    (who, dials, out_state(), option::of(in_state())).prop_map(
        |((versions, features, name, instance, port), (numbers, open, held), out, inbound)| {
            let [dial_no, last_dialed, seen_dial, hello_no] = numbers;
            Hello {
                versions,
                features,
                name,
                instance,
                port,
                dial_no,
                last_dialed,
                seen_dial,
                open,
                hello_no,
                held,
                out,
                inbound,
            }
        },
    )
}

fn dial() -> impl Strategy<Value = DialId> {
    (any::<bool>(), any::<u64>()).prop_map(|(mine, dial_no)| DialId { mine, dial_no })
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (any::<u32>(), any::<[u8; 8]>()).prop_map(|(n, r)| Epoch { n, r: EpochTag(r) })
}

fn out_state() -> impl Strategy<Value = OutState> {
    (epoch(), pos(), chain()).prop_map(|(epoch, head, chain)| OutState { epoch, head, chain })
}

fn in_state() -> impl Strategy<Value = InState> {
    (epoch(), pos(), chain()).prop_map(|(epoch, next, chain)| InState { epoch, next, chain })
}

fn content() -> impl Strategy<Value = Content> {
    let close = pos().prop_map(|seen| Content::Close { seen });
    prop_oneof![Just(Content::Open), text().prop_map(|text| Content::Text { text }), close]
}

fn bye_code() -> impl Strategy<Value = ByeCode> {
    use ByeCode::{Busy, Conflict, Done, Other, Protocol, Quit, Refused, Superseded, Version};
    prop::sample::select(vec![Superseded, Conflict, Busy, Quit, Done, Version, Refused, Protocol, Other])
}

pub(crate) fn to_daemon() -> impl Strategy<Value = ToDaemon> {
    prop_oneof![
        (versions(), features(), any::<String>()).prop_map(|(versions, features, client)| ToDaemon::Hello {
            versions,
            features,
            client
        }),
        (any::<u64>(), call()).prop_map(|(id, call)| ToDaemon::Request { id, call }),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (session_ref(), mid(), text(), option::of(text()))
            .prop_map(|(session, mid, text, draft)| Call::Send { session, mid, text, draft }),
        session_ref().prop_map(|session| Call::Draft { session }),
        (session_ref(), text()).prop_map(|(session, text)| Call::KeepDraft { session, text }),
        (session_ref(), text()).prop_map(|(session, text)| Call::DropDraft { session, text }),
        name().prop_map(|name| Call::Fork { name }),
        session_ref().prop_map(|session| Call::Leave { session }),
        prop::sample::select(vec![Call::Watch, Call::State, Call::Suspend, Call::Quit]),
        option::of(name()).prop_map(|after| Call::Users { after }),
        (session_ref(), range(), any::<u32>()).prop_map(|(session, range, limit)| Call::Read {
            session,
            range,
            limit
        }),
        (any::<String>(), any::<u32>())
            .prop_map(|(words, limit)| Call::Search { words: Words(words), limit }),
        (reader(), session_ref(), seq()).prop_map(|(reader, session, seq)| Call::Mark {
            reader,
            session,
            seq
        }),
        (reader(), session_ref()).prop_map(|(reader, session)| Call::Cursor { reader, session }),
        name().prop_map(|name| Call::Accept { name }),
        name().prop_map(|name| Call::Decline { name }),
        name().prop_map(|name| Call::Block { name }),
        name().prop_map(|name| Call::Unblock { name }),
        name().prop_map(|name| Call::Verify { name }),
        name().prop_map(|name| Call::Verified { name }),
        session_ref().prop_map(|who| Call::Trust { who }),
        option::of(key()).prop_map(|after| Call::Blocks { after }),
        name().prop_map(|name| Call::Forget { name }),
        option::of(key()).prop_map(|after| Call::Peers { after }),
        (session_ref(), seq()).prop_map(|(session, after)| Call::Export { session, after }),
        vec(record(), 0..3).prop_map(|records| Call::Import { records }),
    ]
}

fn session_ref() -> impl Strategy<Value = SessionRef> {
    prop_oneof![
        session_no().prop_map(SessionRef::Number),
        name().prop_map(SessionRef::Peer),
        key().prop_map(SessionRef::Key)
    ]
}

fn range() -> impl Strategy<Value = Range> {
    prop_oneof![seq().prop_map(Range::After), seq().prop_map(Range::Before)]
}

fn reader() -> impl Strategy<Value = Reader> {
    prop_oneof![Just(Reader::Person), any::<String>().prop_map(Reader::Named)]
}

pub(crate) fn to_client() -> impl Strategy<Value = ToClient> {
    prop_oneof![
        (any::<u16>(), features()).prop_map(|(version, features)| ToClient::Welcome { version, features }),
        any::<String>().prop_map(|reason| ToClient::Refused { reason }),
        (any::<u64>(), reply()).prop_map(|(id, reply)| ToClient::Reply { id, reply }),
        changes().prop_map(|changes| ToClient::Changed(Box::new(changes))),
        any::<bool>().prop_map(|quit| ToClient::Goodbye { quit }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        (session_no(), seq(), pos()).prop_map(|(session, seq, pos)| Reply::Sent { session, seq, pos }),
        session_no().prop_map(|session| Reply::Forked { session }),
        changes().prop_map(|changes| Reply::State(Box::new(changes))),
        (vec(user_row(), 0..3), any::<bool>()).prop_map(|(users, more)| Reply::Users { users, more }),
        (session_no(), vec(entry(), 0..3), seq()).prop_map(|(session, entries, head)| Reply::Entries {
            session,
            entries,
            head
        }),
        (vec(hit(), 0..3), any::<bool>()).prop_map(|(hits, partial)| Reply::Found { hits, partial }),
        seq().prop_map(|seq| Reply::Cursor { seq }),
        (name(), any::<String>(), trust(), any::<String>())
            .prop_map(|(name, fingerprint, trust, code)| Reply::Code { name, fingerprint, trust, code }),
        option::of(text()).prop_map(|text| Reply::Draft { text }),
        (vec(whole_peer().prop_map(peer), 0..3), any::<bool>())
            .prop_map(|(peers, more)| Reply::Peers { peers, more }),
        vec(record(), 0..3).prop_map(|records| Reply::Records { records }),
        (any::<u64>(), any::<u64>()).prop_map(|(added, known)| Reply::Imported { added, known }),
        (any::<String>(), option::of(name()))
            .prop_map(|(fingerprint, former)| Reply::Trusted { fingerprint, former }),
        (error_code(), any::<String>()).prop_map(|(code, message)| Reply::Error(CallError { code, message })),
    ]
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    use ErrorCode::{
        Busy, Changed, Duplicate, Ended, Internal, Invalid, NoPeer, NoSession, Other, SelfFork, Unsupported,
    };
    prop::sample::select(vec![
        NoSession,
        NoPeer,
        SelfFork,
        Duplicate,
        Ended,
        Invalid,
        Changed,
        Busy,
        Unsupported,
        Internal,
        Other,
    ])
}

fn changes() -> impl Strategy<Value = Changes> {
    (option::of(daemon_row()), vec(session_row(), 0..3), vec(session_no(), 0..3))
        .prop_map(|(daemon, sessions, closed)| Changes { daemon, sessions, closed })
}

fn daemon_row() -> impl Strategy<Value = DaemonRow> {
    let who = (name(), name(), key(), any::<String>(), any::<String>());
    let requests = vec(whole_peer().prop_map(peer), 0..3);
    (who, any::<u32>(), lobby_row(), any::<u32>(), option::of(addr()), requests).prop_map(
        |((name, wished, key, fingerprint, version), pid, lobby, attached, listening, requests)| DaemonRow {
            name,
            wished,
            key,
            fingerprint,
            version,
            pid,
            lobby,
            attached,
            listening,
            requests,
        },
    )
}

type WholePeer = (Name, Key, String, Trust, Option<Name>);

fn whole_peer() -> impl Strategy<Value = WholePeer> {
    (name(), key(), any::<String>(), trust(), option::of(name()))
}

fn peer((name, key, fingerprint, trust, lookalike): WholePeer) -> Peer {
    Peer { name, key, fingerprint, trust, lookalike }
}

fn record() -> impl Strategy<Value = Record> {
    let party = (name(), key()).prop_map(|(name, key)| Party { name, key });
    (option::of(party), entry(), option::of(key())).prop_map(|(peer, entry, author)| Record {
        peer,
        seq: entry.seq,
        kind: entry.kind,
        from: entry.from,
        author,
        mine: entry.mine,
        mid: entry.mid,
        at: entry.at,
        state: entry.state,
        text: entry.text,
    })
}

fn lobby_row() -> impl Strategy<Value = LobbyRow> {
    let state =
        prop::sample::select(vec![LobbyState::Connected, LobbyState::Reconnecting, LobbyState::Changed]);
    (any::<String>(), state, any::<bool>(), option::of(any::<String>()))
        .prop_map(|(addr, state, hosted, trouble)| LobbyRow { addr, state, hosted, trouble })
}

fn session_row() -> impl Strategy<Value = SessionRow> {
    let mode = prop::sample::select(vec![None, Some(Mode::A), Some(Mode::B)]);
    let state =
        prop::sample::select(vec![SessionState::Connected, SessionState::Waiting, SessionState::Ended]);
    let path = prop::sample::select(vec![Path::Direct, Path::Relay, Path::None]);
    let what = (session_no(), mode, option::of(whole_peer()), state, path);
    let counts = (seq(), seq(), any::<u64>(), any::<u64>(), pos(), pos());
    (what, counts, option::of(any::<String>()), any::<bool>()).prop_map(|(what, counts, trouble, asked)| {
        let (session, mode, peer, state, path) = what;
        let (head, read, unread, queued, sent, delivered) = counts;
        let peer = peer.map(self::peer);
        SessionRow {
            session,
            mode,
            peer,
            state,
            path,
            head,
            read,
            unread,
            queued,
            sent,
            delivered,
            trouble,
            asked,
        }
    })
}

fn trust() -> impl Strategy<Value = Trust> {
    prop::sample::select(vec![Trust::New, Trust::Pinned, Trust::Verified, Trust::Changed])
}

fn user_row() -> impl Strategy<Value = UserRow> {
    (name(), key(), any::<String>(), trust(), any::<bool>(), option::of(name())).prop_map(
        |(name, key, fingerprint, trust, is_self, lookalike)| UserRow {
            name,
            key,
            fingerprint,
            trust,
            is_self,
            lookalike,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    use EntryKind::{Closed, Joined, Left, Notice, Opened, Text};
    use EntryState::{Delivered, Queued, Received, Sent};
    let kind = prop::sample::select(vec![Text, Joined, Left, Opened, Closed, Notice]);
    let state = prop::sample::select(vec![Queued, Sent, Delivered, Received]);
    let whose = (option::of(name()), any::<bool>(), mid(), option::of(pos()), at());
    (seq(), kind, whose, state, any::<String>(), any::<bool>()).prop_map(
        |(seq, kind, (from, mine, mid, pos, at), state, text, imported)| Entry {
            seq,
            kind,
            from,
            mine,
            mid,
            pos,
            at,
            state,
            text: text.into(),
            imported,
        },
    )
}

fn hit() -> impl Strategy<Value = Hit> {
    (option::of(session_no()), option::of(name()), entry()).prop_map(|(session, peer, entry)| Hit {
        session,
        peer,
        entry,
    })
}
