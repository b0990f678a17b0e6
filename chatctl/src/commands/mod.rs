//! One file per command of the command line.

mod attach;
mod blocks;
mod completions;
mod consent;
mod export;
pub(crate) mod forget;
mod fork;
mod history;
mod import;
mod join;
mod leave;
mod quit;
pub(crate) mod search;
mod send;
mod sessions;
mod status;
mod tail;
mod trust;
mod users;
pub(crate) mod verify;

use forget::Sure;
use proto::ipc::Call;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

/// Runs the command.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Attach { session } => attach::run(&global, session).await,
        Command::Join { invitation } => join::run(&global, invitation).await,
        Command::Sessions { all } => sessions::run(&global, Scope::of(all)).await,
        Command::Users => users::run(&global).await,
        Command::Fork { name } => fork::run(&global, name).await,
        Command::Send(args) => send::run(&global, args).await,
        Command::History { session, limit, after } => history::run(&global, session, limit, after).await,
        Command::Search { words } => search::run(&global, &words).await,
        Command::Tail { sessions, cursor } => tail::run(&global, &sessions, cursor).await,
        Command::Leave { session } => leave::run(&global, session).await,
        Command::Accept { name } => fork::accept(&global, name).await,
        Command::Decline { name } => consent::run(&global, Call::Decline { name }).await,
        Command::Block { name } => consent::run(&global, Call::Block { name }).await,
        Command::Unblock { name } => consent::run(&global, Call::Unblock { name }).await,
        Command::Blocks => blocks::run(&global).await,
        Command::Forget { name, yes } => {
            forget::run(&global, name, if yes { Sure::Yes } else { Sure::Ask }).await
        }
        Command::Export { sessions } => export::run(&global, sessions).await,
        Command::Import { file } => import::run(&global, file.as_deref()).await,
        Command::Verify { name, ok: false } => verify::show(&global, name).await,
        Command::Verify { name, ok: true } => verify::confirm(&global, name).await,
        Command::Trust { who } => trust::run(&global, who).await,
        Command::Status => status::run(&global).await,
        Command::Quit => quit::run(&global).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Which sessions are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those that have not ended.
    Open,
    /// Every one that has a number.
    All,
}

impl Scope {
    fn of(all: bool) -> Self {
        if all { Self::All } else { Self::Open }
    }
}
