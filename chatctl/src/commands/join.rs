//! `join LINE`: takes an invitation to a lobby and starts the daemon in it.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use proto::display;
use proto::invitation::{Invitation, InvitationError};
use proto::ipc::{Call, DaemonRow, LobbyState};
use proto::name::Name;
use tokio::time::{sleep, timeout};

use super::attach;
use crate::cli::Global;
use crate::client::{Client, Event, LinkError};
use crate::failure::Failure;
use crate::output::Output;
use crate::start::Outcome;
use crate::{locate, start};

/// How long the lobby may take to let us in before this gives up waiting.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a daemon may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// Longest line that is read as an invitation, in bytes.
const MAX_LINE: u64 = 1_024;

/// What stands on the command line, read or not.
pub(super) type Line = Option<Result<Invitation, InvitationError>>;

pub(super) async fn run(global: &Global, line: Line) -> Result<(), Failure> {
    let invitation =
        line.map_or_else(read, |line| line.map_err(|error| Failure::Usage(error.to_string())))?;
    let base = locate::base(global)?;
    let name = attach::name(global, &base).await?;
    let socket = base.socket(&name);
    match Client::connect(&socket).await {
        Err(LinkError::NoDaemon { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(mut client) => return running(global, &invitation, client.state().await?.daemon.as_ref()),
    }
    started(&name, global, &invitation).await?;
    let mut client = Client::connect(&socket).await?;
    client.call(Call::Watch).await?;
    let outcome = timeout(PATIENCE, let_in(&mut client)).await;
    let addr = display::line(&invitation.addr).into_owned();
    let silent = || Failure::TimedOut(format!("the lobby {addr} does not answer; try again when it does"));
    let daemon = match outcome.unwrap_or_else(|_| Err(silent())) {
        Ok(daemon) => daemon,
        Err(failure) => {
            // It would be in the way of the next try.
            timeout(STOP_PATIENCE, stopped(client, &socket)).await.ok();
            return Err(failure);
        }
    };
    let line =
        format!(">>> Joined the lobby {addr} as {}; to talk: chatctl attach --name {name}", daemon.name);
    Output::new(global).line(&line)
}

fn read() -> Result<Invitation, Failure> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_LINE).read_to_string(&mut line)?;
    line.parse().map_err(|error: InvitationError| Failure::Usage(error.to_string()))
}

/// Starts the daemon; one that is just about to be gone is waited for.
async fn started(name: &Name, global: &Global, invitation: &Invitation) -> Result<(), Failure> {
    let begun = Instant::now();
    while start::joining(name, global, invitation).await? == Outcome::Taken {
        if begun.elapsed() > STOP_PATIENCE {
            let why = format!("somebody else has just started the daemon of {name}: try again");
            return Err(Failure::Failed(why));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Stops the daemon that was started for nothing, and waits until it is gone. Its sessions, if it has any, stay.
async fn stopped(mut client: Client, socket: &Path) {
    client.call(Call::Suspend).await.ok();
    drop(client);
    while Client::connect(socket).await.is_ok() {
        sleep(PAUSE).await;
    }
}

/// A daemon is in one lobby for as long as it runs.
fn running(global: &Global, invitation: &Invitation, daemon: Option<&DaemonRow>) -> Result<(), Failure> {
    let Some(daemon) = daemon else { return Err(Failure::Failed("the daemon runs already".into())) };
    let (name, pid, addr) = (&daemon.wished, daemon.pid, display::line(&daemon.lobby.addr));
    if daemon.lobby.addr == invitation.addr && daemon.lobby.state == LobbyState::Connected {
        let own = &daemon.name;
        return Output::new(global).line(&format!(
            ">>> The daemon of {name} runs already, in the lobby {addr} as {own}; to talk: chatctl attach --name {name}"
        ));
    }
    Err(Failure::Failed(format!(
        "the daemon of {name} runs already, in the lobby {addr}. Stop it and try again: kill {pid} (its private \
         sessions stay), or choose another --name for the new lobby"
    )))
}

/// Waits until the lobby has let the daemon in, or has said why not.
async fn let_in(client: &mut Client) -> Result<Box<DaemonRow>, Failure> {
    loop {
        match client.next().await? {
            Event::Changed(changes) => match changes.daemon {
                Some(daemon) if daemon.lobby.state == LobbyState::Connected => return Ok(Box::new(daemon)),
                Some(DaemonRow { lobby, .. }) => {
                    if let Some(why) = lobby.trouble {
                        let (addr, why) = (display::line(&lobby.addr), display::line(&why));
                        return Err(Failure::Failed(format!("not in the lobby {addr}: {why}")));
                    }
                }
                None => {}
            },
            Event::Goodbye { .. } => return Err(Failure::NoDaemon("the daemon was stopped".into())),
            Event::Reply(..) => {}
        }
    }
}
