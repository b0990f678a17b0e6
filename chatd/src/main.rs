//! `chatd`: keeps a person's sessions alive.

use std::process::ExitCode;

use chatd::dirs::DirError;
use clap::Parser;

/// A daemon of this name runs already. Whoever only wants one to run need not give up: it is there, or will be soon.
const RUNS_ALREADY: u8 = 75;

fn main() -> ExitCode {
    match chatd::app::main(&chatd::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chatd: {error:#}");
            match error.downcast_ref() {
                Some(DirError::Locked { .. }) => ExitCode::from(RUNS_ALREADY),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
