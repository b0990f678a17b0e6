//! Holds `PROTOCOL.md` and the code together: every example on that page is decoded and encoded again, every table is
//! compared with the types, and the bytes of whole frames are frozen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::BytesMut;
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use proto::archive::{Party, Record};
use proto::frame::{self, Codec, HEAD_LEN};
use proto::ids::{Chain, Key, Mid, Seq, SessionNo, Signature, WallMs};
use proto::ipc::{
    Call, Entry, EntryKind, EntryState, ErrorCode, LobbyState, Mode, Path, Peer, Range, Reader, Reply,
    SessionRef, SessionState, ToClient, ToDaemon, Trust, UserRow,
};
use proto::limits::{
    MAX_FRAME_LEN, MAX_HELLO_LEN, MAX_PROBES, MAX_TEXT_LEN, PAGE_BYTES, PAGE_ENTRIES, PAGE_MEMBERS,
    PAGE_RECORDS, WINDOW_ENTRIES,
};
use proto::lobby::{FromLobby, Member, RefusedCode, ToLobby};
use proto::name::Name;
use proto::peer::{ByeCode, Content, PeerMessage, Probe};
use proto::text::Text;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::codec::Decoder;

const PAGE: &str = include_str!("../PROTOCOL.md");
const FRAMES: &str = include_str!("frames.txt");

/// A fenced block of the page.
#[derive(Debug)]
struct Block {
    /// What stands after the fence: language, link, and how the block is meant.
    words: Vec<&'static str>,
    /// The lines, joined; line breaks and the spaces around them are for the reader of the page only.
    text: String,
}

/// How an example is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// Exactly what this version writes.
    Written,
    /// Read, but written in another form.
    Accepted,
    /// Read as a message or a call that is not known.
    Unknown,
    /// Ends the link.
    Refused,
}

/// An example of a message.
#[derive(Debug)]
struct Example {
    link: &'static str,
    meant: Meant,
    json: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text = lines.by_ref().take_while(|line| *line != "```").map(str::trim).collect();
        blocks.push(Block { words: info.split_whitespace().collect(), text });
    }
    blocks
}

fn examples() -> Vec<Example> {
    let examples: Vec<Example> = blocks()
        .into_iter()
        .filter_map(|block| match block.words.as_slice() {
            ["json", link, meant @ ..] => Some(Example { link, meant: meant_by(meant), json: block.text }),
            ["hex", _] | ["text"] | [] => None,
            words => panic!("a block of an unknown sort: {words:?}"),
        })
        .collect();
    assert!(examples.len() >= 70, "the page lost its examples: {}", examples.len());
    examples
}

fn meant_by(words: &[&str]) -> Meant {
    match words {
        [] => Meant::Written,
        ["accepted"] => Meant::Accepted,
        ["unknown"] => Meant::Unknown,
        ["refused"] => Meant::Refused,
        words => panic!("an example that is meant in an unknown way: {words:?}"),
    }
}

/// Calls `$check::<M>($args)` with the message type of a link.
macro_rules! with_type_of {
    ($link:expr, $check:ident($($arg:expr),*)) => {
        match $link {
            "to_lobby" => $check::<ToLobby>($($arg),*),
            "from_lobby" => $check::<FromLobby>($($arg),*),
            "peer" => $check::<PeerMessage>($($arg),*),
            "to_daemon" => $check::<ToDaemon>($($arg),*),
            "to_client" => $check::<ToClient>($($arg),*),
            link => panic!("there is no link {link}"),
        }
    };
}

/// Names of variants, with a match that does not compile while one is missing.
trait Variants {
    const ALL: &'static [&'static str];
    fn variant(&self) -> &'static str;
}

macro_rules! variants {
    ($type:ident: $($variant:ident),*) => {
        impl Variants for $type {
            const ALL: &'static [&'static str] = &[$(stringify!($variant)),*];

            fn variant(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),* }
            }
        }
    };
}

variants!(ToLobby: Hello, Publish, Lookup, Reach, Decline, Ping, Pong, Bye, Unknown);
variants!(FromLobby: Welcome, Refused, Members, Presence, Entry, Gap, Published, NotPublished, Found, Wanted,
    Contact, Declined, Ping, Pong, GoAway, Unknown);
variants!(PeerMessage: Hello, Locate, Located, Start, Data, Ack, Accepted, Ping, Pong, Bye, Unknown);
variants!(Content: Open, Text, Close);
variants!(ToDaemon: Hello, Request);
variants!(Call: Send, Fork, Leave, Watch, State, Users, Read, Search, Mark, Cursor, Draft, KeepDraft, DropDraft, Accept,
    Decline, Block, Unblock, Blocks, Forget, Verify, Verified, Trust, Peers, Export, Import, Suspend, Quit, Unknown);
variants!(SessionRef: Number, Peer, Key);
variants!(Range: After, Before);
variants!(Reader: Person, Named);
variants!(ToClient: Welcome, Refused, Reply, Changed, Goodbye);
variants!(Reply: Done, Sent, Forked, State, Users, Entries, Found, Cursor, Draft, Peers, Records, Imported, Code, Trusted,
    Error);

/// Enums that are one word on the wire: all their words, with a match that does not compile while one is missing.
macro_rules! words {
    ($type:ident: $($variant:ident),*) => {{
        let exhaustive = |value: $type| match value { $($type::$variant => ()),* };
        [$($type::$variant),*].into_iter().map(|value| {
            exhaustive(value);
            let word = serde_json::to_value(value).expect("serializes");
            assert_eq!(serde_json::from_value::<$type>(word.clone()).expect("reads back"), value);
            word.as_str().expect("a word").to_owned()
        }).collect::<BTreeSet<String>>()
    }};
}

#[test]
fn every_written_example_is_what_the_code_writes() {
    fn check<M: DeserializeOwned + Serialize + Debug>(example: &Example) {
        let message = serde_json::from_str::<M>(&example.json);
        match example.meant {
            Meant::Refused => assert!(message.is_err(), "read: {example:?}"),
            Meant::Accepted | Meant::Unknown => assert!(message.is_ok(), "{message:?}: {example:?}"),
            Meant::Written => {
                let message = message.unwrap_or_else(|error| panic!("{error}: {example:?}"));
                assert_eq!(serde_json::to_string(&message).expect("serializes"), example.json);
                let value: Value = serde_json::from_str(&example.json).expect("json");
                let reordered: M =
                    serde_json::from_value(value).expect("the order of fields does not matter");
                assert_eq!(serde_json::to_string(&reordered).expect("serializes"), example.json);
            }
        }
    }
    for example in examples() {
        with_type_of!(example.link, check(&example));
    }
}

/// Variants of which an example was seen, by the name of their enum.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, BTreeSet<&'static str>>);

impl Seen {
    fn see<V: Variants>(&mut self, value: &V) {
        self.0.entry(std::any::type_name::<V>()).or_default().insert(value.variant());
    }

    fn assert_all<V: Variants>(&self) {
        let name = std::any::type_name::<V>();
        let all: BTreeSet<_> = V::ALL.iter().copied().collect();
        assert_eq!(self.0.get(name), Some(&all), "{name} without an example on the page");
    }

    fn see_call(&mut self, call: &Call) {
        self.see(call);
        match call {
            Call::Send { session, .. } | Call::Leave { session } | Call::Trust { who: session } => {
                self.see(session);
            }
            Call::Read { session, range, .. } => {
                self.see(session);
                self.see(range);
            }
            Call::Mark { reader, .. } | Call::Cursor { reader, .. } => self.see(reader),
            Call::Export { session, .. } => self.see(session),
            _ => {}
        }
    }
}

#[test]
fn every_variant_has_an_example() {
    fn read<M: DeserializeOwned>(example: &Example) -> M {
        serde_json::from_str(&example.json).unwrap_or_else(|error| panic!("{error}: {example:?}"))
    }
    let mut seen = Seen::default();
    for example in
        examples().iter().filter(|example| matches!(example.meant, Meant::Written | Meant::Unknown))
    {
        let unknown = match example.link {
            "to_lobby" => {
                let message: ToLobby = read(example);
                seen.see(&message);
                message == ToLobby::Unknown
            }
            "from_lobby" => {
                let message: FromLobby = read(example);
                seen.see(&message);
                message == FromLobby::Unknown
            }
            "peer" => {
                let message: PeerMessage = read(example);
                seen.see(&message);
                if let PeerMessage::Data { content, .. } = &message {
                    seen.see(content);
                }
                message == PeerMessage::Unknown
            }
            "to_daemon" => {
                let message: ToDaemon = read(example);
                seen.see(&message);
                if let ToDaemon::Request { call, .. } = &message {
                    seen.see_call(call);
                }
                matches!(message, ToDaemon::Request { call: Call::Unknown, .. })
            }
            _ => {
                let message: ToClient = read(example);
                seen.see(&message);
                if let ToClient::Reply { reply, .. } = &message {
                    seen.see(reply);
                }
                false
            }
        };
        assert_eq!(unknown, example.meant == Meant::Unknown, "{example:?}");
    }
    seen.assert_all::<ToLobby>();
    seen.assert_all::<FromLobby>();
    seen.assert_all::<PeerMessage>();
    seen.assert_all::<Content>();
    seen.assert_all::<ToDaemon>();
    seen.assert_all::<Call>();
    seen.assert_all::<SessionRef>();
    seen.assert_all::<Range>();
    seen.assert_all::<Reader>();
    seen.assert_all::<ToClient>();
    seen.assert_all::<Reply>();
}

/// The rows of all tables whose head begins with this cell, without backticks.
fn table(head: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut lines = PAGE.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("| ---"));
        if is_head && cells(line).first().is_some_and(|cell| cell == head) {
            rows.extend(lines.by_ref().skip(1).take_while(|line| line.starts_with('|')).map(cells));
        }
    }
    assert!(!rows.is_empty(), "there is no table {head:?}");
    rows
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
        return Vec::new();
    };
    inner.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}

#[test]
fn every_word_has_its_row() {
    let cases = [
        (
            "code of refused",
            words!(RefusedCode: Version, Busy, Stopping, Protocol, Banned, Invitation, Other),
        ),
        (
            "code of bye",
            words!(ByeCode: Superseded, Conflict, Busy, Quit, Done, Version, Refused, Protocol, Other),
        ),
        (
            "code of error",
            words!(ErrorCode: NoSession, NoPeer, SelfFork, Duplicate, Ended, Invalid, Changed, Busy, Unsupported,
                Internal, Other),
        ),
        ("mode", words!(Mode: A, B)),
        ("state of a session", words!(SessionState: Connected, Waiting, Ended)),
        ("state of the lobby", words!(LobbyState: Connected, Reconnecting, Changed)),
        ("path", words!(Path: Direct, Relay, None)),
        ("trust", words!(Trust: New, Pinned, Verified, Changed)),
        ("kind of an entry", words!(EntryKind: Text, Joined, Left, Opened, Closed, Notice)),
        ("state of an entry", words!(EntryState: Queued, Sent, Delivered, Received)),
    ];
    for (head, words) in cases {
        let rows: BTreeSet<String> = table(head).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(rows, words, "{head}");
    }
    let read = |word: &str| serde_json::from_str::<ByeCode>(word).expect("reads");
    assert_eq!(read("\"of_a_later_version\""), ByeCode::Other);
}

/// A field on the page or in a message: its table, the message it is in (nothing for a plain object), its name.
type Field = (String, String, String);

const MESSAGE_TABLES: [&str; 7] =
    ["to_lobby", "from_lobby", "peer", "to_daemon", "call", "to_client", "reply"];
const OBJECT_TABLES: [&str; 4] = ["lobby object", "peer object", "local object", "object in replies"];

#[test]
fn every_field_has_its_row() {
    let mut on_the_page: BTreeSet<Field> = BTreeSet::new();
    for head in MESSAGE_TABLES {
        let mut message = String::new();
        for row in table(head) {
            if !row[0].is_empty() {
                message.clone_from(&row[0]);
            }
            on_the_page.insert((head.to_owned(), message.clone(), row[1].clone()));
        }
    }
    for head in OBJECT_TABLES {
        on_the_page
            .extend(table(head).into_iter().map(|row| (head.to_owned(), String::new(), row[1].clone())));
    }

    let mut in_messages = BTreeSet::new();
    for example in examples().iter().filter(|example| example.meant == Meant::Written) {
        let value = serde_json::from_str(&example.json).expect("json");
        collect_fields(&value, example.link, &mut in_messages);
    }
    let extra: Vec<_> = on_the_page.difference(&in_messages).collect();
    let missing: Vec<_> = in_messages.difference(&on_the_page).collect();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "only on the page: {extra:?}; only in messages: {missing:?}"
    );
}

fn collect_fields(value: &Value, link: &str, fields: &mut BTreeSet<Field>) {
    let object = match value {
        Value::Array(values) => return values.iter().for_each(|value| collect_fields(value, link, fields)),
        Value::Object(object) => object,
        _ => return,
    };
    let objects = match link {
        "to_lobby" | "from_lobby" => "lobby object",
        "peer" => "peer object",
        "to_daemon" => "local object",
        _ => "object in replies",
    };
    let tags = [("type", link), ("do", "call"), ("is", "reply")];
    let tagged = tags.into_iter().find_map(|(tag, table)| Some((tag, table, object.get(tag)?.as_str()?)));
    let (tag, table, message) = tagged.unwrap_or(("", objects, ""));
    let row = |field: &str| (table.to_owned(), message.to_owned(), field.to_owned());
    if object.len() == 1 && !tag.is_empty() {
        fields.insert(row(""));
    }
    for (field, value) in object.iter().filter(|(field, _)| *field != tag) {
        fields.insert(row(field));
        collect_fields(value, link, fields);
    }
}

/// A whole frame is read, and written again to the same bytes. Gives back its JSON.
fn check_frame<M: DeserializeOwned + Serialize>(bytes: &[u8]) -> String {
    let mut codec = Codec::<M>::new();
    let mut buffer = BytesMut::from(bytes);
    let message = codec.decode(&mut buffer).expect("decodes").expect("is whole");
    assert!(buffer.is_empty());
    let written = frame::encode(&message).expect("encodes").0;
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(bytes));
    String::from_utf8(bytes[HEAD_LEN..].to_vec()).expect("utf-8")
}

#[test]
fn the_bytes_of_frames_are_frozen() {
    let mut links = BTreeSet::new();
    for line in FRAMES.lines().filter(|line| !line.starts_with('#')) {
        let (link, hex) = line.split_once(' ').expect("a link and its frame");
        let bytes = HEXLOWER.decode(hex.as_bytes()).expect("hex");
        with_type_of!(link, check_frame(&bytes));
        links.insert(link);
    }
    assert_eq!(links.len(), 5, "a link without a frame: {links:?}");
}

#[test]
fn the_frame_on_the_page_is_the_example_below_it() {
    let blocks = blocks();
    let (at, block) =
        blocks.iter().enumerate().find(|(_, block)| block.words.first() == Some(&"hex")).expect("a frame");
    let bytes = HEXLOWER.decode(block.text.replace(' ', "").as_bytes()).expect("hex");
    let json = with_type_of!(block.words[1], check_frame(&bytes));
    assert_eq!(json, blocks[at + 1].text);
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, &parts.concat());
    digest.as_ref().try_into().expect("32 bytes")
}

/// The value of a row of the page, by how the row begins.
fn value_of(head: &str, row: &str) -> String {
    let rows = table(head);
    let found = rows.iter().find(|cells| cells[0].starts_with(row));
    found.unwrap_or_else(|| panic!("{head} has no row {row}"))[1].clone()
}

/// The mid, time and content of an example of `data`.
fn data_at(at: u64) -> (Mid, WallMs, Content) {
    let found =
        examples().into_iter().find_map(|example| match serde_json::from_str(&example.json).ok()? {
            PeerMessage::Data { pos, mid, at: time, content } if pos.0 == at => Some((mid, time, content)),
            _ => None,
        });
    found.expect("the example has such an entry")
}

/// The recipe of the page for one step of a chain.
fn chain_after(chain: Chain, (mid, at, content): &(Mid, WallMs, Content)) -> Chain {
    let (kind, body) = match content {
        Content::Open => (1u8, Vec::new()),
        Content::Text { text } => (2, text.as_str().as_bytes().to_vec()),
        Content::Close { seen } => (3, seen.0.to_be_bytes().to_vec()),
    };
    Chain(sha256(&[&chain.0, &mid.0, &[kind], &at.0.to_be_bytes(), &sha256(&[&body])]))
}

/// The recipe of the page for one half of a code.
fn half_of_a_code(key: Key) -> String {
    let sha512 = |parts: &[&[u8]]| ring::digest::digest(&ring::digest::SHA512, &parts.concat());
    let first = sha512(&[b"chat/verify/1", &key.0, &key.0]);
    let hash = (1..5_200).fold(first, |hash, _| sha512(&[hash.as_ref(), &key.0]));
    let number = |five: &[u8]| five.iter().fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte));
    let groups = hash.as_ref()[..30].chunks(5).map(|five| format!("{:05}", number(five) % 100_000));
    groups.collect::<Vec<_>>().concat()
}

#[test]
fn the_worked_example_follows_from_its_recipe() {
    let key = |text: &str| Key::parse(text).expect("a key of the page");
    let anna = key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let bobby = key("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw");
    for (name, key) in [("anna", anna), ("bobby", bobby)] {
        let fingerprint = format!("SHA256:{}", BASE64_NOPAD.encode(&sha256(&[&key.0])));
        assert_eq!(value_of("key", name), fingerprint);
    }

    let code: String = value_of("keys", "code of anna and bobby").split(' ').collect();
    let mut halves = [half_of_a_code(anna), half_of_a_code(bobby)];
    halves.sort();
    assert_eq!(code, halves.concat());

    let session = sha256(&[b"chat/session/1", &anna.min(bobby).0, &anna.max(bobby).0]);
    let start = |author: Key| Chain(sha256(&[b"chat/chain/1", &session, &author.0]));
    let row = |row: &str| value_of("worked example", row);
    assert_eq!(row("session_id"), Chain(session).to_string());
    let mut chain = start(anna);
    assert_eq!(row("anna's chain_0"), chain.to_string());
    for (pos, name) in [(1, "chain_1"), (2, "chain_2"), (3, "chain_3")] {
        chain = chain_after(chain, &data_at(pos));
        assert_eq!(row(name), chain.to_string(), "{name}");
    }

    let mid = Mid::parse("AaICstEzkJGSk5SVlpeYmQ").expect("a mid of the page");
    let hi = (mid, WallMs(1_795_341_603_123), Content::Text { text: Text::new("hi").expect("text") });
    assert_eq!(row("bobby's chain_0"), start(bobby).to_string());
    assert_eq!(row("bobby's chain_1"), chain_after(start(bobby), &hi).to_string());
}

#[test]
fn the_signatures_on_the_page_are_those_of_the_keys_and_texts_on_it() {
    let lobby = Key::parse(&value_of("signatures", "key of the lobby")).expect("a key");
    let check = |row: &str, author: Key, mid, at, text: &Text, sig: Signature| {
        assert_eq!(value_of("signatures", row), sig.to_string());
        let signed = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, author.0);
        signed
            .verify(&proto::lobby::signed_bytes(&lobby, mid, at, text), &sig.0)
            .expect("the signature holds");
    };
    let anna = Key::parse("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("a key");
    let mut found = 0;
    for example in examples() {
        if let Ok(ToLobby::Publish { mid, at, text, sig }) = serde_json::from_str(&example.json) {
            check("anna's", anna, mid, at, &text, sig);
            found += 1;
        }
        if let Ok(FromLobby::Entry(entry)) = serde_json::from_str(&example.json) {
            check("bobby's", entry.from.key, entry.mid, entry.at, &entry.text, entry.sig);
            found += 1;
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn the_limits_on_the_page_are_those_of_the_code() {
    let plain = |head: &str, row: &str| value_of(head, row).replace(',', "");
    assert_eq!(plain("limit", "before the other side"), MAX_HELLO_LEN.to_string());
    assert_eq!(plain("limit", "after"), MAX_FRAME_LEN.to_string());
    assert_eq!(plain("limit", "entries on their way"), WINDOW_ENTRIES.to_string());
    assert_eq!(plain("limit", "probes"), MAX_PROBES.to_string());
    assert_eq!(plain("limit", "addresses"), proto::limits::MAX_ADDRS.to_string());
    assert_eq!(plain("limit", "members in one members"), PAGE_MEMBERS.to_string());
    let entries = plain("limit", "entries in one entries");
    assert!(
        entries.starts_with(&format!("{PAGE_ENTRIES} and together at most {PAGE_BYTES} bytes")),
        "{entries}"
    );
}

#[test]
fn what_the_limits_allow_fits_into_a_frame() {
    let name = Name::new("𠀀".repeat(32)).expect("32 letters of 4 bytes");
    let key = Key([0xff; 32]);
    let entry = |text: String| Entry {
        seq: Seq::END,
        kind: EntryKind::Opened,
        from: Some(name.clone()),
        mine: false,
        mid: Mid([0xff; 16]),
        pos: Some(proto::ids::Pos(Seq::END.0)),
        at: WallMs(Seq::END.0),
        state: EntryState::Delivered,
        text: text.into(),
        imported: true,
    };
    let page = |entries| ToClient::Reply {
        id: u64::MAX,
        reply: Reply::Entries { session: SessionNo(u32::MAX), entries, head: Seq::END },
    };
    let share = "\u{0}".repeat(PAGE_BYTES / PAGE_ENTRIES);
    assert!(frame::encode(&page(vec![entry(share); PAGE_ENTRIES])).is_ok());
    assert!(frame::encode(&page(vec![entry("\u{0}".repeat(MAX_TEXT_LEN))])).is_ok());

    let record = |text: String| Record {
        peer: Some(Party { name: name.clone(), key }),
        seq: Seq::END,
        kind: EntryKind::Opened,
        from: Some(name.clone()),
        author: Some(key),
        mine: false,
        mid: Mid([0xff; 16]),
        at: WallMs(Seq::END.0),
        state: EntryState::Delivered,
        text: text.into(),
    };
    let import = |records| ToDaemon::Request { id: u64::MAX, call: Call::Import { records } };
    let share = "\u{0}".repeat(PAGE_BYTES / PAGE_RECORDS);
    assert!(frame::encode(&import(vec![record(share); PAGE_RECORDS])).is_ok());
    assert!(frame::encode(&import(vec![record("\u{0}".repeat(MAX_TEXT_LEN))])).is_ok());

    let fingerprint = "x".repeat(50);
    let peer = Peer {
        name: name.clone(),
        key,
        fingerprint: fingerprint.clone(),
        trust: Trust::Verified,
        lookalike: Some(name.clone()),
    };
    let peers = Reply::Peers { peers: vec![peer; PAGE_MEMBERS], more: true };
    assert!(frame::encode(&ToClient::Reply { id: u64::MAX, reply: peers }).is_ok());

    let member = Member { name: name.clone(), key };
    let members = FromLobby::Members { members: vec![member; PAGE_MEMBERS], more: true };
    assert!(frame::encode(&members).is_ok());

    let user = UserRow { name, key, fingerprint, trust: Trust::Verified, is_self: false, lookalike: None };
    let users = Reply::Users { users: vec![user; PAGE_MEMBERS], more: true };
    assert!(frame::encode(&ToClient::Reply { id: u64::MAX, reply: users }).is_ok());

    let probe = Probe { pos: proto::ids::Pos(Seq::END.0), chain: Chain([0xff; 32]) };
    assert!(frame::encode(&PeerMessage::Locate { probes: vec![probe; MAX_PROBES] }).is_ok());
}
