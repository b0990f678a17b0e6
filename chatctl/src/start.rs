//! Starts a daemon where none runs.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use proto::display;
use proto::invitation::Invitation;
use proto::name::Name;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::cli::Global;
use crate::failure::Failure;

/// The exit code of a `chatd` that finds another of its name.
const RUNS_ALREADY: i32 = 75;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It runs and its socket answers.
    Started,
    /// Another one has its place: it was started at the same moment, or is about to be gone.
    Taken,
}

/// Starts `chatd` in the background under that name. Returns once its socket answers.
pub async fn daemon(name: &Name, global: &Global) -> Result<Outcome, Failure> {
    run(name, global, None).await
}

/// The same, in the lobby of an invitation. The secret goes through a pipe: everybody can read command lines.
pub async fn joining(name: &Name, global: &Global, invitation: &Invitation) -> Result<Outcome, Failure> {
    run(name, global, Some(invitation)).await
}

async fn run(name: &Name, global: &Global, invitation: Option<&Invitation>) -> Result<Outcome, Failure> {
    let program = program();
    let mut command = Command::new(&program);
    command.arg("--name").arg(name.as_str()).arg("--detach");
    if invitation.is_some() {
        command.args(["--lobby", "-"]);
    }
    if let Some(dir) = &global.data_dir {
        command.arg("--data-dir").arg(dir);
    }
    if let Some(dir) = &global.runtime_dir {
        command.arg("--runtime-dir").arg(dir);
    }
    command.stdin(if invitation.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let what = program.display();
    let failed = |error: io::Error| {
        Failure::NoDaemon(format!(
            "no daemon is running and {what} cannot be started: {error}; is chatd installed?"
        ))
    };
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(mut input), Some(invitation)) = (child.stdin.take(), invitation) {
        // A program that does not read it says why, below.
        input.write_all(invitation.line().as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(Outcome::Started);
    }
    if output.status.code() == Some(RUNS_ALREADY) {
        return Ok(Outcome::Taken);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = display::rows(said.trim()).map(std::borrow::Cow::into_owned).collect();
    Err(Failure::NoDaemon(format!("{what} could not start ({}): {}", output.status, said.join("; "))))
}

/// The daemon that was installed together with this program, else the one in the search path.
fn program() -> PathBuf {
    let file = format!("chatd{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(&file)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(file))
}
