//! What people say is on their own disks and nowhere else: not in the clear on a wire, not in a log.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use chat_tests::{DEADLINE, Daemon, Lobbyd, World};
use chatd::cli::LobbyArg;
use chatd::identity::Identity;
use chatd::joined::Joined;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proto::archive::Record;
use proto::ids::{Mid, Pos, Seq, SessionNo, WallMs};
use proto::invitation::{Invitation, Token};
use proto::ipc::{Call, Entry, EntryKind, EntryState, Hit, Reply, SessionRef};
use proto::peer::{Content, PeerMessage};
use proto::text::{Text, Words};

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

/// A secret in all forms in which a program could let it slip, a part of it too.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let part = secret.len().min(12);
    let windows = || secret.windows(part);
    let text = |encode: fn(&[u8]) -> String| windows().map(move |window| encode(window).into_bytes());
    let list: fn(&[u8]) -> String = |window| format!("{window:?}").trim_matches(['[', ']']).to_owned();
    let mut forms: Vec<Vec<u8>> = windows().map(<[u8]>::to_vec).collect();
    forms.extend(text(|window| HEXLOWER.encode(window)));
    forms.extend(text(|window| HEXUPPER.encode(window)));
    // Of twelve bytes or less: a whole number of groups, and no padding that would tell where it ends.
    forms.extend(text(|window| BASE64_NOPAD.encode(&window[..window.len() / 3 * 3])));
    forms.extend(text(|window| BASE64URL_NOPAD.encode(&window[..window.len() / 3 * 3])));
    forms.extend(text(list));
    forms
}

fn assert_absent(secrets: &[(&str, Vec<u8>)], place: &str, bytes: &[u8]) {
    for (what, secret) in secrets {
        for form in forms(secret) {
            assert!(!holds(bytes, &form), "{what} is in {place}: {}", String::from_utf8_lossy(&form));
        }
    }
}

/// The seed in a file of PKCS#8: after 16 bytes of head; what follows is the public half.
fn seed(folder: &Path) -> Vec<u8> {
    let file = std::fs::read(folder.join("key")).expect("the key");
    assert_eq!(file[14..16], [0x04, 0x20], "a seed of 32 bytes");
    file[16..48].to_vec()
}

/// What any user of this machine can see of its processes, and their owner.
fn processes() -> Vec<u8> {
    let folders = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok).map(|entry| entry.path());
    let numbered = folders.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
    });
    let files = numbered.flat_map(|path| ["cmdline", "environ", "comm"].map(|file| path.join(file)));
    // Some have ended meanwhile.
    files.filter_map(|file| std::fs::read(file).ok()).flatten().collect()
}

#[test]
fn no_secret_is_in_a_log_a_process_list_or_on_another_disk() {
    let world = World::new();
    let lobby = Lobbyd::start_loud(&world);
    let invitations =
        [lobby.invite(), lobby.invite()].map(|line| line.parse::<Invitation>().expect("a line"));
    let mut daemons = Vec::new();
    for (name, invitation) in ["anna", "bobby"].into_iter().zip(&invitations) {
        daemons.push(Daemon::with_loud(
            name,
            world.house(name),
            &["--lobby", &invitation.line(), "--accept", "anyone"],
        ));
    }
    let [anna, bobby] = &daemons[..] else { panic!("two") };
    talk(anna, bobby);
    assert!(holds(&anna.ctl().ok(&["search", "canary"]).into_bytes(), WORDS[0].as_bytes()));
    let house = world.house("lobby").data;
    let own = |daemon: &Daemon| daemon.house().data.join(daemon.name());
    let keys = [
        ("anna's key", seed(&own(anna))),
        ("bobby's key", seed(&own(bobby))),
        ("the lobby's key", seed(&house)),
    ];
    let tokens = invitations.map(|invitation| ("a token", invitation.token.0.to_vec()));
    let words = WORDS.map(|word| ("a text", word.as_bytes().to_vec()));
    let all = [&keys[..], &tokens, &words].concat();

    let seen = processes();
    assert!(holds(&seen, b"--data-dir"), "the daemons are seen");
    assert_absent(&all, "/proc", &seen);
    // The lobby keeps no token, only what tells it; and nothing of what is said, which it does hear.
    let kept: Vec<u8> = ["lobby.db", "lobby.db-wal", "audit.log"]
        .iter()
        .flat_map(|file| std::fs::read(house.join(file)).unwrap_or_default())
        .collect();
    assert!(holds(&kept, &anna.until("its key", |state| state.daemon.as_ref().map(|row| row.key)).0));
    assert_absent(&all, "the lobby's folder", &kept);

    let houses: Vec<_> = daemons.iter().map(|daemon| (own(daemon), daemon.house().errors.clone())).collect();
    drop(lobby);
    for daemon in &mut daemons {
        daemon.terminate(); // its logs are written to the end
    }
    let logs =
        houses.iter().flat_map(|(own, errors)| [read_all(&own.join("log")), read_all(errors)].concat());
    let logs: Vec<u8> = logs.chain(read_all(&world.house("lobby").errors)).collect();
    assert!(holds(&logs, b"DEBUG"), "they log everything");
    assert_absent(&all, "a log", &logs);
}

#[test]
fn regression_debug_output_of_what_holds_a_secret_shows_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let identity = Identity::load_or_create(dir.path()).expect("a key");
    let (token, word) = (Token(*b"0123456789abcdef"), WORDS[0]);
    let line = Invitation { addr: "h:1".into(), lobby: identity.key(), token };
    let (mid, at, text) = (Mid([1; 16]), WallMs(1), Text::new(word).expect("a text"));
    let entry = Entry {
        seq: Seq(1),
        kind: EntryKind::Text,
        from: None,
        mine: true,
        mid,
        pos: None,
        at,
        state: EntryState::Queued,
        text: word.into(),
        imported: false,
    };
    let record = Record {
        peer: None,
        seq: Seq(1),
        kind: EntryKind::Text,
        from: None,
        author: None,
        mine: true,
        mid,
        at,
        state: EntryState::Queued,
        text: word.into(),
    };
    let session = SessionRef::Number(SessionNo(1));
    let hit = Hit { session: None, peer: None, entry: entry.clone() };
    let shown = [
        format!("{identity:?}"),
        format!("{token:?} {line:?} {:?}", Joined::from(line.clone())),
        format!(
            "{:?}",
            PeerMessage::Data { pos: Pos(1), mid, at, content: Content::Text { text: text.clone() } }
        ),
        format!("{:?}", Call::Send { session: session.clone(), mid, text: text.clone(), draft: None }),
        format!("{:?}", Call::KeepDraft { session, text }),
        format!("{:?}", Call::Search { words: Words(word.to_owned()), limit: 1 }),
        format!("{:?}", Reply::Found { hits: vec![hit], partial: false }),
        format!("{:?}", Reply::Entries { session: SessionNo(1), entries: vec![entry], head: Seq(1) }),
        format!("{record:?}"),
        format!("{:?}", LobbyArg::Invited(Box::new(line))),
    ];
    let secrets =
        [("the key", seed(dir.path())), ("a token", token.0.to_vec()), ("a text", word.as_bytes().to_vec())];
    for text in shown {
        assert_absent(&secrets, &text, text.as_bytes());
    }
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
