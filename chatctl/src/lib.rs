//! The front-end of the chat: owns nothing, attaches to a daemon, shows, sends, detaches.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the command line, as clap reads it |
//! | [`failure`] | what can go wrong, with its exit code |
//! | [`locate`] | which daemon is meant |
//! | [`start`] | starts a daemon where none runs |
//! | [`client`] | the link to the daemon |
//! | [`render`] | entries and rows as lines for a person |
//! | [`json`] | entries and rows as objects for a script |
//! | [`output`] | standard output of the one-shot commands |
//! | [`commands`] | one file per command of the command line |
//! | [`repl`] | the prompt of `attach` |
//!
//! Nothing here decides about the chat: the daemon does. Text from outside reaches a screen through
//! [`proto::display`] only.

pub mod cli;
pub mod client;
pub mod commands;
pub mod failure;
pub mod json;
pub mod locate;
pub mod output;
pub mod render;
pub mod repl;
pub mod start;

use anyhow::Context as _;

use crate::cli::Cli;
use crate::failure::Failure;

/// Runs one command to its end.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("unable to start the asynchronous runtime")?;
    let outcome = runtime.block_on(commands::run(cli));
    // A thread that waits for a line of standard input cannot be ended; it must not hold up the exit.
    runtime.shutdown_background();
    outcome
}
