//! What a careless or hostile program may put on the wire.

use std::time::Duration;

use bytes::Bytes;
use chatd::link::{LinkError, PING_AFTER};
use proto::frame::{Encoded, encode};
use proto::limits::{MAX_FRAME_LEN, MAX_TEXT_LEN};
use proto::lobby::{FromLobby, RefusedCode, ToLobby};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::harness::{DEADLINE, TestLobby, hello, identity};

/// A frame around any payload.
fn frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short");
    [&len.to_be_bytes()[..], payload].concat()
}

#[tokio::test]
async fn a_frame_may_be_cut_at_every_byte() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    let (_, message) = anna.publish("Привет");
    let len = encode(&message).expect("encodes").0.len();
    for cut in 0..=len {
        let (mid, message) = anna.publish("Привет");
        let bytes = encode(&message).expect("encodes").0;
        anna.send_bytes(&bytes[..cut]).await;
        // Answered only if the lobby keeps what it has of the next frame.
        if cut == len {
            anna.published(mid).await;
            continue;
        }
        anna.send_bytes(&bytes[cut..]).await;
        anna.published(mid).await;
    }
    let (mid, message) = anna.publish("byte by byte");
    for byte in &encode(&message).expect("encodes").0[..] {
        anna.send_bytes(&[*byte]).await;
    }
    anna.published(mid).await;
}

#[tokio::test]
async fn a_message_of_a_later_version_is_skipped() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    anna.send_bytes(&frame(br#"{"type":"dance","steps":[1,{"x":null}]}"#)).await;
    anna.send_bytes(&frame(br#"{"type":"ping","nonce":5,"colour":"red"}"#)).await;
    assert_eq!(anna.next().await, FromLobby::Pong { nonce: 5 });
}

#[tokio::test]
async fn a_frame_that_breaks_the_rules_ends_its_own_link_only() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    let text = "x".repeat(MAX_TEXT_LEN + 1);
    let too_long = format!(r#"{{"type":"publish","mid":"AAAAAAAAAAAAAAAAAAAAAA","at":0,"text":"{text}"}}"#);
    let deep = "[".repeat(10_000);
    let cases: [&[u8]; 7] =
        [b"", b"{", b"\xff\xfe", b"[]", br#"{"type":"ping"}"#, too_long.as_bytes(), deep.as_bytes()];
    for case in cases {
        let mut bobby = lobby.join(&identity(), "bobby").await;
        bobby.send_bytes(&frame(case)).await;
        assert!(bobby.goodbye().await.contains("broke the rules"));
        anna.say("still here").await;
    }
    let mut bobby = lobby.join(&identity(), "bobby").await;
    bobby.send(&ToLobby::Hello(Box::new(hello("bobby")))).await;
    assert!(bobby.goodbye().await.contains("second hello"));
}

#[tokio::test]
async fn the_reason_arrives_also_where_much_was_sent_behind_the_fault() {
    let lobby = TestLobby::start();
    let mut bobby = lobby.join(&identity(), "bobby").await;
    bobby.send_bytes(&[frame(b"{"), vec![b'x'; 200_000]].concat()).await;
    assert!(bobby.goodbye().await.contains("broke the rules"));
}

#[tokio::test]
async fn an_over_long_frame_is_refused_by_its_head() {
    let lobby = TestLobby::start();
    for len in [MAX_FRAME_LEN + 1, u32::MAX as usize] {
        let mut bobby = lobby.join(&identity(), "bobby").await;
        bobby.send_bytes(&u32::try_from(len).expect("fits").to_be_bytes()).await;
        assert!(bobby.goodbye().await.contains("broke the rules"));
    }
}

#[tokio::test]
async fn without_a_good_hello_nobody_gets_in() {
    let lobby = TestLobby::start();
    let ping = encode(&ToLobby::Ping { nonce: 1 }).expect("encodes").0.to_vec();
    let cases = [ping, frame(b"{}"), frame(b"\0\0"), 4097u32.to_be_bytes().to_vec(), vec![0xff; 64]];
    for case in cases {
        let (mut incoming, mut outgoing) = lobby.link(&identity()).await;
        outgoing.send_encoded(&[Encoded(Bytes::from(case))]).await.expect("sent");
        match incoming.next().await.expect("a refusal") {
            FromLobby::Refused { code, .. } => assert_eq!(code, RefusedCode::Protocol),
            other => panic!("no refusal but {other:?}"),
        }
        assert!(matches!(incoming.next().await, Err(LinkError::Closed)));
    }
}

#[tokio::test]
async fn what_is_not_tls_is_turned_away() {
    let lobby = TestLobby::start();
    let mut stream = TcpStream::connect(lobby.addr).await.expect("connects");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    // A TLS alert or a reset, and the end.
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("ends in time").ok();
    assert!(answer.len() < 16);
}

#[tokio::test]
async fn a_thousand_connects_and_resets_leave_the_lobby_as_it_was() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    for n in 0..1_000 {
        let mut stream = TcpStream::connect(lobby.addr).await.expect("connects");
        if n % 2 == 0 {
            // The head of a handshake that never comes.
            stream.write_all(&[0x16, 0x03, 0x01, 0x01]).await.expect("sent");
        }
        stream.set_zero_linger().expect("resets at the end");
    }
    let key = identity();
    for _ in 0..20 {
        let (_incoming, mut outgoing) = lobby.link(&key).await;
        outgoing.send(&ToLobby::Hello(Box::new(hello("bobby")))).await.expect("sent");
    }
    let mut carl = lobby.join(&identity(), "carl").await;
    anna.say("still here").await;
    assert_eq!(carl.entry().await.text.as_str(), "still here");
}

#[tokio::test]
async fn a_member_that_is_silently_gone_is_found_within_thirty_seconds() {
    let lobby = TestLobby::start();
    let mut gone = lobby.join(&identity(), "gone").await;
    // From here on no time passes but what everybody waits for.
    tokio::time::pause();
    let begun = Instant::now();
    assert!(matches!(gone.incoming.next().await, Ok(FromLobby::Ping { .. })));
    assert!(begun.elapsed() <= PING_AFTER + Duration::from_secs(1), "{:?}", begun.elapsed());
    let end = gone.incoming.next().await.expect_err("the lobby gives up");
    assert!(!matches!(end, LinkError::Silent), "the lobby is first");
    assert!(begun.elapsed() <= Duration::from_secs(30), "{:?}", begun.elapsed());
}
