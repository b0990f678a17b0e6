//! `lobbyd`, the room where people meet. Everything it does is in [`chatd::lobby`].

use std::process::ExitCode;

fn main() -> ExitCode {
    chatd::lobby::cli::main()
}
