//! Who is in, under which name, and who is told of it.

use std::time::Duration;

use chatd::lobby::LobbyConfig;
use proto::hello::Versions;
use proto::limits::PAGE_MEMBERS;
use proto::lobby::{MemberHello, RefusedCode, ToLobby};
use tokio::task::JoinSet;

use crate::harness::{TestLobby, hello, identity};

/// A grace that no test outlives.
fn patient() -> LobbyConfig {
    LobbyConfig { absent_grace: Duration::from_hours(1), ..LobbyConfig::default() }
}

#[tokio::test]
async fn who_comes_and_who_says_goodbye_is_told_to_the_others() {
    let lobby = TestLobby::with(patient());
    let mut anna = lobby.join(&identity(), "anna").await;
    assert_eq!(anna.names(), ["anna"]);
    let mut bobby = lobby.join(&identity(), "bobby").await;
    assert_eq!(bobby.names(), ["anna", "bobby"]);
    assert_eq!(anna.presence().await, ["+bobby"]);
    bobby.send(&ToLobby::Bye).await;
    assert_eq!(anna.presence().await, ["-bobby"]);
    assert_eq!(anna.barrier().await, []);
}

#[tokio::test]
async fn a_drop_is_told_when_the_grace_is_over() {
    let grace = Duration::from_millis(20);
    let lobby = TestLobby::with(LobbyConfig { absent_grace: grace, ..LobbyConfig::default() });
    let mut anna = lobby.join(&identity(), "anna").await;
    let bobby = lobby.join(&identity(), "bobby").await;
    assert_eq!(anna.presence().await, ["+bobby"]);
    drop(bobby);
    assert_eq!(anna.presence().await, ["-bobby"]);
}

#[tokio::test]
async fn a_drop_with_a_return_within_the_grace_is_silent() {
    let lobby = TestLobby::with(patient());
    let mut anna = lobby.join(&identity(), "anna").await;
    let key = identity();
    for _ in 0..3 {
        let bobby = lobby.join(&key, "bobby").await;
        assert_eq!(bobby.name(), "bobby");
        drop(bobby);
    }
    let mut bobby = lobby.join(&key, "bobby").await;
    assert_eq!(anna.presence().await, ["+bobby"]);
    bobby.send(&ToLobby::Bye).await;
    assert_eq!(anna.presence().await, ["-bobby"]);
    assert_eq!(anna.barrier().await, []);
}

#[tokio::test]
async fn the_newest_link_of_a_key_takes_over_at_once() {
    let lobby = TestLobby::with(patient());
    let (key, mut anna) = (identity(), lobby.join(&identity(), "anna").await);
    let mut old = lobby.join(&key, "bobby").await;
    assert_eq!(anna.presence().await, ["+bobby"]);
    let mut new = lobby.join(&key, "bobby").await;
    assert_eq!(new.name(), "bobby");
    assert!(old.goodbye().await.contains("took over"));
    new.say("it is me").await;
    assert_eq!(anna.entry().await.from.name, new.welcome.name);
    assert_eq!(anna.barrier().await, [], "nobody is told of it");
}

#[tokio::test]
async fn a_taken_name_gets_a_number_and_stays_with_its_key() {
    let lobby = TestLobby::with(patient());
    let (first, second) = (identity(), identity());
    let anna = lobby.join(&first, "anna").await;
    let other = lobby.join(&second, "Anna").await;
    assert_eq!((anna.name(), other.name()), ("anna", "Anna_2"));
    let mut anna = lobby.join(&first, "anna").await;
    anna.send(&ToLobby::Bye).await;
    let third = lobby.join(&identity(), "anna").await;
    assert_eq!(third.name(), "anna_3", "the name is remembered while its owner is away");
    assert_eq!(lobby.join(&first, "anna").await.name(), "anna");
}

#[tokio::test]
async fn a_lookup_tells_where_somebody_accepts_peers() {
    let lobby = TestLobby::start();
    let key = identity();
    let _bobby = lobby.join_as(&key, MemberHello { port: 4321, ..hello("Bobby") }).await;
    let mut anna = lobby.join(&identity(), "anna").await;
    let contact = anna.lookup("bobby").await.expect("present");
    assert_eq!((contact.member.name.as_str(), contact.member.key), ("Bobby", key.key()));
    assert_eq!(contact.addrs, ["127.0.0.1:4321".parse().expect("address")]);
    assert_eq!(anna.lookup("anna").await.expect("present").addrs, []);
    assert_eq!(anna.lookup("dave").await, None);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let lobby = TestLobby::with(LobbyConfig { max_members: 1, ..patient() });
    let versions = Versions { min: 900, max: 901 };
    let later = MemberHello { versions, ..hello("anna") };
    assert_eq!(lobby.refused(later).await, RefusedCode::Version);
    let key = identity();
    drop(lobby.join(&key, "anna").await);
    assert_eq!(lobby.refused(hello("bobby")).await, RefusedCode::Busy);
    assert_eq!(lobby.join(&key, "anna").await.name(), "anna", "a member gets back in");
}

#[tokio::test]
async fn many_members_come_in_pages_and_their_arrival_in_few_words() {
    let lobby = TestLobby::start();
    let mut first = lobby.join(&identity(), "first").await;
    let mut crowd = JoinSet::new();
    for number in 1..=PAGE_MEMBERS {
        let mut member = lobby.join(&identity(), "crowd").await;
        if number == PAGE_MEMBERS {
            assert_eq!((member.pages, member.members.len()), (2, PAGE_MEMBERS + 1));
        }
        // On a slow machine this takes a while: nobody may seem dead.
        crowd.spawn(async move { while member.try_next().await.is_ok() {} });
        first.send(&ToLobby::Ping { nonce: 0 }).await;
    }
    let mut known = first.names().len();
    while known < PAGE_MEMBERS + 1 {
        known += first.presence().await.len();
    }
    assert_eq!(known, PAGE_MEMBERS + 1);
}

#[tokio::test]
async fn after_a_restart_a_key_gets_its_name_whoever_comes_first() {
    let dir = tempfile::tempdir().expect("folder");
    let (anna, eve, late) = (identity(), identity(), identity());
    let mut lobby = TestLobby::kept_in(dir.path());
    let first = lobby.join(&anna, "anna").await;
    assert_eq!(lobby.join(&eve, "аnna").await.name(), "anna_2");
    drop(first);
    lobby.stop();
    lobby.stopped().await;
    let lobby = TestLobby::kept_in(dir.path());
    assert_eq!(lobby.join(&late, "anna").await.name(), "anna_3");
    assert_eq!(lobby.join(&eve, "anna").await.name(), "anna_2");
    assert_eq!(lobby.join(&anna, "anna").await.name(), "anna");
}
