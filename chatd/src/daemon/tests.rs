//! The core without sockets, fed with events: who is trusted with what.

mod bench;
mod consent;
mod knocks;
mod pins;
mod regressions;
