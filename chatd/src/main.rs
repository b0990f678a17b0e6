//! `chatd`: keeps a person's sessions alive.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match chatd::app::main(&chatd::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chatd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
