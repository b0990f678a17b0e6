//! What people say is on their own disks and nowhere else: not in the clear on a wire, not in a log.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use chat_tests::{DEADLINE, Daemon, World};

const WORDS: [&str; 3] = ["canary-to-all-7391", "canary-in-private-7391", "канарейка-7391"];

/// Two people meet, talk in the room and in private, in each direction.
fn talk(anna: &Daemon, bobby: &Daemon) {
    for daemon in [anna, bobby] {
        daemon.in_lobby();
    }
    anna.ctl().ok(&["send", "lobby", WORDS[0], "--wait", "sent"]);
    anna.ctl().ok(&["fork", bobby.name()]);
    anna.ctl().ok(&["send", bobby.name(), WORDS[1], "--wait", "delivered"]);
    bobby.ctl().ok(&["send", anna.name(), WORDS[2], "--wait", "delivered"]);
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Everything that crosses the loopback interface.
struct Wiretap {
    child: Child,
    bytes: mpsc::Receiver<Vec<u8>>,
}

impl Wiretap {
    /// `None` where this machine cannot listen: no tcpdump, or no right to. The gate's machine can.
    fn begin() -> Option<Self> {
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-U", "-s", "0", "-B", "65536", "-w", "-", "tcp"]);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.ok()?;
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        if !said.any(|line| line.contains("listening on")) {
            drop(child.wait());
            return None;
        }
        thread::spawn(move || said.for_each(drop));
        let mut stdout = child.stdout.take().expect("piped");
        let (heard, bytes) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if heard.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, bytes })
    }

    /// All that was heard. A word of our own, sent in the clear, shows that nothing is still on its way, and that what
    /// is in the clear would be found.
    fn end(mut self) -> Vec<u8> {
        const MARK: &[u8] = b"the-wire-was-heard-to-its-end-7391";
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut speaker = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        speaker.write_all(MARK).expect("says it");
        let mut all = Vec::new();
        while !holds(&all[all.len().saturating_sub(1 << 17)..], MARK) {
            all.extend(self.bytes.recv_timeout(DEADLINE).expect("the word of our own is heard"));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        all
    }
}

#[test]
fn no_wire_shows_names_words_or_keys() {
    let Some(tap) = Wiretap::begin() else {
        assert!(std::env::var_os("CI").is_none(), "the gate must be able to listen: install tcpdump");
        eprintln!("skipped: tcpdump is not there, or may not listen");
        return;
    };
    let world = World::new();
    let (anna, bobby) = (Daemon::start(&world, "annawiretap"), Daemon::start(&world, "bobbywiretap"));
    talk(&anna, &bobby);
    let keys = [&anna, &bobby].map(|daemon| {
        daemon.until("its key", |state| state.daemon.as_ref().map(|row| (row.key, row.fingerprint.clone())))
    });
    let heard = tap.end();
    for alpn in ["chat-peer/1", "chat-lobby/1"] {
        assert!(holds(&heard, alpn.as_bytes()), "the link {alpn} was not heard");
    }
    for word in WORDS.iter().chain(&["annawiretap", "bobbywiretap"]) {
        assert!(!holds(&heard, word.as_bytes()), "{word} is on the wire");
    }
    for (key, fingerprint) in keys {
        assert!(!holds(&heard, &key.0), "a key is on the wire");
        assert!(!holds(&heard, key.to_string().as_bytes()), "a key is on the wire");
        assert!(!holds(&heard, fingerprint.as_bytes()), "a fingerprint is on the wire");
    }
}

fn read_all(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files =
        entries.map(|path| if path.is_dir() { read_all(&path) } else { std::fs::read(path).expect("reads") });
    files.flatten().collect()
}

#[test]
fn no_log_holds_words_or_secret_keys_at_any_level() {
    let world = World::new();
    let (anna, bobby) = (Daemon::start_loud(&world, "anna"), Daemon::start_loud(&world, "bobby"));
    talk(&anna, &bobby);
    let house = anna.house().clone();
    let secret = std::fs::read(house.data.join("anna/key")).expect("the key");
    let mut anna = anna;
    anna.terminate(); // its logs are written to the end
    let logs = [read_all(&house.data.join("anna/log")), read_all(&house.errors)].concat();
    assert!(holds(&logs, b"DEBUG"), "it logs everything");
    for word in WORDS {
        assert!(!holds(&logs, word.as_bytes()), "{word} is in a log");
    }
    // The seed of the key is within its file; no 16 bytes of it, raw or as text, are in a log.
    for piece in secret.windows(16) {
        let hex = format!("{:032x}", u128::from_be_bytes(piece.try_into().expect("16 bytes")));
        let list = format!("{piece:?}");
        let forms = [piece, hex.as_bytes(), list.trim_matches(['[', ']']).as_bytes()];
        assert!(forms.iter().all(|form| !holds(&logs, form)), "a piece of the key is in a log");
    }
}
