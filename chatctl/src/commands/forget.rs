//! `forget NAME`: drops a key and what was said with its owner.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use proto::ipc::{Call, Reply};
use proto::name::Name;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1_024;

/// Whether the person has said already that it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// By an option.
    Yes,
    /// Not yet.
    Ask,
}

pub(super) async fn run(global: &Global, name: Name, sure: Sure) -> Result<(), Failure> {
    if sure == Sure::Ask {
        confirm(&name)?;
    }
    let mut client = locate::connect(global).await?;
    match client.call(Call::Forget { name: name.clone() }).await? {
        Reply::Done => Output::new(global).line(&done(&name)),
        reply => Err(unexpected(&reply)),
    }
}

fn confirm(name: &Name) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{}; say so with --yes", warning(name))));
    }
    let mut out = io::stdout().lock();
    write!(out, "{}.\nType the name again: ", warning(name))?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer)?;
    match Name::new(answer.trim()) {
        Ok(again) if again.folded() == name.folded() => Ok(()),
        _ => Err(Failure::Failed("nothing was done".into())),
    }
}

/// What it means.
pub(crate) fn warning(name: &Name) -> String {
    format!("This drops {name}'s key and what was said with {name}, for good")
}

/// What is said once it is done.
pub(crate) fn done(name: &Name) -> String {
    format!("{name} is forgotten: whoever comes under that name is new to you")
}
