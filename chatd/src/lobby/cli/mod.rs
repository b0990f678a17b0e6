//! The command line of `lobbyd`: parse, build, run, and turn the result into an exit code.

mod keep;
mod orders;

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{ArgAction, Parser, Subcommand};
use proto::limits::WINDOW_ENTRIES;
use proto::paths::Base;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::desk::Order;
use super::{Entry, Lobby, LobbyConfig};
use crate::dirs::{DirError, Lock};
use crate::identity::{Identity, fingerprint};
use crate::link::socket;

/// Least number of messages that is kept: a daemon that comes back publishes as many again, and each must be one.
const KEEP_LEAST: u64 = WINDOW_ENTRIES;

/// The room where people meet: forwards what is said in the lobby, and tells who is there and where to reach them.
#[derive(Debug, Parser)]
#[command(name = "lobbyd", version)]
pub struct Args {
    /// What to do with a lobby that is there; without a command a lobby is run
    #[command(subcommand)]
    order: Option<Command>,

    /// Where to listen; port 0 is any free port.
    ///
    /// At an address that other machines can reach, people need an invitation to get in.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:43210")]
    listen: SocketAddr,

    /// Let in whoever reaches the port, without an invitation
    #[arg(long)]
    open: bool,

    /// How others reach this lobby, for invitations [default: where it listens]
    #[arg(long, value_name = "HOST:PORT", value_parser = orders::host_port)]
    address: Option<String>,

    /// Most messages of the room that are kept; beyond, the oldest go
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(KEEP_LEAST..))]
    keep_entries: u64,

    /// How long a message of the room is kept, like 30d or 12h; `never` lets none go for its age
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = keep::age)]
    keep_for: Duration,

    /// Most space for the messages of the room, like 256M or 1G; beyond, the oldest go
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = keep::size)]
    keep_bytes: u64,

    /// Folder of the lobby's key, names and log; it stays the same lobby for as long as it has the same key.
    #[arg(long, global = true, value_name = "DIR", env = "LOBBYD_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Say more in the log (on standard error); twice for everything. `RUST_LOG` wins.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// What can be done with a lobby, whether or not it runs at the moment.
#[derive(Debug, Subcommand)]
enum Command {
    /// Prints an invitation: one line that lets somebody in
    Invite(orders::Invite),
    /// Says which invitations are open, each with its short id
    Invitations,
    /// Lets nobody in by an invitation any more; whom it let in stays
    Revoke {
        /// As `invitations` shows it
        id: String,
    },
    /// Says who is here, and who is banned or muted
    List,
    /// Ends somebody's connection; they may come back
    Kick(orders::Whom),
    /// Keeps somebody out, by key or by address
    Ban(orders::Ban),
    /// Takes a ban back
    Unban(orders::Whom),
    /// Takes no messages from somebody
    Mute(orders::Mute),
    /// Takes them again
    Unmute(orders::Whom),
}

/// Runs `lobbyd` from its arguments to its end.
pub fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.verbose);
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lobbyd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Args {
    /// On this machine alone a lobby is open: whoever is here is invited.
    fn entry(&self) -> Entry {
        if self.open || self.listen.ip().is_loopback() { Entry::Open } else { Entry::Invited }
    }

    fn config(&self) -> LobbyConfig {
        LobbyConfig {
            entry: self.entry(),
            keep_entries: self.keep_entries,
            keep_age: self.keep_for,
            keep_bytes: self.keep_bytes,
            ..LobbyConfig::default()
        }
    }
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

#[tokio::main]
async fn run(args: &Args) -> anyhow::Result<()> {
    let data = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => Base::resolve(None, None)?.data.join("lobbyd"),
    };
    match &args.order {
        None => serve(args, &data).await,
        Some(Command::Invite(invite)) => orders::invite(&data, invite).await,
        Some(Command::Invitations) => orders::tell(&data, Order::Invitations).await,
        Some(Command::Revoke { id }) => orders::tell(&data, Order::Revoke { id: id.clone() }).await,
        Some(Command::List) => orders::tell(&data, Order::List).await,
        Some(Command::Kick(whom)) => orders::tell(&data, whom.kick()).await,
        Some(Command::Ban(ban)) => orders::tell(&data, ban.order()?).await,
        Some(Command::Unban(whom)) => orders::tell(&data, whom.unban()).await,
        Some(Command::Mute(mute)) => orders::tell(&data, mute.order()?).await,
        Some(Command::Unmute(whom)) => orders::tell(&data, whom.unmute()).await,
    }
}

async fn serve(args: &Args, data: &Path) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let identity = Arc::new(Identity::load_or_create(data)?);
    let listener = listen(args.listen)?;
    let _lock = lock(data)?;
    let lobby = Lobby::kept_in(data, args.config()).with_context(|| {
        format!("cannot read what the lobby keeps in {}; nothing was changed", data.display())
    })?;
    let reached = listener.local_addr().context("cannot tell where the lobby listens")?.to_string();
    let reached = args.address.clone().unwrap_or(reached);
    let lobby = lobby.with_desk(data, reached).await?;
    // Before the line that says so: whoever reads it may send a signal at once.
    let shutdown = CancellationToken::new();
    let signals = Signals::new().context("cannot wait for signals")?;
    announce(&listener, &identity, args.entry())?;
    let serving = lobby.serve(listener, identity, shutdown.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        outcome = &mut serving => return outcome.context("the lobby ended"),
        () = signals.stop() => {}
    }
    notify(Stage::Stopping);
    shutdown.cancel();
    serving.await.context("the lobby did not end in order")
}

/// The folder belongs to one lobby at a time.
fn lock(data: &Path) -> anyhow::Result<Lock> {
    Lock::take(data).map_err(|error| match error {
        DirError::Locked { path, pid } => anyhow!(
            "{} is in use{}: a lobbyd runs with it already; choose another folder with --data-dir",
            path.display(),
            pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
        ),
        error => error.into(),
    })
}

fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    socket::listen(addr).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {addr}: another program does already. \
             Stop it (perhaps a lobbyd, or a chatd that hosts the lobby), or choose another port with --listen"
        ),
        _ => anyhow!(error).context(format!("cannot listen on {addr}")),
    })
}

/// Tells people, scripts and systemd that the lobby is ready.
fn announce(listener: &TcpListener, identity: &Identity, entry: Entry) -> anyhow::Result<()> {
    let addr = listener.local_addr().context("cannot tell where the lobby listens")?;
    let mut out = io::stdout().lock();
    // Nobody has to read it: a closed standard output is no reason not to run.
    writeln!(out, "lobbyd: listening on {addr}, key {}", fingerprint(&identity.key())).ok();
    if entry == Entry::Invited {
        writeln!(out, "lobbyd: people need an invitation to get in, make one with: lobbyd invite").ok();
    }
    out.flush().ok();
    notify(Stage::Ready);
    Ok(())
}

/// How far the daemon is, for systemd.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Ready,
    Stopping,
}

#[cfg(target_os = "linux")]
fn notify(stage: Stage) {
    let message = match stage {
        Stage::Ready => sd_notify::NotifyState::Ready,
        Stage::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[message]) {
        tracing::warn!(%error, ?stage, "systemd was not told");
    }
}

#[cfg(not(target_os = "linux"))]
fn notify(_: Stage) {}

/// The signals that end the daemon in order.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn stop(self) {
        tokio::signal::ctrl_c().await.ok();
    }
}

/// A connection takes a descriptor; the usual soft limit of 1,024 is for programs that use `select`.
#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays low");
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit() {}
