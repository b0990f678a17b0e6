//! `join LINE`: takes an invitation to a lobby and starts the daemon in it.

use std::io::{self, Read as _};
use std::time::Duration;

use proto::display;
use proto::invitation::{Invitation, InvitationError};
use proto::ipc::{Call, DaemonRow, LobbyState};
use tokio::time::timeout;

use super::attach;
use crate::cli::Global;
use crate::client::{Client, Event, LinkError};
use crate::failure::Failure;
use crate::output::Output;
use crate::start::Outcome;
use crate::{locate, start};

/// How long the lobby may take to let us in before this gives up waiting.
const PATIENCE: Duration = Duration::from_secs(15);

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
        Ok(mut client) => return Err(running(client.state().await?.daemon.as_ref())),
    }
    if start::joining(&name, global, &invitation).await? == Outcome::Taken {
        return Err(Failure::Failed(format!(
            "somebody else has just started the daemon of {name}: try again"
        )));
    }
    let mut client = Client::connect(&socket).await?;
    client.call(Call::Watch).await?;
    let outcome = timeout(PATIENCE, let_in(&mut client)).await;
    let addr = display::line(&invitation.addr).into_owned();
    let daemon = outcome.map_err(|_| {
        Failure::TimedOut(format!("the lobby {addr} does not answer; the daemon of {name} keeps trying"))
    })??;
    let line =
        format!(">>> Joined the lobby {addr} as {}; to talk: chatctl attach --name {name}", daemon.name);
    Output::new(global).line(&line)
}

fn read() -> Result<Invitation, Failure> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_LINE).read_to_string(&mut line)?;
    line.parse().map_err(|error: InvitationError| Failure::Usage(error.to_string()))
}

/// A daemon is in one lobby for as long as it runs.
fn running(daemon: Option<&DaemonRow>) -> Failure {
    let Some(daemon) = daemon else { return Failure::Failed("the daemon runs already".into()) };
    let (name, pid, addr) = (&daemon.wished, daemon.pid, display::line(&daemon.lobby.addr));
    Failure::Failed(format!(
        "the daemon of {name} runs already, in the lobby {addr}. Stop it and try again: kill {pid} (its private \
         sessions stay), or choose another --name for the new lobby"
    ))
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
