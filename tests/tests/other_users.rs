//! Another user of the same machine gets at nothing: not the key, not the history, not the socket.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Output};

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
