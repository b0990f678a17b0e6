//! Another user of the same machine gets at nothing: not the key, not the history, not the socket.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chat_tests::{Daemon, House, World, program};

/// The user of the attacker: nobody.
const NOBODY: u32 = 65_534;

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, Permissions::from_mode(bits)).expect("changes the mode");
}

/// Runs a program as nobody.
fn as_nobody(program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program).args(args);
    command.env_remove("CHAT_NAME").output().expect("setpriv runs")
}

/// A daemon, in folders that nobody can walk to, and a chatctl that nobody can run. `None`: only root can be another
/// user; the gate is.
fn scene(world: &World) -> Option<(Daemon, House, std::path::PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "the gate runs as root");
        eprintln!("skipped: only root can act as another user");
        return None;
    }
    let anna = Daemon::start(world, "anna");
    anna.in_lobby();
    let house = anna.house().clone();
    let chatctl = world.path().join("chatctl");
    fs::copy(program("chatctl"), &chatctl).expect("copies");
    let home = house.data.parent().expect("a house").to_owned();
    for open in [world.path(), &home, &house.data, &chatctl] {
        mode(open, 0o755);
    }
    Some((anna, house, chatctl))
}

fn attach(chatctl: &Path, house: &House) -> Output {
    let (data, runtime) = (house.data.to_str().expect("a path"), house.runtime.to_str().expect("a path"));
    as_nobody(chatctl, &["--name", "anna", "--data-dir", data, "--runtime-dir", runtime, "status"])
}

#[test]
fn what_a_daemon_makes_is_closed_to_others_from_the_start() {
    let world = World::new();
    let Some((anna, house, chatctl)) = scene(&world) else { return };
    let folder = house.data.join("anna");
    for file in ["key", "history.db", "lock", "log"] {
        let path = folder.join(file);
        assert!(path.exists(), "{file} is there");
        let read = as_nobody(Path::new("cat"), &[path.to_str().expect("a path")]);
        assert!(!read.status.success() && read.stdout.is_empty(), "nobody reads {file}");
        let bits = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(bits & 0o077, 0, "{file} has mode {bits:o}");
    }
    assert!(!attach(&chatctl, &house).status.success(), "nobody attaches");
    assert!(anna.ctl().ok(&["status"]).contains("anna"), "its owner does");
}

#[test]
fn the_kernel_says_who_attaches_even_if_the_socket_is_open_to_all() {
    let world = World::new();
    let Some((anna, house, chatctl)) = scene(&world) else { return };
    mode(&house.runtime, 0o777);
    mode(&anna.socket(), 0o777);
    let tried = attach(&chatctl, &house);
    assert!(!tried.status.success(), "nobody attaches");
    assert!(!String::from_utf8_lossy(&tried.stdout).contains("SHA256"), "and learns nothing");
    mode(&house.runtime, 0o700);
    assert!(anna.ctl().ok(&["status"]).contains("anna"), "its owner does");
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_left_alone() {
    let world = World::new();
    let Some((mut anna, house, _)) = scene(&world) else { return };
    anna.terminate();
    let planted = house.runtime.join("anna.sock");
    fs::write(&planted, "planted").expect("plants");
    chown(&house.runtime, Some(NOBODY), Some(NOBODY)).expect("gives it away");
    let mut command = Command::new(program("chatd"));
    command.args(["--name", "anna", "--data-dir"]).arg(&house.data).arg("--runtime-dir").arg(&house.runtime);
    let tried = command.output().expect("runs");
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(!tried.status.success() && said.contains("is not a folder of yours"), "{said}");
    assert_eq!(fs::read_to_string(&planted).expect("still there"), "planted");
}

/// Tries to read files from before they are there, as nobody, as fast as a shell can; what it has read comes out at the
/// end.
struct Racer(Child);

impl Racer {
    fn begin(files: &[PathBuf]) -> Self {
        let tries: Vec<String> = files
            .iter()
            .map(|file| format!("[ -r {0} ] && echo got {0} && cat {0}", file.display()))
            .collect();
        let script = format!("while :; do {}; done 2>/dev/null", tries.join("; "));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", &script]);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("setpriv runs"))
    }

    fn end(mut self) -> Vec<u8> {
        drop(self.0.kill());
        let mut read = Vec::new();
        self.0.stdout.take().expect("piped").read_to_end(&mut read).expect("reads");
        read
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn who_races_the_creation_gets_nothing_even_where_the_umask_hides_nothing() {
    let world = World::new();
    let Some((anna, house, _)) = scene(&world) else { return };
    let lobby = anna.until("its lobby", |state| state.daemon.as_ref().map(|row| row.lobby.addr.clone()));
    for round in 0..6 {
        let name = format!("racer{round}");
        let own = house.data.join(&name);
        let mut files: Vec<PathBuf> =
            ["key", "history.db", "history.db-wal", "lock"].iter().map(|file| own.join(file)).collect();
        files.push(house.runtime.join(format!("{name}.sock")));
        let racer = Racer::begin(&files);
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(program("chatd"));
        shell.args(["--name", &name, "--local-lobby", &lobby, "--data-dir"]).arg(&house.data);
        shell.arg("--runtime-dir").arg(&house.runtime).stdout(Stdio::piped()).env_remove("CHAT_NAME");
        let mut daemon = shell.spawn().expect("starts");
        let mut ready = String::new();
        let stdout = daemon.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut ready).expect("its first line");
        let open: Vec<PathBuf> = open_to_others(&own);
        let socket = fs::metadata(files.last().expect("a socket")).map(|found| found.permissions().mode());
        drop(daemon.kill());
        drop(daemon.wait());
        assert_eq!(String::from_utf8_lossy(&racer.end()), "", "nobody has read something");
        assert!(ready.contains(&name) && open.is_empty(), "{ready} {open:?}");
        assert_eq!(socket.expect("there") & 0o077, 0);
    }
}

/// Everything under a folder, itself included, that others can do something with.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let is_open = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o077 != 0;
    let mut open: Vec<PathBuf> = is_open(folder).then(|| folder.to_owned()).into_iter().collect();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            open.extend(open_to_others(&entry));
        } else {
            open.extend(is_open(&entry).then_some(entry));
        }
    }
    open
}

#[test]
fn what_another_user_has_planted_in_place_of_key_or_history_is_refused_and_left_alone() {
    let world = World::new();
    let Some((mut anna, house, _)) = scene(&world) else { return };
    anna.terminate();
    let folder = house.data.join("anna");
    let elsewhere = world.path().join("elsewhere");
    fs::write(&elsewhere, "planted").expect("plants");
    chown(&elsewhere, Some(NOBODY), Some(NOBODY)).expect("gives it away");
    let start = || {
        let mut command = Command::new(program("chatd"));
        command
            .args(["--name", "anna", "--data-dir"])
            .arg(&house.data)
            .arg("--runtime-dir")
            .arg(&house.runtime);
        command.env_remove("CHAT_NAME").output().expect("runs")
    };
    let key = fs::read(folder.join("key")).expect("the key");
    // A link to a file of somebody else, and a file that others can read, in place of the key.
    fs::remove_file(folder.join("key")).expect("away");
    std::os::unix::fs::symlink(&elsewhere, folder.join("key")).expect("a link");
    assert!(!start().status.success());
    assert_eq!(fs::read_to_string(&elsewhere).expect("still there"), "planted");
    fs::remove_file(folder.join("key")).expect("away");
    fs::write(folder.join("key"), &key).expect("the key");
    mode(&folder.join("key"), 0o644);
    let said = start();
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("too open"), "{said:?}");
    // The whole folder belongs to somebody else.
    mode(&folder.join("key"), 0o600);
    chown(&folder, Some(NOBODY), Some(NOBODY)).expect("gives it away");
    let said = start();
    assert!(!said.status.success(), "{said:?}");
    assert_eq!(fs::read(folder.join("key")).expect("still there"), key);
}
