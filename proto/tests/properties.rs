//! Whatever arrives, on any link: nothing panics, nothing over its limit is held, and what was written is read.

mod arbitrary;

use std::collections::HashMap;
use std::fmt::Debug;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proto::frame::{self, Codec, FrameError, HEAD_LEN};
use proto::ipc::{ToClient, ToDaemon};
use proto::limits::{MAX_FRAME_LEN, MAX_HELLO_LEN, MAX_TEXT_LEN};
use proto::lobby::{FromLobby, ToLobby};
use proto::name::Name;
use proto::peer::PeerMessage;
use proto::text::Text;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::Decoder;
use unicode_normalization::char::is_combining_mark;
use unicode_script::UnicodeScript;

const FRAMES: &str = include_str!("frames.txt");

/// Feeds a codec piece by piece as a socket would, up to the first error, and gives back what was read.
fn feed<M: DeserializeOwned>(
    accepted: bool,
    bytes: &[u8],
    piece: usize,
) -> Result<Vec<M>, (Vec<M>, FrameError)> {
    let mut codec = Codec::<M>::new();
    if accepted {
        codec.accept();
    }
    let limit = if accepted { MAX_FRAME_LEN } else { MAX_HELLO_LEN };
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            let outcome = codec.decode(&mut buffer);
            // A buffer may grow to twice of what it has to hold, never by what a head announces.
            assert!(buffer.capacity() <= 2 * (limit + HEAD_LEN + piece.len()), "{}", buffer.capacity());
            match outcome {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return Err((messages, error)),
            }
        }
    }
    match codec.decode_eof(&mut buffer) {
        Ok(Some(_)) => panic!("decode had not finished"),
        Ok(None) => Ok(messages),
        Err(error) => Err((messages, error)),
    }
}

/// Reads the same bytes on every link; only that it comes to an end matters.
fn feed_every_link(bytes: &[u8], piece: usize) {
    for accepted in [false, true] {
        let _ = feed::<ToLobby>(accepted, bytes, piece);
        let _ = feed::<FromLobby>(accepted, bytes, piece);
        let _ = feed::<PeerMessage>(accepted, bytes, piece);
        let _ = feed::<ToDaemon>(accepted, bytes, piece);
        let _ = feed::<ToClient>(accepted, bytes, piece);
    }
}

/// Messages in their frames, fed in pieces, are the same messages.
fn assert_read_back<M>(messages: &[M], piece: usize)
where
    M: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let frames: Vec<_> = messages.iter().map(|message| frame::encode(message).expect("encodes").0).collect();
    let read = feed::<M>(true, &frames.concat(), piece).expect("reads");
    assert_eq!(read, messages);
    // One byte less is an end inside a frame.
    let cut = frames.concat();
    let outcome = feed::<M>(true, &cut[..cut.len().saturating_sub(1)], piece);
    assert!(cut.is_empty() || matches!(outcome, Err((_, FrameError::Truncated))));
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let head = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&head, payload].concat()
}

/// The JSON of real messages, to be spoilt.
fn real_payload() -> impl Strategy<Value = Vec<u8>> {
    let hex = |line: &str| {
        let (_, hex) = line.split_once(' ').expect("a link and its frame");
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
        bytes[HEAD_LEN..].to_vec()
    };
    let payloads = FRAMES.lines().filter(|line| !line.starts_with('#')).map(hex).collect::<Vec<_>>();
    prop::sample::select(payloads)
}

/// Pieces of JSON that hit the readers of numbers, strings, nesting and tags.
const SPOILERS: [&str; 16] = [
    "",
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\\ud800\"",
    "[[[[[[[[",
    "{\"type\":\"unknown\"}",
    "\"",
    "}",
    ",",
    "\u{0}",
    "{\"type\":[]}",
    "\"type\":\"ping\",",
    "é",
    "9007199254740993",
];

proptest! {
    #[test]
    fn arbitrary_bytes_end_a_link_at_most(bytes in vec(any::<u8>(), 0..600), piece in 1usize..40) {
        feed_every_link(&bytes, piece);
    }

    #[test]
    fn an_announced_length_alone_allocates_nothing_over_the_limit(
        len in prop_oneof![any::<u32>(), 0..500_000u32],
        rest in vec(any::<u8>(), 0..64),
    ) {
        let bytes = [&len.to_be_bytes()[..], &rest].concat();
        feed_every_link(&bytes, 7);
        let outcome = feed::<ToLobby>(false, &bytes, 7);
        let over = usize::try_from(len).is_ok_and(|len| len > MAX_HELLO_LEN);
        let refused = matches!(outcome, Err((_, FrameError::TooLong { max: MAX_HELLO_LEN })));
        prop_assert_eq!(refused, over);
    }

    #[test]
    fn a_spoilt_message_ends_a_link_at_most(
        payload in real_payload(),
        spoils in vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&SPOILERS[..])), 1..4),
    ) {
        let mut payload = payload;
        for (at, cut, spoiler) in spoils {
            let at = at.index(payload.len() + 1);
            let end = payload.len().min(at + cut);
            payload.splice(at..end, spoiler.bytes());
        }
        feed_every_link(&framed(&payload), 64);
    }

    #[test]
    fn deep_nesting_is_refused(
        depth in 1usize..1300, (open, close) in prop::sample::select(vec![("[", "]"), ("{\"a\":[", "]}")]),
    ) {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        let payload = format!("{{\"type\":\"ping\",\"nonce\":1,\"x\":{open}{close}}}");
        let outcome = feed::<ToLobby>(true, &framed(payload.as_bytes()), 4096);
        prop_assert!(outcome.is_err() || depth <= 127);
        prop_assert!(outcome.is_ok() || depth > 60);
        feed_every_link(&framed(payload.as_bytes()), 4096);
    }

    #[test]
    fn messages_to_the_lobby_are_read_as_written(
        messages in vec(arbitrary::to_lobby(), 0..4), piece in 1usize..9,
    ) {
        assert_read_back(&messages, piece);
    }

    #[test]
    fn messages_from_the_lobby_are_read_as_written(
        messages in vec(arbitrary::from_lobby(), 0..4), piece in 1usize..9,
    ) {
        assert_read_back(&messages, piece);
    }

    #[test]
    fn messages_between_peers_are_read_as_written(
        messages in vec(arbitrary::peer_message(), 0..4), piece in 1usize..9,
    ) {
        assert_read_back(&messages, piece);
    }

    #[test]
    fn messages_to_a_daemon_are_read_as_written(
        messages in vec(arbitrary::to_daemon(), 0..4), piece in 1usize..9,
    ) {
        assert_read_back(&messages, piece);
    }

    #[test]
    fn messages_to_a_client_are_read_as_written(
        messages in vec(arbitrary::to_client(), 0..4), piece in 1usize..9,
    ) {
        assert_read_back(&messages, piece);
    }

    #[test]
    fn a_text_is_kept_byte_for_byte(text in any::<String>()) {
        let json = serde_json::to_string(&text).expect("serializes");
        match (Text::new(text.clone()), serde_json::from_str::<Text>(&json)) {
            (Ok(made), Ok(read)) => {
                prop_assert_eq!(read.as_str(), &text);
                prop_assert_eq!(serde_json::to_string(&made).expect("serializes"), json);
            }
            (made, read) => prop_assert!(made.is_err() && read.is_err() && text.is_empty()),
        }
    }

    #[test]
    fn a_name_is_one_on_the_wire_if_it_is_one_here(
        text in prop_oneof![
            any::<String>(),
            "\\PC{0,40}",
            "[a-zA-Zßİς_.0-9\u{301}\u{3164} -]{0,34}",
            "[कहिन्दीกำนิ้אر٣0_.Ａé]{1,34}",
        ],
    ) {
        let json = serde_json::to_string(&text).expect("serializes");
        let read = serde_json::from_str::<Name>(&json);
        match Name::new(text.clone()) {
            Ok(name) => {
                // The normal form is its own normal form, and a name under any number of suffixes still is one.
                prop_assert_eq!(Name::new(name.as_str()), Ok(name.clone()));
                prop_assert_eq!(Name::new(name.with_suffix(2).as_str()), Ok(name.with_suffix(2)));
                prop_assert!(name.looks_like(&Name::new(name.folded()).expect("folds to a name")));
                prop_assert_eq!(read.ok(), Some(name));
            }
            Err(error) => {
                prop_assert!(read.expect_err("refused here").to_string().starts_with(&error.to_string()));
            }
        }
    }

    #[test]
    fn a_name_with_a_suffix_is_a_name(name in arbitrary::name(), n in 2u32..) {
        prop_assert!(Name::new(name.with_suffix(n).as_str()).is_ok());
    }
}

#[test]
fn a_text_of_the_largest_size_passes_every_link_byte_by_byte() {
    let text = Text::new("\u{1}".repeat(MAX_TEXT_LEN)).expect("the largest text");
    let mid = proto::ids::Mid([7; 16]);
    let at = proto::ids::WallMs(1);
    let sig = proto::ids::Signature([7; 64]);
    assert_read_back(&[ToLobby::Publish { mid, at, text: text.clone(), sig }], 1);
    let content = proto::peer::Content::Text { text };
    assert_read_back(&[PeerMessage::Data { pos: proto::ids::Pos(1), mid, at, content }], 1);
}

#[test]
fn a_name_needs_no_filter_on_a_screen() {
    // A mark goes with letters of its own script only.
    let assigned = || ('\0'..='\u{33fff}').chain('\u{e0000}'..='\u{e0fff}');
    let mut letters = HashMap::new();
    for c in assigned().filter(|c| Name::new(c.to_string()).is_ok()) {
        letters.entry(c.script()).or_insert(c);
    }
    let mut marks = 0;
    for c in assigned() {
        for letter in ['a'].iter().chain(letters.get(&c.script())) {
            let Ok(name) = Name::new(format!("{letter}{c}")) else { continue };
            assert_eq!(proto::display::line(name.as_str()), name.as_str(), "{c:?}");
            // Folders are called so, and are found again by it.
            assert_eq!(Name::new(name.folded()).expect("a name").folded(), name.folded());
            marks += usize::from(is_combining_mark(c));
        }
    }
    assert!(letters.len() > 50 && marks > 300, "{} scripts, {marks} marks", letters.len());
}
