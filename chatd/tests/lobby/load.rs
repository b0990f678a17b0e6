//! Much data, and a member that takes none of it.

use chatd::link::{PING_AFTER, WRITE_STALL};
use chatd::lobby::LobbyConfig;
use proto::ids::{LobbySeq, Mid};
use proto::lobby::{FromLobby, ToLobby};
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{DEADLINE, Fake, TestLobby, identity};

/// One message of 64 KiB.
fn block() -> String {
    "x".repeat(64 * 1024)
}

/// Publishes without waiting for answers, which come meanwhile with the member's own entries.
async fn pour(anna: Fake, count: u64) {
    let Fake { mut incoming, mut outgoing, author, .. } = anna;
    let block = block();
    let write = async {
        for _ in 0..count {
            outgoing.send(&author.publish(Mid(rand::random()), &block).1).await.expect("sent");
        }
    };
    let read = async {
        let mut last = LobbySeq::START;
        while last < LobbySeq(count) {
            if let FromLobby::Published { seq, .. } = incoming.next().await.expect("a message") {
                assert_eq!(seq, last.next());
                last = seq;
            }
        }
    };
    tokio::join!(write, read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_pass_through_one_connection() {
    const COUNT: u64 = 1_600;
    let dir = tempfile::tempdir().expect("folder");
    let lobby = TestLobby::kept_in(dir.path());
    let anna = lobby.join(&identity(), "anna").await;
    let mut bobby = lobby.join(&identity(), "bobby").await;
    let count = async {
        let mut bytes = 0;
        for n in 1..=COUNT {
            let entry = bobby.entry().await;
            assert_eq!(entry.seq, LobbySeq(n));
            bytes += entry.text.as_str().len();
        }
        bytes
    };
    let both = async { tokio::join!(pour(anna, COUNT), count) };
    let ((), bytes) = timeout(DEADLINE * 30, both).await.expect("in time");
    assert_eq!(bytes, 100 * 1024 * 1024);
}

#[tokio::test]
async fn a_member_that_takes_nothing_is_cut_though_it_still_speaks() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    let deaf = lobby.join(&identity(), "deaf").await;
    assert_eq!(anna.presence().await, ["+deaf"]);
    let started = Instant::now();
    let block = block();
    for n in 1..=320 {
        anna.say(&block).await;
        assert_eq!(anna.entry().await.seq, LobbySeq(n));
    }
    // From here on no time passes but what everybody waits for.
    tokio::time::pause();
    anna.patience = 4 * WRITE_STALL;
    let Fake { incoming: _unread, mut outgoing, .. } = deaf;
    let begun = Instant::now();
    let chatter = async {
        while outgoing.send(&ToLobby::Ping { nonce: 0 }).await.is_ok() {
            sleep(PING_AFTER / 2).await;
        }
    };
    let left = async { assert_eq!(anna.presence().await, ["-deaf"]) };
    tokio::join!(chatter, left);
    let grace = LobbyConfig::default().absent_grace;
    assert!(begun.elapsed() <= WRITE_STALL + grace + PING_AFTER, "{:?}", begun.elapsed());
    // The stall may have begun before the time stood still.
    assert!(started.elapsed() >= WRITE_STALL, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_stops_reading_delays_nobody_and_goes_on_behind_a_gap() {
    // More than all buffers between the lobby and the one that does not read.
    const COUNT: u64 = 320;
    let lobby = TestLobby::with(LobbyConfig { ring_bytes: 1024 * 1024, ..LobbyConfig::default() });
    let mut anna = lobby.join(&identity(), "anna").await;
    let mut deaf = lobby.join(&identity(), "deaf").await;
    let mut carl = lobby.join(&identity(), "carl").await;
    let block = block();
    for n in 1..=COUNT {
        // In step, so that those who read are never behind.
        assert_eq!(anna.say(&block).await, LobbySeq(n));
        assert_eq!(carl.entry().await.seq, LobbySeq(n));
        assert_eq!(anna.entry().await.seq, LobbySeq(n));
    }
    let (mut last, mut gaps) = (0, 0);
    while last < COUNT {
        match deaf.next().await {
            FromLobby::Gap { next } => {
                assert!(next.0 > last + 1);
                (last, gaps) = (next.0 - 1, gaps + 1);
            }
            FromLobby::Entry(entry) => {
                assert_eq!(entry.seq.0, last + 1);
                last = entry.seq.0;
            }
            _ => {}
        }
    }
    assert!(gaps >= 1, "the one who did not read was behind");
}
