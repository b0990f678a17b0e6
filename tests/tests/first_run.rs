//! The first minutes: somebody who has never been here, a daemon in the background, a second one of the same name,
//! what a crash leaves behind.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chat_tests::binaries::program;
use chat_tests::ctl::{self, Ran};
use chat_tests::{DEADLINE, Daemon, Screen, World, world};
use portable_pty::CommandBuilder;

/// An empty home, and nothing that leads out of it.
fn homely(home: &Path) -> Vec<(&'static str, String)> {
    let folder = |name: &str| {
        let folder = home.join(name);
        world::private(&folder);
        folder.display().to_string()
    };
    vec![
        ("HOME", folder("")),
        ("XDG_RUNTIME_DIR", folder("runtime")),
        ("XDG_DATA_HOME", folder("data")),
        ("XDG_CONFIG_HOME", folder("config")),
        ("XDG_STATE_HOME", folder("state")),
        ("XDG_CACHE_HOME", folder("cache")),
    ]
}

fn chatctl(home: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(program("chatctl"));
    command.env_remove("CHAT_NAME").envs(homely(home)).args(args);
    ctl::run(command, b"")
}

/// Signs a daemon in the background off, whatever becomes of the test.
struct SignOff<'w>(&'w Path, &'static [&'static str]);

impl Drop for SignOff<'_> {
    fn drop(&mut self) {
        // Where the test has done it already nobody answers.
        chatctl(self.0, &[self.1, &["quit"]].concat());
    }
}

/// The only test that uses the lobby of this very machine, because a first run has no other.
#[test]
fn somebody_who_was_never_here_is_asked_for_a_name_and_is_in_the_room() {
    let world = World::new();
    let home = world.path();
    let _off = SignOff(home, &[]);
    let mut attach = CommandBuilder::new(program("chatctl"));
    attach.arg("attach");
    for (name, value) in homely(home) {
        attach.env(name, value);
    }
    let mut screen = Screen::open(&attach);
    screen.wait_for("Your chat name: ");
    screen.key("not a name\r");
    screen.wait_for("please try again");
    screen.wait_for_times("Your chat name: ", 2);
    screen.key("firsttimer\r");
    screen.wait_for(">>> \\fork NAME opens a private session");
    screen.wait_for(">>> Registered as name: firsttimer");
    screen.wait_for_prompt("[0 lobby]");
    screen.command("\\users", "(you)");
    screen.type_line("\\detach");
    assert_eq!(screen.ended(), 0);

    // The daemon goes on, and the second time nothing is asked.
    let status = chatctl(home, &["status"]);
    assert!(status.code == 0 && status.out.contains("firsttimer"), "{status:?}");
    let screen = Screen::open(&attach);
    screen.wait_for_prompt("[0 lobby]");
    assert_eq!((screen.count("Your chat name"), screen.count("\\fork NAME")), (0, 0));
    drop(screen);
    // Signed off and opened again at once: the old daemon may still be going.
    assert_eq!(chatctl(home, &["quit"]).code, 0);
    Screen::open(&attach).wait_for_prompt("[0 lobby]");
    sign_off(home);

    // Two terminals that open at the same moment, as when somebody logs in, share one daemon.
    let both = [Screen::open(&attach), Screen::open(&attach)];
    for screen in &both {
        screen.wait_for_prompt("[0 lobby]");
    }
    sign_off(home);
}

/// Signs the only daemon off and waits until it is gone for good: it lets go of its folder last.
fn sign_off(home: &Path) {
    let status = chatctl(home, &["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("a row");
    assert_eq!(chatctl(home, &["quit"]).code, 0);
    assert_eq!(chatctl(home, &["status"]).code, 3);
    let begun = Instant::now();
    while Path::new(&format!("/proc/{}/fd/0", status["pid"])).exists() {
        assert!(begun.elapsed() < DEADLINE, "the daemon goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_daemon_goes_to_the_background_once_it_is_ready() {
    let world = World::new();
    let home = world.path();
    let _off = SignOff(home, &["--name", "anna"]);
    let mut command = Command::new(program("chatd"));
    command.args(["--detach", "--name", "anna", "--local-lobby", &world.lobby().to_string()]);
    command.env_remove("CHAT_NAME").env_remove("NOTIFY_SOCKET").envs(homely(home));
    let ran = ctl::run(command, b"");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.starts_with("chatd: anna is up, process "), "{ran:?}");
    // It answers at once: nobody has to wait after the line.
    let status = chatctl(home, &["--json", "status"]);
    assert_eq!(status.code, 0, "{status:?}");
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("a row");
    assert!(ran.out.contains(&format!("process {},", status["pid"])), "{ran:?} {status}");
    assert_eq!(chatctl(home, &["quit"]).code, 0);
    assert_eq!(chatctl(home, &["status"]).code, 3);
}

fn second(world: &World, name: &str) -> Ran {
    let house = world.house("home");
    let mut command = Command::new(program("chatd"));
    command.args(["--name", name, "--local-lobby", &world.lobby().to_string()]);
    command.arg("--data-dir").arg(house.data).arg("--runtime-dir").arg(house.runtime);
    ctl::run(command, b"")
}

#[test]
fn a_second_daemon_of_the_same_name_is_refused_and_the_first_one_goes_on() {
    let world = World::new();
    let anna = Daemon::start(&world, "anna");
    let pid = anna.ctl().rows(&["status"])[0]["pid"].clone();
    for name in ["anna", "Anna"] {
        let ran = second(&world, name);
        assert_eq!(ran.code, 75, "{ran:?}");
        assert!(
            ran.err.contains(&format!("in use by process {pid}: a daemon of this name runs already")),
            "{ran:?}"
        );
        assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{ran:?}");
    }
    assert_eq!(anna.ctl().rows(&["status"])[0]["pid"], pid);
}

#[test]
fn what_a_crash_leaves_behind_is_in_nobodys_way() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    let fingerprint = anna.ctl().rows(&["status"])[0]["fingerprint"].clone();
    anna.kill();
    assert!(anna.socket().exists(), "the socket is still there");
    let said = anna.ctl().fails(&["status"], 3);
    assert!(said.contains("no daemon answers"), "{said}");
    anna.start_again();
    assert_eq!(anna.ctl().rows(&["status"])[0]["fingerprint"], fingerprint, "it is the same person");
    // An orderly end leaves no socket.
    anna.ctl().ok(&["quit"]);
    assert!(anna.ended().success());
    assert!(!anna.socket().exists());
}

#[test]
fn a_terminal_waits_for_a_daemon_that_crashed_and_goes_on() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    let bobby = Daemon::start(&world, "bobby");
    bobby.in_lobby();
    let screen = anna.screen();
    anna.kill();
    screen.wait_for(">>> daemon went away, trying again");
    let begun = Instant::now();
    bobby.in_lobby();
    bobby.ctl().ok(&["send", "lobby", "while you were away", "--wait", "sent"]);
    anna.start_again();
    screen.wait_for("> bobby: while you were away");
    screen.type_line("back again");
    bobby.until("the line", |state| (state.lobby()?.unread == 1).then_some(()));
    assert_eq!(screen.count("> bobby: while you were away"), 1);
    assert!(begun.elapsed() < DEADLINE);
}

#[test]
fn files_are_their_owners_only() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let world = World::new();
    let anna = Daemon::start(&world, "anna");
    anna.in_lobby();
    let mut folders = vec![anna.house().data.join("anna")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let found = std::fs::symlink_metadata(&path).expect("it is there");
            assert_eq!(found.permissions().mode() & 0o077, 0, "{}", path.display());
            assert_eq!(found.uid(), rustix::process::getuid().as_raw());
            count += 1;
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(count >= 3, "key, history and log: {count}");
    let socket = std::fs::symlink_metadata(anna.socket()).expect("the socket");
    assert_eq!(socket.permissions().mode() & 0o077, 0);
}

/// A daemon without sessions stops at once: the answer must not be lost on the way.
#[test]
fn regression_quit_is_answered_and_told_to_everybody_who_looks_on() {
    let world = World::new();
    let mut anna = Daemon::start(&world, "anna");
    for round in 0..25 {
        anna.in_lobby();
        let tail = anna.ctl().follow(&["tail", "lobby"]);
        anna.until("it looks on", |state| (state.daemon.as_ref()?.attached >= 2).then_some(()));
        let ran = anna.ctl().run(&["quit"], b"");
        assert_eq!(ran.code, 0, "round {round}: {ran:?}");
        drop(tail.rest());
        assert!(anna.ended().success());
        anna.start_again();
    }
}
