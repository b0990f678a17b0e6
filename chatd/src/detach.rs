//! Going to the background without a service manager: the program starts itself again and waits until that one runs.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;

use crate::joined;

/// Starts the same program with the same arguments in the background. Comes back when it is ready, with its first
/// line on standard output, or when it has failed, with its exit code; what it has to say is on standard error then.
pub fn start() -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("cannot tell which program this is")?;
    let args: Vec<OsString> = joined::args().into_iter().filter(|arg| arg != "--detach").collect();
    let mut child = Command::new(&program)
        .args(args)
        .arg("--background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).context("the background process says nothing")?;
    }
    if line.ends_with('\n') {
        io::stdout().write_all(line.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().context("the background process is gone")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// In the background process: leaves the terminal and the session of whoever started it.
#[cfg(unix)]
pub fn leave_session() {
    // Fails only for a leader of a process group, which a fresh child never is.
    rustix::process::setsid().ok();
}

/// In the background process: nothing to leave here.
#[cfg(not(unix))]
pub fn leave_session() {}

/// In the background process, once it is ready: nobody reads its output any more.
#[cfg(unix)]
pub fn let_go_of_output() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// In the background process, once it is ready: its output was never connected.
#[cfg(not(unix))]
pub fn let_go_of_output() -> io::Result<()> {
    Ok(())
}
