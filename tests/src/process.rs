//! Daemons and lobbies as child processes.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use proto::name::Name;
use proto::paths::Base;
use rustix::process::{Pid, Signal, kill_process};

use crate::binaries::program;
use crate::ctl::Ctl;
use crate::screen::Screen;
use crate::world::{House, World};
use crate::{DEADLINE, watch};

/// Removes what could lead a program out of its test.
pub(crate) fn isolate(command: &mut Command) -> &mut Command {
    command.env_remove("CHAT_NAME").env_remove("NO_COLOR").env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET")
}

/// A child process that is killed and reaped when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Says when it has closed its output, which is when it ends.
    gone: Mutex<mpsc::Receiver<()>>,
    /// The line with which it said that it was ready.
    pub ready: String,
}

impl Running {
    /// Starts a program and waits for its first line.
    fn start(mut command: Command, errors: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(errors).expect("a file for errors");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        let (tell, told) = mpsc::channel();
        let (end, gone) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // Nobody waits any more: what comes is still read, so that the program is never held up.
            drop(tell.send(lines.next()));
            lines.for_each(drop);
            let _ = end.send(());
        });
        let mut running = Self { child, gone: Mutex::new(gone), ready: String::new() };
        match told.recv_timeout(DEADLINE) {
            Ok(Some(line)) => running.ready = line,
            _ => panic!("{command:?} did not start: {}", std::fs::read_to_string(errors).unwrap_or_default()),
        }
        running
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that was not reaped takes signals");
    }

    fn reap(&mut self) -> ExitStatus {
        let gone = self.gone.get_mut().unwrap_or_else(PoisonError::into_inner);
        gone.recv_timeout(DEADLINE).expect("the process ends");
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A `chatd` in the foreground.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    house: House,
    /// Options besides its name and its folders.
    options: Vec<String>,
    /// For `RUST_LOG`; empty for what a daemon logs by itself.
    log: &'static str,
    /// Its data folder is a disk of its own of so many MiB.
    small_disk: Option<u32>,
    running: Option<Running>,
}

impl Daemon {
    /// Starts a daemon that shares the machine's own lobby, and hosts it where nobody does.
    pub fn start(world: &World, name: &str) -> Self {
        Self::with(name, world.house("home"), &["--local-lobby", &world.lobby().to_string()])
    }

    /// The same, and its person is asked about strangers.
    pub fn asking(world: &World, name: &str) -> Self {
        let lobby = world.lobby().to_string();
        Self::with(name, world.house("home"), &["--local-lobby", &lobby, "--accept", "ask"])
    }

    /// The same, and it logs everything it can.
    pub fn start_loud(world: &World, name: &str) -> Self {
        Self::with_loud(name, world.house("home"), &["--local-lobby", &world.lobby().to_string()])
    }

    /// Starts a daemon with any options, and it logs everything it can.
    pub fn with_loud(name: &str, house: House, options: &[&str]) -> Self {
        let mut daemon = Self::new(name, house, options);
        daemon.log = "trace";
        daemon.start_again();
        daemon
    }

    /// The same in a house of its own whose data folder is a disk of so many MiB, which nobody else sees; it is gone
    /// when the daemon ends. Only root can make one.
    pub fn on_small_disk(world: &World, name: &str, mib: u32) -> Self {
        let mut daemon = Self::new(name, world.house(name), &["--local-lobby", &world.lobby().to_string()]);
        daemon.small_disk = Some(mib);
        daemon.start_again();
        daemon
    }

    /// A file of its data folder, also where only the daemon sees that.
    pub fn file(&self, name: &str) -> PathBuf {
        let pid = Pid::from_child(&self.running.as_ref().expect("the daemon runs").child);
        let data = self.house.data.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("root").join(data).join(name)
    }

    /// The same in a house of its own, for a second daemon of the same name.
    pub fn start_in(world: &World, house: &str, name: &str) -> Self {
        Self::with(name, world.house(house), &["--local-lobby", &world.lobby().to_string()])
    }

    /// Starts a daemon that joins a lobby that was named to it.
    pub fn join(world: &World, house: &str, name: &str) -> Self {
        Self::with(name, world.house(house), &["--lobby", &world.lobby().to_string()])
    }

    /// Starts a daemon with any options besides its name and its folders.
    pub fn with(name: &str, house: House, options: &[&str]) -> Self {
        let mut daemon = Self::new(name, house, options);
        daemon.start_again();
        daemon
    }

    /// One that does not run yet.
    fn new(name: &str, house: House, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { name: name.to_owned(), house, options, log: "", small_disk: None, running: None }
    }

    /// Starts it again after it has ended.
    pub fn start_again(&mut self) {
        let mut command = match self.small_disk {
            None => Command::new(program("chatd")),
            Some(mib) => on_a_disk_of(mib, &self.house.data),
        };
        command.args(["--name", &self.name]).args(&self.options);
        command.arg("--data-dir").arg(&self.house.data).arg("--runtime-dir").arg(&self.house.runtime);
        isolate(&mut command);
        if !self.log.is_empty() {
            command.env("RUST_LOG", self.log);
        }
        let errors = self.house.errors.join(&self.name);
        self.running = Some(Running::start(command, &errors));
    }

    /// SIGKILL: it can say and write nothing more.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// SIGTERM: it ends in order and keeps its sessions.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the daemon runs");
        running.signal(Signal::TERM);
        running.reap()
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the daemon was started");
        running.reap()
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folders.
    pub fn house(&self) -> &House {
        &self.house
    }

    /// The line with which it said that it was ready.
    pub fn ready_line(&self) -> &str {
        &self.running.as_ref().expect("the daemon runs").ready
    }

    /// Its local socket.
    pub fn socket(&self) -> PathBuf {
        let base = Base { data: self.house.data.clone(), runtime: self.house.runtime.clone() };
        base.socket(&Name::new(self.name.as_str()).expect("a name"))
    }

    /// Commands for it.
    pub fn ctl(&self) -> Ctl {
        Ctl::new(&self.house, &self.name)
    }

    /// A terminal attached to it, with its prompt there.
    pub fn screen(&self) -> Screen {
        let screen = Screen::open(&self.ctl().pty(&["attach"]));
        screen.wait_for_prompt("[");
        screen
    }

    /// A terminal attached to it, with that at its prompt.
    pub fn screen_showing(&self, begun: &str) -> Screen {
        let screen = Screen::open(&self.ctl().pty(&["attach"]));
        screen.wait_until(begun, |capture| capture.cursor_row().trim_end().ends_with(begun));
        screen
    }

    /// Waits until that is the draft of the session with `peer`. No row tells of it, so it is asked for again and again.
    pub fn has_draft(&self, peer: &str, wanted: Option<&str>) {
        let begun = Instant::now();
        loop {
            let draft = watch::draft(&self.socket(), peer);
            if draft.as_deref() == wanted {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{}: not {wanted:?}, but {draft:?}", self.name);
        }
    }

    /// Waits until it has so many lines of `peer`; gives them.
    pub fn until_received(&self, peer: &str, count: usize) -> Vec<String> {
        self.until("lines", |state| (state.session(peer)?.unread >= count as u64).then_some(()));
        self.ctl().received(peer)
    }

    /// Waits until its state is as wanted.
    pub fn until<T>(&self, what: &str, wanted: impl FnMut(&watch::State) -> Option<T>) -> T {
        watch::until(&self.socket(), &format!("{}: {what}", self.name), wanted)
    }

    /// Waits until it is in the lobby.
    pub fn in_lobby(&self) {
        self.until("in the lobby", |state| state.is_in_lobby().then_some(()));
    }

    /// Waits until so many people are in the lobby. The list of them is no row that is told of when it changes, so
    /// it is asked for again and again.
    pub fn sees_users(&self, count: usize) {
        let begun = Instant::now();
        loop {
            let users = self.ctl().rows(&["users"]);
            if users.len() == count {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{}: not {count}, but {users:?}", self.name);
        }
    }

    /// Waits until the private session with `peer` is connected; gives its number.
    pub fn connected_to(&self, peer: &str) -> u32 {
        self.until(&format!("connected to {peer}"), |state| state.connected(peer))
    }
}

/// The daemon, for which a folder is a disk of its own.
fn on_a_disk_of(mib: u32, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=$1m,mode=700 tmpfs \"$2\" && shift 2 && exec \"$@\"");
    command.args(["sh", &mib.to_string()]).arg(folder).arg(program("chatd"));
    command
}

/// A `lobbyd` in the foreground.
#[derive(Debug)]
pub struct Lobbyd {
    addr: SocketAddr,
    listen: IpAddr,
    data: PathBuf,
    errors: PathBuf,
    /// For `RUST_LOG`; empty for what it logs by itself.
    log: &'static str,
    running: Option<Running>,
}

impl Lobbyd {
    /// Starts it at the lobby port of the world.
    pub fn start(world: &World) -> Self {
        Self::at(world, world.lobby().ip(), "")
    }

    /// The same for other machines as well, so that it wants invitations.
    pub fn start_closed(world: &World) -> Self {
        Self::at(world, Ipv4Addr::UNSPECIFIED.into(), "")
    }

    /// The same, and it logs everything it can.
    pub fn start_loud(world: &World) -> Self {
        Self::at(world, Ipv4Addr::UNSPECIFIED.into(), "trace")
    }

    fn at(world: &World, listen: IpAddr, log: &'static str) -> Self {
        let house = world.house("lobby");
        let errors = house.errors.join("lobbyd");
        let mut lobby = Self { addr: world.lobby(), listen, data: house.data, errors, log, running: None };
        lobby.start_again();
        lobby
    }

    /// Gives it an order: what that printed, without the end of the line.
    pub fn order(&self, args: &[&str]) -> String {
        let mut command = Command::new(program("lobbyd"));
        let output =
            isolate(&mut command).args(args).arg("--data-dir").arg(&self.data).output().expect("runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("utf-8").trim_end().to_owned()
    }

    /// The line of an invitation for one.
    pub fn invite(&self) -> String {
        self.order(&["invite", "--address", &self.addr.to_string()])
    }

    /// Starts it again after it was killed, at the same port with the same key.
    pub fn start_again(&mut self) {
        let mut command = Command::new(program("lobbyd"));
        let listen = SocketAddr::new(self.listen, self.addr.port());
        command.arg("--listen").arg(listen.to_string()).arg("--data-dir").arg(&self.data);
        isolate(&mut command);
        if !self.log.is_empty() {
            command.env("RUST_LOG", self.log);
        }
        self.running = Some(Running::start(command, &self.errors));
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// SIGTERM: it says goodbye to everybody.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the lobby runs");
        running.signal(Signal::TERM);
        running.reap()
    }
}
