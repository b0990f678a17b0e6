//! `completions SHELL`: prints a completion script.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;

pub(super) fn run(shell: Shell) -> Result<(), Failure> {
    // First into memory: the generator panics where its writer fails, and a closed pipe is no panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chatctl", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
