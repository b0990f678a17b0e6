//! `chatctl`: attaches a terminal or a script to a running `chatd`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = chatctl::cli::Cli::parse();
    match chatctl::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever reads the results has closed the pipe: that is their way to say "enough".
            if !failure.is_closed_pipe() {
                eprintln!("chatctl: {}", proto::display::message("", &failure.to_string(), None));
            }
            ExitCode::from(failure.code())
        }
    }
}
