//! `attach [SESSION]`: opens the prompt, and starts the daemon where none runs.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use proto::ipc::SessionRef;
use proto::name::Name;
use proto::paths::Base;
use tokio::time::sleep;

use crate::cli::Global;
use crate::client::{Client, LinkError};
use crate::failure::Failure;
use crate::repl::app::Manner;
use crate::repl::{self, Setup};
use crate::start::Outcome;
use crate::{locate, output, start};

/// How long a daemon of the same name may take that is being started by somebody else, or was just signed off.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at it.
const START_PAUSE: Duration = Duration::from_millis(50);

/// What somebody needs to know who has never been here.
const WELCOME: &str = "\
>>> In the lobby everybody hears everybody: \\users lists who, \\help the rest
>>> \\fork NAME opens a private session that nobody else can read; \\lob goes back
>>> \\detach (Ctrl-D) leaves the screen, all goes on; back with: chatctl attach";

pub(super) async fn run(global: &Global, session: Option<SessionRef>) -> Result<(), Failure> {
    let base = locate::base(global)?;
    let name = name(global, &base).await?;
    let newcomer = !base.daemon_data(&name).exists();
    let socket = base.socket(&name);
    let client = client(&socket, &name, global).await?;
    let person = io::stdin().is_terminal();
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let editing = person && io::stdout().is_terminal() && !global.plain && !dumb;
    if newcomer && person {
        writeln!(io::stdout(), "{WELCOME}")?;
    }
    let manner = if person { Manner::Person } else { Manner::Script };
    let style = output::style(global);
    repl::run(client, Setup { socket, session, style, editing, manner }).await
}

/// Attaches to the daemon, started if none runs.
async fn client(socket: &Path, name: &Name, global: &Global) -> Result<Client, Failure> {
    let begun = Instant::now();
    loop {
        match Client::connect(socket).await {
            Err(LinkError::NoDaemon { .. }) => {}
            other => return Ok(other?),
        }
        let outcome = start::daemon(name, global).await?;
        if outcome == Outcome::Started || begun.elapsed() > START_PATIENCE {
            return Ok(Client::connect(socket).await?);
        }
        sleep(START_PAUSE).await;
    }
}

/// As given, or the one that runs, or the one that was used before, or the one that the person chooses now.
pub(super) async fn name(global: &Global, base: &Base) -> Result<Name, Failure> {
    if let Some(name) = &global.name {
        return Ok(name.clone());
    }
    if let Some(name) = locate::only_running(base).await? {
        return Ok(name);
    }
    if let Some(name) = locate::only_known(base)? {
        return Ok(name);
    }
    if !io::stdin().is_terminal() {
        let help = "no daemon is running and no chat name is known: choose one with --name NAME or CHAT_NAME";
        return Err(Failure::Usage(help.into()));
    }
    ask()
}

fn ask() -> Result<Name, Failure> {
    let nothing = || Failure::Usage("no chat name was given; choose one with --name NAME".into());
    loop {
        let mut out = io::stdout().lock();
        out.write_all(b"Your chat name: ")?;
        out.flush()?;
        let mut line = String::new();
        // No name is that long; what is left of the line is read as the next try.
        match io::stdin().lock().take(4096).read_line(&mut line) {
            Ok(0) | Err(_) => return Err(nothing()),
            Ok(_) => {}
        }
        match Name::new(line.trim()) {
            Ok(name) => return Ok(name),
            Err(error) => writeln!(out, "{error}; please try again")?,
        }
    }
}
