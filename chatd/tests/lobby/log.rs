//! What was said: exact, in order, once, from wherever a reader stands.

use chatd::lobby::LobbyConfig;
use proto::ids::{Generation, LobbySeq};
use proto::limits::MAX_TEXT_LEN;
use proto::lobby::{FromLobby, RoomCursor};

use crate::harness::{TestLobby, identity};

#[tokio::test]
async fn a_reader_goes_on_where_it_stood_without_loss_or_double() {
    let lobby = TestLobby::start();
    let (key, mut anna) = (identity(), lobby.join(&identity(), "anna").await);
    let mut bobby = lobby.join(&key, "bobby").await;
    for n in 1..=3 {
        anna.say(&format!("line {n}")).await;
    }
    assert_eq!(bobby.entry().await.seq, LobbySeq(1));
    assert_eq!(bobby.entry().await.seq, LobbySeq(2));
    let cursor = bobby.cursor(LobbySeq(2));
    drop(bobby);
    anna.say("line 4").await;
    let mut bobby = lobby.resume(&key, "bobby", cursor).await;
    anna.say("line 5").await;
    for n in 3..=5 {
        let entry = bobby.entry().await;
        assert_eq!((entry.seq, entry.text.as_str()), (LobbySeq(n), format!("line {n}").as_str()));
    }
    assert_eq!(bobby.barrier().await, []);
}

#[tokio::test]
async fn a_newcomer_begins_at_the_head_and_a_reader_of_another_log_at_the_start() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    for n in 1..=3 {
        anna.say(&format!("line {n}")).await;
    }
    let mut newcomer = lobby.join(&identity(), "newcomer").await;
    assert_eq!(newcomer.welcome.head, LobbySeq(3));
    let other = RoomCursor { generation: Generation([7; 16]), seq: LobbySeq(2) };
    let mut stranger = lobby.resume(&identity(), "stranger", other).await;
    let mut ahead = lobby.resume(&identity(), "ahead", anna.cursor(LobbySeq(9))).await;
    anna.say("line 4").await;
    assert_eq!(newcomer.entry().await.seq, LobbySeq(4));
    for reader in [&mut stranger, &mut ahead] {
        for n in 1..=4 {
            assert_eq!(reader.entry().await.seq, LobbySeq(n));
        }
    }
}

#[tokio::test]
async fn a_reader_behind_what_is_held_is_told_of_the_gap() {
    let lobby = TestLobby::with(LobbyConfig { ring_entries: 4, ..LobbyConfig::default() });
    let mut anna = lobby.join(&identity(), "anna").await;
    for n in 1..=10 {
        anna.say(&format!("line {n}")).await;
    }
    let cursor = anna.cursor(LobbySeq(2));
    let mut late = lobby.resume(&identity(), "late", cursor).await;
    assert_eq!(late.next().await, FromLobby::Gap { next: LobbySeq(7) });
    for n in 7..=10 {
        assert_eq!(late.entry().await.seq, LobbySeq(n));
    }
}

#[tokio::test]
async fn a_message_published_again_is_one_entry() {
    let lobby = TestLobby::start();
    let (key, mut bobby) = (identity(), lobby.join(&identity(), "bobby").await);
    let mut anna = lobby.join(&key, "anna").await;
    let (mid, message) = anna.publish("only once");
    anna.send(&message).await;
    anna.send(&message).await;
    assert_eq!((anna.published(mid).await, anna.published(mid).await), (LobbySeq(1), LobbySeq(1)));
    let mut anna = lobby.join(&key, "anna").await;
    anna.send(&message).await;
    assert_eq!(anna.published(mid).await, LobbySeq(1), "also over another link");
    bobby.send(&bobby.author.publish(mid, "only once").1).await;
    assert_eq!(bobby.published(mid).await, LobbySeq(2), "another author's is another message");
    assert_eq!((bobby.entry().await.seq, bobby.entry().await.seq), (LobbySeq(1), LobbySeq(2)));
    assert!(!bobby.barrier().await.iter().any(|message| matches!(message, FromLobby::Entry(_))));
}

#[tokio::test]
async fn what_its_author_has_not_signed_is_not_passed_on() {
    let lobby = TestLobby::start();
    let (mut anna, mut bobby) =
        (lobby.join(&identity(), "anna").await, lobby.join(&identity(), "bobby").await);
    let (mid, message) = bobby.publish("signed by bobby");
    anna.send(&message).await;
    assert_eq!(anna.next_answer(mid).await, Err("it is not signed by your key".to_owned()));
    assert_eq!(anna.say("her own").await, LobbySeq(1), "her link goes on");
    assert_eq!(bobby.entry().await.text.as_str(), "her own");
}

#[tokio::test]
async fn text_is_kept_exactly() {
    let lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    let mut bobby = lobby.join(&identity(), "bobby").await;
    let texts = [
        "\0 \u{1b}[2J \u{7f} \u{9b} \r\n\t \" \\ \u{202e}".to_owned(),
        "жирафы Ёлка".chars().cycle().take(20_000).collect(),
        "row\n".repeat(1_000),
        "\0".repeat(MAX_TEXT_LEN),
        "👩\u{200d}👩\u{200d}👧 \u{fffd} \u{10ffff}".to_owned(),
    ];
    for text in &texts {
        anna.say(text).await;
        assert!(bobby.entry().await.text.as_str() == text, "a text of {} bytes changed", text.len());
    }
}

#[tokio::test]
async fn what_is_in_the_log_is_told_to_all_before_the_lobby_stops() {
    let mut lobby = TestLobby::start();
    let mut anna = lobby.join(&identity(), "anna").await;
    let mut bobby = lobby.join(&identity(), "bobby").await;
    for n in 1..=50 {
        anna.say(&format!("line {n}")).await;
    }
    lobby.stop();
    for n in 1..=50 {
        assert_eq!(bobby.entry().await.seq, LobbySeq(n));
    }
    for member in [&mut anna, &mut bobby] {
        assert!(member.goodbye().await.contains("stopping"));
    }
    lobby.stopped().await;
}
