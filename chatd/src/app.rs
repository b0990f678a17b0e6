//! `chatd` put together: what starts in which order, and what stops in which.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use proto::name::Name;
use proto::paths::Base;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::cli::{Cli, LobbyArg};
use crate::daemon::{self, Accept, Core, Event, Seen, Setup};
use crate::identity::{Identity, fingerprint};
use crate::joined::Joined;
use crate::link::socket;
use crate::peer::net::PeerNet;
use crate::store::Store;
use crate::uplink::{Target, ToUplink, Uplink};
use crate::{detach, dirs, ipc, joined, logs, notify};

/// Key of the last peer port among the store's named values.
const PORT: &str = "port";
/// How long connections may take to write what is left when the daemon stops.
const DRAIN: Duration = Duration::from_secs(3);

/// The whole program.
pub fn main(cli: &Cli) -> anyhow::Result<ExitCode> {
    // Files are their owner's from the first byte, whoever makes them.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if cli.lobby.as_ref().is_some_and(LobbyArg::is_settled_first) {
        return joined::settle(cli);
    }
    if cli.detach && !cli.background {
        return detach::start();
    }
    if cli.background {
        detach::leave_session();
    }
    let places = Places::new(cli)?;
    let _lock = dirs::Lock::take(&places.data)?;
    let _logs = logs::init(&places.logs, cli.verbose)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(cli, &places))?;
    Ok(ExitCode::SUCCESS)
}

/// Where one daemon's files are.
pub(crate) struct Places {
    pub(crate) data: PathBuf,
    logs: PathBuf,
    database: PathBuf,
    socket: PathBuf,
}

impl Places {
    pub(crate) fn new(cli: &Cli) -> anyhow::Result<Self> {
        let base = Base::resolve(cli.data_dir.clone(), cli.runtime_dir.clone())?;
        let data = base.daemon_data(&cli.name);
        let places = Self {
            logs: data.join("log"),
            database: data.join("history.db"),
            socket: base.socket(&cli.name),
            data,
        };
        dirs::safe_dir(&base.runtime)?;
        dirs::own_dir(&places.data)?;
        dirs::own_dir(&places.logs)?;
        Ok(places)
    }

    /// The daemon's database. The caller holds the lock of the folder.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        let path = self.database.display();
        Store::open(&self.database).with_context(|| format!("cannot open the history in {path}"))
    }
}

async fn serve(cli: &Cli, places: &Places) -> anyhow::Result<()> {
    let started = Instant::now();
    let identity = Arc::new(Identity::load_or_create(&places.data)?);
    let mut store = places.store()?;
    let (target, joined) = cli.target(Joined::load(&store)?);
    let listener = listen(cli.listen, &target, &mut store)?;
    let listening = listener.local_addr().ok();
    let setup = Setup { joined, ..setup(cli, &identity, &target, listening) };
    let core = Core::load(setup, store, rand::make_rng(), daemon::now(started))?;
    let local = ipc::Server::bind(&places.socket).await?;

    let (events, queue) = mpsc::channel(daemon::QUEUE);
    let (tasks, stopping, shutdown) =
        (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let peers = PeerNet::new(Arc::clone(&identity), events.clone(), tasks.clone(), shutdown.clone());
    let to_lobby = ToUplink::default();
    let core = daemon::run(core, started, queue, Arc::clone(&peers), to_lobby.clone())?;
    tasks.spawn(Arc::clone(&peers).listen(listener));
    let uplink = Uplink {
        target,
        data: places.data.join("lobby"),
        identity: Arc::clone(&identity),
        events: events.clone(),
        queue: to_lobby.clone(),
        tasks: tasks.clone(),
        stopping: stopping.clone(),
        shutdown: shutdown.clone(),
    };
    let uplink = tasks.spawn(uplink.run());
    let history = ipc::History::new(places.database.clone());
    let context =
        ipc::Context { events: events.clone(), seen: core.seen.clone(), history, me: identity.key() };
    let clients = CancellationToken::new();
    let serving = tasks.spawn(local.serve(context, clients.clone()));

    announce(cli, &identity)?;
    wait_for_the_end(core.seen.clone(), &events).await;

    notify::stopping();
    clients.cancel();
    serving.await.ok(); // it has its own deadline
    let outcome = tokio::task::spawn_blocking(|| core.join()).await.context("the core is gone")?;
    stopping.cancel();
    to_lobby.close();
    let drained = async {
        peers.close_all().await;
        uplink.await.ok(); // a panic was logged where it happened
    };
    if timeout(DRAIN, drained).await.is_err() {
        warn!("some connections did not take what was left for them");
    }
    shutdown.cancel();
    tasks.close();
    timeout(DRAIN, tasks.wait()).await.ok(); // a hosted lobby says goodbye to its members
    Ok(outcome?)
}

/// What the core is made with.
fn setup(cli: &Cli, identity: &Identity, target: &Target, listening: Option<SocketAddr>) -> Setup {
    // On one machine everybody is somebody's neighbour; elsewhere a stranger asks first.
    let accept = if target.is_local() { Accept::Anyone } else { Accept::Ask };
    Setup {
        key: identity.key(),
        name: cli.name.clone(),
        lobby: target.addr(),
        named: matches!(target, Target::Named(_)),
        accept: cli.accept.unwrap_or(accept),
        joined: None,
        listening,
    }
}

/// The port of the last run if it is free, so that peers find us where we were, else any other.
fn listen(wish: Option<SocketAddr>, target: &Target, store: &mut Store) -> anyhow::Result<TcpListener> {
    let ip = if target.is_local() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let wish = wish.unwrap_or(SocketAddr::new(IpAddr::V4(ip), 0));
    let last = store.meta(PORT)?.and_then(|port| port.parse().ok()).unwrap_or(0);
    let again = SocketAddr::new(wish.ip(), last);
    let listener = if wish.port() == 0 && last != 0 { socket::listen(again) } else { socket::listen(wish) };
    let listener = match listener {
        Err(_) if wish.port() == 0 => socket::listen(wish),
        other => other,
    };
    let listener = listener.with_context(|| format!("cannot listen for peers on {wish}"))?;
    let port = listener.local_addr()?.port();
    if port != last {
        store.set_meta(PORT, &port.to_string())?;
    }
    Ok(listener)
}

/// Says that everything runs, to whoever started the daemon.
fn announce(cli: &Cli, identity: &Identity) -> anyhow::Result<()> {
    let line = ready_line(&cli.name, &fingerprint(&identity.key()));
    info!("{line}");
    writeln!(io::stdout(), "{line}").ok(); // a closed output is no reason to stop
    if cli.background {
        detach::let_go_of_output().context("cannot let go of the terminal")?;
    }
    notify::ready(&line);
    Ok(())
}

fn ready_line(name: &Name, fingerprint: &str) -> String {
    format!("chatd: {name} is up, process {}, key {fingerprint}", std::process::id())
}

/// Until the core has stopped. A signal has it stop and keep every session.
async fn wait_for_the_end(mut seen: watch::Receiver<Seen>, events: &mpsc::Sender<Event>) {
    let mut told = false;
    loop {
        tokio::select! {
            ended = seen.wait_for(|seen| seen.stop.is_some()) => {
                drop(ended); // an error means that the core is gone
                return;
            }
            () = signal(), if !told => {
                told = true;
                info!("told to stop");
                events.send(Event::Suspend).await.ok();
            }
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
