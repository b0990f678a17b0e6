//! The server side of the lobby: what `lobbyd` runs, and a `chatd` that hosts the lobby itself.
//!
//! The room is one log that only grows; a connection is a cursor on it. Nothing is queued per member: each connection
//! writes all that its cursors lack in one go, as fast as its own reader takes it, so nobody waits for anybody.
//!
//! | module | holds |
//! | --- | --- |
//! | `room` | who may do what: members, log and presence together, plain data in and out |
//! | `log` | what was said, on disk: the thread that writes it, and pages for readers who are far behind |
//! | `ring` | the newest entries of the log, each encoded once for all readers |
//! | `roster` | names, keys, who is here, and the log of comings and goings |
//! | `hub` | the room behind its lock, the wake-up of all connections, the clock |
//! | `keep` | what stays on disk, written by a thread of its own |
//! | `member` | one connection: hello, requests in, log out |
//! | `rendezvous` | who wants to reach whom; an address is told only where both do |
//! | `desk` | orders to the lobby, by its local socket |
//! | `doors` | invitations, and whom they let in |
//! | `wards` | who may not come in or not speak, as operators decided |
//! | `server` | accepting and the orderly end |
//! | [`cli`] | the command line of `lobbyd` |
//!
//! Never: a lock held while writing, a queue that grows with what others say, a text in a log file.

pub mod cli;
mod config;
mod desk;
mod doors;
mod hub;
mod keep;
mod log;
mod member;
mod rendezvous;
mod ring;
mod room;
mod roster;
mod server;
mod wards;

pub use config::{Entry, LobbyConfig, Past};
pub use server::Lobby;
