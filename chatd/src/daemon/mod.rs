//! The daemon of one person: its sessions, its place in the lobby, and what clients ask of it.
//!
//! [`Core`] is plain data: events in, [`Effect`]s out, with the store, the clock and the randomness handed in.
//! [`run()`] gives it a thread of its own, which owns the only writing connection of the store. The thread takes all
//! events that wait, lets the core handle each, commits once, and only then carries out the effects: nobody ever sees
//! what is not on the disk, and one flush serves many lines.

mod calls;
mod changes;
mod consent;
mod core;
mod event;
mod lobby_link;
mod lobby_pin;
mod looks;
mod pins;
mod presence;
mod room;
mod run;
mod sessions;
#[cfg(test)]
mod tests;
mod trust;
mod verify;

pub use self::core::{Core, Setup};
pub use consent::Accept;
pub use event::{Effect, Event, Place, Post, Stop};
pub(crate) use lobby_pin::pin_name;
pub use run::{Handle, QUEUE, Seen, now, run};
pub use verify::Known;
