//! The program `lobbyd` itself.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chatd::identity::{Identity, fingerprint};

/// A running `lobbyd`, killed when dropped.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    key: String,
}

fn command(data: &Path, listen: &str) -> Command {
    with(data, &["--listen", listen])
}

fn with(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lobbyd"));
    command.args(args).arg("--data-dir").arg(data).env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Daemon {
    fn start(data: &Path) -> Self {
        Self::start_at(data, "127.0.0.1:0")
    }

    pub(crate) fn start_at(data: &Path, listen: &str) -> Self {
        Self::start_with(data, &["--listen", listen])
    }

    pub(crate) fn start_with(data: &Path, args: &[&str]) -> Self {
        Self::ready(with(data, args).spawn().expect("starts"))
    }

    /// One that was started in another way; waits until it says that it is ready.
    pub(crate) fn ready(mut child: Child) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let said =
            line.trim_end().strip_prefix("lobbyd: listening on ").expect("says where").split_once(", key ");
        let (addr, key) = said.expect("says its key");
        Self { addr: addr.parse().expect("an address"), key: key.to_owned(), child }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ends");
    }

    /// What it has said on standard error, once it is gone.
    pub(crate) fn log(&mut self) -> String {
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("log");
        log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_lobby_keeps_its_key_over_a_restart() {
    let data = tempfile::tempdir().expect("tempdir");
    let first = Daemon::start(data.path()).key.clone();
    let again = Daemon::start(data.path()).key.clone();
    let kept = Identity::load_or_create(data.path()).expect("key");
    assert_eq!((first.as_str(), again), (fingerprint(&kept.key()).as_str(), first.clone()));
}

#[test]
fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let data = tempfile::tempdir().expect("tempdir");
    let daemon = Daemon::start(data.path());
    let addr = daemon.addr.to_string();
    let second = command(data.path(), &addr).output().expect("runs");
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(error.contains(&addr) && error.contains("--listen"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_is_told_when_the_lobby_is_ready() {
    use std::os::unix::net::UnixDatagram;

    let data = tempfile::tempdir().expect("tempdir");
    let path = data.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("binds");
    let mut child = command(data.path(), "127.0.0.1:0").env("NOTIFY_SOCKET", &path).spawn().expect("starts");
    let mut message = [0; 64];
    let len = socket.recv(&mut message).expect("a message");
    child.kill().expect("killed");
    child.wait().expect("ends");
    assert_eq!(String::from_utf8_lossy(&message[..len]).trim_end(), "READY=1");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_lobby_in_order() {
    use rustix::process::{Pid, Signal, kill_process};

    for signal in [Signal::TERM, Signal::INT] {
        let data = tempfile::tempdir().expect("tempdir");
        let mut daemon = Daemon::start(data.path());
        let pid = Pid::from_child(&daemon.child);
        kill_process(pid, signal).expect("signalled");
        let mut log = String::new();
        daemon.child.stderr.take().expect("piped").read_to_string(&mut log).expect("log");
        assert!(daemon.child.wait().expect("ends").success(), "{log}");
        assert_eq!(log, "", "nothing to warn of");
    }
}

#[test]
fn a_folder_has_one_lobby_at_a_time() {
    let data = tempfile::tempdir().expect("tempdir");
    let _daemon = Daemon::start(data.path());
    let second = command(data.path(), "127.0.0.1:0").output().expect("runs");
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(error.contains("in use") && error.contains("--data-dir"), "{error}");
}
