//! The harness of the end-to-end tests: the real programs in folders, on ports and on terminals of their own.
//!
//! | module | holds |
//! | --- | --- |
//! | [`binaries`] | the programs, built once for each test process |
//! | [`world`] | folders and a lobby port that no other test has |
//! | [`process`] | daemons and lobbies as child processes, killed and reaped when dropped |
//! | `company` | daemons that are in a lobby, and have sessions with each other |
//! | [`screen`], [`capture`] | `chatctl attach` on a pseudo-terminal, and everything it ever printed |
//! | [`ctl`] | the other commands of `chatctl`, and their rows |
//! | [`watch`] | waits for a state of a daemon, told by the daemon itself |
//! | [`liar`], [`tap`], [`forger`] | attackers: a lobby that lies, somebody on the wire, handshakes that are not in order |
//!
//! Every wait has a deadline ([`DEADLINE`]) and no test sleeps to wait. The
//! harness is for Unix: it needs its signals and pseudo-terminals.

#![cfg(unix)]
#![allow(clippy::missing_panics_doc, reason = "a harness panics where a test has failed, everywhere")]

pub mod binaries;
pub mod capture;
mod company;
pub mod ctl;
pub mod forger;
pub mod liar;
pub mod process;
pub mod screen;
pub mod tap;
pub mod watch;
pub mod world;

use std::time::Duration;

/// Longest wait for anything. What takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub use binaries::program;
pub use ctl::Ctl;
pub use process::{Daemon, Lobbyd};
pub use screen::Screen;
pub use world::{House, World};
