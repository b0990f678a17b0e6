//! What the programs of the chat say to each other: types, framing, names and the display filter.
//!
//! This crate does no I/O: it opens no socket, reads no file and starts no task. A stranger can implement
//! the same wires from `PROTOCOL.md` beside this crate; the tests in `tests/` freeze its bytes.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ids`] | one newtype per identifier, so that none can be taken for another |
//! | [`name`] | [`Name`](name::Name), the only form in which a person's name travels |
//! | [`invitation`] | the line by which somebody is let into a lobby |
//! | [`text`] | [`Text`](text::Text), what a person wrote, exact and bounded |
//! | [`limits`] | every bound of the wires in one place |
//! | [`hello`] | the version and feature handshake that opens every link |
//! | [`frame`] | JSON messages in length-delimited frames |
//! | [`lobby`] | the link between a daemon and the lobby |
//! | [`peer`] | the link between two daemons |
//! | [`ipc`] | the link between a client and its daemon, on one machine |
//! | [`archive`] | the lines of an exported history |
//! | [`display`] | makes text from outside safe to show on a terminal |
//! | [`paths`] | where a daemon's files and its local socket are (computed, never touched) |

pub mod archive;
pub mod display;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod invitation;
pub mod ipc;
pub mod limits;
pub mod lobby;
pub mod name;
pub mod paths;
pub mod peer;
pub mod text;
