//! Starts a daemon where none runs.

use std::path::PathBuf;
use std::process::Stdio;

use proto::display;
use proto::name::Name;
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
    let program = program();
    let mut command = Command::new(&program);
    command.arg("--name").arg(name.as_str()).arg("--detach");
    if let Some(dir) = &global.data_dir {
        command.arg("--data-dir").arg(dir);
    }
    if let Some(dir) = &global.runtime_dir {
        command.arg("--runtime-dir").arg(dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let what = program.display();
    let output = command.output().await.map_err(|error| {
        Failure::NoDaemon(format!(
            "no daemon is running and {what} cannot be started: {error}; is chatd installed?"
        ))
    })?;
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
