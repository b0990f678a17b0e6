//! What is no client and no peer knocks at a daemon's doors: it is turned away and harms nobody.
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use chat_tests::{DEADLINE, Daemon, World};

fn frame(json: &[u8]) -> Vec<u8> {
    [&u32::try_from(json.len()).expect("short").to_be_bytes()[..], json].concat()
}

/// Openings of a conversation that nobody has to understand.
fn nonsense() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        frame(b""),
        frame(b"{"),
        frame(b"\xff\xfe"),
        frame(br#"{"type":"hello"}"#),
        frame(br#"{"type":"request","id":1,"call":{"do":"quit"}}"#),
        frame(br#"{"type":"hello","versions":{"min":900,"max":901},"client":"x"}"#),
        frame(format!("{}1{}", "[".repeat(2000), "]".repeat(2000)).as_bytes()),
        // The length of a frame that never comes, and half of one.
        u32::MAX.to_be_bytes().to_vec(),
        [&100_u32.to_be_bytes()[..], b"{\"type\":\"hel"].concat(),
        // A TLS record that says it is longer than it is.
        [&b"\x16\x03\x01\x40\x00"[..], &[1; 64]].concat(),
    ]
}

/// What a client may say that was let in, and should not.
fn nonsense_of_a_client() -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let mut all = nonsense();
    all.extend([
        frame(HELLO),
        frame(deep.as_bytes()),
        frame(br#"{"type":"request","id":1,"call":{"do":"dance"}}"#),
        frame(br#"{"type":"request","id":1,"call":{"do":"read","session":{"number":1},"range":{"after":18446744073709551615},"limit":4294967295}}"#),
        frame(br#"{"type":"request","id":1,"call":{"do":"mark","reader":"person","session":{"number":1},"seq":18446744073709551615}}"#),
        frame(br#"{"type":"request","id":18446744073709551615,"call":{"do":"fork","name":"\u001b[2J"}}"#),
        frame(br#"{"type":"request","id":-1,"call":{"do":"state"}}"#),
    ]);
    all
}

const HELLO: &[u8] = br#"{"type":"hello","versions":{"min":1,"max":1},"client":"stranger"}"#;

/// Says it, says no more, and reads until the other side has enough.
fn say_and_hear(mut stream: impl Read + Write, bytes: &[u8], finish: impl FnOnce()) -> Vec<u8> {
    let mut heard = Vec::new();
    // The other side may have closed the link in the middle of it.
    if stream.write_all(bytes).is_ok() {
        finish();
        drop(stream.take(1 << 20).read_to_end(&mut heard));
    }
    heard
}

fn pair(world: &World) -> [Daemon; 2] {
    let [anna, bobby] = Daemon::meet(world, ["anna", "bobby"]);
    anna.fork(&bobby);
    [anna, bobby]
}

/// Both go on, in the very processes in which they were.
fn assert_unharmed(anna: &Daemon, bobby: &Daemon) {
    for (daemon, peer) in [(anna, "bobby"), (bobby, "anna")] {
        daemon.ctl().ok(&["send", peer, "still there?", "--wait", "delivered", "--timeout", "20"]);
        daemon.ctl().ok(&["send", "lobby", "still there?", "--wait", "sent", "--timeout", "20"]);
        daemon.lives();
    }
}

#[test]
fn nonsense_at_the_local_socket_is_turned_away() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    for bytes in nonsense() {
        let stream = UnixStream::connect(anna.socket()).expect("the socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        let half = stream.try_clone().expect("a second handle");
        let heard =
            say_and_hear(stream, &bytes, || half.shutdown(std::net::Shutdown::Write).expect("half closed"));
        assert!(!String::from_utf8_lossy(&heard).contains("welcome"), "{bytes:?}");
    }
    for bytes in nonsense_of_a_client() {
        // `quit` would be understood here, and is no nonsense.
        if bytes.windows(4).any(|word| word == b"quit") {
            continue;
        }
        let stream = UnixStream::connect(anna.socket()).expect("the socket");
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        let half = stream.try_clone().expect("a second handle");
        let said = [&frame(HELLO)[..], &bytes].concat();
        let heard = say_and_hear(stream, &said, || drop(half.shutdown(std::net::Shutdown::Write)));
        assert!(String::from_utf8_lossy(&heard).contains("welcome"), "{bytes:?}");
    }
    for _ in 0..1000 {
        drop(UnixStream::connect(anna.socket()).expect("the socket"));
    }
    assert_unharmed(&anna, &bobby);
}

#[test]
fn nonsense_at_the_peer_port_is_turned_away() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    let port = anna.listening();
    for bytes in nonsense() {
        let stream = TcpStream::connect(port).expect("the port");
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        let half = stream.try_clone().expect("a second handle");
        say_and_hear(stream, &bytes, || drop(half.shutdown(std::net::Shutdown::Write)));
    }
    for _ in 0..1000 {
        drop(TcpStream::connect(port).expect("the port"));
    }
    assert_unharmed(&anna, &bobby);
}

#[test]
fn strangers_who_say_nothing_keep_nobody_out() {
    let world = World::new();
    let [anna, bobby] = pair(&world);
    let port = anna.listening();
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(port).expect("the port")).collect();
    let deaf: Vec<UnixStream> = (0..50).filter_map(|_| UnixStream::connect(anna.socket()).ok()).collect();
    // A friend whom anna never met comes in while they all stand in the door.
    let carol = Daemon::start(&world, "carol");
    carol.in_lobby();
    carol.ctl().ok(&["fork", "anna"]);
    carol.ctl().ok(&["send", "anna", "excuse me", "--wait", "delivered", "--timeout", "25"]);
    assert_unharmed(&anna, &bobby);
    drop((silent, deaf));
}
